local flow = require "flow"
local chat = flow.fn "chat"
local scorer = flow.fn "scorer"

local persona = { name = "Ada", style = "friendly", topics = { "work", "hobbies", "plans" } }

return flow.blueprint {
  id = "interview",
  agents = { chat, scorer },
  flow = function(ctx)
    local messages = {}
    local function say(role, text)
      messages[#messages + 1] = { role = role, text = text }
    end

    say("system", "You are " .. persona.name .. ", " .. persona.style)
    for i = 1, #persona.topics do
      local topic = persona.topics[i]
      say("user", "Tell me about " .. topic)
      local answer = chat { messages = messages }
      say("assistant", answer)
      if answer:find("stop", 1, true) then
        ctx.stopped_at = topic
        break
      end
    end

    local last = messages[#messages]
    ctx.score = scorer { transcript = messages, last = last.text }
    ctx.turns = #messages // 2
    return { score = ctx.score, turns = ctx.turns, stopped_at = ctx.stopped_at, messages = messages }
  end,
}
