local flow = require "flow"
local ask = flow.fn "ask"
local grade = flow.fn "grade"

local function mean(list)
  if #list == 0 then return 0 end
  local total = 0
  for i = 1, #list do total = total + list[i] end
  return total / #list
end

local function round2(x)
  return math.floor(x * 100 + 0.5) / 100
end

return flow.blueprint {
  id = "ab-prompts",
  agents = { ask, grade },
  flow = function(ctx)
    local results = {}
    for name, prompt in pairs(ctx.prompts) do
      local grades = parallel(ctx.questions, function(q)
        local text = prompt:gsub("{q}", q.text)
        local answer = ask(text)
        return grade { expected = q.expected, got = answer }
      end)
      local lowest, highest = math.huge, -math.huge
      for _, g in ipairs(grades) do
        lowest = math.min(lowest, g)
        highest = math.max(highest, g)
      end
      results[#results + 1] = { name = name, mean = round2(mean(grades)), low = lowest, high = highest }
    end
    table.sort(results, function(a, b) return a.mean > b.mean end)
    ctx.winner = results[1].name
    ctx.margin = #results > 1 and round2(results[1].mean - results[2].mean) or nil
    ctx.results = results
  end,
}
