--- Builders of flows: what a blueprint script is written with.
--
-- Every builder checks its arguments, blames the author's line, and returns a plain table:
-- the author's own fields, `__swarm` (which builder), `__file` and `__line` (where).
-- Nothing here runs a flow.  May be called in blueprint scripts only.
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
local rules = check.rules

local flow = {}

-- Copy the author's fields and note where the builder was called.
local function made(builder, fields)
  local result = {}
  for name, value in pairs(fields) do result[name] = value end
  result.__swarm = builder
  result.__file, result.__line = host.caller()
  return result
end

-- agents ------------------------------------------------------------------------------------

local function complete(agent, settings)
  local builder = "flow." .. agent.builder
  if type(settings) == "string" and agent.shorthand then
    settings = { [agent.shorthand] = settings }
  end
  check.argument(builder, "settings", settings, rules.table)
  for key, value in pairs(settings) do
    if type(key) ~= "string" then
      check.blame(builder, "expected settings with names, got a list")
    end
    if key == "name" or (key == "kind" and agent.kind) then
      local given = builder .. " '" .. agent.name .. "'"
      check.blame(builder, "unknown field '" .. key .. "' — it is given by " .. given)
    end
    check.argument(builder, key, value, rules.data)
  end
  local result = made("agent", settings)
  -- The line of the name: a source in long brackets puts its call on the line of its end.
  result.__file, result.__line = agent.file, agent.line
  result.name = agent.name
  result.kind = agent.kind or settings.kind
  if agent.named and result[agent.named] == nil then result[agent.named] = agent.name end
  return result
end

-- Make a constructor: `flow.<builder> "name"` is an agent already, and calling that with
-- settings gives one that has them.
local function agents_of(builder, kind, options)
  options = options or {}
  return function(name)
    check.argument("flow." .. builder, "name", name, rules.text)
    local bare = made("agent", { name = name, kind = kind })
    if options.named then bare[options.named] = name end
    local seed = {
      builder = builder, kind = kind, name = name, file = bare.__file, line = bare.__line,
      named = options.named, shorthand = options.shorthand,
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
-- @treturn agent to be called with settings: `argv`, `input`, `output`, `env`, `cwd`, …
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
-- In a step it may be named by the file's name without its ending.
-- @tparam string path the file, below the blueprint's folder
-- @treturn agent
-- @usage flow.agent_md "agents/reviewer.md"
function flow.agent_md(path)
  check.argument("flow.agent_md", "path", path, rules.text)
  return made("agent", { agent_md = path })
end

local function name_of(agent)
  if type(agent) == "string" then return agent end
  return agent.name or agent.agent_md:match("([^/]+)$"):gsub("%.md$", "")
end

-- nodes -------------------------------------------------------------------------------------

local function need(rule) return { rule } end
local function may(rule) return { rule, optional = true } end

local ID = may(rules.text)

local STEP = {
  agent = need(rules.agent),
  input = may(rules.expression),
  out = may(rules.path),
  timeout_s = may(rules.seconds),
  retry = may(rules.table),
  id = ID,
}

--- Let an agent do something.
-- @tparam table spec `agent` (an agent or its name); `input` (expression, else null), `out`
-- (path), `timeout_s`, `retry` (`max_attempts`, `delay_s`, …), `id`
-- @treturn node
-- @usage flow.step { agent = writer, input = { topic = "ctx.topic" }, out = "ctx.draft" }
function flow.step(spec)
  check.fields("flow.step", spec, STEP)
  local node = made("step", spec)
  node.agent = name_of(spec.agent)
  return node
end

--- Run nodes one after the other; the first error ends it.
-- @tparam table nodes the nodes as a list, and `id`
-- @treturn node
-- @usage flow.seq { first, second }
function flow.seq(nodes)
  check.fields("flow.seq", nodes, { id = ID }, true)
  local last = 0
  for key in pairs(nodes) do
    if math.type(key) == "integer" then last = math.max(last, key) end
  end
  for i = 1, last do check.argument("flow.seq", "item " .. i, rawget(nodes, i), rules.node) end
  return made("seq", nodes)
end

local BRANCH = {
  when = need(rules.expression),
  run = need(rules.node),
  otherwise = may(rules.node),
  id = ID,
}

--- Run one node or another.
-- @tparam table spec `when` (expression, a boolean), `run`, `otherwise`, `id`
-- @treturn node
-- @usage flow.branch { when = "ctx.ok", run = flow.seq { … }, otherwise = flow.seq {} }
function flow.branch(spec)
  check.fields("flow.branch", spec, BRANCH)
  return made("branch", spec)
end

local LOOP = {
  counter = need(rules.path),
  max = need(rules.count),
  run = need(rules.node),
  when = may(rules.expression),
  exhausted_at = may(rules.path),
  id = ID,
}

--- Run a node again and again, at most `max` times, while `when` is true.
-- @tparam table spec `counter` (path; counts from 0), `max`, `run`, `when` (expression, else
-- true), `exhausted_at` (path: whether more was wanted), `id`
-- @treturn node
-- @usage flow.loop { counter = "ctx.n", max = 3, when = "not ctx.done", run = flow.seq { … } }
function flow.loop(spec)
  check.fields("flow.loop", spec, LOOP)
  return made("loop", spec)
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
}

--- Run a node once per item of a list, in lanes of their own.
-- @tparam table spec `over` (expression: the list), `as` (path of the item), `run`, `out`
-- (path), `join` (`all`, `any`, `race`, `all_settled`, `quorum`), `collect` (expression: a
-- lane's value), `index` (path), `limit` (lanes at a time), `quorum`, `id`
-- @treturn node
-- @usage flow.fanout { over = "ctx.files", as = "ctx.file", run = check_file, out = "ctx.reports" }
function flow.fanout(spec)
  check.fields("flow.fanout", spec, FANOUT)
  return made("fanout", spec)
end

local TRY = {
  run = need(rules.node),
  catch = may(rules.node),
  err_at = may(rules.path),
  error_at = may(rules.path),
  on = may(check.list_of(rules.text, "a list of error codes")),
  finally = may(rules.node),
  restore = may(rules.flag),
  id = ID,
}

--- Run a node and handle its error.
-- @tparam table spec `run`; `catch`, `finally` (nodes), `on` (codes, such as `step.*`),
-- `error_at` (path of the error object), `err_at` (path of its message), `restore`, `id`
-- @treturn node
-- @usage flow.try { run = risky, catch = flow.assign { at = "ctx.ok", value = false } }
function flow.try(spec)
  check.fields("flow.try", spec, TRY)
  return made("try", spec)
end

local ASSIGN = { at = need(rules.path), value = need(rules.expression), id = ID }

--- Write a value into the context.
-- @tparam table spec `at` (path), `value` (expression), `id`
-- @treturn node
-- @usage flow.assign { at = "ctx.total", value = "ctx.total + 1" }
function flow.assign(spec)
  check.fields("flow.assign", spec, ASSIGN)
  return made("assign", spec)
end

--- Wait, durably: a run that is restarted waits for what is left.
-- @param seconds expression
-- @treturn node
-- @usage flow.sleep(60)
function flow.sleep(seconds)
  if type(seconds) == "number" then
    check.argument("flow.sleep", "seconds", seconds, rules.seconds)
  else
    check.argument("flow.sleep", "seconds", seconds, rules.expression)
  end
  return made("sleep", { seconds = seconds })
end

--- End with an error of one's own, which a `flow.try` around may handle.
-- @tparam string code a dotted word, such as `review.rejected`
-- @param message expression
-- @param[opt] data expression
-- @treturn node
-- @usage flow.fail("review.rejected", "concat('rejected: ', ctx.reason)")
function flow.fail(code, message, data)
  check.argument("flow.fail", "code", code, rules.text)
  check.argument("flow.fail", "message", message, rules.expression)
  if data ~= nil then check.argument("flow.fail", "data", data, rules.expression) end
  return made("fail", { code = code, message = message, data = data })
end

-- values ------------------------------------------------------------------------------------

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
  agents = may(check.list_of(rules.agent_table, "a list of agents")),
  inputs = may(rules.table),
  files = may(check.list_of(rules.text, "a list of paths")),
  limits = may(rules.table),
  layers = may(rules.table),
  description = may(rules.text),
}

--- What a blueprint script returns.
-- @tparam table spec `id`, `flow` (a node), `agents` (list); `inputs` (JSON Schema of the
-- first context), `files` (what its processes need), `limits`, `layers`, `description`
-- @treturn blueprint
-- @usage return flow.blueprint { id = "hello", agents = { greeter }, flow = flow.seq { … } }
function flow.blueprint(spec)
  check.fields("flow.blueprint", spec, BLUEPRINT)
  local blueprint = made("blueprint", spec)
  if type(spec.flow) == "function" then
    local file, first, last = host.place_of(spec.flow)
    blueprint.flow = { __swarm = "function", __file = file, __line = first, __last = last }
  end
  return blueprint
end

local names = {}
for name, builder in pairs(flow) do
  names[#names + 1] = name
  if builder ~= array and type(builder) == "function" then flow[name] = host.public(builder) end
end

-- A misspelt builder is told on the spot, not as a call of nil.
return setmetatable(flow, {
  __metatable = "flow",
  __index = function(_, name)
    check.blame("flow", "no builder " .. check.shown(name) .. check.hint(name, names))
  end,
  __newindex = function(_, name) check.blame("flow", "cannot set " .. check.shown(name)) end,
})
