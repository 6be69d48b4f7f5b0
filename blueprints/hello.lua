local flow = require "flow"

local greeter = flow.lua "greeter" [[ return "Hello, " .. input.name .. "!" ]]
local shouter = flow.process "shouter" { argv = { "tr", "a-z", "A-Z" } }

return flow.blueprint {
  id = "hello",
  agents = { greeter, shouter },
  flow = flow.seq {
    flow.step { agent = greeter, input = { name = 'default(ctx.name, "world")' }, out = "ctx.greeting" },
    flow.step { agent = shouter, input = "ctx.greeting", out = "ctx.loud" },
  },
}
