local flow = require "flow"
local extract = flow.fn "extract"
local score = flow.fn "score"
local mail = flow.fn "mail"

local weights = {
  experience = 0.5,
  skills = 0.3,
  letter = 0.2,
}

local function weighted(marks)
  local sum = 0
  for key, w in pairs(weights) do
    sum = sum + (marks[key] or 0) * w
  end
  return sum
end

local function better(a, b)
  if a.total ~= b.total then return a.total > b.total end
  return a.name < b.name
end

return flow.blueprint {
  id = "screening",
  agents = { extract, score, mail },
  flow = function(ctx)
    local candidates = parallel(ctx.applications, { limit = 3 }, function(app, i)
      local facts = extract { text = app.text }
      local marks = score { facts = facts, job = ctx.job }
      return { name = app.name or ("candidate " .. i), total = weighted(marks), years = facts.years }
    end)

    table.sort(candidates, better)

    local invited, declined = {}, {}
    for rank, c in ipairs(candidates) do
      if rank <= (ctx.places or 2) and c.total >= 5 then
        invited[#invited + 1] = c.name
      else
        declined[#declined + 1] = c.name
      end
    end

    for _, name in ipairs(invited) do mail { to = name, template = "invite" } end
    for _, name in ipairs(declined) do
      mail({ to = name, template = "decline" }, { retry = { max_attempts = 2 } })
    end

    ctx.invited, ctx.declined = invited, declined
    ctx.best = candidates[1] and candidates[1].name
  end,
}
