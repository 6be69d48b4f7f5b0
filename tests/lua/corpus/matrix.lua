local flow = require "flow"
local cell = flow.fn "cell"

return flow.blueprint {
  id = "matrix",
  agents = { cell },
  flow = function(ctx)
    local rows = {}
    for y = 1, ctx.height do
      local row = {}
      for x = 1, ctx.width do
        row[x] = cell { x = x, y = y }
      end
      rows[y] = row
    end
    ctx.rows = rows
    ctx.cells = ctx.height * ctx.width
  end,
}
