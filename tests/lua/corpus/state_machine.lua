local flow = require "flow"
local act = flow.fn "act"

return flow.blueprint {
  id = "state-machine",
  agents = { act },
  flow = function(ctx)
    local state, steps = "start", 0
    while state ~= "done" do
      limit(30)
      steps = steps + 1
      if state == "start" then
        ctx.plan = act "plan"
        state = "work"
      elseif state == "work" then
        local answer = act "work"
        state = answer == "good" and "done" or "repair"
      else
        act "repair"
        state = "work"
      end
      if steps > 10 then state = "done" end
    end
    return steps
  end,
}
