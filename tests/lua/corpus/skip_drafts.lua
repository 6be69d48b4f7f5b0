local flow = require "flow"
local publish = flow.fn "publish"

return flow.blueprint {
  id = "skip-drafts",
  agents = { publish },
  flow = function(ctx)
    local published = 0
    for _, page in ipairs(ctx.pages) do
      if page.draft then goto continue end
      if #page.text == 0 then goto continue end
      publish(page.text)
      published = published + 1
      ::continue::
    end
    return published
  end,
}
