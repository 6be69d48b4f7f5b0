--- Rules for what authors hand to builders, and the sentences of refusal.
--
-- A rule answers for one argument: it returns nothing, or what it expected and, where it
-- looked inside the value, the place of the offender and the offender; then a hint, and
-- the right value that was probably meant.
-- @module flow.check

local _, host = ...

local check = {}

local SHOWN = 40
local DEPTH = 64

--- Raise on the author's line.
-- @tparam string builder what was called, such as `flow.step`
-- @tparam string message the sentence behind it
-- @tparam[opt] string hint what to write instead
function check.blame(builder, message, hint)
  local file, line = host.caller()
  if hint then message = message .. " — " .. hint end
  error(file .. ":" .. line .. ": " .. builder .. ": " .. message, 0)
end

-- Tell what a table is that is neither a list nor a table of names; what was expected, a hint.
local function odd(value)
  local items, last, name = 0, 0, nil
  for key in pairs(value) do
    if math.type(key) == "integer" and key > 0 then
      items, last = items + 1, math.max(last, key)
    elseif type(key) == "string" and (name == nil or key < name) then
      name = key
    end
  end
  if items == 0 then return nil end
  if name then
    return "a list that has the name " .. check.shown(name) .. " too",
      "a list or a table with names"
  end
  if last == items then return nil end
  return "a list with " .. items .. " of " .. last .. " items", "a list without holes",
    "write flow.null where nothing is meant"
end

--- Name a value in a sentence.
-- @param value anything
-- @treturn string `'text'`, `5`, `nil`, `a function`, `a flow.seq`, `a list`, …
function check.shown(value)
  local kind = type(value)
  if kind == "string" then
    if #value > SHOWN then value = value:sub(1, SHOWN - 3) .. "..." end
    return "'" .. value:gsub("%c", " ") .. "'"
  end
  if kind == "number" or kind == "boolean" or kind == "nil" then return tostring(value) end
  if kind ~= "table" then return "a " .. kind end
  if rawequal(value, null) then return "null" end
  local builder = rawget(value, "__swarm")
  if builder == "agent" then return "the agent " .. check.shown(rawget(value, "name")) end
  if builder then return "a flow." .. builder end
  return odd(value) or rawlen(value) > 0 and "a list" or "a table"
end

-- words -------------------------------------------------------------------------------------

-- The least number of letters inserted, dropped, changed or swapped with their neighbour.
local function distance(a, b)
  local rows = { [0] = {} }
  for j = 0, #b do rows[0][j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    rows[i] = row
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local changed = rows[i - 1][j - 1] + (same and 0 or 1)
      local best = math.min(rows[i - 1][j] + 1, row[j - 1] + 1, changed)
      local crossed = a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j)
      if i > 1 and j > 1 and crossed then best = math.min(best, rows[i - 2][j - 2] + 1) end
      row[j] = best
    end
  end
  return rows[#a][#b]
end

--- Find the allowed word that was probably meant.
-- @tparam string word what the author wrote
-- @tparam {string,...} allowed the words there are
-- @treturn ?string the nearest, if it is near
-- @usage check.nearest("agnet", { "agent", "input" }) --> "agent"
function check.nearest(word, allowed)
  if #word > SHOWN then return nil end
  local best, least = nil, math.max(1, #word // 3) + 1
  for _, candidate in ipairs(allowed) do
    local away = distance(word, candidate)
    if away < least then best, least = candidate, away end
  end
  return best
end

--- Say what to write instead of an unknown word.
-- @tparam string word what the author wrote
-- @tparam {string,...} allowed the words there are
-- @treturn ?string a hint that follows the sentence
function check.hint(word, allowed)
  local near = type(word) == "string" and check.nearest(word, allowed)
  if near then return "did you mean '" .. near .. "'?" end
  if #allowed == 0 then return nil end
  return "expected one of '" .. table.concat(allowed, "', '") .. "'"
end

-- rules -------------------------------------------------------------------------------------

--- The builders that make nodes.
check.NODES = {
  step = true, seq = true, branch = true, loop = true, fanout = true,
  try = true, assign = true, sleep = true, fail = true,
}

--- Tell which builder made a value.
-- @param value anything
-- @treturn ?string such as `step`
function check.builder_of(value)
  return type(value) == "table" and rawget(value, "__swarm") or nil
end

local builder_of = check.builder_of

local NODES = check.NODES
local rules = {}
check.rules = rules

function rules.agent(value)
  if builder_of(value) == "agent" or (type(value) == "string" and value ~= "") then return nil end
  return "an agent or a name"
end

function rules.agent_table(value)
  if builder_of(value) == "agent" then return nil end
  return "an agent (flow.lua, flow.process, flow.fn, …)"
end

function rules.node(value)
  if NODES[builder_of(value)] then return nil end
  local hint
  if builder_of(value) == "agent" then
    hint = "wrap it: flow.step { agent = … }"
  elseif type(value) == "table" and NODES[builder_of(rawget(value, 1))] then
    hint = "wrap them: flow.seq { … }"
  end
  return "a node (flow.step, flow.seq, …)", nil, nil, hint
end

function rules.flow(value)
  if type(value) == "function" then return nil end
  return rules.node(value)
end

function rules.text(value)
  if type(value) == "string" and value ~= "" then return nil end
  return "a string"
end

function rules.words(value)
  if builder_of(value) == "file" then return nil end
  return rules.text(value)
end

function rules.path(value)
  if type(value) ~= "string" then return "a path such as 'ctx.name'" end
  if value == "ctx" or value:find("^ctx[.%[]") or value:find("^%$") then return nil end
  local meant = value:find("^[%a_][%w_.]*$") and "ctx." .. value or nil
  local hint = meant and "did you mean '" .. meant .. "'?"
  return "a path such as 'ctx.name'", nil, nil, hint, meant
end

function rules.seconds(value)
  if type(value) == "number" and value > 0 and value < math.huge then return nil end
  return "a number of seconds above 0"
end

function rules.delay(value)
  if type(value) == "number" then return rules.seconds(value) end
  return rules.expression(value)
end

function rules.count(value)
  if math.type(value) == "integer" and value >= 0 then return nil end
  return "an integer from 0"
end

function rules.count_or_expression(value)
  if type(value) == "number" then
    if math.type(value) == "integer" and value >= 1 then return nil end
    return "an integer from 1, or an expression"
  end
  return rules.expression(value)
end

function rules.flag(value)
  if type(value) == "boolean" then return nil end
  return "true or false"
end

function rules.table(value)
  if type(value) == "table" and not rawequal(value, null) and not builder_of(value) then
    return nil
  end
  return "a table"
end

function rules.plain_table(value)
  local expected = rules.table(value)
  if expected then return expected end
  return rules.setting(value)
end

-- Look through a tree of plain values for one that is refused.
local function search(value, expected, refused, trail, depth)
  if refused(value) then return expected, trail, value end
  if type(value) ~= "table" or rawequal(value, null) or builder_of(value) then return nil end
  local _, wanted, hint = odd(value)
  if wanted then return wanted, trail, value, hint end
  if depth == 0 then return expected .. " of at most " .. DEPTH .. " levels", trail, value end
  for key, member in pairs(value) do
    local place = trail .. (type(key) == "number" and "[" .. key .. "]" or "." .. tostring(key))
    local found, where, offender, hint = search(member, expected, refused, place, depth - 1)
    if found then return found, where, offender, hint end
  end
  return nil
end

local function not_data(value)
  local kind = type(value)
  if kind == "number" then return value ~= value or value == math.huge or value == -math.huge end
  return kind == "function" or kind == "thread" or kind == "nil" or builder_of(value) ~= nil
end

local function not_setting(value)
  return not_data(value) and builder_of(value) ~= "file"
end

local function not_expression(value)
  return not_setting(value) and builder_of(value) ~= "lit"
end

function rules.expression(value)
  return search(value, "an expression", not_expression, "", DEPTH)
end

function rules.data(value)
  return search(value, "a plain value", not_data, "", DEPTH)
end

function rules.setting(value)
  return search(value, "a plain value", not_setting, "", DEPTH)
end

--- Make a rule that admits some words only.
-- @tparam {string,...} allowed the words
-- @treturn function a rule
function check.one_of(allowed)
  return function(value)
    for _, word in ipairs(allowed) do
      if value == word then return nil end
    end
    local near = type(value) == "string" and check.nearest(value, allowed)
    local hint = near and "did you mean '" .. near .. "'?" or nil
    return "one of '" .. table.concat(allowed, "', '") .. "'", nil, nil, hint
  end
end

--- Make a rule that admits lists; their items have a rule of their own.
-- @tparam string expected what the whole is called
-- @treturn function a rule
function check.list(expected)
  return function(value)
    if type(value) ~= "table" or rawequal(value, null) or builder_of(value) then return expected end
    for key in pairs(value) do
      if math.type(key) ~= "integer" then return expected end
    end
    return nil
  end
end

local is_list_of_paths = check.list("a list of paths")

--- The rule of `files`: a list of paths, or what building makes of one, a digest by path.
-- @param value what was given
-- @treturn ?string what was expected
function check.paths(value)
  if not check.has_names(value) then return is_list_of_paths(value) end
  for path, digest in pairs(value) do
    if type(path) ~= "string" or type(digest) ~= "string" then return "a list of paths" end
  end
  return nil
end

--- Tell whether a table has members by name, and no list.
-- @param value anything
-- @treturn boolean
function check.has_names(value)
  return type(value) == "table" and not rawequal(value, null) and not builder_of(value)
    and rawlen(value) == 0 and type((next(value))) == "string"
end

-- arguments ---------------------------------------------------------------------------------

--- Judge one argument by a rule.
-- @tparam string name the argument's name
-- @param value what was given
-- @tparam function rule see above
-- @treturn ?table what is wrong: `kind` (`missing` or `wrong`), `message`, `hint`
-- @return the right value that was probably meant, if there is one
function check.fault(name, value, rule)
  local expected, inside, offender, hint, meant = rule(value)
  if not expected then return nil end
  if inside == nil then offender = value end
  local what = "expected '" .. name .. (inside or "") .. "' to be " .. expected
  return {
    kind = value == nil and "missing" or "wrong",
    message = what .. ", got " .. check.shown(offender),
    hint = hint,
  }, meant
end

--- Check one argument by a rule, without which there is nothing to go on with.
-- @tparam string builder what was called
-- @tparam string name the argument's name
-- @param value what was given
-- @tparam function rule see above
function check.argument(builder, name, value, rule)
  local fault = check.fault(name, value, rule)
  if fault then check.blame(builder, fault.message, fault.hint) end
end

return check
