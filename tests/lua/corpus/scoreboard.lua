local flow = require "flow"
local judge = flow.fn "judge"

return flow.blueprint {
  id = "scoreboard",
  agents = { judge },
  flow = function(ctx)
    local scores = {}
    for _, name in ipairs(ctx.players) do
      scores[name] = judge(name)
    end
    local winner
    for name, score in pairs(scores) do
      if winner == nil or score > scores[winner] then
        winner = name
      end
    end
    return { scores = scores, winner = winner }
  end,
}
