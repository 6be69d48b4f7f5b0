-- The standard library as scripts see it: pure, deterministic, paid for.
--
-- Left out: all that reaches outside (io, os, package, debug, load, print), shows addresses
-- or garbage collection, or runs the script's code where hooks are off (__gc).  pairs goes in
-- a fixed order, sort is stable, random is seeded.  Functions on lists are raw: they ignore
-- metamethods, because a loop in C over a lying __len or __index could not be stopped.
-- A script that writes __mode into a metatable after setmetatable gets a weak table, and with
-- it what the garbage collector decides; nobody else is affected.

local convert, meter = (...).convert, (...).meter
local patterns, by_pattern = (...).patterns, (...).matching
local null, array, ARRAY = convert.null, convert.array, convert.ARRAY
local blame, charge = meter.blame, meter.charge
local getmetatable = debug.getmetatable
local raw_setmetatable, raw_tostring, raw_tonumber = setmetatable, tostring, tonumber
local type, next, error, select, assert, ipairs = type, next, error, select, assert, ipairs
local rawget, rawset, rawlen, rawequal = rawget, rawset, rawlen, rawequal
local string, table, math, utf8, coroutine = string, table, math, utf8, coroutine
local find, gsub, sort, concat = string.find, string.gsub, table.sort, table.concat
local pack, unpack = table.pack, table.unpack
local mtype, tointeger, floor = math.type, math.tointeger, math.floor

local MAX_SUBJECT = 512 * 1024
local MAX_PATTERN = 512
local MAX_REPEATED = 8 * 1024 * 1024
local MAX_UNPACKED = 8000
-- Bytes that C handles in the time of about one instruction.
local BYTES = 64
local NAN = string.unpack("<d", "\0\0\0\0\0\0\xf8\x7f")

local function wrong(position, name, expected, value)
  local got = value == nil and "no value" or rawequal(value, null) and "null" or type(value)
  local said = " (" .. expected .. " expected, got " .. got .. ")"
  blame("bad argument #" .. position .. " to '" .. name .. "'" .. said)
end

local function copy(source, names)
  local result = {}
  for name in string.gmatch(names, "%S+") do result[name] = source[name] end
  return result
end

local function copy_all(source)
  local result = {}
  for name, value in next, source do result[name] = value end
  return result
end

-- values ----------------------------------------------------------------------------------

local SHOWN_AS_THEY_ARE = { string = true, number = true, boolean = true, ["nil"] = true }

local function tostring(value)
  local kind = type(value)
  if kind == "number" and value ~= value then return "nan" end
  if SHOWN_AS_THEY_ARE[kind] then return raw_tostring(value) end
  local mt = kind == "table" and getmetatable(value)
  local show = mt and rawget(mt, "__tostring")
  if not show then return kind end
  local text = show(value)
  if type(text) ~= "string" then blame("'__tostring' must return a string") end
  return text
end

local function tonumber(value, ...)
  if type(value) == "string" then charge(#value // BYTES) end
  return raw_tonumber(value, ...)
end

local function check_table(value, position, name)
  if type(value) ~= "table" then wrong(position, name, "table", value) end
end

local function safe_getmetatable(value)
  local mt = type(value) == "table" and getmetatable(value) or nil
  if mt == nil then return nil end
  local shown = rawget(mt, "__metatable")
  if shown ~= nil then return shown end
  return mt
end

local function safe_setmetatable(value, mt)
  check_table(value, 1, "setmetatable")
  if mt ~= nil and type(mt) ~= "table" then wrong(2, "setmetatable", "nil or table", mt) end
  local old = getmetatable(value)
  if old and rawget(old, "__metatable") ~= nil then blame("cannot change a protected metatable") end
  if mt and (rawget(mt, "__gc") ~= nil or rawget(mt, "__mode") ~= nil) then
    blame("__gc and __mode are not available")
  end
  return raw_setmetatable(value, mt)
end

local function safe_rawset(value, key, new)
  check_table(value, 1, "rawset")
  if rawequal(value, null) then blame("null is read-only") end
  return rawset(value, key, new)
end

-- order -----------------------------------------------------------------------------------

local RANK = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local kind, other = type(a), type(b)
  if kind ~= other then return RANK[kind] < RANK[other] end
  if kind == "boolean" then return not a and b end
  return a < b
end

local function ordered_keys(value, count)
  local keys, n, plain = {}, 0, true
  for key in next, value do
    if not (mtype(key) == "integer" and key >= 1 and key <= count) then
      local kind = type(key)
      if not RANK[kind] then
        blame("cannot iterate: a key of type " .. kind .. " has no fixed order")
      end
      n = n + 1
      keys[n] = key
      plain = plain and kind == "string"
    end
  end
  charge(count // BYTES + n)
  if n > 1 then
    if plain then sort(keys) else sort(keys, before) end
  end
  return keys, n
end

local function pairs(value)
  local mt = getmetatable(value)
  local own = mt and rawget(mt, "__pairs")
  if own then return own(value) end
  check_table(value, 1, "pairs")
  local count = rawlen(value)
  local keys, n = ordered_keys(value, count)
  local i = 0
  local function step()
    while i < count + n do
      i = i + 1
      local key = i
      if i > count then key = keys[i - count] end
      local member = rawget(value, key)
      if member ~= nil then return key, member end
    end
    return nil
  end
  return step, value, nil
end

local function first(value, key)
  check_table(value, 1, "next")
  if key ~= nil then blame("next(t, key) is not available, use pairs") end
  local some = next(value)
  if some == nil then return nil end
  local count = rawlen(value)
  if count > 0 then return 1, rawget(value, 1) end
  local keys = ordered_keys(value, count)
  return keys[1], rawget(value, keys[1])
end

-- strings ---------------------------------------------------------------------------------

-- Wrap a function whose work grows with its first argument.
local function paid(f)
  return function(s, ...)
    if type(s) == "string" then charge(#s // BYTES) end
    return f(s, ...)
  end
end

local function matching(f, name)
  return function(s, pattern, ...)
    if type(s) == "string" then
      if #s > MAX_SUBJECT then
        blame(name .. ": a subject of more than " .. MAX_SUBJECT .. " bytes")
      end
      charge(#s // BYTES)
    end
    if type(pattern) == "string" and #pattern > MAX_PATTERN then
      blame(name .. ": a pattern of more than " .. MAX_PATTERN .. " bytes")
    end
    return f(s, pattern, ...)
  end
end

local function replaced(f)
  local gsub = matching(f, "gsub")
  local function pay(result, ...)
    charge(#result // BYTES)
    return result, ...
  end
  return function(...) return pay(gsub(...)) end
end

local function rep(s, times, separator)
  if type(s) == "number" then s = raw_tostring(s) end
  if type(s) ~= "string" then wrong(1, "rep", "string", s) end
  local count = tointeger(times) or wrong(2, "rep", "integer", times)
  separator = separator or ""
  if type(separator) ~= "string" then wrong(3, "rep", "string", separator) end
  local each = #s + #separator
  -- In Lua 5.4 an empty string is still repeated one by one.
  if count <= 0 or each == 0 then return "" end
  if count > MAX_REPEATED // each then
    blame("rep: a result of more than " .. MAX_REPEATED .. " bytes")
  end
  charge(each * count // BYTES)
  return string.rep(s, count, separator)
end

local function format(pattern, ...)
  if type(pattern) ~= "string" then wrong(1, "format", "string", pattern) end
  if #pattern > MAX_SUBJECT then
    blame("format: a format of more than " .. MAX_SUBJECT .. " bytes")
  end
  -- Two percent signs are one: what follows them is text.
  if find(gsub(pattern, "%%%%", ""), "%%[-+ #0-9.]*p") then blame("format: '%p' is not available") end
  local args = pack(...)
  local size = #pattern
  for i = 1, args.n do
    local kind = type(args[i])
    if kind == "string" then
      size = size + #args[i]
    elseif kind == "number" then
      -- Its sign is the machine's.
      if args[i] ~= args[i] then args[i] = NAN end
    elseif not SHOWN_AS_THEY_ARE[kind] then
      args[i] = tostring(args[i])
    end
  end
  charge(size // BYTES)
  return string.format(pattern, unpack(args, 1, args.n))
end

local function packed(...)
  local result = string.pack(...)
  -- Padding is written byte by byte.
  charge(#result // 8)
  return result
end

local strings = copy(string, "char len")
for name in string.gmatch("byte lower packsize reverse sub unpack upper", "%S+") do
  strings[name] = paid(string[name])
end
for name in string.gmatch("find gmatch match", "%S+") do
  strings[name] = matching(by_pattern[name], name)
end
strings.gsub, strings.rep = replaced(by_pattern.gsub), rep
strings.format, strings.pack = format, packed

local codes = copy(utf8, "char charpattern")
for name in string.gmatch("codepoint codes len offset", "%S+") do
  codes[name] = paid(utf8[name])
end

-- lists -----------------------------------------------------------------------------------

local function check_list(value, name)
  check_table(value, 1, name)
  if rawequal(value, null) then blame(name .. ": null is read-only") end
end

local function check_integer(value, position, name)
  return tointeger(value) or wrong(position, name, "integer", value)
end

local function insert(list, ...)
  check_list(list, "insert")
  local given = select("#", ...)
  local at, value = ...
  local last = rawlen(list) + 1
  if given == 1 then return rawset(list, last, at) and nil end
  if given ~= 2 then blame("wrong number of arguments to 'insert'") end
  at = check_integer(at, 2, "insert")
  if at < 1 or at > last then blame("bad argument #2 to 'insert' (position out of bounds)") end
  for i = last, at + 1, -1 do rawset(list, i, rawget(list, i - 1)) end
  rawset(list, at, value)
end

local function remove(list, at)
  check_list(list, "remove")
  local last = rawlen(list)
  if at == nil then at = last end
  at = check_integer(at, 2, "remove")
  if (at < 1 or at > last + 1) and not (last == 0 and at == 0) then
    blame("bad argument #2 to 'remove' (position out of bounds)")
  end
  local removed = rawget(list, at)
  for i = at, last - 1 do rawset(list, i, rawget(list, i + 1)) end
  if at <= last then rawset(list, last, nil) end
  return removed
end

local function move(from, first_index, last_index, to_index, to)
  check_list(from, "move")
  to = to == nil and from or to
  check_table(to, 5, "move")
  if rawequal(to, null) then blame("move: null is read-only") end
  local f, e = check_integer(first_index, 2, "move"), check_integer(last_index, 3, "move")
  local t = check_integer(to_index, 4, "move")
  if e < f then return to end
  if t > e or t <= f or not rawequal(from, to) then
    for i = 0, e - f do rawset(to, t + i, rawget(from, f + i)) end
  else
    for i = e - f, 0, -1 do rawset(to, t + i, rawget(from, f + i)) end
  end
  return to
end

-- A list without metamethods that C functions may walk.
local function plain(list, from, to)
  local mt = getmetatable(list)
  if mt == nil or rawequal(mt, ARRAY) then return list end
  local result = {}
  for i = from, to do result[i] = rawget(list, i) end
  return result
end

local function joined(list, separator, from, to)
  check_list(list, "concat")
  from = from == nil and 1 or check_integer(from, 3, "concat")
  to = to == nil and rawlen(list) or check_integer(to, 4, "concat")
  if to > from + rawlen(list) then
    blame("concat: invalid value (at index " .. rawlen(list) + 1 .. ") in table")
  end
  charge(to > from and to - from or 1)
  local result = concat(plain(list, from, to), separator, from, to)
  charge(#result // BYTES)
  return result
end

local function unpacked(list, from, to)
  check_table(list, 1, "unpack")
  from = from == nil and 1 or check_integer(from, 2, "unpack")
  to = to == nil and rawlen(list) or check_integer(to, 3, "unpack")
  if to < from then return end
  -- Beyond the range of integers the difference wraps below zero.
  if to - from < 0 or to - from >= MAX_UNPACKED then
    blame("unpack: more than " .. MAX_UNPACKED .. " results")
  end
  charge(to - from)
  return unpack(plain(list, from, to), from, to)
end

local function less(a, b) return a < b end

local function merge(source, target, low, middle, high, precedes)
  local left, right = low, middle + 1
  for i = low, high do
    if left <= middle and (right > high or not precedes(source[right], source[left])) then
      target[i] = source[left]
      left = left + 1
    else
      target[i] = source[right]
      right = right + 1
    end
  end
end

-- A stable merge sort: Lua's own picks pivots by the clock when a list is lopsided.
local function sorted(list, precedes)
  check_list(list, "sort")
  if precedes ~= nil and type(precedes) ~= "function" then
    wrong(2, "sort", "function", precedes)
  end
  precedes = precedes or less
  local count = rawlen(list)
  local source, target = {}, {}
  for i = 1, count do source[i] = rawget(list, i) end
  local width = 1
  while width < count do
    for low = 1, count, 2 * width do
      local middle = low + width - 1
      local high = middle + width
      if middle > count then middle = count end
      if high > count then high = count end
      merge(source, target, low, middle, high, precedes)
    end
    source, target = target, source
    width = 2 * width
  end
  for i = 1, count do rawset(list, i, source[i]) end
end

local lists = {
  concat = joined,
  insert = insert,
  move = move,
  pack = pack,
  remove = remove,
  sort = sorted,
  unpack = unpacked,
}

-- numbers, coroutines, the environment ------------------------------------------------------

local numbers = copy(math, [[
  abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi
  rad random sin sqrt tan tointeger type ult
]])

-- Lua's own take texts and tables too, and compare them all in one call.
local function of_numbers(f, name)
  return function(...)
    local given = pack(...)
    for i = 1, given.n do
      if not mtype(given[i]) then wrong(i, name, "number", given[i]) end
    end
    return f(...)
  end
end

numbers.max, numbers.min = of_numbers(math.max, "max"), of_numbers(math.min, "min")

function numbers.randomseed(seed)
  -- Without a seed Lua takes one from the clock and an address.
  if type(seed) ~= "number" then wrong(1, "randomseed", "number", seed) end
  math.randomseed(tointeger(seed) or floor(seed * 65536) % 4294967296)
end

local routines = copy(coroutine, "isyieldable running status")
routines.create, routines.resume = meter.create, meter.resume
routines.wrap, routines.yield = meter.wrap, meter.yield

local globals = {
  _VERSION = "Lua 5.4",
  array = array,
  assert = assert,
  error = error,
  getmetatable = safe_getmetatable,
  ipairs = ipairs,
  next = first,
  null = null,
  pairs = pairs,
  pcall = meter.pcall,
  rawequal = rawequal,
  rawget = rawget,
  rawlen = rawlen,
  rawset = safe_rawset,
  select = select,
  setmetatable = safe_setmetatable,
  tonumber = tonumber,
  tostring = tostring,
  type = type,
  xpcall = meter.xpcall,
}

-- The string metatable is one for the whole runtime: methods of strings are the safe ones.
local of_strings = getmetatable("")
of_strings.__index = copy_all(strings)
of_strings.__metatable = "string"

-- Build a fresh world for one script: what it changes there, nobody else sees.
local function environment()
  local env = copy_all(globals)
  env._G = env
  env.coroutine = copy_all(routines)
  env.math = copy_all(numbers)
  env.string = copy_all(strings)
  env.table = copy_all(lists)
  env.utf8 = copy_all(codes)
  return env
end

-- What one script leaves behind is nothing to the next.
local function begin(seed)
  math.randomseed(seed)
  patterns.forget()
end

return { begin = begin, environment = environment }
