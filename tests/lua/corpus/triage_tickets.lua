local flow = require "flow"
local classifier = flow.fn "classifier"
local answerer = flow.fn "answerer"
local escalate = flow.fn "escalate"

local URGENT = { outage = true, security = true }

return flow.blueprint {
  id = "triage-tickets",
  agents = { classifier, answerer, escalate },
  flow = function(ctx)
    local answered, escalated = {}, {}
    for _, ticket in ipairs(ctx.tickets) do
      local kind = classifier(ticket.text)
      if URGENT[kind] then
        escalated[#escalated + 1] = escalate { id = ticket.id, kind = kind }
      elseif kind == "spam" then
        ctx.spam = (ctx.spam or 0) + 1
      else
        answered[#answered + 1] = { id = ticket.id, answer = answerer(ticket.text) }
      end
    end
    return { answered = answered, escalated = escalated, spam = ctx.spam or 0 }
  end,
}
