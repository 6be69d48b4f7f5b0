-- Runs a flow function as Lua runs it: agents are stubs, and the differences between Lua and
-- a flow that docs/plain-lua.md lists are built in here, each under the name it has there.
--
-- The source was rewritten before (rewriting.py): operators, fields and tables are calls of
-- `__o`. Where a function is one that a step of Lua computes, all of it is Lua's own: `raw`.
-- One long file on purpose: every part asks whether it is, and which differences are left out.

local json, O = {}, {}
local mtype, floor, unpack = math.type, math.floor, table.unpack
local raise, protected = error, pcall
local texts, maths, lists = string, math, table

-- What a table is, how long a list is that may hold nil, and which names of an object hold nil.
local KIND = setmetatable({}, { __mode = "k" })
local COUNT = setmetatable({}, { __mode = "k" })
local NULLS = setmetatable({}, { __mode = "k" })
-- Differences that are left out; how many steps of Lua are around; helpers that are steps.
local OFF, raw, STEPS = {}, 0, {}
local LISTED, HOST = {}, nil

local RUNTIME = "type.mismatch"
local function refuse(why, code) raise({ code = code or RUNTIME, message = why }, 0) end

-- ---- tables

local function kind_of(t)
  if KIND[t] then return KIND[t] end
  if next(t) == nil then return NULLS[t] and "object" or nil end
  return t[1] ~= nil and "list" or "object"
end

local function count_of(t) return COUNT[t] or #t end

local function note_null(t, key)
  NULLS[t] = NULLS[t] or {}
  NULLS[t][key] = true
end

local function names_of(t)
  local names = {}
  for key in next, t do names[#names + 1] = key end
  lists.sort(names)
  return names
end

-- ---- JSON, both ways

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
local function quoted(text)
  if not utf8.len(text) then raise({ code = "type.mismatch", message = "no UTF-8" }, 0) end
  local function escape(c) return ESCAPES[c] or texts.format("\\u%04x", c:byte()) end
  return '"' .. texts.gsub(text, '[%c"\\]', escape) .. '"'
end

local function number_text(value)
  if mtype(value) == "integer" then return tostring(value) end
  if value ~= value or value == 1 / 0 or value == -1 / 0 then refuse("not finite") end
  local text = texts.format("%.17g", value)
  return texts.find(text, "[.eE]") and text or text .. ".0"
end

local CYCLE = {}
function json.encode(value, depth)
  local kind = type(value)
  if value == nil then return "null" end
  if kind == "boolean" then return tostring(value) end
  if kind == "number" then return number_text(value) end
  if kind == "string" then return quoted(value) end
  if kind ~= "table" then refuse("not JSON: " .. kind) end
  local out, shape = {}, kind_of(value)
  depth = depth or 0
  if depth > 100 then raise(CYCLE, 0) end
  if OFF.empty and next(value) == nil then return "{}" end
  if shape == "list" then
    local count = count_of(value)
    for key in next, value do
      if mtype(key) ~= "integer" or key > count then refuse("not JSON: holes, or both parts") end
    end
    for i = 1, count do out[i] = json.encode(value[i], depth + 1) end
    return "[" .. lists.concat(out, ",") .. "]"
  end
  for key, member in next, value do
    if type(key) ~= "string" then refuse("not JSON: a key") end
    out[#out + 1] = quoted(key) .. ":" .. json.encode(member, depth + 1)
  end
  for key in next, NULLS[value] or {} do out[#out + 1] = quoted(key) .. ":null" end
  return "{" .. lists.concat(out, ",") .. "}"
end

function json.decode(text)
  local at = 1
  local read
  local function space() at = texts.find(text, "[^ \n\t\r]", at) end
  local function read_text()
    local out = {}
    at = at + 1
    while true do
      local stop = texts.find(text, '["\\]', at)
      out[#out + 1] = texts.sub(text, at, stop - 1)
      if texts.sub(text, stop, stop) == '"' then
        at = stop + 1
        return lists.concat(out)
      end
      local c = texts.sub(text, stop + 1, stop + 1)
      if c == "u" then
        local code = tonumber(texts.sub(text, stop + 2, stop + 5), 16)
        at = stop + 6
        if code >= 0xD800 and code < 0xDC00 then -- half of a pair
          local low = tonumber(texts.sub(text, at + 2, at + 5), 16)
          code = 0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00
          at = at + 6
        end
        out[#out + 1] = utf8.char(code)
      else
        out[#out + 1] = ({ n = "\n", t = "\t", r = "\r", b = "\b", f = "\f" })[c] or c
        at = stop + 2
      end
    end
  end
  local function read_members(close, member)
    at = at + 1
    space()
    if texts.sub(text, at, at) == close then at = at + 1 return end
    repeat
      member()
      space()
      at = at + 1
    until texts.sub(text, at - 1, at - 1) == close
  end
  function read()
    space()
    local c = texts.sub(text, at, at)
    if c == '"' then return read_text() end
    if c == "{" then
      local result = {}
      read_members("}", function()
        space()
        local key = read_text()
        space()
        at = at + 1
        local value = read()
        result[key] = value
        if value == nil then note_null(result, key) end
        KIND[result] = "object"
      end)
      return result
    end
    if c == "[" then
      local result, count = {}, 0
      read_members("]", function()
        count = count + 1
        result[count] = read()
      end)
      KIND[result] = "list"
      if not OFF.nil_items then COUNT[result] = count end
      return result
    end
    for word, value in next, { ["true"] = true, ["false"] = false } do
      if texts.sub(text, at, at + #word - 1) == word then at = at + #word return value end
    end
    if texts.sub(text, at, at + 3) == "null" then at = at + 4 return nil end
    local first, last = texts.find(text, "^-?[%d.eE+-]+", at)
    local digits = texts.sub(text, first, last)
    at = last + 1
    if texts.find(digits, "[.eE]") then return tonumber(digits) + 0.0 end
    return maths.tointeger(tonumber(digits))
  end
  return read()
end

local function copy(value) return json.decode(json.encode(value)) end

-- A value as a step of Lua gets it: nothing is known of its tables but what they hold.
local function bare(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for key, member in next, value do out[key] = bare(member) end
  return out
end

-- ---- steps of Lua

local function failed_step(problem)
  if type(problem) == "table" then raise(problem, 0) end
  if OFF.helper_errors then refuse(tostring(problem)) end
  raise({ code = "step.failed", cause_code = "script.error", message = tostring(problem) }, 0)
end

-- Call a function in Lua's own world; what it is given and what it gives are copies.
local function by_lua(f, ...)
  if raw > 0 then return f(...) end
  local given = lists.pack(...)
  for i = 1, given.n do given[i] = bare(given[i]) end
  raw = raw + 1
  local results = lists.pack(protected(f, unpack(given, 1, given.n)))
  raw = raw - 1
  if not results[1] then failed_step(results[2]) end
  for i = 2, results.n do
    local ok, text = protected(json.encode, results[i])
    if not ok then failed_step("not JSON") end
    results[i] = json.decode(text)
  end
  return unpack(results, 2, results.n)
end

function O.fn(at, f)
  return function(...)
    if raw == 0 and STEPS[at] then return by_lua(f, ...) end
    return f(...)
  end
end

-- ---- operators

local function number(value)
  if mtype(value) then return value end
  if OFF.text_numbers and type(value) == "string" and tonumber(value) then return tonumber(value) end
  refuse("no number")
end

local function finite(value)
  if mtype(value) == "float" and not OFF.overflow then
    if value ~= value or value == 1 / 0 or value == -1 / 0 then refuse("too large", "arith.overflow") end
  end
  return value
end

local function divisor(value)
  if value == 0 and not OFF.zero_division then refuse("by zero", "arith.zero_division") end
  return value
end

local function whole(a, b) return mtype(a) == "integer" and mtype(b) == "integer" and not OFF.overflow end
local function overflow() refuse("too large", "arith.overflow") end

local ARITH = {}
function ARITH.add(a, b)
  local sum = a + b
  if whole(a, b) and (a ~ sum) & (b ~ sum) < 0 then overflow() end
  return finite(sum)
end
function ARITH.sub(a, b)
  local rest = a - b
  if whole(a, b) and (a ~ b) & (a ~ rest) < 0 then overflow() end
  return finite(rest)
end
function ARITH.mul(a, b)
  local product = a * b
  if whole(a, b) and a ~= 0 then
    if product // a ~= b or (a == -1 and b == maths.mininteger) then overflow() end
  end
  return finite(product)
end
function ARITH.div(a, b)
  divisor(b)
  return b == 0 and a / b or finite(a / b)
end
function ARITH.mod(a, b)
  divisor(b)
  return b == 0 and a % b or finite(a % b)
end
function ARITH.idiv(a, b)
  divisor(b)
  if mtype(a) == "float" or mtype(b) == "float" then
    if OFF.exact_floor or b == 0 then return a // b end
    return finite(HOST.floor_div(a + 0.0, b + 0.0))
  end
  if whole(a, b) and a == maths.mininteger and b == -1 then overflow() end
  return a // b
end

local OWN = {
  add = function(a, b) return a + b end, sub = function(a, b) return a - b end,
  mul = function(a, b) return a * b end, div = function(a, b) return a / b end,
  mod = function(a, b) return a % b end, idiv = function(a, b) return a // b end,
  lt = function(a, b) return a < b end, le = function(a, b) return a <= b end,
  gt = function(a, b) return a > b end, ge = function(a, b) return a >= b end,
}
for name, flows in next, ARITH do
  O[name] = function(a, b)
    if raw > 0 then return OWN[name](a, b) end
    return flows(number(a), number(b))
  end
end
for _, name in next, { "lt", "le", "gt", "ge" } do
  O[name] = function(a, b)
    if raw == 0 and (type(a) ~= type(b) or not (mtype(a) or type(a) == "string")) then
      refuse("not in order")
    end
    return OWN[name](a, b)
  end
end

-- What a step of Lua computes: powers and bits.
local BITS = {
  ["^"] = function(a, b) return a ^ b end, ["&"] = function(a, b) return a & b end,
  ["|"] = function(a, b) return a | b end, ["~"] = function(a, b) return a ~ b end,
  ["<<"] = function(a, b) return a << b end, [">>"] = function(a, b) return a >> b end,
}
function O.bits(op, a, b) return by_lua(BITS[op], a, b) end
function O.bnot(a) return by_lua(function(b) return ~b end, a) end

function O.neg(a)
  if raw > 0 then return -a end
  return O.mul(a, -1)
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, member in next, a do if not same(member, b[key]) then return false end end
  for key in next, b do if a[key] == nil then return false end end
  return true
end
function O.eq(a, b)
  if raw > 0 or OFF.equality then return a == b end
  return same(a, b)
end

local function text_of(value)
  local kind = type(value)
  if kind == "string" then return value end
  if mtype(value) == "float" and not OFF.float_text then return HOST.float_text(value) end
  if kind == "number" then return tostring(value) end
  if kind == "boolean" and not OFF.boolean_text then return tostring(value) end
  refuse("no text")
end

function O.concat(a, b)
  if raw > 0 then return a .. b end
  return text_of(a) .. text_of(b)
end

function O.len(value)
  if raw > 0 then return #value end
  if type(value) == "string" then return OFF.code_points and #value or utf8.len(value) end
  if type(value) ~= "table" then refuse("no length") end
  if kind_of(value) ~= "object" then return count_of(value) end
  if OFF.names_counted then return #value end
  local count = 0
  for _ in next, value do count = count + 1 end
  for _ in next, NULLS[value] or {} do count = count + 1 end
  return count
end

-- As Lua itself orders the reading: the right side, then the local on the left.
function O.late(name, right, left) return O[name](left, right) end

-- ---- fields and items

local function read(t, key)
  if key == nil then return nil end
  return t[key]
end

function O.index(t, key)
  local kind = type(t)
  if raw > 0 or LISTED[t] then return t[key] end
  if kind == "string" then
    if OFF.kinds then return texts[key] end
    refuse("a text has no fields")
  end
  if kind ~= "table" then refuse("no table") end
  local shape = kind_of(t)
  if not OFF.kinds then
    if shape == "list" and type(key) == "string" then refuse("a list has no names") end
    if shape == "object" and mtype(key) then refuse("an object has no positions") end
  end
  return read(t, key)
end

-- Set a member. *without*: a nil takes it away, instead of being there.
function O.set(t, key, value, without)
  if raw > 0 then t[key] = value return end
  if type(t) ~= "table" then refuse("no table") end
  local shape = kind_of(t)
  if type(key) == "string" then
    if shape == "list" then refuse("a list has no names") end
    KIND[t] = "object"
    t[key] = value
    if value == nil and not without then
      note_null(t, key)
    elseif NULLS[t] then
      NULLS[t][key] = nil
    end
    return
  end
  local at = mtype(key) and maths.tointeger(key)
  if OFF.no_holes and mtype(key) and not at then t[key] = value return end
  if not at or shape == "object" then refuse("no position") end
  local count = count_of(t)
  if at < 1 or at > count + 1 then
    if not OFF.no_holes then refuse("a list has no holes") end
    t[at], KIND[t] = value, "list"
    return
  end
  KIND[t] = "list"
  t[at] = value
  if not OFF.nil_items then COUNT[t] = maths.max(count, at) end
end

-- `t[#t] = nil`
function O.pop(t)
  if raw > 0 then t[#t] = nil return end
  if type(t) ~= "table" or kind_of(t) == "object" then refuse("no list") end
  local count = count_of(t)
  if count > 0 then
    t[count] = nil
    COUNT[t] = not OFF.nil_items and count - 1 or nil
  end
end

function O.list(count, ...)
  local made = { ... }
  if raw > 0 then return made end
  KIND[made] = "list"
  if not OFF.nil_items then COUNT[made] = count end
  return made
end

function O.object(count, ...)
  local made, given = {}, { ... }
  for i = 1, count, 2 do
    local key, value = given[i], given[i + 1]
    if raw > 0 then
      made[key] = value
    else
      if type(key) ~= "string" then refuse("no name") end
      O.set(made, key, value)
    end
  end
  return made
end

-- ---- errors of a flow are objects with a code and a message

local CODES = {}
local function flow_error(code, message, data)
  if OFF.error_objects then
    if type(code) == "table" then raise(code, 0) end
    raise(code, 2)
  end
  local cause
  if type(code) == "table" then
    if kind_of(code) == "list" then refuse("a list is no error") end
    message = code.message == nil and "" or text_of(code.message)
    code, data, cause = code.code or "error", code.data, code.cause_code
  elseif type(message) ~= "string" then
    code, message = "error", text_of(code)
  end
  if not OFF.unknown_codes and not CODES[code] then code = "error" end
  raise({ code = code, message = message, data = data, cause_code = cause }, 0)
end
local function told(problem)
  if OFF.error_objects and type(problem) == "table" and problem.code == RUNTIME then
    return problem.message
  end
  if type(problem) == "table" or OFF.error_objects then return problem end
  return { code = RUNTIME, message = tostring(problem) }
end
local function flow_pcall(f, ...)
  local results = lists.pack(protected(f, ...))
  if results[1] then
    if raw > 0 then return unpack(results, 1, results.n) end
    return true, results[2]
  end
  return false, told(results[2])
end

-- A loop of at most so many rounds; in a step of Lua it is bounded by other means.
function O.rounds(most)
  local count = 0
  return function()
    count = count + 1
    if count > most and raw == 0 and not OFF.bounded then
      raise({ code = "loop.limit", message = "limit" }, 0)
    end
  end
end

-- ---- lanes one after the other, in the order of their items, as the blocking driver runs them

local SETTLED = {}
local function lane(join, f, ...)
  local function kept(value) return OFF.copies and value or copy(value) end
  if join == "all" then return true, kept(f(...)) end
  local ok, value = flow_pcall(f, ...)
  if ok then value = kept(value) end
  return ok, value
end

local function listed(out, count)
  KIND[out] = "list"
  if not OFF.nil_items then COUNT[out] = count end
  return out
end

local function collect(options, lanes)
  local join = options.join or "all"
  if #lanes == 0 and (join == "any" or join == "race") then refuse("none", "fanout.empty") end
  local quorum, out, good = options.quorum, {}, 0
  if join == "quorum" and #lanes < quorum then refuse("too few", "fanout.no_quorum") end
  for i, one in ipairs(lanes) do
    local ok, value = lane(join, unpack(one, 1, one.n))
    if join == "race" then
      if ok then return SETTLED, value end
      raise(value, 0)
    elseif join == "any" then
      if ok then return SETTLED, value end
    elseif join == "quorum" then
      if ok then
        good = good + 1
        out[good] = value
        if good == quorum then return SETTLED, listed(out, good) end
      elseif #lanes - i < quorum - good then
        refuse("too few", "fanout.no_quorum")
      end
    elseif join == "all_settled" then
      local why = not ok and { code = value.code, message = value.message }
      out[i] = ok and { status = "fulfilled", value = value }
        or { status = "rejected", reason = value.message, error = why }
    else
      out[i] = value
    end
  end
  if join == "any" then refuse("all", "fanout.all_failed") end
  return listed(out, #lanes)
end

local function parallel(first, second, third)
  local f = third or (type(second) == "function" and second) or nil
  local options = third and second or (type(second) == "table" and second) or {}
  local lanes = {}
  if f then
    if type(first) ~= "table" or kind_of(first) == "object" then refuse("no list") end
    for i = 1, count_of(first) do
      local item = first[i]
      if not OFF.copies then item = copy(item) end
      lanes[i] = lists.pack(f, item, i)
    end
    local out, value = collect(options, lanes)
    if out == SETTLED then return value end
    return out
  end
  local names = {}
  for name in next, first do names[#names + 1] = name end
  -- The order of lanes is that of the text, which a table has lost: the stubs tell it.
  local order = first[1] == nil and HOST.order(names) or nil
  for i = 1, #names do lanes[i] = lists.pack(first[order and order[i] or i]) end
  local out, value = collect(options, lanes)
  if out == SETTLED then return value end
  if not order or options.join == "quorum" then return out end
  local by_name = {}
  for i, name in ipairs(order) do by_name[name] = out[i] end
  return by_name
end

-- ---- loops over tables

local function keys_of(t)
  local keys = {}
  if type(t) ~= "table" then refuse("no table") end
  if raw == 0 and kind_of(t) == "list" then
    for i = 1, count_of(t) do if t[i] ~= nil then keys[#keys + 1] = i end end
    return keys
  end
  for key in next, t do keys[#keys + 1] = key end
  lists.sort(keys, function(a, b)
    if type(a) ~= type(b) then return type(a) == "number" end
    return a < b
  end)
  if not OFF.sorted_names or raw > 0 then return keys end
  for i = 1, #keys // 2 do keys[i], keys[#keys + 1 - i] = keys[#keys + 1 - i], keys[i] end
  return keys
end

local function flow_pairs(t)
  local keys, i = keys_of(t), 0
  return function()
    i = i + 1
    if keys[i] ~= nil then return keys[i], t[keys[i]] end
  end
end

local function flow_ipairs(t)
  if type(t) ~= "table" then refuse("no table") end
  if raw > 0 then return ipairs(t) end
  if kind_of(t) == "object" and not OFF.kinds then refuse("an object has no positions") end
  local i = 0
  return function()
    i = i + 1
    if t[i] ~= nil then return i, t[i] end
  end
end

-- ---- the library: what an expression says; all else a step of Lua computes

local function position(value) return maths.tointeger(number(value)) or refuse("no position") end
local function as_text(value) return type(value) == "number" and text_of(value) or value end
local function a_text(value)
  value = as_text(value)
  if type(value) ~= "string" then refuse("no text") end
  return value
end

local STRING = {}
function STRING.len(s) return O.len(a_text(s)) end
function STRING.upper(s)
  if OFF.letters then return texts.upper(a_text(s)) end
  return HOST.upper(a_text(s))
end
function STRING.lower(s)
  if OFF.letters then return texts.lower(a_text(s)) end
  return HOST.lower(a_text(s))
end
function STRING.rep(s, n, between)
  return texts.rep(a_text(s), position(n), between == nil and "" or a_text(between))
end
function STRING.sub(s, i, j)
  s, i, j = a_text(s), position(i), j == nil and -1 or position(j)
  if OFF.code_points then return texts.sub(s, i, j) end
  local count = utf8.len(s)
  if i < 0 then i = maths.max(count + i + 1, 1) elseif i == 0 then i = 1 end
  if j < 0 then j = count + j + 1 elseif j > count then j = count end
  if i > j then return "" end
  return texts.sub(s, utf8.offset(s, i), utf8.offset(s, j + 1) - 1)
end
function STRING.find(s, part, init, plain)
  local exact = init == 1 and plain == true and part ~= ""
  if not exact then return by_lua(texts.find, s, part, init, plain) end
  local at, last = texts.find(a_text(s), a_text(part), 1, true)
  if at == nil or OFF.code_points then return at, last end
  return utf8.len(s, 1, at), last
end

local MATH = {}
function MATH.floor(x) return HOST.floor(number(x)) or overflow() end
function MATH.ceil(x) return HOST.ceil(number(x)) or overflow() end
function MATH.abs(x)
  if x == maths.mininteger and mtype(x) == "integer" and not OFF.overflow then overflow() end
  return maths.abs(number(x))
end
local function chosen(f)
  return function(...)
    local given = lists.pack(...)
    for i = 1, given.n do given[i] = number(given[i]) end
    if given.n == 0 then refuse("no number") end
    return f(unpack(given, 1, given.n))
  end
end
MATH.max, MATH.min = chosen(maths.max), chosen(maths.min)

local TABLE = {}
local function a_list(t)
  if type(t) ~= "table" or kind_of(t) == "object" then refuse("no list") end
  return count_of(t)
end
function TABLE.insert(t, ...)
  local count, given = a_list(t), lists.pack(...)
  if given.n == 1 then O.set(t, count + 1, given[1]) return end
  local at = position(given[1])
  if at < 1 or at > count + 1 then refuse("bad position") end
  for i = count, at, -1 do t[i + 1] = t[i] end
  t[at] = given[2]
  listed(t, count + 1)
end
function TABLE.remove(t, at)
  local count = a_list(t)
  if at ~= nil and (position(at) < 1 or at > count + 1) then refuse("bad position") end
  at = at or count
  if count == 0 or at > count then return nil end
  local item = t[at]
  for i = at, count do t[i] = t[i + 1] end
  t[count] = nil
  listed(t, count - 1)
  return item
end
function TABLE.concat(t, between)
  local out = {}
  for i = 1, a_list(t) do out[i] = text_of(t[i]) end
  return lists.concat(out, between == nil and "" or a_text(between))
end
function TABLE.sort(t, order)
  local count = a_list(t)
  if order then
    local sorted = by_lua(function(list) lists.sort(list, order) return list end, t)
    for i = 1, count do t[i] = sorted[i] end
    return
  end
  for i = 1, count do
    if type(t[i]) ~= type(t[1]) or not (mtype(t[i]) or type(t[i]) == "string") then
      refuse("not in order")
    end
  end
  lists.sort(t)
end

-- A table of the library in which *flows* are a flow's own, and the others are steps.
local function library(own, flows)
  local made = {}
  for name, f in next, own do
    local mine = flows[name]
    made[name] = type(f) ~= "function" and f or function(...)
      if raw > 0 then return f(...) end
      if mine then return mine(...) end
      return by_lua(f, ...)
    end
  end
  LISTED[made] = true
  return made
end
STRING.gmatch = texts.gmatch
local LIBRARY = {
  string = library(texts, STRING),
  math = library(maths, MATH),
  table = library(lists, TABLE),
  utf8 = library(utf8, {}),
}

function O.method(name, s, ...)
  if type(s) ~= "string" then
    if STRING[name] and name ~= "find" and name ~= "gmatch" then refuse("only texts have methods") end
    failed_step("only texts have methods") -- a step of Lua asks for it
  end
  if name == "gmatch" then return texts.gmatch(s, ...) end
  return LIBRARY.string[name](s, ...)
end

local function environment(call)
  local env = { __o = O, type = type, select = select }
  for name, made in next, LIBRARY do env[name] = made end
  env.error, env.pcall, env.parallel = flow_error, flow_pcall, parallel
  env.pairs, env.ipairs = flow_pairs, flow_ipairs
  env.copy, env.limit, env.array = copy, function() end, function(t) return t or {} end
  env.rawequal, env.rawget, env.rawlen = rawequal, rawget, rawlen
  env.tostring = function(value)
    if raw > 0 or (OFF.table_text and type(value) == "table") then return tostring(value) end
    return value == nil and "nil" or type(value) == "boolean" and tostring(value) or text_of(value)
  end
  env.tonumber = function(value, ...)
    if raw == 0 and mtype(value) and select("#", ...) == 0 then return value end
    return by_lua(tonumber, value, ...)
  end
  env.next = function(t, ...)
    if raw > 0 then return next(t, ...) end
    return keys_of(t)[1]
  end
  env.assert = function(value, message)
    if value then return value end
    flow_error(message == nil and "assertion failed!" or message)
  end
  local flow = { array = env.array, fail = flow_error }
  LISTED[flow] = true
  function flow.sleep(seconds) call("swarm.sleep", json.encode(seconds)) end
  function flow.fn(name)
    return function(input)
      local given = json.encode(input)
      local ok, answer, message = call(name, given)
      if ok and OFF.copies and answer == HOST.compact(given) then return input end
      if ok then return json.decode(answer) end
      raise({ code = "step.failed", cause_code = answer, message = message }, 0)
    end
  end
  function flow.blueprint(spec) return spec.flow end
  env.require = function() return flow end
  return env
end

local function set_of(words)
  local set = {}
  for _, word in ipairs(words) do set[word] = true end
  return set
end

-- Load a script; return a function that runs the i-th of its flows on a context as JSON.
-- *steps* are the helpers that steps of Lua compute, *off* the differences to leave out.
return function(source, name, call, host)
  HOST = host
  raw = 1
  local flows = assert(load(source, name, "t", environment(call)))()
  raw = 0
  if type(flows) == "function" then flows = { flows } end
  return function(i, ctx_json, steps, off, codes)
    OFF, STEPS, CODES, raw = set_of(off), set_of(steps), set_of(codes), 0
    local main = flows[i]
    local ctx = json.decode(ctx_json)
    local count, dead = 0, false
    debug.sethook(function()
      count = count + 1
      if dead or count > 2000 then dead = true raise("too long", 0) end
    end, "", 1000)
    local ok, value = protected(main, ctx)
    debug.sethook()
    raw = 0
    if dead then return "long", "" end
    if not ok then
      value = told(value)
      if type(value) ~= "table" then return "error", RUNTIME, tostring(value) end
      return "error", tostring(value.code), tostring(value.message)
    end
    if value == nil and not OFF.whole_context then value = ctx end
    local encoded, text = protected(json.encode, value)
    if text == CYCLE then return "long", "" end -- no flow holds a table inside itself
    if not encoded then return "error", RUNTIME, "" end
    return "ok", text
  end
end
