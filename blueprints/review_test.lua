local test = require "flow.test"

-- What the grader says of a letter: its findings, worst first, or nothing to find.
local function grade(...)
  local findings = test.array {}
  for i, what in ipairs { ... } do findings[i] = { kind = "doubled", what = what } end
  return { verdict = #findings == 0 and "PASS" or "REVISE", findings = findings }
end

local function page(name, words) return { page = name, words = words, dead_links = test.array {} } end

local cases = {
  test.case "a letter that reads well is not touched" {
    input = { letter = "It is late.", pages = test.array {} },
    answers = { readability = { grade() } },
    expect = {
      test.path { "readability" },
      test.ctx("ctx", {
        verdict = "PASS", rounds = 1, letter = "It is late.", pages = {}, broken = {},
      }),
      test.golden "review-passes",
    },
  },

  test.case "each finding of the worst kind is mended, then the letter is read again" {
    input = { letter = "It is is late, and and dark.", pages = test.array {} },
    answers = {
      readability = {
        {
          verdict = "REVISE",
          findings = {
            { kind = "doubled", what = "is is" },
            { kind = "filler", what = "dark" },
            { kind = "doubled", what = "and and" },
          },
        },
        grade(),
      },
    },
    expect = {
      test.path { "readability", "reviser", "reviser", "readability" },
      test.input("reviser", 2, {
        text = "It is late, and and dark.", finding = { kind = "doubled", what = "and and" },
      }),
      test.ctx("ctx.letter", "It is late, and dark."),
      test.that "ctx.rounds == 2",
    },
  },

  test.case "after five rounds it is left as it is" {
    input = { letter = "so so", pages = test.array {} },
    answers = {
      readability = { test.returns(grade "so so", { times = 5, tokens = 100, cost = 0.01 }) },
      reviser = { test.returns("so so", { times = 5 }) },
    },
    expect = {
      test.calls("readability", 5),
      test.ctx("ctx.verdict", "REVISE"),
      test.usage { attempts = 10, tokens = 500, cost = 0.05 },
    },
  },

  test.case "a page that cannot be checked is a finding, not the end" {
    input = { letter = "Fine.", pages = { "a.md", "b.md", "c.md" } },
    answers = {
      readability = { grade() },
      checker = {
        test.returns(page("a.md", 3), { on = { page = "a.md" }, after_s = 2 }),
        test.returns(page("c.md", 5), { on = { page = "c.md" }, after_s = 1 }),
        test.fails("process.exit", "no such page: b.md", { on = { page = "b.md" } }),
      },
    },
    expect = {
      test.calls("checker", 3),
      test.ctx("ctx.broken", { { page = "b.md", failed = "no such page: b.md" } }),
      test.that "ctx.pages[0].words == 3 and ctx.pages[2].words == 5",
      test.event("step.failed", { step = "checker" }, 1),
      test.took(2),
    },
  },

  test.case "a checker that never answers is given up after its time" {
    input = { letter = "Fine.", pages = { "a.md" } },
    answers = { readability = { grade() }, checker = { test.never() } },
    expect = { test.event("step.failed", { code = "step.timeout" }), test.took(20) },
  },
}

-- Letters of many lengths: as many rounds as there are findings, and one to see that it is well.
for findings = 0, 4 do
  local letter, readings = "so", {}
  for i = 1, findings do readings[i] = grade "so so" end
  readings[findings + 1] = grade()
  cases[#cases + 1] = test.case("takes " .. findings + 1 .. " rounds") {
    input = { letter = letter .. (" so"):rep(findings), pages = test.array {} },
    answers = { readability = readings },
    expect = { test.calls("reviser", findings), test.ctx("ctx.rounds", findings + 1) },
  }
end

return test.suite { blueprint = "review.lua", answers = { reviser = test.real }, cases = cases }
