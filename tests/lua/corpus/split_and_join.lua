local flow = require "flow"
local translate = flow.fn "translate"

local function split(text, sep)
  local parts, from = {}, 1
  while true do
    local at = text:find(sep, from, true)
    if not at then break end
    parts[#parts + 1] = text:sub(from, at - 1)
    from = at + #sep
  end
  parts[#parts + 1] = text:sub(from)
  return parts
end

return flow.blueprint {
  id = "split-and-join",
  agents = { translate },
  flow = function(ctx)
    local lines = split(ctx.text, ";")
    local translated = parallel(lines, function(line)
      if line == "" then return "" end
      return translate(line)
    end)
    return table.concat(translated, ";")
  end,
}
