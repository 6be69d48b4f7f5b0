local flow = require "flow"
local stock = flow.fn "stock"
local quote = flow.fn "quote"
local order = flow.fn "order"

local suppliers = {
  { id = "north", min = 10 },
  { id = "south", min = 1 },
  { id = "east", min = 50 },
}

return flow.blueprint {
  id = "reorder",
  agents = { stock, quote, order },
  limits = { rounds = 50 },
  flow = function(ctx)
    local budget = ctx.budget or 100
    ctx.orders = {}
    for sku, wanted in pairs(ctx.targets) do
      local have = stock(sku)
      local need = wanted - (have or 0)
      if need <= 0 then goto continue end

      do
        local best
        for _, s in ipairs(suppliers) do
          local amount = math.max(need, s.min)
          local q = quote { supplier = s.id, sku = sku, amount = amount }
          if q and q.price and (best == nil or q.price * amount < best.cost) then
            best = { supplier = s.id, amount = amount, cost = q.price * amount }
          end
        end
        if best and best.cost <= budget then
          budget = budget - best.cost
          ctx.orders[sku] = order { sku = sku, supplier = best.supplier, amount = best.amount }
        elseif best then
          ctx.skipped = ctx.skipped or {}
          table.insert(ctx.skipped, sku)
        end
      end
      ::continue::
    end
    ctx.left = budget
  end,
}
