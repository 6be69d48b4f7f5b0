--- Builders of flows: what a blueprint script is written with.
--
-- Every builder checks its arguments and returns a plain table: the author's own fields,
-- `__swarm` (which builder), `__file` and `__line` (where).  What is wrong in the table that
-- a builder takes is left out and noted (`flow.fields`); a call that hands over no table, or
-- an agent without a name, is an error on its line.  Nothing here runs a flow.  May be called in blueprint scripts only.
--
-- A string where an expression is due is its written form (`"ctx.n < 3"`), any other plain
-- value stands for itself, and tables build objects and lists of expressions.
-- @module flow
-- @usage
-- local flow = require "flow"
-- local writer = flow.lua "writer" [[ return "a draft about " .. input ]]
-- return flow.blueprint {
--   id = "draft",
--   agents = { writer },
--   flow = flow.step { agent = writer, input = "ctx.topic", out = "ctx.draft" },
-- }

local _, host = ...
local check = require "flow.check"
local fields = require "flow.fields"
local rules = check.rules

local flow = {}

-- What was made with mistakes.
local wrong = {}

-- Note where the builder was called.
local function made(builder, kept)
  kept.__swarm = builder
  kept.__file, kept.__line = host.caller()
  if kept.__problems then wrong[#wrong + 1] = kept end
  return kept
end

-- agents ------------------------------------------------------------------------------------

-- An agent that has its settings answers steps, and no script.
local COMPLETE = {
  __metatable = "agent",
  __call = host.public(function(agent)
    local hint = "call it inside the flow's function, or write flow.step { agent = … }"
    local message = "expected a step that asks it, got a call while the script runs"
    check.blame("agent " .. check.shown(rawget(agent, "name")), message, hint)
  end),
}

local function complete(agent, settings)
  local builder = "flow." .. agent.builder
  local is_text = type(settings) == "string" or check.builder_of(settings) == "file"
  if is_text and agent.shorthand then
    settings = { [agent.shorthand] = settings }
  end
  if rules.table(settings) then
    local of_it = builder .. " '" .. agent.name .. "'"
    local hint = "write " .. of_it .. " { … }"
    if agent.shorthand == "source" then hint = "a script is a text: " .. of_it .. " [[ … ]]" end
    check.blame(builder, "expected 'settings' to be a table, got " .. check.shown(settings), hint)
  end
  local given = "it is given by " .. builder .. " '" .. agent.name .. "'"
  if not agent.kind and settings.kind ~= nil then
    check.argument(builder, "kind", settings.kind, rules.text)
  end
  local refused = { name = given, kind = agent.kind and given }
  local result = fields.settings(builder, settings, refused)
  for _, fault in ipairs(agent.problems()) do fields.tell(result, fault.by, fault) end
  made("agent", result)
  -- The line of the name: a source in long brackets puts its call on the line of its end.
  result.__file, result.__line = agent.file, agent.line
  result.name = agent.name
  result.kind = agent.kind or settings.kind
  if agent.named and result[agent.named] == nil then result[agent.named] = agent.name end
  return setmetatable(result, COMPLETE)
end

-- Make a constructor: `flow.<builder> "name"` is an agent already, and calling that with
-- settings gives one that has them.
local function agents_of(builder, kind, options)
  options = options or {}
  return function(name, more)
    check.argument("flow." .. builder, "name", name, rules.text)
    if more ~= nil then
      local hint = "settings stand behind it: flow." .. builder .. " '" .. name .. "' { … }"
      check.blame("flow." .. builder, "expected the name alone, got a second argument", hint)
    end
    local bare = made("agent", { name = name, kind = kind })
    if options.named then bare[options.named] = name end
    local seed = {
      builder = builder, kind = kind, name = name, file = bare.__file, line = bare.__line,
      named = options.named, shorthand = options.shorthand,
      problems = function() return rawget(bare, "__problems") or {} end,
    }
    return setmetatable(bare, {
      __metatable = "agent",
      __call = host.public(function(_, settings) return complete(seed, settings) end),
    })
  end
end

--- An agent that is a Lua script; it sees `input` and `swarm`, its result is the answer.
-- @function flow.lua
-- @tparam string name the agent's name
-- @treturn agent to be called with the source, or with a table of settings
-- @usage flow.lua "shout" [[ return input:upper() ]]
-- @usage flow.lua "shout" { source = "return input:upper()", timeout_s = 2 }
flow.lua = agents_of("lua", "lua", { shorthand = "source" })

--- An agent that is a program: started per step, spoken to over stdin and stdout.
-- @function flow.process
-- @tparam string name the agent's name
-- @treturn agent to be called with settings: `argv` and `env` (texts with placeholders such as
-- `{input}`), `input`, `stdin`, `output`, `result`, `progress`, `usage`, `error`, `exit_ok`,
-- `parts`, `cwd`, `secrets`, `secrets_to`, `limits`
-- @usage flow.process "check" { argv = { "python3", "check.py" }, input = "json", output = "json" }
flow.process = agents_of("process", "process")

--- An agent that is a Python function, which the host registered under this name.
-- @function flow.fn
-- @tparam string name the function's name
-- @treturn agent complete; may be called with settings
-- @usage flow.fn "lookup"
-- @usage flow.fn "lookup" { timeout_s = 5 }
flow.fn = agents_of("fn", "function", { named = "function" })

--- An agent that is an operator: a person or a program that joins over the network.
-- @function flow.operator
-- @tparam string name the agent's name
-- @treturn agent complete; may be called with settings
-- @usage flow.operator "reviewer" { timeout_s = 3600, verdict = { "PASS", "BLOCKED" } }
flow.operator = agents_of("operator", "operator")

--- An agent that is a question to a person.
-- @function flow.ask
-- @tparam string name the agent's name
-- @treturn agent complete; may be called with settings: `schema`, `to`, `deadline_s`, …
-- @usage flow.ask "approve" { schema = { type = "boolean" }, to = "senior" }
flow.ask = agents_of("ask", "human")

--- An agent that is another blueprint.
-- @function flow.sub
-- @tparam string name the agent's name
-- @treturn agent to be called with settings: `blueprint`
-- @usage flow.sub "research" { blueprint = "research@1.2" }
flow.sub = agents_of("sub", "flow", { shorthand = "blueprint" })

--- An agent of a kind that the host added.
-- @function flow.agent
-- @tparam string name the agent's name
-- @treturn agent to be called with settings, `kind` among them
-- @usage flow.agent "painter" { kind = "images", size = 512 }
flow.agent = agents_of("agent", nil)

--- An agent from a Markdown file with front matter.
-- Its name is that in the front matter, else the file's name without its ending.
-- @tparam string path the file, below the blueprint's folder
-- @treturn agent
-- @usage flow.agent_md "agents/reviewer.md"
function flow.agent_md(path)
  check.argument("flow.agent_md", "path", path, rules.text)
  return made("agent", { agent_md = path })
end

-- An agent from a file is named by the path of the file, until that is read.
local function name_of(agent)
  if type(agent) == "string" then return agent end
  return agent.name or agent.agent_md
end

-- nodes -------------------------------------------------------------------------------------

local function need(rule) return { rule } end
local function may(rule) return { rule, optional = true } end
local function list(expected, each)
  return { check.list(expected), optional = true, each = each }
end

local ID = may(rules.text)
-- Whether the node is bookkeeping, which pictures leave out: printed flows say so.
local IMPLICIT = { rules.flag, optional = true, hidden = true }

local STEP = {
  agent = need(rules.agent),
  input = may(rules.expression),
  out = may(rules.path),
  timeout_s = may(rules.seconds),
  retry = may(rules.plain_table),
  id = ID,
  implicit = IMPLICIT,
}

--- Let an agent do something.
-- @tparam table spec `agent` (an agent or its name); `input` (expression, else null), `out`
-- (path), `timeout_s`, `retry` (`max_attempts`, `delay_s`, …), `id`
-- @treturn node
-- @usage flow.step { agent = writer, input = { topic = "ctx.topic" }, out = "ctx.draft" }
function flow.step(spec)
  local node = made("step", fields.checked("flow.step", spec, STEP))
  node.agent = node.agent and name_of(node.agent)
  return node
end

--- Run nodes one after the other; the first error ends it.
-- @tparam table nodes the nodes as a list, and `id`
-- @treturn node
-- @usage flow.seq { first, second }
function flow.seq(nodes)
  return made("seq", fields.checked("flow.seq", nodes, { id = ID, implicit = IMPLICIT }, rules.node))
end

local BRANCH = {
  when = need(rules.expression),
  run = need(rules.node),
  otherwise = may(rules.node),
  id = ID,
  implicit = IMPLICIT,
}

--- Run one node or another.
-- @tparam table spec `when` (expression, a boolean), `run`, `otherwise`, `id`
-- @treturn node
-- @usage flow.branch { when = "ctx.ok", run = flow.seq { … }, otherwise = flow.seq {} }
function flow.branch(spec)
  return made("branch", fields.checked("flow.branch", spec, BRANCH))
end

local LOOP = {
  counter = need(rules.path),
  max = need(rules.count),
  run = need(rules.node),
  when = may(rules.expression),
  exhausted_at = may(rules.path),
  id = ID,
  implicit = IMPLICIT,
}

--- Run a node again and again, at most `max` times, while `when` is true.
-- @tparam table spec `counter` (path; counts from 0), `max`, `run`, `when` (expression, else
-- true), `exhausted_at` (path: whether more was wanted), `id`
-- @treturn node
-- @usage flow.loop { counter = "ctx.n", max = 3, when = "not ctx.done", run = flow.seq { … } }
function flow.loop(spec)
  return made("loop", fields.checked("flow.loop", spec, LOOP))
end

local FANOUT = {
  over = need(rules.expression),
  as = need(rules.path),
  run = need(rules.node),
  out = need(rules.path),
  join = may(check.one_of { "all", "any", "race", "all_settled", "quorum" }),
  collect = may(rules.expression),
  index = may(rules.path),
  limit = may(rules.count_or_expression),
  quorum = may(rules.count_or_expression),
  id = ID,
  implicit = IMPLICIT,
}

--- Run a node once per item of a list, in lanes of their own.
-- @tparam table spec `over` (expression: the list), `as` (path of the item), `run`, `out`
-- (path), `join` (`all`, `any`, `race`, `all_settled`, `quorum`), `collect` (expression: a
-- lane's value), `index` (path), `limit` (lanes at a time), `quorum`, `id`
-- @treturn node
-- @usage flow.fanout { over = "ctx.files", as = "ctx.file", run = check_file, out = "ctx.reports" }
function flow.fanout(spec)
  return made("fanout", fields.checked("flow.fanout", spec, FANOUT))
end

local TRY = {
  run = need(rules.node),
  catch = may(rules.node),
  err_at = may(rules.path),
  error_at = may(rules.path),
  on = list("a list of error codes", rules.text),
  finally = may(rules.node),
  restore = may(rules.flag),
  id = ID,
  implicit = IMPLICIT,
}

--- Run a node and handle its error.
-- @tparam table spec `run`; `catch`, `finally` (nodes), `on` (codes, such as `step.*`),
-- `error_at` (path of the error object), `err_at` (path of its message), `restore`, `id`
-- @treturn node
-- @usage flow.try { run = risky, catch = flow.assign { at = "ctx.ok", value = false } }
function flow.try(spec)
  return made("try", fields.checked("flow.try", spec, TRY))
end

local ASSIGN = {
  at = need(rules.path),
  value = need(rules.expression),
  id = ID,
  implicit = IMPLICIT,
}

--- Write a value into the context.
-- @tparam table spec `at` (path), `value` (expression), `id`
-- @treturn node
-- @usage flow.assign { at = "ctx.total", value = "ctx.total + 1" }
function flow.assign(spec)
  return made("assign", fields.checked("flow.assign", spec, ASSIGN))
end

local SLEEP = { seconds = need(rules.delay) }

--- Wait, durably: a run that is restarted waits for what is left.
-- @param seconds expression
-- @treturn node
-- @usage flow.sleep(60)
function flow.sleep(seconds)
  return made("sleep", fields.checked("flow.sleep", { seconds = seconds }, SLEEP))
end

local FAIL = {
  code = need(rules.text),
  message = need(rules.expression),
  data = may(rules.expression),
}

--- End with an error of one's own, which a `flow.try` around may handle.
-- @tparam string code a dotted word, such as `review.rejected`
-- @param message expression; words that are none stand for themselves
-- @param[opt] data expression
-- @treturn node
-- @usage flow.fail("review.rejected", "the letter is too long")
-- @usage flow.fail("review.rejected", "'rejected: ' .. ctx.reason")
function flow.fail(code, message, data)
  local given = { code = code, message = message, data = data }
  return made("fail", fields.checked("flow.fail", given, FAIL))
end

-- values ------------------------------------------------------------------------------------

--- The text of a file, where a text may stand: in an agent's settings, in an expression.
-- @tparam string path the file, below the blueprint's folder, or `name:path` below an
-- include folder of the host
-- @treturn text
-- @usage flow.lua "writer" { source = flow.file "writer.lua", instructions = flow.file "tone.txt" }
function flow.file(path)
  check.argument("flow.file", "path", path, rules.text)
  return made("file", { path = path })
end

--- A value that stands for itself, strings included.
-- @param value plain value; nil is null
-- @treturn expression
-- @usage flow.assign { at = "ctx.greeting", value = flow.lit "ctx.name" }
function flow.lit(value)
  if value ~= nil then check.argument("flow.lit", "value", value, rules.data) end
  return made("lit", { value = value })
end

--- JSON's null, which a table can hold.
flow.null = null

--- Mark a table as a list, so that an empty one is not taken for an object.
-- @function flow.array
-- @tparam table list
-- @treturn table the same
-- @usage flow.assign { at = "ctx.found", value = flow.array {} }
flow.array = array

-- the blueprint -----------------------------------------------------------------------------

local BLUEPRINT = {
  id = need(rules.text),
  flow = need(rules.flow),
  agents = list("a list of agents", rules.agent_table),
  inputs = may(rules.plain_table),
  files = { check.paths, optional = true, each = rules.text },
  limits = may(rules.plain_table),
  layers = may(rules.plain_table),
  description = may(rules.words),
  allow = may(rules.plain_table),
}

--- What a blueprint script returns.
-- @tparam table spec `id`, `flow` (a node), `agents` (list); `inputs` (JSON Schema of the
-- first context), `files` (what its processes need), `limits`, `layers`, `description`,
-- `allow` (codes by place, what comments become)
-- @treturn blueprint
-- @usage return flow.blueprint { id = "hello", agents = { greeter }, flow = flow.seq { … } }
function flow.blueprint(spec)
  local blueprint = made("blueprint", fields.checked("flow.blueprint", spec, BLUEPRINT))
  if type(blueprint.flow) == "function" then
    local file, first, last = host.place_of(blueprint.flow)
    local told = host.closures(blueprint.flow, flow, name_of)
    told.__swarm, told.__file, told.__line, told.__last = "function", file, first, last
    blueprint.flow = told
  end
  return blueprint
end

-- what a script returns ---------------------------------------------------------------------

-- Return all the tables that a value holds.
local function tables_in(value)
  local seen, todo = {}, { value }
  while #todo > 0 do
    local here = table.remove(todo)
    if type(here) == "table" and not seen[here] then
      seen[here] = true
      for _, member in pairs(here) do todo[#todo + 1] = member end
    end
  end
  return seen
end

-- Only the mistakes of what was made, and where.
local function told(thing)
  local swarm, file, line = thing.__swarm, thing.__file, thing.__line
  return { __swarm = swarm, __file = file, __line = line, __problems = thing.__problems }
end

-- Mistakes count in what the blueprint does not hold, too, and where there is no blueprint.
host.finish(function(result)
  local left = {}
  for _, thing in ipairs(wrong) do
    if thing.__problems then left[#left + 1] = thing end
  end
  if #left == 0 then return result, false end
  if check.builder_of(result) ~= "blueprint" then
    local thing = check.builder_of(result) and result or {}
    local file, line = thing.__file, thing.__line
    result = { __swarm = "result", __file = file, __line = line, got = check.shown(result) }
  end
  local seen, strays = tables_in(result), array {}
  for _, thing in ipairs(left) do
    if not seen[thing] then strays[#strays + 1] = told(thing) end
  end
  result.__strays = strays
  return result, true
end)

local names = {}
for name, builder in pairs(flow) do
  names[#names + 1] = name
  if builder ~= array and type(builder) == "function" then flow[name] = host.public(builder) end
end

-- What a misspelt builder probably is, if it makes something on which that can be noted.
local function meant_by(name)
  local near = type(name) == "string" and check.nearest(name, names) or "lit"
  local builder = rawget(flow, near)
  if near ~= "lit" and builder ~= array and builder ~= null then return builder end
  return nil
end

-- A misspelt builder is told on the spot, not as a call of nil.
return setmetatable(flow, {
  __metatable = "flow",
  __index = function(_, name)
    local message, hint = "no builder " .. check.shown(name), check.hint(name, names)
    local meant = meant_by(name)
    if not meant then check.blame("flow", message, hint) end
    return function(...)
      local thing = meant(...)
      fields.tell(thing, "flow", { kind = "builder", message = message, hint = hint })
      wrong[#wrong + 1] = thing
      return thing
    end
  end,
  __newindex = function(_, name) check.blame("flow", "cannot set " .. check.shown(name)) end,
})
