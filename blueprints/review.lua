-- Reviews a letter until it reads well, then checks the pages of a site side by side.
-- Steps are done by Lua (reviser), a Python function (readability) and a program (checker,
-- which works in this folder). The flow is an ordinary function that is not run but lowered:
-- `swarm graph blueprints/review.lua` shows what becomes of it.
local flow = require "flow"

local readability = flow.fn "readability" -- tools/readability.py, named in swarm.toml

local checker = flow.process "checker" {
  argv = { "python3", "tools/check_page.py" },
  input = "json",
  output = "json",
  timeout_s = 20,
}

-- Mends one finding of the worst kind; the text comes back with one blank between words.
local reviser = flow.lua "reviser" [[
  local text, finding = input.text, input.finding
  local what = finding.what
  local from, to = text:lower():find(what:lower(), 1, true)
  local mended = ""
  if finding.kind == "doubled" then
    mended = what:match("^%S+")
  elseif finding.kind == "filler" then
    mended = what == "in order to" and "to" or ""
  else
    mended = what:gsub("; (%l)", function(c) return ". " .. c:upper() end, 1)
  end
  text = text:sub(1, from - 1) .. mended .. text:sub(to + 1)
  return (text:gsub("  +", " "))
]]

return flow.blueprint {
  id = "review",
  description = "Reviews a letter until it reads well, and checks pages in parallel.",
  agents = { readability, reviser, checker },
  flow = function(ctx)
    local rounds = 0
    for round = 1, 5 do
      rounds = round
      ctx.review = readability(ctx.letter)
      if ctx.review.verdict == "PASS" then break end
      local worst = ctx.review.findings[1].kind
      for _, finding in ipairs(ctx.review.findings) do
        if finding.kind == worst then
          ctx.letter = reviser { text = ctx.letter, finding = finding }
        end
      end
    end

    -- A page that cannot be checked is a finding, not the end of the run.
    local reports = parallel(ctx.pages, { limit = 4 }, function(page)
      local ok, report = pcall(checker, { page = page })
      if ok then return report end
      return { page = page, failed = report.message }
    end)

    local broken = {}
    for _, report in ipairs(reports) do
      if report.failed then broken[#broken + 1] = report end
    end

    return {
      verdict = ctx.review.verdict,
      rounds = rounds,
      letter = ctx.letter,
      pages = reports,
      broken = broken,
    }
  end,
}
