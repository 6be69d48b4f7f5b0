-- A small state machine with a queue and a table of what follows what.
local flow = require "flow"
local sensor = flow.fn "sensor"
local motor = flow.fn "motor"

local NEXT = {
  idle = function(job) if job then return "moving" end return "idle" end,
}

local transitions = {
  moving = { arrived = "open", stuck = "alarm" },
  open = { clear = "closing", blocked = "open" },
  closing = { clear = "idle", blocked = "open" },
}

return flow.blueprint {
  id = "elevator",
  agents = { sensor, motor },
  flow = function(ctx)
    local queue = copy(ctx.calls or {})
    local state = "idle"
    local at = ctx.floor or 0
    local trace = { state }

    for tick = 1, 12 do
      if state == "idle" then
        if #queue == 0 then break end
        local goal = table.remove(queue, 1)
        if goal ~= at then
          motor { from = at, to = goal, up = goal > at }
          at = goal
        end
        state = NEXT.idle(goal)
      else
        local seen = sensor { state = state, tick = tick }
        local row = transitions[state]
        state = row[seen] or "alarm"
      end
      trace[#trace + 1] = state
      if state == "alarm" then
        error("elevator.alarm", "stuck at " .. at .. " after " .. tick .. " ticks")
      end
    end

    return { floor = at, trace = table.concat(trace, ">"), waiting = queue }
  end,
}
