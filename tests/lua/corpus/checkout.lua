local flow = require "flow"
local stock, payment, shipping, refund = flow.fn "stock", flow.fn "payment", flow.fn "shipping", flow.fn "refund"

local TAX = 0.2

local function total_of(items)
  local sum = 0
  for _, item in ipairs(items) do
    sum = sum + item.price * (item.count or 1)
  end
  return sum
end

local function with_tax(amount) return amount * (1 + TAX) end

return flow.blueprint {
  id = "checkout",
  agents = { stock, payment, shipping, refund },
  flow = function(ctx)
    local missing = {}
    for _, item in ipairs(ctx.items) do
      local left = stock { sku = item.sku }
      if left < (item.count or 1) then
        table.insert(missing, item.sku)
      end
    end
    if #missing > 0 then
      error("order.out_of_stock", "not in stock: " .. table.concat(missing, ", "))
    end

    local amount = with_tax(total_of(ctx.items))
    local receipt = payment({ card = ctx.card, amount = amount }, { retry = { max_attempts = 3, delay_s = 1 } })

    local ok, problem = pcall(function()
      ctx.parcel = shipping { items = ctx.items, address = ctx.address }
    end)
    if not ok then
      refund { receipt = receipt.id, reason = problem.message }
      error(problem)
    end

    return { receipt = receipt.id, parcel = ctx.parcel, paid = amount }
  end,
}
