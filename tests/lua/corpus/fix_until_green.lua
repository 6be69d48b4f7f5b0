local flow = require "flow"
local coder = flow.fn "coder"
local tests = flow.fn "tests"

-- keep only the last few lines of a long output
local function tail(text, n)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do
    if line ~= "" then lines[#lines + 1] = line end
  end
  local out = {}
  local from = math.max(1, #lines - n + 1)
  for i = from, #lines do
    out[#out + 1] = lines[i]
  end
  return table.concat(out, "\n")
end

return flow.blueprint {
  id = "fix-until-green",
  agents = { coder, tests },
  flow = function(ctx)
    local patch = nil
    local failures = "none yet"
    local tries = 0
    local history = {}
    repeat
      tries = tries + 1
      patch = coder { task = ctx.task, previous = patch, failures = failures }
      local result = tests { patch = patch }
      history[tries] = { failed = result.failed, passed = result.passed }
      if result.failed > 0 then
        failures = tail(result.output or "", 3)
      end
    until result.failed == 0 or tries >= 4
    ctx.history = history
    if history[#history].failed > 0 then
      error("fix.gave_up", "still red after " .. tries .. " tries: " .. failures)
    end
    return { patch = patch, tries = tries, history = history }
  end,
}
