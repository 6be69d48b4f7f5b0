local flow = require "flow"
local announce = flow.fn "announce"

return flow.blueprint {
  id = "countdown",
  agents = { announce },
  flow = function(ctx)
    for i = ctx.from or 3, 1, -1 do
      announce("T-" .. i)
    end
    announce "lift off"
  end,
}
