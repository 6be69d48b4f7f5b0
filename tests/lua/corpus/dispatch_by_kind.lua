local flow = require "flow"
local agents = {
  text = flow.fn "text_agent",
  image = flow.fn "image_agent",
}

return flow.blueprint {
  id = "dispatch-by-kind",
  agents = { agents.text, agents.image },
  flow = function(ctx)
    local results = {}
    for i, doc in ipairs(ctx.docs) do
      if doc.kind == "image" then
        results[i] = agents.image(doc.body)
      else
        results[i] = agents.text(doc.body)
      end
    end
    ctx.results = results
  end,
}
