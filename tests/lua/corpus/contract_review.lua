local flow = require "flow"
local splitter = flow.fn "splitter"
local lawyer = flow.fn "lawyer"
local rewriter = flow.fn "rewriter"

local RISK = { low = 1, medium = 2, high = 3 }

local function riskier(a, b) return RISK[a] > RISK[b] end

local function shout(s) return s:upper() .. "!" end

local function review(clause, depth)
  local opinion = lawyer { clause = clause.text, depth = depth }
  if opinion.risk == "high" and depth < 2 then
    local better = rewriter { clause = clause.text, advice = opinion.advice }
    local again = lawyer { clause = better, depth = depth + 1 }
    return { text = better, risk = again.risk, rewritten = true }
  end
  return { text = clause.text, risk = opinion.risk, rewritten = false }
end

return flow.blueprint {
  id = "contract",
  agents = { splitter, lawyer, rewriter },
  flow = function(ctx)
    local clauses = splitter(ctx.contract)
    local out, overall, changed = {}, "low", 0
    for i, clause in ipairs(clauses) do
      local r = review(clause, 1)
      out[i] = r
      if riskier(r.risk, overall) then overall = r.risk end
      if r.rewritten then changed = changed + 1 end
    end
    ctx.overall = overall
    ctx.changed = changed
    ctx.clauses = out
    if overall == "high" then
      ctx.warning = shout("do not sign")
    end
    local share = #out > 0 and changed / #out * 100 or 0
    ctx.report = string.format("%d clauses, %.1f%% rewritten, risk %s", #out, share, overall)
  end,
}
