-- An essay by three agents that stand in Markdown files of their own (../agents, which
-- swarm.toml calls "house"): one writes, one reads, one sets it a sentence a line.
local flow = require "flow"

local writer = flow.agent_md "house:writer.md"
local critic = flow.agent_md "house:critic.md"
local printer = flow.agent_md "house:printer.md"

return flow.blueprint {
  id = "essay",
  description = "Writes an essay until its critic is content.",
  agents = { writer, critic, printer },
  files = { "tools/sentences.py" },
  inputs = {
    type = "object",
    properties = { topic = { type = "string", default = "patience" } },
  },
  flow = function(ctx)
    ctx.draft = writer { topic = ctx.topic }
    for _ = 1, 4 do
      local review = critic(ctx.draft)
      if review.verdict == "PASS" then
        break
      elseif review.verdict == "PLAINER" then
        ctx.draft = writer { topic = ctx.topic, draft = ctx.draft, word = review.word }
      -- allow: case.untaken (the critic has no fourth word)
      elseif review.verdict == "LONGER" then
        ctx.draft = writer { topic = ctx.topic, draft = ctx.draft }
      end
    end
    return { essay = printer(ctx.draft) }
  end,
}
