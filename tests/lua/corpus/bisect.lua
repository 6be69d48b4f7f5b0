-- Finds the first bad commit by halving.
local flow = require "flow"
local check = flow.fn "check"
local report = flow.fn "report"

return flow.blueprint {
  id = "bisect",
  agents = { check, report },
  flow = function(ctx)
    local commits = ctx.commits
    local lo, hi = 1, #commits
    local steps = 0
    local skipped = {}

    while lo < hi do
      local mid = (lo + hi) // 2
      local verdict = check { commit = commits[mid] }
      steps = steps + 1
      if verdict == "bad" then
        hi = mid
      elseif verdict == "good" then
        lo = mid + 1
      else
        skipped[#skipped + 1] = commits[mid]
        lo = lo + 1
      end
    end

    local culprit = commits[lo]
    if culprit == nil then
      error("bisect.empty", "no commits were given")
    end
    report { culprit = culprit, steps = steps, skipped = skipped }
    return { culprit = culprit, steps = steps }
  end,
}
