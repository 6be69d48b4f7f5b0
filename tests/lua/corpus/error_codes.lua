local flow = require "flow"
local charge = flow.fn "charge"
local refund = flow.fn "refund"

return flow.blueprint {
  id = "error-codes",
  agents = { charge, refund },
  flow = function(ctx)
    local ok, err = pcall(function()
      ctx.receipt = charge(ctx.amount)
      if ctx.receipt.amount ~= ctx.amount then
        error("charge.wrong", "charged " .. ctx.receipt.amount)
      end
    end)
    if not ok then
      if err.code == "charge.wrong" then
        refund(ctx.receipt)
        ctx.refunded = true
      else
        error(err)
      end
    end
  end,
}
