local flow = require "flow"

local translate = flow.fn "translate"
local check = flow.fn "check"
local glossary = flow.fn "glossary"

local LANGUAGES = { de = "German", fr = "French", it = "Italian" }

return flow.blueprint {
  id = "translate",
  agents = { translate, check, glossary },
  flow = function(ctx)
    local terms = glossary(ctx.domain or "general") or {}
    ctx.texts = {}
    ctx.problems = {}
    for code, language in pairs(LANGUAGES) do
      local text = translate { text = ctx.text, to = language, terms = terms }
      local tries = 0
      local verdict = check { text = text, language = language }
      while not verdict.ok and tries < 2 do
        tries = tries + 1
        text = translate { text = ctx.text, to = language, terms = terms, notes = verdict.notes }
        verdict = check { text = text, language = language }
      end
      if verdict.ok then
        ctx.texts[code] = text
      else
        ctx.problems[code] = verdict.notes or "unknown"
      end
    end
    local n = 0
    for _ in pairs(ctx.texts) do n = n + 1 end
    ctx.count = n
    return ctx
  end,
}
