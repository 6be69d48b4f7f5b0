-- Works an incident: look at the services, try the cheap remedies first, wake somebody last.
local flow = require("flow")

local health   = flow.fn("health")
local restart  = flow.fn("restart")
local rollback = flow.fn("rollback")
local page     = flow.fn("page")

local SEVERITY = { payments = 3, search = 1 }

local function severity_of(name)
  return SEVERITY[name] or 2
end

local function is_down(status)
  return status ~= nil and (status.code == nil or status.code >= 500)
end

return flow.blueprint {
  id = "incident",
  agents = { health, restart, rollback, page },
  flow = function(ctx)
    local log = {}
    local worst = 0
    local down = {}

    for i, name in ipairs(ctx.services or {}) do
      local status = health({ service = name })
      if is_down(status) then
        down[#down + 1] = { name = name, status = status }
        if severity_of(name) > worst then
          worst = severity_of(name)
        end
        log[#log + 1] = string.format("%d. %s is down", i, name)
      end
    end

    if #down == 0 then
      ctx.summary = "all good"
      return
    end

    ctx.fixed = {}
    for _, service in ipairs(down) do
      local done = false
      for attempt = 1, 2 do
        local ok = pcall(restart, service.name)
        if ok and not is_down(health({ service = service.name })) then
          done = true
          break
        end
        table.insert(log, "restart " .. attempt .. " of " .. service.name .. " did not help")
      end
      if not done then
        local ok, err = pcall(function()
          rollback({ service = service.name, to = "previous" })
        end)
        if not ok then
          table.insert(log, service.name .. ": " .. err.message)
        else
          done = true
        end
      end
      ctx.fixed[service.name] = done
    end

    local left = {}
    for name, fixed in pairs(ctx.fixed) do
      if not fixed then table.insert(left, name) end
    end
    table.sort(left)
    if #left > 0 then
      ctx.paged = page {
        subject = ("%s (severity %d)"):format(table.concat(left, ", "), worst),
        body = table.concat(log, "\n"),
      }
    end
    ctx.log = log
  end,
}
