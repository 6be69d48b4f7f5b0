-- Collect the news of the day and send one mail.
local flow = require "flow"

local fetch = flow.fn "fetch"
local summarise = flow.fn "summarise"
local mailer = flow.fn "mailer"

local SOURCES = { "bbc", "lwn", "hn" }

local function headline(story)
  return string.format("%s (%d points)", story.title, story.points)
end

return flow.blueprint {
  id = "digest",
  agents = { fetch, summarise, mailer },
  flow = function(ctx)
    local lines = {}
    local total = 0
    for i, source in ipairs(SOURCES) do
      local stories = fetch { source = source, page = i }
      for _, story in ipairs(stories) do
        if story.points >= (ctx.min_points or 10) then
          lines[#lines + 1] = headline(story)
          total = total + story.points
        end
      end
    end

    if #lines == 0 then
      ctx.sent = false
      return ctx
    end

    ctx.body = table.concat(lines, "\n")
    ctx.summary = summarise { text = ctx.body, words = 50 }
    ctx.average = total / #lines
    mailer { to = ctx.to, subject = "News: " .. #lines .. " stories", body = ctx.summary }
    ctx.sent = true
  end,
}
