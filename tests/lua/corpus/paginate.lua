local flow = require "flow"
local fetch = flow.fn "fetch"

return flow.blueprint {
  id = "paginate",
  agents = { fetch },
  flow = function(ctx)
    local items, page = {}, 1
    repeat
      local answer = fetch { page = page }
      for _, item in ipairs(answer.items) do
        items[#items + 1] = item
      end
      page = page + 1
    until not answer.more or page > 20
    return { items = items, pages = page - 1 }
  end,
}
