local flow = require "flow"
local legal = flow.fn "legal"
local finance = flow.fn "finance"
local security = flow.fn "security"

return flow.blueprint {
  id = "three-opinions",
  agents = { legal, finance, security },
  flow = function(ctx)
    local opinions = parallel {
      legal = function() return legal(ctx.contract) end,
      finance = function() return finance(ctx.contract) end,
      security = function()
        local report = security(ctx.contract)
        return report.level
      end,
    }
    ctx.ok = opinions.legal == "fine" and opinions.finance == "fine" and opinions.security ~= "high"
    ctx.opinions = opinions
  end,
}
