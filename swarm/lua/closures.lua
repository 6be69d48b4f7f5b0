-- What a flow function sees of its script, told as plain data.
--
-- The function is never called: it is lowered from its source. Told are the functions it
-- closes over, each by file and lines, what their outer names stand for now, and the
-- globals that the script set. Functions and tables are numbered, so that what is shared
-- or goes in circles is told once.

local convert, library = (...).convert, (...).library
local null, array = convert.null, convert.array
local getinfo, getupvalue = debug.getinfo, debug.getupvalue
local type, next, rawget, rawequal = type, next, rawget, rawequal
local mtype, sub, sort, ulen = math.type, string.sub, table.sort, utf8.len
local HUGE = math.huge

-- More than this, and what a name stands for is not told.
local MOST = 10000

-- Names of the functions that every script has, by value.
local function names_of_library(base, flow)
  local names = {}
  for name, value in next, base do
    if type(value) == "function" then names[value] = name end
    if type(value) == "table" and name ~= "_G" and not rawequal(value, null) then
      for inner, f in next, value do
        if type(f) == "function" then names[f] = name .. "." .. inner end
      end
    end
  end
  for name, f in next, flow do
    if type(f) == "function" then names[f] = "flow." .. name end
  end
  return names
end

local function sorted_keys(table)
  local keys = {}
  for key in next, table do keys[#keys + 1] = key end
  sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "string" or type(a) == "number") then return a < b end
    return type(a) < type(b)
  end)
  return keys
end

local function is_finite(number)
  return number == number and number ~= HUGE and number ~= -HUGE
end

--- Tell of a function.
-- @tparam function root the flow function
-- @tparam table flow the module of the builders
-- @tparam function name_of names an agent
-- @treturn table `root`, `functions`, `tables`, `globals`
local function closures(root, flow, name_of)
  local base = library.environment()
  local library_names = names_of_library(base, flow)
  local functions, tables, globals = array {}, array {}, array {}
  local numbers, count, env = {}, 0, nil
  local tell

  local function numbered(value, list, told)
    list[#list + 1] = told
    numbers[value] = #list
    return #list
  end

  local function tell_table(value)
    local number = numbers[value]
    if not number then
      local members = array {}
      number = numbered(value, tables, members)
      for _, key in next, sorted_keys(value) do
        local told = (type(key) == "string" and ulen(key)) or mtype(key) == "integer"
        local member = told and tell(rawget(value, key)) or { is = "other", what = "odd" }
        members[#members + 1] = { key = told and key or "?", value = member }
      end
    end
    return { is = "table", number = number }
  end

  local function tell_function(value)
    local number = numbers[value]
    local info = getinfo(value, "Su")
    local file = sub(info.source, 2)
    if info.what ~= "Lua" then return { is = "other", what = "a function that is not Lua" } end
    if not number then
      local told = {
        file = file,
        line = info.linedefined,
        last = info.lastlinedefined,
        parameters = info.nparams,
        varargs = info.isvararg,
        names = array {},
      }
      number = numbered(value, functions, told)
      for i = 1, info.nups do
        local name, held = getupvalue(value, i)
        if name == "_ENV" then
          env = env or held
        else
          told.names[#told.names + 1] = { name = name, value = tell(held) }
        end
      end
    end
    return { is = "function", number = number, file = file }
  end

  function tell(value)
    count = count + 1
    if count > MOST then return { is = "other", what = "more than can be told" } end
    local kind = type(value)
    if value == nil or rawequal(value, null) then return { is = "constant", value = null } end
    if kind == "boolean" then return { is = "constant", value = value } end
    if kind == "number" then
      if is_finite(value) then return { is = "constant", value = value } end
      return { is = "other", what = "a number that is not finite" }
    end
    if kind == "string" then
      if ulen(value) then return { is = "constant", value = value } end
      return { is = "other", what = "a string that is not UTF-8" }
    end
    if library_names[value] then return { is = "library", name = library_names[value] } end
    if kind == "table" then
      if rawget(value, "__swarm") == "agent" then return { is = "agent", name = name_of(value) } end
      if rawget(value, "__swarm") == "file" then
        return { is = "file", path = rawget(value, "path") }
      end
      if rawget(value, "__swarm") then return { is = "other", what = "a part of a flow" } end
      return tell_table(value)
    end
    if kind == "function" then return tell_function(value) end
    return { is = "other", what = "a " .. kind }
  end

  local told = tell_function(root)
  if env then
    for _, name in next, sorted_keys(env) do
      local value = rawget(env, name)
      local own = type(name) == "string" and name ~= "require" and type(base[name]) ~= "table"
      if own and not rawequal(value, base[name]) then
        globals[#globals + 1] = { name = name, value = tell(value) }
      end
    end
  end
  return { root = told.number, functions = functions, tables = tables, globals = globals }
end

return closures
