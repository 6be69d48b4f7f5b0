local spec = require "spec"
local flow = require "flow"

local it, equal, fails, notes = spec.it, spec.equal, spec.fails, spec.notes
local nothing = flow.seq {}

-- agents ------------------------------------------------------------------------------------

it("flow.lua takes a source or settings", function()
  equal(flow.lua "a" "return 1", { __swarm = "agent", name = "a", kind = "lua", source = "return 1" })
  equal(flow.lua "a" { source = "s", timeout_s = 2 }, { __swarm = "agent", name = "a", kind = "lua", source = "s", timeout_s = 2 })
end)

it("flow.process takes settings", function()
  equal(flow.process "a" { argv = { "x" }, input = "json" }, { __swarm = "agent", name = "a", kind = "process", argv = { "x" }, input = "json" })
end)

it("flow.fn is an agent with and without settings", function()
  equal(flow.fn "f", { __swarm = "agent", name = "f", kind = "function", ["function"] = "f" })
  equal(flow.fn "f" { timeout_s = 1 }, { __swarm = "agent", name = "f", kind = "function", ["function"] = "f", timeout_s = 1 })
end)

it("an agent with settings does not change the one without", function()
  local bare = flow.operator "o"
  local slow, quick = bare { timeout_s = 9 }, bare { timeout_s = 1 }
  equal({ bare.timeout_s == nil, slow.timeout_s, quick.timeout_s }, { true, 9, 1 })
end)

it("flow.ask, flow.sub and flow.operator have their kinds", function()
  equal({ flow.ask("q").kind, flow.sub("s").kind, flow.operator("o").kind }, { "human", "flow", "operator" })
end)

it("an agent needs a name", function()
  for _, builder in ipairs { "lua", "process", "fn", "operator", "ask", "sub", "agent" } do
    fails(function() local _ = flow[builder]() end, "flow." .. builder .. ": expected 'name' to be a string, got nil")
    fails(function() local _ = flow[builder] "" end, "expected 'name' to be a string, got ''")
  end
end)

it("an agent's settings are plain", function()
  notes(flow.ask "q" { schema = { a = pcall } }, "flow.ask: expected 'schema.a' to be a plain value, got a function")
  notes(flow.ask "q" { "x" }, "expected settings with names, got a list")
  notes(flow.ask "q" { kind = "x" }, "unknown field 'kind'")
end)

it("an agent that has its settings is asked by steps, and not by the script", function()
  local writer = flow.lua "writer" [[ return input ]]
  local message = "agent 'writer': expected a step that asks it, got a call while the script runs"
  fails(function() writer(1) end, message)
  equal(getmetatable(writer), "agent")
end)

it("what the wire calls a field is known", function()
  local step = flow.step { ref = "w", ["in"] = "ctx.x" }
  notes(step, "unknown field 'ref' — did you mean 'agent'?")
  equal({ step.agent, step.input }, { "w", "ctx.x" })
  local branch = flow.branch { cond = "ctx.a", ["then"] = nothing, ["else"] = nothing }
  notes(branch, "unknown field 'else' — did you mean 'otherwise'?")
  equal({ branch.when, branch.run == nil, branch.otherwise == nil }, { "ctx.a", false, false })
  local fan = flow.fanout { items = "ctx.l", bind = "ctx.i", body = nothing, out = "ctx.o" }
  notes(fan, "unknown field 'items' — did you mean 'over'?")
  equal({ fan.over, fan.as, fan.run == nil }, { "ctx.l", "ctx.i", false })
end)

it("an agent's metatable is locked", function()
  equal(getmetatable(flow.fn "f"), "agent")
  fails(function() setmetatable(flow.fn "f", {}) end, "protected metatable")
end)

-- nodes -------------------------------------------------------------------------------------

it("flow.step names its agent", function()
  equal(flow.step { agent = flow.fn "f" }, { __swarm = "step", agent = "f" })
  equal(flow.step { agent = flow.agent_md "agents/r.v.md" }.agent, "agents/r.v.md")
end)

it("flow.step leaves the author's table alone", function()
  local spec_table = { agent = flow.fn "f" }
  local _ = flow.step(spec_table)
  equal({ type(spec_table.agent), spec_table.__swarm == nil }, { "table", true })
end)

it("every field of every node is kept", function()
  local loop = { counter = "ctx.n", max = 3, when = "true", run = nothing, exhausted_at = "ctx.x", id = "l" }
  local fanout = {
    over = "ctx.a", as = "ctx.b", run = nothing, out = "ctx.c", join = "quorum", quorum = 2, limit = "ctx.l",
    index = "ctx.i", collect = "ctx.v", id = "f",
  }
  local try = {
    run = nothing, catch = nothing, finally = nothing, err_at = "ctx.e", error_at = "ctx.o", on = { "a.*" },
    restore = false, id = "t",
  }
  local step = { agent = "a", input = 5, out = "$.x", timeout_s = 1.5, retry = { max_attempts = 2 }, id = "s" }
  local branch = { when = "ctx.ok", run = nothing, otherwise = nothing, id = "b" }
  local assign = { at = "$", value = flow.null, id = "w" }
  for name, fields in pairs { loop = loop, fanout = fanout, try = try, step = step, branch = branch, assign = assign } do
    local expected = { __swarm = name }
    for key, value in pairs(fields) do expected[key] = value end
    equal(flow[name](fields), expected)
  end
end)

it("every needed field is missed", function()
  for builder, field in pairs { step = "agent", branch = "run", loop = "counter", fanout = "as", try = "run", assign = "at", blueprint = "flow" } do
    notes(flow[builder] {}, "flow." .. builder .. ": expected '" .. field .. "' to be")
  end
end)

it("a misspelt field is met with the right one", function()
  notes(flow.loop { counter = "ctx.n", mx = 1, run = nothing }, "unknown field 'mx' — did you mean 'max'?")
  notes(flow.seq { idd = "x" }, "unknown field 'idd' — did you mean 'id'?")
  notes(flow.branch { wehn = true, run = nothing }, "did you mean 'when'?")
  notes(flow.assign { zzzzzz = 1 }, "expected one of 'at', 'id', 'value'")
end)

it("a path begins at the context", function()
  for _, path in ipairs { "ctx", "ctx.a", "ctx[0]", "$", "$.a", "$[0]" } do
    equal(flow.assign({ at = path, value = 1 }).at, path)
  end
  for _, path in ipairs { "", "a", "context.a", "ctxa", 5, {} } do
    notes(flow.assign { at = path, value = 1 }, "expected 'at' to be a path such as 'ctx.name'")
  end
end)

it("an expression may be text, a value, a list or an object", function()
  for _, value in ipairs { "ctx.a", 1, 1.5, true, { 1, { a = "ctx.x" } }, {}, flow.lit "x", { flow.lit "x" } } do
    equal(flow.assign({ at = "ctx.a", value = value }).value, value)
  end
  equal(rawequal(flow.assign({ at = "ctx.a", value = null }).value, null), true)
end)

it("an expression holds no nodes and no agents", function()
  notes(flow.assign { at = "ctx.a", value = nothing }, "got a flow.seq")
  notes(flow.assign { at = "ctx.a", value = { flow.fn "f" } }, "expected 'value[1]' to be an expression, got the agent 'f'")
end)

it("an expression that contains itself is refused", function()
  local circle = {}
  circle.again = circle
  notes(flow.assign { at = "ctx.a", value = circle }, "of at most 64 levels")
end)

it("flow.fail and flow.sleep check what they take", function()
  notes(flow.fail(), "flow.fail: expected 'code' to be a string, got nil")
  notes(flow.fail("a"), "flow.fail: expected 'message' to be an expression, got nil")
  notes(flow.sleep(), "flow.sleep: expected 'seconds' to be an expression, got nil")
  equal(flow.sleep("ctx.wait").seconds, "ctx.wait")
end)

it("flow.array and flow.null are the sandbox's", function()
  equal({ rawequal(flow.null, null), rawequal(flow.array, array) }, { true, true })
end)

it("flow lists its builders", function()
  local names = {}
  for name in pairs(flow) do names[#names + 1] = name end
  equal(table.concat(names, " "),
    "agent agent_md array ask assign blueprint branch fail fanout file fn lit loop lua null operator process seq sleep step sub try")
end)

return spec.report()
