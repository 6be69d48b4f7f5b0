--- Tests of a blueprint, beside it: what its agents answer, and what is to come of it.
--
-- A test script returns a suite: cases with an input, scripted answers and expectations.
-- Every function here makes a plain table with the line that it was called on; nothing runs
-- until `swarm test` has read the whole suite, and has found no mistake in it.
-- @module flow.test
-- @usage
-- local test = require "flow.test"
-- return test.suite {
--   blueprint = "hello.lua",
--   cases = {
--     test.case "greets whom it is told to greet" {
--       input = { name = "Ada" },
--       answers = { greeter = { "Hello, Ada!" }, shouter = { "HELLO, ADA!" } },
--       expect = { test.ctx("ctx.loud", "HELLO, ADA!") },
--     },
--   },
-- }

local _, host = ...
local check = require "flow.check"
local rules = check.rules

local test = {}

-- Note what was called, with what, and where; the host reads and judges the arguments.
local function made(name, ...)
  local arguments = table.pack(...)
  local count = arguments.n
  arguments.n = nil
  for i = 1, count do
    if arguments[i] == nil then arguments[i] = null end
  end
  local file, line = host.caller()
  return { __swarm = "test." .. name, __file = file, __line = line, arguments = array(arguments) }
end

local function maker(name)
  return function(...) return made(name, ...) end
end

-- the suite ---------------------------------------------------------------------------------

--- What a test script returns.
-- @function test.suite
-- @tparam table spec `blueprint` (a path from the test's folder), `cases` (list), `answers`
-- (by agent: what holds in every case that gives that agent none itself)
-- @treturn suite
-- @usage return test.suite { blueprint = "review.lua", cases = { test.case "…" { … } } }
function test.suite(spec)
  check.argument("test.suite", "spec", spec, rules.table)
  return made("suite", spec)
end

--- One run, and what is expected of it.
-- @tparam string name a sentence; each once in a suite
-- @treturn function to be called with `input`, `answers`, `expect`, `budget`
-- @usage test.case "passes at once" { answers = { critic = { "PASS" } }, expect = { … } }
function test.case(name)
  check.argument("test.case", "name", name, rules.text)
  local case = made("case", name)
  return host.public(function(spec)
    check.argument("test.case '" .. name .. "'", "spec", spec, rules.table)
    case.arguments[2] = spec
    return case
  end)
end

-- answers -----------------------------------------------------------------------------------

--- An answer; a plain value in a list of answers is one without settings.
-- @function test.returns
-- @param value the answer
-- @tparam[opt] table settings `on` (only where the input has this in it), `times` (how
-- often, or "any"; else once), `after_s` (of the fake clock), `tokens`, `cost`, `parts`,
-- `progress` (texts)
-- @treturn answer
-- @usage test.returns("PASS", { on = { page = "index.md" }, after_s = 2, tokens = 120 })
test.returns = maker "returns"

--- A failure instead of an answer.
-- @function test.fails
-- @tparam string code such as `net.down`
-- @tparam[opt] string message
-- @tparam[opt] table settings those of `test.returns`, and `permanent`, `data`
-- @treturn answer
-- @usage test.fails("net.down", "no answer", { times = 2 })
test.fails = maker "fails"

--- No answer at all: for timeouts.
-- @function test.never
-- @tparam[opt] table settings `on`, `times`
-- @treturn answer
-- @usage answers = { checker = { test.never() } }
test.never = maker "never"

--- Instead of a list of answers: the agent's own script, sleep or blueprint does its steps.
-- @usage answers = { reviser = test.real }
test.real = { __swarm = "test.real" }

-- expectations ------------------------------------------------------------------------------

--- These agents were asked, in this order, and nobody else.
-- @function test.path
-- @tparam {string,...} agents each attempt counts
-- @treturn expectation
-- @usage test.path { "writer", "critic", "writer", "critic", "printer" }
test.path = maker "path"

--- An agent was asked so often; each attempt counts.
-- @function test.calls
-- @tparam string agent its name
-- @tparam number count from 0
-- @treturn expectation
-- @usage test.calls("writer", 2)
test.calls = maker "calls"

--- What an agent was asked, the whole of it.
-- @function test.input
-- @tparam string agent its name
-- @tparam number nth from 1
-- @param input the value
-- @treturn expectation
-- @usage test.input("writer", 1, { topic = "tea" })
test.input = maker "input"

--- The final context, or what stands at a path of it.
-- @function test.ctx
-- @tparam string path such as `ctx.verdict`
-- @param value the whole of what stands there
-- @treturn expectation
-- @usage test.ctx("ctx.verdict", "PASS")
test.ctx = maker "ctx"

--- An expression over the final context is true.
-- @function test.that
-- @tparam string expression as in a blueprint
-- @treturn expectation
-- @usage test.that "#ctx.pages == 3 and ctx.rounds < 5"
test.that = maker "that"

--- The run fails with this code, itself or as the code of what a worker reported.
-- @function test.error
-- @tparam string code such as `pages.missing`
-- @tparam[opt] string message a part of the message
-- @treturn expectation
-- @usage test.error("pages.missing", "could not be checked")
test.error = maker "error"

--- Something happened: events of this kind that have these members.
-- @function test.event
-- @tparam string kind such as `step.retrying`
-- @tparam[opt] table members
-- @tparam[opt] number count how many; else one or more
-- @treturn expectation
-- @usage test.event("step.retrying", { delay_s = 0.05 }, 2)
test.event = maker "event"

--- An agent handed over a part of this name, and this is its value; the last of a name counts.
-- @function test.part
-- @tparam string name of the part
-- @param value the whole of it
-- @treturn expectation
-- @usage test.part("report.md", "All is well.")
test.part = maker "part"

--- What the run used.
-- @function test.usage
-- @tparam table amounts `steps`, `attempts`, `tokens`, `cost`
-- @treturn expectation
-- @usage test.usage { attempts = 3, tokens = 360 }
test.usage = maker "usage"

--- How long the run took, by the fake clock.
-- @function test.took
-- @tparam number seconds
-- @treturn expectation
-- @usage test.took(3600)
test.took = maker "took"

--- A node was entered so often.
-- @function test.visits
-- @tparam string node its id, or its place (`$.children[1]`)
-- @tparam[opt] number count else once or more
-- @treturn expectation
-- @usage test.visits("recheck", 2)
test.visits = maker "visits"

--- All that happened is what a file beside the test holds; `--update` writes it.
-- @function test.golden
-- @tparam string name the file is `golden/<name>.jsonl`
-- @treturn expectation
-- @usage test.golden "review-passes"
test.golden = maker "golden"

-- values ------------------------------------------------------------------------------------

--- JSON's null.
test.null = null

--- Mark a table as a list, so that an empty one is not taken for an object.
-- @function test.array
-- @tparam table list
-- @treturn table the same
-- @usage test.ctx("ctx.broken", test.array {})
test.array = array

local names = {}
for name, builder in pairs(test) do
  names[#names + 1] = name
  if builder ~= array and type(builder) == "function" then test[name] = host.public(builder) end
end

return setmetatable(test, {
  __metatable = "flow.test",
  __index = function(_, name)
    check.blame("test", "no function " .. check.shown(name), check.hint(name, names))
  end,
  __newindex = function(_, name) check.blame("test", "cannot set " .. check.shown(name)) end,
})
