local flow = require "flow"
local search = flow.fn "search"
local read = flow.fn "read"

local function lookup(question)
  local hits = search(question)
  if #hits == 0 then return nil end
  return read(hits[1])
end

return flow.blueprint {
  id = "helpers-with-agents",
  agents = { search, read },
  flow = function(ctx)
    local first = lookup(ctx.question)
    if first then return first end
    return lookup(ctx.question .. " again") or "nothing found"
  end,
}
