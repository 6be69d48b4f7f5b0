local flow = require "flow"
local read = flow.fn "read"

return flow.blueprint {
  id = "word-search",
  agents = { read },
  flow = function(ctx)
    local text = read(ctx.path)
    local count = {}
    for word in text:lower():gmatch("%a+") do
      count[word] = (count[word] or 0) + 1
    end
    local best, most = nil, 0
    for word, n in pairs(count) do
      if n > most then
        best, most = word, n
      end
    end
    return { best = best, most = most, counts = count }
  end,
}
