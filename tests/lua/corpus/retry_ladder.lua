local flow = require "flow"
local cheap, medium, best = flow.fn "cheap", flow.fn "medium", flow.fn "best"

local models = { cheap, medium, best }

return flow.blueprint {
  id = "ladder",
  agents = { cheap, medium, best },
  flow = function(ctx)
    local errors = {}
    local answer
    local answered = false

    local ok, err = pcall(function() answer = cheap(ctx.prompt) end)
    if ok and answer and #answer > 10 then answered = true else table.insert(errors, err and err.code or "too short") end

    if not answered then
      ok, err = pcall(function() answer = medium { prompt = ctx.prompt, previous = answer } end)
      if ok and answer then answered = true else table.insert(errors, err and err.code or "empty") end
    end

    if not answered then
      answer = best({ prompt = ctx.prompt, errors = errors }, { timeout_s = 60 })
    end

    ctx.answer, ctx.errors = answer, errors
    return { answer = ctx.answer, tries = #errors + 1 }
  end,
}
