local flow = require "flow"
local estimate = flow.fn "estimate"
local approve = flow.fn "approve"

local function by_price(a, b)
  return a.price > b.price
end

local function round(x, digits)
  local m = 10 ^ (digits or 0)
  return math.floor(x * m + 0.5) / m
end

return flow.blueprint {
  id = "budget",
  agents = { estimate, approve },
  flow = function(ctx)
    local items = {}
    for name, wanted in pairs(ctx.wishes) do
      local price = estimate { name = name, count = wanted }
      items[#items + 1] = { name = name, count = wanted, price = round(price * wanted, 2) }
    end
    table.sort(items, by_price)

    local left = ctx.budget
    local bought, skipped = {}, {}
    for _, item in ipairs(items) do
      if item.price > left then
        skipped[#skipped + 1] = item.name
        goto continue
      end
      if item.price > 100 and not approve(item) then
        skipped[#skipped + 1] = item.name
        goto continue
      end
      left = left - item.price
      bought[item.name] = item.count
      ::continue::
    end
    return { bought = bought, skipped = skipped, left = round(left, 2) }
  end,
}
