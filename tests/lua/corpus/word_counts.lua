local flow = require "flow"
local reader = flow.fn "reader"

local function count(text)
  local counts = {}
  for word in text:gmatch("%a+") do
    word = word:lower()
    counts[word] = (counts[word] or 0) + 1
  end
  return counts
end

return flow.blueprint {
  id = "word-counts",
  agents = { reader },
  flow = function(ctx)
    local counts = count(reader(ctx.path))
    local words, total = {}, 0
    for word, n in pairs(counts) do
      total = total + n
      if n > 1 then words[#words + 1] = word end
    end
    return { repeated = words, total = total }
  end,
}
