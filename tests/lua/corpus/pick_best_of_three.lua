local flow = require "flow"
local draft = flow.fn "draft"
local score = flow.fn "score"

return flow.blueprint {
  id = "best-of-three",
  agents = { draft, score },
  flow = function(ctx)
    local best, best_score = nil, -1
    for attempt = 1, 3 do
      local text = draft { topic = ctx.topic, attempt = attempt }
      local points = score(text)
      if points > best_score then
        best, best_score = text, points
      end
    end
    return { text = best, score = best_score }
  end,
}
