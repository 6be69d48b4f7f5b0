-- What review.lua does, put together with builders: the form for flows that programs write.
-- Steps are done by Lua (reviser), a Python function (readability) and a program
-- (checker, which works in this folder).
local flow = require "flow"

local readability = flow.fn "readability" -- tools/readability.py, named in swarm.toml

local checker = flow.process "checker" {
  argv = { "python3", "tools/check_page.py" },
  input = "json",
  output = "json",
  timeout_s = 20,
}

-- Mends one kind of finding a round: the worst first, as an editor would.
local reviser = flow.lua "reviser" [[
  local text, worst = input.text, input.findings[1].kind
  for _, finding in ipairs(input.findings) do
    local what = finding.what
    if finding.kind == worst then
      local from, to = text:lower():find(what:lower(), 1, true)
      local mended
      if worst == "doubled" then
        mended = what:match("^%S+")
      elseif worst == "filler" then
        mended = what == "in order to" and "to" or ""
      else
        mended = what:gsub("; (%l)", function(c) return ". " .. c:upper() end, 1)
      end
      text = text:sub(1, from - 1) .. mended .. text:sub(to + 1)
    end
  end
  return (text:gsub("  +", " "))
]]

local revise_until_it_passes = flow.loop {
  counter = "ctx.round",
  max = 5,
  when = 'default(ctx.review.verdict, "") ~= "PASS"',
  exhausted_at = "ctx.gave_up",
  run = flow.seq {
    flow.step { agent = readability, input = "ctx.letter", out = "ctx.review" },
    flow.branch {
      when = 'ctx.review.verdict == "REVISE"',
      run = flow.step {
        agent = reviser,
        input = { text = "ctx.letter", findings = "ctx.review.findings" },
        out = "ctx.letter",
      },
    },
  },
}

-- A page that cannot be checked is a finding, not the end of the run.
local check_pages = flow.fanout {
  over = "ctx.pages",
  as = "ctx.page",
  join = "all",
  limit = 4,
  run = flow.try {
    run = flow.step { agent = checker, input = { page = "ctx.page" }, out = "ctx.report" },
    error_at = "ctx.error",
    catch = flow.assign {
      at = "ctx.report",
      value = { page = "ctx.page", failed = "ctx.error.message" },
    },
  },
  collect = "ctx.report",
  out = "ctx.reports",
}

return flow.blueprint {
  id = "built-review",
  description = "Reviews a letter until it reads well, and checks pages in parallel.",
  agents = { readability, reviser, checker },
  flow = flow.seq {
    revise_until_it_passes,
    check_pages,
    flow.assign {
      at = "ctx",
      value = {
        verdict = "ctx.review.verdict",
        rounds = "ctx.round",
        letter = "ctx.letter",
        pages = "ctx.reports",
        broken = "filter(ctx.reports, function(r) return exists(r.failed) end)",
      },
    },
  },
}
