local test = require "flow.test"

local function grade(...)
  return {
    verdict = select("#", ...) == 0 and "PASS" or "REVISE",
    findings = test.array { ... },
  }
end

local really = { kind = "filler", what = "really" }

return test.suite {
  blueprint = "built_review.lua",
  cases = {
    test.case "mends what is worst, and reads again" {
      input = { letter = "It is really late.", pages = test.array {} },
      answers = { readability = { grade(really), grade() }, reviser = test.real },
      expect = {
        test.path { "readability", "reviser", "readability" },
        test.input("reviser", 1, { text = "It is really late.", findings = { really } }),
        test.ctx("ctx.letter", "It is late."),
        test.that "ctx.verdict == 'PASS' and ctx.rounds == 2",
      },
    },
    test.case "leaves a letter that does not get better after five rounds" {
      input = { letter = "x", pages = test.array {} },
      answers = {
        readability = { test.returns(grade(really), { times = "any" }) },
        reviser = { test.returns("x", { times = "any" }) },
      },
      expect = { test.calls("reviser", 5), test.ctx("ctx.verdict", "REVISE") },
    },
    test.case "goes on where a page cannot be checked" {
      input = { letter = "x", pages = { "a.md", "b.md" } },
      answers = {
        readability = { grade() },
        checker = { test.fails("process.exit", "gone", { on = { page = "a.md" } }), { page = "b.md" } },
      },
      expect = {
        test.ctx("ctx.broken", { { page = "a.md", failed = "gone" } }),
        test.ctx("ctx.pages[1]", { page = "b.md" }),
      },
    },
  },
}
