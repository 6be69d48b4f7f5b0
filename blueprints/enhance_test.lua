local test = require "flow.test"

local issue = { blueprint = "review", intent = "be less strict", author = "ada", examples = test.array {} }
local head = { blueprint = "review", label = "1.0.0", base = "b0" }
local brief = { issue = issue, lessons = test.array {} }
local proposal = { ops = test.array {}, rationale = "as asked" }
local review = { base = "b0", result = "r1" }

local function change(...) return { blueprint = "review", base = "b0", result = "r1", axes = test.array { ... } } end

local function verdict(axis, pass) return { axis = axis, base = "b0", result = "r1", pass = pass } end

-- What the functions of the host answer in one round of the loop.
local function round(outcome, decision)
  return {
    enhance_turn = head, enhance_brief = brief, enhance_propose = proposal,
    enhance_apply = change("power", "cases"),
    power = verdict("power", true), cases = verdict("cases", true),
    enhance_decide = decision or { act = "commit" }, enhance_commit = outcome,
  }
end

local function answers(rounds)
  local found = {}
  for _, name in ipairs { "turn", "brief", "propose", "apply", "decide", "commit" } do
    local agent, list = "enhance_" .. name, {}
    for i, one in ipairs(rounds) do list[i] = one[agent] end
    found[agent] = list
  end
  found.enhance_verify = {}
  for _, one in ipairs(rounds) do
    for _, axis in ipairs { "cases", "power" } do
      local verdicts = found.enhance_verify
      -- They come in any order, and are collected in that of the axes.
      verdicts[#verdicts + 1] =
        test.returns(one[axis], { on = { axis = axis }, after_s = axis == "power" and 5 or 1 })
    end
  end
  return found
end

local function with(more, found)
  for agent, list in pairs(more) do found[agent] = list end
  return found
end

local applied = { state = "applied", label = "1.0.1" }
local conflict = { state = "conflict" }
local canary = { state = "canary", label = "1.0.1", look_s = 15 }
local ask = { act = "ask", review = review }

return test.suite {
  blueprint = "enhance.lua",
  cases = {
    test.case "what needs nobody is committed, with a verdict of every axis" {
      input = { issue = issue },
      answers = answers { round(applied) },
      expect = {
        test.calls("senior", 0),
        test.input("enhance_propose", 1, brief),
        test.input("enhance_apply", 1, { head = head, proposal = proposal }),
        test.ctx("ctx.verdicts", { verdict("power", true), verdict("cases", true) }),
        test.input("enhance_commit", 1, {
          issue = issue, change = change("power", "cases"), answer = test.null,
          verdicts = { verdict("power", true), verdict("cases", true) },
        }),
        test.ctx("ctx.outcome", applied),
        test.that "ctx.round == 1",
        test.took(5),
      },
    },

    test.case "a senior is asked about what was computed, and his answer goes to who commits" {
      input = { issue = issue },
      answers = with(
        { senior = { test.returns({ approve = true, token = "t" }, { on = review, after_s = 3600 }) } },
        answers { round(applied, ask) }
      ),
      expect = {
        test.calls("senior", 1),
        test.ctx("ctx.answer", { approve = true, token = "t" }),
        test.ctx("ctx.outcome", applied),
        test.took(3605),
      },
    },

    test.case "what was said to one change is not said to the next" {
      input = { issue = issue },
      answers = with(
        { senior = { { approve = true, token = "t" } } },
        answers { round(conflict, ask), round(applied) }
      ),
      expect = { test.calls("senior", 1), test.ctx("ctx.answer", test.null), test.that "ctx.round == 2" },
    },

    test.case "a rejection is the end of it" {
      input = { issue = issue },
      answers = answers { round({ state = "rejected", reasons = { "enhance.noop" } }, { act = "reject" }) },
      expect = { test.calls("enhance_commit", 1), test.ctx("ctx.outcome.state", "rejected") },
    },

    test.case "who is overtaken three times gives up" {
      input = { issue = issue },
      answers = answers { round(conflict), round(conflict), round(conflict) },
      expect = { test.calls("enhance_turn", 3), test.ctx("ctx.outcome", conflict), test.that "ctx.round == 3" },
    },

    test.case "what is tried on a share of runs is looked at until it is known" {
      input = { issue = issue },
      answers = with(
        {
          enhance_watch = {
            canary, canary,
            { state = "rolled_back", label = "1.0.1", reasons = { "enhance.canary_failing" } },
          },
        },
        answers { round(canary) }
      ),
      expect = {
        test.input("enhance_watch", 1, { change = change("power", "cases"), outcome = canary }),
        test.ctx("ctx.outcome.state", "rolled_back"),
        test.that "ctx.looks == 3 and ctx.round == 1",
        test.took(50),
      },
    },

    test.case "a host that cannot decide fails the issue, and nothing is committed" {
      input = { issue = issue },
      answers = {
        enhance_turn = { head }, enhance_brief = { brief }, enhance_propose = { proposal },
        enhance_apply = { change() },
        enhance_decide = { test.fails("worker.error", "no store") },
      },
      expect = { test.error("step.failed", "no store"), test.calls("enhance_commit", 0) },
    },
  },
}
