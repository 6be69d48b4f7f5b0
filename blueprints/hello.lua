local flow = require "flow"

local greeter = flow.lua "greeter" [[ return "Hello, " .. input.name .. "!" ]]
local shouter = flow.process "shouter" { argv = { "tr", "a-z", "A-Z" } }

return flow.blueprint {
  id = "hello",
  agents = { greeter, shouter },
  flow = function(ctx)
    ctx.greeting = greeter { name = ctx.name or "world" }
    ctx.loud = shouter(ctx.greeting)
  end,
}
