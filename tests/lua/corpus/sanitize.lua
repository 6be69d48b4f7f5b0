local flow = require "flow"
local classify = flow.fn "classify"

local function clean(text)
  text = text:gsub("%s+", " ")
  return (text:match("^%s*(.-)%s*$"))
end

local function short(text, n)
  if #text <= n then return text end
  return text:sub(1, n - 3) .. "..."
end

return flow.blueprint {
  id = "sanitize",
  agents = { classify },
  flow = function(ctx)
    local text = clean(ctx.text or "")
    if text == "" then error("input.empty", "there is no text") end
    ctx.label = classify(short(text, 20)):lower()
    ctx.shouted = text == text:upper()
    ctx.line = string.format("%-8s|%3d", ctx.label, #text)
  end,
}
