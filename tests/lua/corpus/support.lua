--[[
  Customer support: classify, try the bot, hand over to a person when the bot
  is unsure three times in a row.
]]
local flow = require "flow"
local classify = flow.fn "classify"
local bot = flow.fn "bot"
local human = flow.fn "human"
local crm = flow.fn "crm"

local URGENT = { outage = true, security = true }

local function greet(name)
  if name and name ~= "" then
    return "Dear " .. name .. ","
  end
  return "Hello,"
end

local function reply(text, name)
  return greet(name) .. "\n\n" .. text .. "\n"
end

return flow.blueprint {
  id = "support",
  agents = { classify, bot, human, crm },
  flow = function(ctx)
    local kind = classify { text = ctx.message }.kind
    local customer = crm { email = ctx.email } or { name = nil, tier = "free" }
    ctx.history = ctx.history or {}

    if URGENT[kind] or customer.tier == "gold" then
      ctx.answer = human { kind = kind, text = ctx.message, urgent = true }
    else
      local unsure = 0
      repeat
        local a = bot { kind = kind, text = ctx.message, tries = unsure }
        table.insert(ctx.history, a.text)
        if a.confidence < 0.7 then
          unsure = unsure + 1
        end
        ctx.answer = a.text
      until a.confidence >= 0.7 or unsure == 3
      if unsure == 3 then
        ctx.answer = human { kind = kind, text = ctx.message, history = ctx.history }
      end
    end
    ctx.answer = reply(ctx.answer, customer.name)
    ctx.log = { kind = kind, tier = customer.tier, turns = #ctx.history }
  end,
}
