local flow = require "flow"
local worker = flow.fn "worker"

return flow.blueprint {
  id = "work-queue",
  agents = { worker },
  flow = function(ctx)
    local done = {}
    while #ctx.queue > 0 do
      local job = table.remove(ctx.queue, 1)
      local ok, result = pcall(worker, job)
      if ok then
        done[#done + 1] = result
      elseif (job.tries or 0) < 2 then
        table.insert(ctx.queue, { name = job.name, tries = (job.tries or 0) + 1 })
      else
        ctx.lost = (ctx.lost or 0) + 1
      end
    end
    return { done = done, lost = ctx.lost or 0 }
  end,
}
