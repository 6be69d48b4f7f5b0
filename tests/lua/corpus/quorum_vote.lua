local flow = require "flow"
local vote = flow.fn "vote"

return flow.blueprint {
  id = "quorum-vote",
  agents = { vote },
  flow = function(ctx)
    local votes = parallel(ctx.members, { join = "quorum", quorum = 2 }, function(member)
      return vote { member = member, motion = ctx.motion }
    end)
    local yes = 0
    for _, v in ipairs(votes) do
      if v == "yes" then yes = yes + 1 end
    end
    ctx.passed = yes * 2 > #votes
  end,
}
