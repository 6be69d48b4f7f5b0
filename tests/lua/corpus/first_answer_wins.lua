local flow = require "flow"
local ask = flow.fn "ask"

local SOURCES = { "cache", "index", "web" }

return flow.blueprint {
  id = "first-answer",
  agents = { ask },
  flow = function(ctx)
    local ok, answer = pcall(function()
      return parallel(SOURCES, { join = "any" }, function(source)
        return ask { source = source, question = ctx.question }
      end)
    end)
    if not ok then return { found = false, reason = answer.code } end
    return { found = true, answer = answer }
  end,
}
