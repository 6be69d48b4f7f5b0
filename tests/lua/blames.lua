--- 2: flow.step: expected 'agent' to be an agent or a name, got nil
return flow.step { agent = nil }
--- 3: flow.step: unknown field 'agnet' — did you mean 'agent'?
return flow.step {
  agnet = "x",
}
--- 2: flow.step: unknown field [1] — expected one of 'agent', 'id', 'input', 'out', 'retry', 'timeout_s'
return flow.step { agent = "a", 5 }
--- 2: flow.step: expected a table of fields, got nil — write flow.step { … }
return flow.step()
--- 2: flow.step: expected a table of fields, got a flow.seq — write flow.step { … }
return flow.step(flow.seq {})
--- 2: flow: no builder 'stpe' — did you mean 'step'?
return flow.stpe { agent = "a" }
--- 2: flow.seq: expected 'item 1' to be a node (flow.step, flow.seq, …), got the agent 'a' — wrap it: flow.step { agent = … }
return flow.seq { flow.fn "a" }
--- 2: flow.seq: expected 'item 2' to be a node (flow.step, flow.seq, …), got nil
return flow.seq { flow.seq {}, nil, flow.seq {} }
--- 2: flow.branch: expected 'run' to be a node (flow.step, flow.seq, …), got a list — wrap them: flow.seq { … }
return flow.branch { when = true, run = { flow.seq {} } }
--- 2: flow.assign: expected 'at' to be a path such as 'ctx.name', got 'total' — did you mean 'ctx.total'?
return flow.assign { at = "total", value = 1 }
--- 2: flow.assign: expected 'value.b[1]' to be an expression, got a function
return flow.assign { at = "ctx.a", value = { b = { pcall } } }
--- 2: flow.assign: expected 'value' to be an expression, got nan
return flow.assign { at = "ctx.a", value = 0 / 0 }
--- 2: flow.assign: expected 'value' to be an expression, got nil
return flow.assign { at = "ctx.a" }
--- 2: flow.fanout: expected 'join' to be one of 'all', 'any', 'race', 'all_settled', 'quorum', got 'first'
return flow.fanout { over = "ctx.a", as = "ctx.b", out = "ctx.c", run = flow.seq {}, join = "first" }
--- 2: flow.fanout: expected 'join' to be one of 'all', 'any', 'race', 'all_settled', 'quorum', got 'al' — did you mean 'all'?
return flow.fanout { over = "ctx.a", as = "ctx.b", out = "ctx.c", run = flow.seq {}, join = "al" }
--- 2: flow.fanout: expected 'limit' to be an integer from 1, or an expression, got 0
return flow.fanout { over = "ctx.a", as = "ctx.b", out = "ctx.c", run = flow.seq {}, limit = 0 }
--- 2: flow.loop: expected 'max' to be an integer from 0, got 1.5
return flow.loop { counter = "ctx.n", max = 1.5, run = flow.seq {} }
--- 2: flow.try: expected 'on[2]' to be a string, got 5
return flow.try { run = flow.seq {}, on = { "a", 5 } }
--- 2: flow.try: expected 'restore' to be true or false, got 'no'
return flow.try { run = flow.seq {}, restore = "no" }
--- 2: flow.sleep: expected 'seconds' to be a number of seconds above 0, got -1
return flow.sleep(-1)
--- 2: flow.lua: expected 'settings' to be a table, got 5 — a script is a text: flow.lua 'a' [[ … ]]
return flow.lua "a" (5)
--- 2: flow.lua: unknown field 'name' — it is given by flow.lua 'a'
return flow.lua "a" { name = "b" }
--- 2: flow.blueprint: expected 'agents[1]' to be an agent (flow.lua, flow.process, flow.fn, …), got 'a'
return flow.blueprint { id = "x", flow = flow.seq {}, agents = { "a" } }
--- 2: flow.blueprint: expected 'flow' to be a node (flow.step, flow.seq, …), got 'y'
return flow.blueprint { id = "x", flow = "y" }
--- 2: flow: cannot set 'stp'
flow.stp = 1
--- 4: flow.step: expected 'retry' to be a table, got 'often'
return flow.step {
  agent = "a", input = { retry = 1 },
  retry = "often",
}
--- 4: flow.branch: unknown field 'then' — did you mean 'when'?
return flow.branch {
  when = true, run = flow.seq {},
  ["then"] = 5,
}
--- 3: flow.branch: unknown field 'then' — did you mean 'run'?
return flow.branch { when = true,
  ["then"] = flow.seq {} }
--- 3: flow.loop: unknown field 'body' — did you mean 'run'?
return flow.loop { counter = "ctx.n", max = 1,
  body = flow.seq {} }
--- 3: flow.process: expected 'env.A' to be a plain value, got a function
return flow.process "a" {
  env = { A = pcall },
}
--- 2: flow.seq: expected 'item 2' to be a node (flow.step, flow.seq, …), got 'b'
return flow.seq { flow.seq {}, "b" }
--- 2: flow.fail: expected 'code' to be a string, got nil
return flow.fail(nil, "'m'")
--- 2: flow: no builder 'lau' — did you mean 'lua'?
return flow.lau "a" [[ return 1 ]]
--- 2: flow: no builder 'quickly' — expected one of 'agent', 'agent_md', 'array', 'ask', 'assign', 'blueprint', 'branch', 'fail', 'fanout', 'file', 'fn', 'lit', 'loop', 'lua', 'null', 'operator', 'process', 'seq', 'sleep', 'step', 'sub', 'try'
return flow.quickly {}
--- 4: flow.blueprint: expected 'agents[2]' to be an agent (flow.lua, flow.process, flow.fn, …), got 5
return flow.blueprint {
  id = "x", flow = flow.step { agent = "shout" },
  agents = { flow.fn "shout", 5 },
}
--- 2: flow.file: expected 'path' to be a string, got 5
return flow.lua "a" (flow.file(5))
--- 2: flow.lit: expected 'value' to be a plain value, got a flow.file
return flow.assign { at = "ctx.a", value = flow.lit(flow.file "a.txt") }
--- 2: flow.step: expected 'id' to be a string, got a flow.file
return flow.step { agent = "a", id = flow.file "a.txt" }
