local flow = require "flow"
local run = flow.fn "run"

local DEFAULTS = { model = "small", temperature = 0.5, tags = { "plain" } }

return flow.blueprint {
  id = "config-defaults",
  agents = { run },
  flow = function(ctx)
    local options = ctx.options or {}
    local model = options.model or DEFAULTS.model
    local temperature = options.temperature or DEFAULTS.temperature
    if options.quiet == nil then
      ctx.quiet = true
    else
      ctx.quiet = options.quiet
    end
    return run { model = model, temperature = temperature, tags = DEFAULTS.tags, quiet = ctx.quiet }
  end,
}
