-- Runs a flow function as Lua runs it: agents are stubs, and the few differences between
-- Lua and a flow that docs/plain-lua.md lists are built in here.

local json = {}
local mtype, floor = math.type, math.floor

-- JSON text, both ways; nil and null are nothing, as in a flow function.
local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
local function quoted(text)
  local function escape(c) return ESCAPES[c] or string.format("\\u%04x", c:byte()) end
  return '"' .. text:gsub('[%c"\\]', escape) .. '"'
end

local RUNTIME = "type.mismatch"

local function refuse(why) error({ code = RUNTIME, message = why }, 0) end

local function number_text(value)
  if mtype(value) == "integer" then return tostring(value) end
  if value ~= value or value == 1 / 0 or value == -1 / 0 then refuse("not finite") end
  local text = string.format("%.17g", value)
  return text:find("[.eE]") and text or text .. ".0"
end

function json.encode(value)
  local kind = type(value)
  if value == nil then return "null" end
  if kind == "boolean" then return tostring(value) end
  if kind == "number" then return number_text(value) end
  if kind == "string" then return quoted(value) end
  if kind ~= "table" then refuse("not JSON: " .. kind) end
  local count, out = 0, {}
  for _ in next, value do count = count + 1 end
  if count == 0 then return "{}" end
  if #value > 0 then
    if count ~= #value then refuse("not JSON: holes, or both parts") end
    for i = 1, #value do out[i] = json.encode(value[i]) end
    return "[" .. table.concat(out, ",") .. "]"
  end
  for key, member in next, value do
    if type(key) ~= "string" then refuse("not JSON: a key") end
    out[#out + 1] = quoted(key) .. ":" .. json.encode(member)
  end
  return "{" .. table.concat(out, ",") .. "}"
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, member in next, a do if not same(member, b[key]) then return false end end
  for key in next, b do if a[key] == nil then return false end end
  return true
end

-- Tables are values: they are equal by what they hold; a list has no names.
local OBJECT = { __eq = same }
local LIST = {
  __eq = same,
  __index = function(_, key)
    if type(key) == "string" then refuse("a list has no names") end
  end,
}

function json.decode(text)
  local at = 1
  local read
  local function space() at = text:find("[^ \n\t\r]", at) end
  local function read_text()
    local out = {}
    at = at + 1
    while true do
      local stop = text:find('["\\]', at)
      out[#out + 1] = text:sub(at, stop - 1)
      if text:sub(stop, stop) == '"' then
        at = stop + 1
        return table.concat(out)
      end
      local c = text:sub(stop + 1, stop + 1)
      if c == "u" then
        out[#out + 1] = utf8.char(tonumber(text:sub(stop + 2, stop + 5), 16))
        at = stop + 6
      else
        out[#out + 1] = ({ n = "\n", t = "\t", r = "\r", b = "\b", f = "\f" })[c] or c
        at = stop + 2
      end
    end
  end
  local function read_members(close, member)
    at = at + 1
    space()
    if text:sub(at, at) == close then at = at + 1 return end
    repeat
      member()
      space()
      at = at + 1
    until text:sub(at - 1, at - 1) == close
  end
  function read()
    space()
    local c = text:sub(at, at)
    if c == '"' then return read_text() end
    if c == "{" then
      local result = setmetatable({}, OBJECT)
      read_members("}", function()
        space()
        local key = read_text()
        space()
        at = at + 1
        result[key] = read()
      end)
      return result
    end
    if c == "[" then
      local result, count = setmetatable({}, LIST), 0
      read_members("]", function()
        count = count + 1
        result[count] = read()
      end)
      return result
    end
    for word, value in next, { ["true"] = true, ["false"] = false } do
      if text:sub(at, at + #word - 1) == word then at = at + #word return value end
    end
    if text:sub(at, at + 3) == "null" then at = at + 4 return nil end
    local first, last = text:find("^-?[%d.eE+-]+", at)
    local digits = text:sub(first, last)
    at = last + 1
    if digits:find("[.eE]") then return tonumber(digits) + 0.0 end
    return math.tointeger(digits)
  end
  return read()
end

local function copy(value) return json.decode(json.encode(value)) end

-- Texts are no numbers and have no fields; booleans join as text.
getmetatable("").__index = function(_, name)
  return string[name] or refuse("a text has no fields")
end
for _, name in ipairs { "add", "sub", "mul", "div", "mod", "pow", "unm", "idiv" } do
  getmetatable("")["__" .. name] = nil
end
debug.setmetatable(true, {
  __concat = function(a, b) return tostring(a) .. tostring(b) end,
})

-- Errors of a flow are objects with a code and a message.
local raise, protected = error, pcall
local function flow_error(code, message, data)
  if type(code) == "table" then raise(code, 0) end
  if type(message) ~= "string" then code, message = "error", tostring(code) end
  raise({ code = code, message = message, data = data }, 0)
end
local function told(problem)
  if type(problem) == "table" then return problem end
  return { code = RUNTIME, message = tostring(problem) }
end
local function flow_pcall(f, ...)
  local results = table.pack(protected(f, ...))
  if results[1] then return true, results[2] end
  return false, told(results[2])
end

-- Lanes one after the other, in the order of their items, as the blocking driver runs them.
local SETTLED = {}
local function lane(join, f, ...)
  if join == "all" then return true, copy(f(...)) end
  local ok, value = flow_pcall(f, ...)
  if ok then value = copy(value) end
  return ok, value
end

local function collect(options, lanes)
  local join = options.join or "all"
  if #lanes == 0 and (join == "any" or join == "race") then flow_error("fanout.empty", "none") end
  local quorum, out, good = options.quorum, {}, 0
  if join == "quorum" and #lanes < quorum then flow_error("fanout.no_quorum", "too few") end
  for i, one in ipairs(lanes) do
    local ok, value = lane(join, table.unpack(one, 1, one.n))
    if join == "race" then
      if ok then return SETTLED, value end
      raise(value, 0)
    elseif join == "any" then
      if ok then return SETTLED, value end
    elseif join == "quorum" then
      if ok then
        good = good + 1
        out[good] = value
        if good == quorum then return SETTLED, out end
      elseif #lanes - i < quorum - good then
        flow_error("fanout.no_quorum", "too few")
      end
    elseif join == "all_settled" then
      local why = not ok and { code = value.code, message = value.message }
      out[i] = ok and { status = "fulfilled", value = value }
        or { status = "rejected", reason = value.message, error = why }
    else
      out[i] = value
    end
  end
  if join == "any" then flow_error("fanout.all_failed", "all") end
  return out
end

local function named_lanes(functions)
  local names, lanes = {}, {}
  for name in next, functions do names[#names + 1] = name end
  return names, lanes
end

local function parallel(first, second, third)
  local f = third or (type(second) == "function" and second) or nil
  local options = third and second or (type(second) == "table" and second) or {}
  if f then
    local lanes = {}
    for i, item in ipairs(first) do lanes[i] = table.pack(f, copy(item), i) end
    local out, value = collect(options, lanes)
    if out == SETTLED then return value end
    return out
  end
  local names, lanes = named_lanes(first)
  -- The order of lanes is that of the text, which a table has lost: the stubs tell it.
  local order = first[1] == nil and ORDER(names) or nil
  for i = 1, #names do lanes[i] = table.pack(first[order and order[i] or i]) end
  local out, value = collect(options, lanes)
  if out == SETTLED then return value end
  if not order or options.join == "quorum" then return out end
  local by_name = {}
  for i, name in ipairs(order) do by_name[name] = out[i] end
  return by_name
end

local function flow_pairs(t)
  local keys = {}
  for key in next, t do keys[#keys + 1] = key end
  table.sort(keys)
  local i = 0
  return function()
    i = i + 1
    if keys[i] ~= nil then return keys[i], t[keys[i]] end
  end
end

local function environment(call)
  local env = {}
  for _, name in ipairs { "ipairs", "type", "tostring", "tonumber", "select", "next" } do
    env[name] = _G[name]
  end
  for _, name in ipairs { "string", "math", "table", "utf8" } do env[name] = _G[name] end
  env.error, env.pcall, env.pairs, env.parallel = flow_error, flow_pcall, flow_pairs, parallel
  env.copy, env.limit, env.array = copy, function() end, function(t) return t or {} end
  env.rawequal, env.rawget, env.rawlen = rawequal, rawget, rawlen
  env.assert = function(value, message)
    if value then return value end
    flow_error(message == nil and "assertion failed!" or message)
  end
  local flow = { array = env.array, fail = flow_error }
  function flow.sleep(seconds) call("swarm.sleep", json.encode(seconds)) end
  function flow.fn(name)
    return function(input)
      local ok, answer, message = call(name, json.encode(input))
      if ok then return json.decode(answer) end
      raise({ code = "step.failed", cause_code = answer, message = message }, 0)
    end
  end
  function flow.blueprint(spec) return spec.flow end
  env.require = function() return flow end
  return env
end

-- Load a script; return a function that runs the i-th of its flows on a context as JSON.
return function(source, name, call, order)
  ORDER = order
  local flows = assert(load(source, name, "t", environment(call)))()
  if type(flows) == "function" then flows = { flows } end
  return function(i, ctx_json)
    local main = flows[i]
    local ctx = json.decode(ctx_json)
    local count, dead = 0, false
    debug.sethook(function()
      count = count + 1
      if dead or count > 300 then dead = true raise("too long", 0) end
    end, "", 1000)
    local ok, value = protected(main, ctx)
    debug.sethook()
    if dead then return "long", "" end
    if not ok then
      value = told(value)
      return "error", tostring(value.code), tostring(value.message)
    end
    local encoded, text = protected(json.encode, value == nil and ctx or value)
    if not encoded then return "error", RUNTIME, "" end
    return "ok", text
  end
end
