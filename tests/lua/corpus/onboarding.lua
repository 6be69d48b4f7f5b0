local flow = require "flow"
local greet = flow.fn "greet"
local create = flow.fn "create"
local notify = flow.fn "notify"

local STEPS = { "mail", "chat", "wiki" }

local function account(ctx, step)
  local done = create { user = ctx.user.name, what = step }
  ctx.accounts[step] = done
  return done ~= nil
end

return flow.blueprint {
  id = "onboarding",
  agents = { greet, create, notify },
  flow = function(ctx)
    ctx.accounts = {}
    ctx.user.greeting = greet(ctx.user.name)
    local missing = {}
    for _, step in ipairs(STEPS) do
      if not account(ctx, step) then missing[#missing + 1] = step end
    end
    if #missing > 0 then
      notify { who = ctx.user.manager or "nobody", missing = table.concat(missing, ", ") }
    end
    ctx.complete = #missing == 0
  end,
}
