local flow = require "flow"
local git_log = flow.fn "git_log"
local summarize = flow.fn "summarize"

local TITLES = { feat = "Features", fix = "Fixes", docs = "Documentation" }
local ORDER = { "feat", "fix", "docs", "other" }

local function kind_of(subject)
  local kind = subject:match("^(%a+)%(?[^)]*%)?:")
  if kind and TITLES[kind] then return kind end
  return "other"
end

local function strip(subject)
  return (subject:gsub("^%a+%b():%s*", ""):gsub("^%a+:%s*", ""))
end

return flow.blueprint {
  id = "release-notes",
  agents = { git_log, summarize },
  flow = function(ctx)
    local commits = git_log { from = ctx.from, to = ctx.to or "HEAD" }
    local groups = {}
    for _, c in ipairs(commits) do
      local kind = kind_of(c.subject)
      groups[kind] = groups[kind] or {}
      table.insert(groups[kind], { text = strip(c.subject), sha = c.sha:sub(1, 7) })
    end

    local parts = {}
    for _, kind in ipairs(ORDER) do
      local group = groups[kind]
      if group then
        parts[#parts + 1] = "## " .. (TITLES[kind] or "Other")
        for _, entry in ipairs(group) do
          parts[#parts + 1] = "- " .. entry.text .. " (" .. entry.sha .. ")"
        end
      end
    end

    local text = table.concat(parts, "\n")
    if #text > 60 then
      ctx.headline = summarize { text = text, max_words = 20 }
    end
    ctx.notes = text
    ctx.count = #commits
  end,
}
