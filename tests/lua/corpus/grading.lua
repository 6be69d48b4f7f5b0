local flow = require "flow"
local grade = flow.fn "grade"

local function letter(points)
  if points >= 90 then return "A" end
  if points >= 75 then return "B" end
  if points >= 50 then return "C" end
  return "F"
end

return flow.blueprint {
  id = "grading",
  agents = { grade },
  flow = function(ctx)
    local report = { passed = 0, letters = {} }
    for _, essay in ipairs(ctx.essays) do
      local mark = letter(grade(essay))
      report.letters[#report.letters + 1] = mark
      if mark ~= "F" then report.passed = report.passed + 1 end
    end
    report.rate = #ctx.essays > 0 and report.passed / #ctx.essays or 0
    return report
  end,
}
