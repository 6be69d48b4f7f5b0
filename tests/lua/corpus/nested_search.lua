local flow = require "flow"
local match = flow.fn "match"

return flow.blueprint {
  id = "nested-search",
  agents = { match },
  flow = function(ctx)
    for i, row in ipairs(ctx.rows) do
      for j, cell in ipairs(row) do
        if cell == ctx.wanted then
          return { row = i, column = j }
        end
        if match(cell) == "close" then
          ctx.close = { row = i, column = j }
        end
      end
    end
    return ctx.close or "nothing"
  end,
}
