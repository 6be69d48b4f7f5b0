local flow = require "flow"
local model = flow.fn "model"
local tool = flow.fn "tool"

local function push(messages, role, content)
  messages[#messages + 1] = { role = role, content = content }
end

local function count(text)
  local _, n = text:gsub("%S+", "")
  return n
end

return flow.blueprint {
  id = "chat",
  agents = { model, tool },
  flow = function(ctx)
    local messages = {}
    push(messages, "system", ctx.system or "You help.")
    push(messages, "user", ctx.prompt)

    local turns, words = 0, 0
    while true do
      limit(8)
      turns = turns + 1
      local reply = model { messages = messages }
      words = words + count(reply.text or "")
      push(messages, "assistant", reply.text or "")
      if not reply.calls or #reply.calls == 0 then break end
      for _, call in ipairs(reply.calls) do
        local ok, result = pcall(tool, { name = call.name, args = call.args })
        if ok then
          push(messages, "tool", call.name .. ": " .. tostring(result))
        else
          push(messages, "tool", call.name .. " failed: " .. result.message)
        end
      end
      if turns >= 5 then
        error({ code = "chat.too_long", message = "no answer after " .. turns .. " turns" })
      end
    end

    return { answer = messages[#messages].content, turns = turns, words = words, messages = messages }
  end,
}
