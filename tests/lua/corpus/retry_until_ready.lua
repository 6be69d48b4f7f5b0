local flow = require "flow"
local probe = flow.fn "probe"

return flow.blueprint {
  id = "retry-until-ready",
  agents = { probe },
  flow = function(ctx)
    local tries = 0
    while tries < 5 do
      tries = tries + 1
      local ok, status = pcall(probe, ctx.url)
      if ok and status == "ready" then
        return { ready = true, tries = tries }
      end
      flow.sleep(tries * 2)
    end
    return { ready = false, tries = tries }
  end,
}
