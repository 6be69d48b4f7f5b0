local flow = require "flow"
local summarize = flow.fn "summarize"
local merge = flow.fn "merge"

local function title(chapter, i)
  return i .. ". " .. chapter.title
end

return flow.blueprint {
  id = "summarize-chapters",
  agents = { summarize, merge },
  flow = function(ctx)
    local summaries = parallel(ctx.chapters, { limit = 3 }, function(chapter, i)
      local text = summarize(chapter.text)
      return { title = title(chapter, i), text = text }
    end)
    local lines = {}
    for _, s in ipairs(summaries) do
      table.insert(lines, s.title .. ": " .. s.text)
    end
    ctx.book = merge { lines = lines, count = #lines }
  end,
}
