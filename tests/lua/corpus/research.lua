local flow = require "flow"
local search, read, judge, write = flow.fn "search", flow.fn "read", flow.fn "judge", flow.fn "write"

local MAX_ROUNDS = 3
local WANTED = 2

return flow.blueprint {
  id = "research",
  agents = { search, read, judge, write },
  flow = function(ctx)
    local question = ctx.question
    local seen = {}
    local notes = {}
    local round = 0

    while #notes < WANTED and round < MAX_ROUNDS do
      round = round + 1
      local hits = search { q = question, page = round }
      local fresh = {}
      for _, hit in ipairs(hits) do
        if not seen[hit.url] then
          seen[hit.url] = true
          fresh[#fresh + 1] = hit
        end
      end

      local texts = parallel(fresh, { join = "all_settled", limit = 2 }, function(hit)
        local text = read(hit.url)
        return { url = hit.url, title = hit.title, text = text }
      end)

      for _, t in ipairs(texts) do
        if t.status == "fulfilled" then
          local v = t.value
          local verdict = judge({ question = question, text = v.text })
          if verdict.relevant and (verdict.score or 0) >= 0.5 then
            notes[#notes + 1] = { source = v.title or v.url, quote = verdict.quote }
          end
        end
      end
    end

    if #notes == 0 then
      return { answer = nil, reason = "nothing found in " .. round .. " rounds" }
    end

    local sources = {}
    for i, note in ipairs(notes) do
      sources[i] = "[" .. i .. "] " .. note.source
    end
    local answer = write { question = question, notes = notes }
    return { answer = answer, sources = table.concat(sources, "; "), rounds = round }
  end,
}
