local flow = require "flow"
local check = flow.fn "check"

return flow.blueprint {
  id = "settled-report",
  agents = { check },
  flow = function(ctx)
    local results = parallel(ctx.hosts, { join = "all_settled", limit = 5 }, function(host)
      return check(host)
    end)
    local up, down = {}, {}
    for i, r in ipairs(results) do
      if r.status == "fulfilled" then
        table.insert(up, ctx.hosts[i])
      else
        table.insert(down, { host = ctx.hosts[i], why = r.reason })
      end
    end
    ctx.up, ctx.down = up, down
  end,
}
