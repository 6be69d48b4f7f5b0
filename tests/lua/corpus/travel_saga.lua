-- Books flight, hotel and car; if one fails, cancels in reverse what was booked before.
local flow = require "flow"
local book = flow.fn "book"
local cancel = flow.fn "cancel"

local STEPS = { "flight", "hotel", "car" }

return flow.blueprint {
  id = "travel",
  agents = { book, cancel },
  flow = function(ctx)
    local booked = {}
    local failure

    for _, what in ipairs(STEPS) do
      local ok, res = pcall(book, { what = what, trip = ctx.trip })
      if ok then
        booked[#booked + 1] = { what = what, ref = res.ref, price = res.price }
      else
        failure = { what = what, reason = res.message }
        break
      end
    end

    if failure then
      ctx.cancelled = {}
      for i = #booked, 1, -1 do
        local b = booked[i]
        cancel { ref = b.ref }
        ctx.cancelled[#ctx.cancelled + 1] = b.what
      end
      ctx.status = "failed"
      ctx.failure = failure
      return ctx
    end

    local total = 0
    for i = 1, #booked do
      total = total + booked[i].price
    end
    ctx.status = "booked"
    ctx.total = total
    ctx.bookings = booked
    return ctx
  end,
}
