-- Checks pages side by side and goes on when two of three are sound.
local flow = require "flow"

local checker = flow.process "checker" {
  argv = { "python3", "tools/check_page.py" },
  input = "json",
  output = "json",
}

return flow.blueprint {
  id = "checks",
  agents = { checker },
  flow = flow.seq {
    flow.assign {
      at = "ctx.pages",
      value = 'default(ctx.pages, { "data/pages/index.md", "data/pages/beds.md", "data/pages/rules.md" })',
    },
    flow.fanout {
      over = "ctx.pages",
      as = "ctx.page",
      index = "ctx.nth",
      join = "all_settled",
      run = flow.step { agent = checker, input = { page = "ctx.page" }, out = "ctx.report" },
      collect = "{ nth = ctx.nth, dead_links = #ctx.report.dead_links }",
      out = "ctx.reports",
    },
    flow.branch {
      when = 'every(ctx.reports, function(r) return r.status == "fulfilled" end)',
      run = flow.assign {
        at = "ctx.dead_links",
        value = "list.sum(map(ctx.reports, function(r) return r.value.dead_links end))",
      },
      otherwise = flow.fail("pages.missing", "'a page could not be checked'"),
    },
  },
}
