local flow = require "flow"
local worker = flow.fn "worker"
local notify = flow.fn "notify"

local function find(list, id)
  for i, item in ipairs(list) do
    if item.id == id then return item end
  end
  return nil
end

local function is_ready(task, tasks)
  for _, id in ipairs(task.needs or {}) do
    local other = find(tasks, id)
    if other == nil or not other.done then return false end
  end
  return true
end

return flow.blueprint {
  id = "todo",
  agents = { worker, notify },
  flow = function(ctx)
    local tasks = ctx.tasks
    local progress = true
    local order = {}
    while progress do
      progress = false
      for i, task in ipairs(ctx.tasks) do
        if not task.done and is_ready(task, ctx.tasks) then
          task.result = worker { id = task.id, title = task.title }
          task.done = true
          order[#order + 1] = task.id
          progress = true
        end
      end
    end
    local open = 0
    for _, task in ipairs(ctx.tasks) do
      if not task.done then open = open + 1 end
    end
    if open > 0 then
      notify(open .. " tasks are stuck")
    end
    return { order = order, stuck = open, tasks = ctx.tasks }
  end,
}
