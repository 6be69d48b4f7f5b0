local flow = require "flow"
local prepare = flow.fn "prepare"
local commit = flow.fn "commit"
local rollback = flow.fn "rollback"

return flow.blueprint {
  id = "two-phase",
  agents = { prepare, commit, rollback },
  flow = function(ctx)
    local prepared = {}
    local ok, err = pcall(function()
      for _, part in ipairs(ctx.parts) do
        prepare(part)
        prepared[#prepared + 1] = part
      end
    end)
    if ok then
      for _, part in ipairs(prepared) do commit(part) end
      return "committed"
    end
    for i = #prepared, 1, -1 do
      pcall(rollback, prepared[i])
    end
    return { rolled_back = #prepared, why = err.message }
  end,
}
