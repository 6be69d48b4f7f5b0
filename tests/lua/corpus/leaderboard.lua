-- Ask every team for its result, sort them, and announce the winners.
local flow = require "flow"
local measure = flow.fn "measure"
local announce = flow.fn "announce"

local medals = { "gold", "silver", "bronze" }

return flow.blueprint {
  id = "leaderboard",
  agents = { measure, announce },
  flow = function(ctx)
    local results = parallel(ctx.teams, { limit = 2 }, function(team)
      return { team = team, time = measure(team) }
    end)
    table.sort(results, function(a, b) return a.time < b.time end)
    for place, result in ipairs(results) do
      result.place = place
      result.medal = medals[place]
    end
    local winner = results[1]
    announce("The winner is " .. winner.team)
    ctx.results = results
    ctx.winner = winner.team
  end,
}
