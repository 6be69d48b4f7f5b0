--- flow.step: expected 'agent' to be an agent or a name, got nil
return flow.step { agent = nil }
--- flow.step: unknown field 'agnet' — did you mean 'agent'?
return flow.step {
  agnet = "x",
}
--- flow.step: unknown field [1] — expected one of 'agent', 'id', 'input', 'out', 'retry', 'timeout_s'
return flow.step { agent = "a", 5 }
--- flow.step: expected a table of fields, got nil — write flow.step { … }
return flow.step()
--- flow.step: expected a table of fields, got a flow.seq — write flow.step { … }
return flow.step(flow.seq {})
--- flow: no builder 'stpe' — did you mean 'step'?
return flow.stpe {}
--- flow.seq: expected 'item 1' to be a node (flow.step, flow.seq, …), got the agent 'a' — wrap it: flow.step { agent = … }
return flow.seq { flow.fn "a" }
--- flow.seq: expected 'item 2' to be a node (flow.step, flow.seq, …), got nil
return flow.seq { flow.seq {}, nil, flow.seq {} }
--- flow.branch: expected 'run' to be a node (flow.step, flow.seq, …), got a list — wrap them: flow.seq { … }
return flow.branch { when = true, run = { flow.seq {} } }
--- flow.assign: expected 'at' to be a path such as 'ctx.name', got 'total' — did you mean 'ctx.total'?
return flow.assign { at = "total", value = 1 }
--- flow.assign: expected 'value.b[1]' to be an expression, got a function
return flow.assign { at = "ctx.a", value = { b = { pcall } } }
--- flow.assign: expected 'value' to be an expression, got nan
return flow.assign { at = "ctx.a", value = 0 / 0 }
--- flow.assign: expected 'value' to be an expression, got nil
return flow.assign { at = "ctx.a" }
--- flow.fanout: expected 'join' to be one of 'all', 'any', 'race', 'all_settled', 'quorum', got 'first'
return flow.fanout { over = "ctx.a", as = "ctx.b", out = "ctx.c", run = flow.seq {}, join = "first" }
--- flow.fanout: expected 'join' to be one of 'all', 'any', 'race', 'all_settled', 'quorum', got 'al' — did you mean 'all'?
return flow.fanout { over = "ctx.a", as = "ctx.b", out = "ctx.c", run = flow.seq {}, join = "al" }
--- flow.fanout: expected 'limit' to be an integer from 1, or an expression, got 0
return flow.fanout { over = "ctx.a", as = "ctx.b", out = "ctx.c", run = flow.seq {}, limit = 0 }
--- flow.loop: expected 'max' to be an integer from 0, got 1.5
return flow.loop { counter = "ctx.n", max = 1.5, run = flow.seq {} }
--- flow.try: expected 'on[2]' to be a string, got 5
return flow.try { run = flow.seq {}, on = { "a", 5 } }
--- flow.try: expected 'restore' to be true or false, got 'no'
return flow.try { run = flow.seq {}, restore = "no" }
--- flow.sleep: expected 'seconds' to be a number of seconds above 0, got -1
return flow.sleep(-1)
--- flow.lua: expected 'settings' to be a table, got 5
return flow.lua "a" (5)
--- flow.lua: unknown field 'name' — it is given by flow.lua 'a'
return flow.lua "a" { name = "b" }
--- flow.blueprint: expected 'agents[1]' to be an agent (flow.lua, flow.process, flow.fn, …), got 'a'
return flow.blueprint { id = "x", flow = flow.seq {}, agents = { "a" } }
--- flow.blueprint: expected 'flow' to be a node (flow.step, flow.seq, …), got 'y'
return flow.blueprint { id = "x", flow = "y" }
--- flow: cannot set 'stp'
flow.stp = 1
