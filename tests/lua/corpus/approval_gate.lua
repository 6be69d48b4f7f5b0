local flow = require "flow"
local planner = flow.fn "planner"
local approver = flow.fn "approver"
local deploy = flow.fn "deploy"

return flow.blueprint {
  id = "approval-gate",
  agents = { planner, approver, deploy },
  flow = function(ctx)
    local plan = planner(ctx.request)
    if not plan.needed then return "nothing to do" end
    local answer = approver({ plan = plan, cost = plan.cost or 0 }, { timeout_s = 3600, id = "ask" })
    if answer ~= "yes" then
      error("deploy.denied", "the plan was not approved: " .. answer)
    end
    return deploy(plan, { retry = { max_attempts = 2, delay_s = 1 } })
  end,
}
