--- The table that a builder takes: what is right in it is kept, what is wrong is told.
--
-- A builder goes on without what is wrong, so that one run finds every mistake of a script.
-- They travel on what it makes, for the compiler to tell:
--
--   __problems   list of { by, kind, message, hint, field, item }: kind is `unknown`,
--                `missing`, `wrong` or `builder`; field and item say what was wrong, `meant`
--                the field that a misspelt one was read as
--   __lost       list of the nodes and agents that stood where they may not
-- @module flow.fields

local check = require "flow.check"

local fields = {}

-- How deep nodes are looked for in what was taken out.
local DEPTH = 4

--- Note a mistake on what a builder makes.
-- @tparam table made what it makes
-- @tparam string builder what was called
-- @tparam table fault `kind`, `message` and, as far as there are, `hint`, `field`, `item`
function fields.tell(made, builder, fault)
  fault.by = builder
  made.__problems = made.__problems or array {}
  made.__problems[#made.__problems + 1] = fault
end

-- Keep the nodes and agents of a value that was taken out: they have mistakes of their own.
local function lose(made, value, depth)
  if type(value) ~= "table" or rawequal(value, null) then return end
  local builder = check.builder_of(value)
  if builder == "agent" or check.NODES[builder] then
    made.__lost = made.__lost or array {}
    made.__lost[#made.__lost + 1] = value
  elseif not builder and depth > 0 then
    for _, member in pairs(value) do lose(made, member, depth - 1) end
  end
end

local function is_node(value) return check.NODES[check.builder_of(value)] ~= nil end

-- What JSON and YAML call a field, and what it is called here.
local ON_THE_WIRE = {
  body = "run", bind = "as", cond = "when", items = "over", ref = "agent",
  ["else"] = "otherwise", ["in"] = "input", ["then"] = "run",
}

-- The field that an unknown one stands for: a near name, or the one node that is missing.
local function meant_by(key, value, spec, shape, names)
  local wire = ON_THE_WIRE[key]
  if wire and shape[wire] and rawget(spec, wire) == nil then return wire end
  local near = type(key) == "string" and check.nearest(key, names)
  if near and rawget(spec, near) ~= nil then near = nil end
  if near and not check.fault(near, value, shape[near][1]) then return near end
  if shape.run and rawget(spec, "run") == nil and is_node(value) then return "run" end
  return near or nil
end

local function tell_unknown(made, builder, key, hint)
  local word = type(key) == "string" and check.shown(key) or "[" .. tostring(key) .. "]"
  local field = type(key) == "string" and key or nil
  local message = "unknown field " .. word
  fields.tell(made, builder, { kind = "unknown", message = message, hint = hint, field = field })
  return made.__problems[#made.__problems]
end

-- Keep the fields that the shape has; return, by name, which of them were spelt otherwise.
local function sort_out(made, builder, spec, shape, has_items)
  local names, misspelt = {}, {}
  for name, field in pairs(shape) do
    if not field.hidden then names[#names + 1] = name end
  end
  for key, value in pairs(spec) do
    if shape[key] then
      made[key] = value
    elseif not (has_items and math.type(key) == "integer") then
      local meant = meant_by(key, value, spec, shape, names)
      local hint = meant and "did you mean '" .. meant .. "'?" or check.hint(key, names)
      tell_unknown(made, builder, key, hint).meant = meant
      if meant and not misspelt[meant] then
        made[meant], misspelt[meant] = value, true
      else
        lose(made, value, DEPTH)
      end
    end
  end
  return misspelt
end

-- Return a list with the filler, or nothing, for each item that its rule refuses.
local function checked_items(made, builder, list, name, rule, field, filler)
  local last, kept = 0, array {}
  for key in pairs(list) do
    if math.type(key) == "integer" then last = math.max(last, key) end
  end
  for i = 1, last do
    local value = rawget(list, i)
    local fault = check.fault(name(i), value, rule)
    if fault then
      fault.field, fault.item = field, i
      fields.tell(made, builder, fault)
      lose(made, value, DEPTH)
      value = filler
    end
    if value ~= nil then kept[#kept + 1] = value end
  end
  return kept
end

-- A misspelt field is one mistake: what is wrong with its value besides is not told.
local function check_field(made, builder, name, field, is_misspelt)
  local value = made[name]
  local fault, meant = check.fault(name, value, field[1])
  if fault then
    fault.field = name
    if not is_misspelt then fields.tell(made, builder, fault) end
    lose(made, value, DEPTH)
    made[name] = meant
  elseif field.each and not check.has_names(value) then
    local function place(i) return name .. "[" .. i .. "]" end
    made[name] = checked_items(made, builder, value, place, field.each, name)
  end
end

--- Check the one table that a builder takes.
-- @tparam string builder what was called
-- @tparam table spec what was given
-- @tparam table shape per field `{ rule, optional = …, each = rule of a list's items,
-- hidden = not spoken of to who misspelt another }`
-- @tparam[opt] function item the rule of the list part; absent where there is none
-- @treturn table a copy of what is right, with `__problems` and `__lost`
function fields.checked(builder, spec, shape, item)
  if type(spec) ~= "table" or rawequal(spec, null) or check.builder_of(spec) then
    local sentence = "expected a table of fields, got " .. check.shown(spec)
    check.blame(builder, sentence, "write " .. builder .. " { … }")
  end
  local made = {}
  local misspelt = sort_out(made, builder, spec, shape, item ~= nil)
  for name, field in pairs(shape) do
    if made[name] ~= nil or not field.optional then
      check_field(made, builder, name, field, misspelt[name])
    end
  end
  if item then
    local function place(i) return "item " .. i end
    local kept = checked_items(made, builder, spec, place, item, nil, null)
    for i = 1, #kept do made[i] = kept[i] end
  end
  return made
end

--- Check settings of which only some names are known to be wrong.
-- @tparam string builder what was called
-- @tparam table settings what was given
-- @tparam table refused per name that is no setting a hint
-- @treturn table a copy of what is right, with `__problems`
function fields.settings(builder, settings, refused)
  local made, list = {}, false
  for key, value in pairs(settings) do
    if type(key) ~= "string" then
      list = true
    elseif refused[key] or key:find("^__") then
      tell_unknown(made, builder, key, refused[key])
    else
      made[key] = value
      check_field(made, builder, key, { check.rules.setting })
    end
  end
  if list then
    local message = "expected settings with names, got a list"
    fields.tell(made, builder, { kind = "wrong", message = message })
  end
  return made
end

return fields
