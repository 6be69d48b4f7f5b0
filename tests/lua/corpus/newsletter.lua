local flow = require "flow"
local fetch = flow.fn "fetch"
local shorten = flow.fn "shorten"
local translate = flow.fn "translate"
local send = flow.fn "send"

local function subject(items, lang)
  local n = #items
  local noun = n == 1 and "story" or "stories"
  return ("[%s] %d %s this week"):format(lang:upper(), n, noun)
end

return flow.blueprint {
  id = "newsletter",
  agents = { fetch, shorten, translate, send },
  flow = function(ctx)
    local both = parallel {
      news = function() return fetch { kind = "news", since = ctx.since } end,
      jobs = function() return fetch { kind = "jobs", since = ctx.since } end,
    }

    local items = {}
    for _, list in ipairs({ both.news, both.jobs }) do
      for _, found in ipairs(list) do
        local item = copy(found)
        if #item.title > 20 then
          item.title = shorten(item.title)
        end
        items[#items + 1] = item
      end
    end

    if #items == 0 then
      return { sent = 0 }
    end

    local languages = ctx.languages
    if not languages or #languages == 0 then languages = { "en" } end

    local sent = 0
    for _, lang in ipairs(languages) do
      local texts = {}
      for i, item in ipairs(items) do
        if lang == "en" then
          texts[i] = item.title
        else
          texts[i] = translate { text = item.title, to = lang }
        end
      end
      local ok, err = pcall(send, { subject = subject(items, lang), body = table.concat(texts, "\n"), lang = lang })
      if ok then
        sent = sent + 1
      else
        ctx.errors = ctx.errors or {}
        ctx.errors[lang] = err.code
      end
    end
    return { sent = sent, errors = ctx.errors, items = #items }
  end,
}
