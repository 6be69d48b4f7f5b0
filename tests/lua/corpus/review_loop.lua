local flow = require "flow"
local writer = flow.fn "writer"
local reviewer = flow.fn "reviewer"
local publisher = flow.fn "publisher"
local checker = flow.fn "checker"

return flow.blueprint {
  id = "review-loop",
  agents = { writer, reviewer, publisher, checker },
  flow = function(ctx)
    ctx.draft = writer { topic = ctx.topic }
    for round = 1, 3 do
      ctx.review = reviewer(ctx.draft)
      if ctx.review.verdict == "PASS" then break end
      ctx.draft = writer { topic = ctx.topic, notes = ctx.review.notes }
    end
    ctx.reports = parallel(ctx.files, { limit = 4 }, function(file)
      return checker { path = file }
    end)
    local ok, err = pcall(function() ctx.published = publisher(ctx.draft) end)
    if not ok then ctx.failed = err.message end
    return { draft = ctx.draft, reports = ctx.reports }
  end,
}
