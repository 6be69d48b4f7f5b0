local flow = require "flow"
local lookup = flow.fn "lookup"

local TAX = 0.25

local function round(x) return math.floor(x * 100 + 0.5) / 100 end

return flow.blueprint {
  id = "invoice",
  agents = { lookup },
  flow = function(ctx)
    local net = 0
    for _, line in ipairs(ctx.lines) do
      local price = lookup(line.sku)
      line.price = price
      line.total = price * line.count
      net = net + line.total
    end
    ctx.net = net
    ctx.tax = round(net * TAX)
    ctx.gross = ctx.net + ctx.tax
  end,
}
