local flow = require "flow"
local classify = flow.fn "classify"
local human = flow.fn "human"
local publish = flow.fn "publish"

local BLOCKLIST = { "viagra", "casino", "lottery" }

local function has_blocked_word(text)
  local lower = text:lower()
  for _, word in ipairs(BLOCKLIST) do
    if lower:find(word, 1, true) then
      return true
    end
  end
  return false
end

local function decide(scores)
  local worst, label = 0, "clean"
  for name, value in pairs(scores) do
    if value > worst then
      worst, label = value, name
    end
  end
  if worst > 0.9 then
    return "reject", label
  elseif worst > 0.5 then
    return "review", label
  else
    return "accept", label
  end
end

return flow.blueprint {
  id = "moderation",
  agents = { classify, human, publish },
  flow = function(ctx)
    ctx.counts = { accept = 0, reject = 0, review = 0 }
    ctx.decisions = {}
    for i = 1, #ctx.posts do
      local post = ctx.posts[i]
      local decision, label
      if has_blocked_word(post.text) then
        decision, label = "reject", "spam"
      else
        decision, label = decide(classify(post.text))
      end
      ctx.counts[decision] = ctx.counts[decision] + 1
      if decision == "review" then
        local said = human { post = post, label = label }
        decision = said.ok and "accept" or "reject"
      end
      if decision == "accept" then
        publish(post.id)
      end
      ctx.decisions[#ctx.decisions + 1] = { id = post.id, decision = decision, label = label }
    end
  end,
}
