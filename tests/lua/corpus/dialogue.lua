local flow = require "flow"
local teacher = flow.fn "teacher"
local pupil = flow.fn "pupil"

return flow.blueprint {
  id = "dialogue",
  agents = { teacher, pupil },
  limits = { rounds = 12 },
  flow = function(ctx)
    ctx.log = {}
    local said = ctx.opening or "hello"
    local turn = 0
    while said ~= "bye" do
      turn = turn + 1
      if turn > 6 then break end
      local speaker = turn % 2 == 1 and "teacher" or "pupil"
      if speaker == "teacher" then said = teacher(said) else said = pupil(said) end
      ctx.log[#ctx.log + 1] = speaker .. ": " .. said
    end
    return ctx.log
  end,
}
