local flow = require "flow"
local ask = flow.fn "ask"
local judge = flow.fn "judge"

local questions = {
  { text = "2 + 2?", answer = "4", points = 1 },
  { text = "Capital of France?", answer = "Paris", points = 2 },
  { text = "Largest planet?", answer = "Jupiter", points = 3 },
}

local function normal(s)
  s = s:lower()
  s = s:gsub("^%s+", ""):gsub("%s+$", "")
  return s
end

return flow.blueprint {
  id = "quiz",
  agents = { ask, judge },
  flow = function(ctx)
    local score, max = 0, 0
    local wrong = {}
    for number, q in ipairs(questions) do
      max = max + q.points
      local given = ask { number = number, text = q.text }
      if normal(given) == normal(q.answer) then
        score = score + q.points
      else
        local second = judge { expected = q.answer, given = given }
        if second.accept then
          score = score + q.points // 2
        else
          wrong[#wrong + 1] = { question = q.text, given = given, expected = q.answer }
        end
      end
    end
    local grade
    local percent = 100 * score / max
    if percent >= 90 then grade = "A"
    elseif percent >= 60 then grade = "B"
    else grade = "C" end
    return { score = score, grade = grade, wrong = wrong, percent = math.floor(percent) }
  end,
}
