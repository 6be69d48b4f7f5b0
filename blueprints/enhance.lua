-- How a blueprint improves: somebody says what is wrong, a change is proposed, tried from
-- every side, and committed, refused, or put before a person.
-- Its agents are functions of the host (`swarm.host.enhance`), which decide by documents and
-- the host's policy: whatever this flow says, nothing is committed that they did not find good.
local flow = require "flow"

local turn = flow.fn "enhance_turn" -- waits until no other issue of the blueprint is in flight
local brief = flow.fn "enhance_brief" -- all that a proposer is to know
local propose = flow.fn "enhance_propose" -- may be an agent of any kind: `[enhance.agents]`
local apply = flow.fn "enhance_apply"
local verify = flow.fn "enhance_verify" -- one axis
local decide = flow.fn "enhance_decide"
local commit = flow.fn "enhance_commit"
local watch = flow.fn "enhance_watch" -- looks how a new version does on its share of runs

local senior = flow.ask "senior" {
  prompt = "May this change of a blueprint be committed?",
  to = "senior",
  schema = {
    type = "object",
    properties = {
      approve = { type = "boolean" },
      token = { type = "string" },
      reason = { type = "string" },
    },
    required = { "approve" },
    additionalProperties = false,
  },
}

return flow.blueprint {
  id = "enhance",
  description = "Improves a blueprint: propose, apply, verify, decide, commit, watch.",
  agents = { turn, brief, propose, apply, verify, decide, senior, commit, watch },
  flow = flow.loop {
    -- Somebody else may have committed meanwhile: then it begins again from what there is now.
    counter = "ctx.round", max = 3, when = 'default(ctx.outcome.state, "conflict") == "conflict"',
    run = flow.seq {
      flow.assign { at = "ctx.answer", value = flow.null },
      flow.step { agent = turn, input = "ctx.issue", out = "ctx.head" },
      flow.step { agent = brief, input = { issue = "ctx.issue", head = "ctx.head" }, out = "ctx.brief" },
      flow.step { agent = propose, input = "ctx.brief", out = "ctx.proposal" },
      flow.step { agent = apply, input = { head = "ctx.head", proposal = "ctx.proposal" }, out = "ctx.change" },
      flow.fanout {
        over = "ctx.change.axes", as = "ctx.axis", join = "all", limit = 4,
        run = flow.step { agent = verify, input = { axis = "ctx.axis", change = "ctx.change" }, out = "ctx.verdict" },
        collect = "ctx.verdict", out = "ctx.verdicts",
      },
      flow.step { agent = decide, input = { issue = "ctx.issue", change = "ctx.change", verdicts = "ctx.verdicts" }, out = "ctx.decision" },
      flow.branch {
        when = 'ctx.decision.act == "ask"',
        run = flow.step { agent = senior, input = "ctx.decision.review", out = "ctx.answer" },
      },
      flow.step {
        agent = commit,
        input = { issue = "ctx.issue", change = "ctx.change", verdicts = "ctx.verdicts", answer = "ctx.answer" },
        out = "ctx.outcome",
      },
      flow.loop {
        counter = "ctx.looks", max = 5000, when = 'ctx.outcome.state == "canary"',
        run = flow.seq {
          flow.sleep "ctx.outcome.look_s",
          flow.step { agent = watch, input = { change = "ctx.change", outcome = "ctx.outcome" }, out = "ctx.outcome" },
        },
      },
    },
  },
}
