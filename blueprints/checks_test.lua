local test = require "flow.test"

local function links(...) return { dead_links = test.array { ... } } end

return test.suite {
  blueprint = "checks.lua",
  cases = {
    test.case "checks its own three pages where none are named" {
      answers = { checker = { test.returns(links "x.md", { times = 3 }) } },
      expect = {
        test.input("checker", 3, { page = "data/pages/rules.md" }),
        test.ctx("ctx.dead_links", 3),
      },
    },
    test.case "a page that cannot be checked ends it, after the others" {
      input = { pages = { "a.md", "b.md" } },
      answers = {
        checker = {
          test.fails("process.exit", { on = { page = "a.md" } }),
          test.returns(links(), { on = { page = "b.md" }, after_s = 1 }),
        },
      },
      expect = { test.error("pages.missing", "a page could not be checked"), test.took(1) },
    },
  },
}
