-- Values as strings: how JSON crosses between Lua and its host.
--
-- Each value is a letter and what follows it, little endian:
--
--   z null   t true   f false   i int64   d double   s bytes (u32 length before them)
--   a u32 count, the items      o u32 count, then per member: key as of s, value
--
-- KEEP IN STEP with convert.py.  Encoding walks raw tables: no metamethod of the value
-- runs, so a lying value costs its author nothing but an error.

local getmetatable = debug.getmetatable
local setmetatable, type, next, rawget, rawlen, rawequal, error, tostring =
  setmetatable, type, next, rawget, rawlen, rawequal, error, tostring
local pack, unpack, byte, sub = string.pack, string.unpack, string.byte, string.sub
local find, format = string.find, string.format
local concat, sort, mtype, ulen = table.concat, table.sort, math.type, utf8.len
local HUGE, min = math.huge, math.min

local SEGMENTS = 12 -- of a place that is shown
-- Values between two payments, and what each costs, in instructions.  Few: to find that a table
-- which was large is empty takes some milliseconds.
local STRIDE <const>, EACH <const> = 32, 16
-- Keys that are kept as they are written, and the longest of them.
local KEYS <const>, KEY <const> = 256, 40
-- Bytes of text that cost one.
local BYTES <const> = 64

local NOTHING = {
  __metatable = "null",
  __tostring = function() return "null" end,
  __newindex = function() error("null is read-only", 2) end,
}

-- The shared sentinel of JSON null; locked, and the libraries refuse to write into it.
local null = setmetatable({}, NOTHING)

-- The metatable that marks a table as a list, so that an empty one stays a list.
local ARRAY = { __metatable = "array" }

-- What our metatables say of a table: looked up raw, where == might ask a metatable's own __eq.
local MARKS = { [NOTHING] = "null", [ARRAY] = "list" }

local function array(list)
  if list == nil then list = {} end
  if type(list) ~= "table" or rawequal(list, null) then
    error("array: expected a table, got " .. (rawequal(list, null) and "null" or type(list)), 2)
  end
  local now = getmetatable(list)
  if now ~= nil and not rawequal(now, ARRAY) then
    error("array: expected a table without metatable", 2)
  end
  return setmetatable(list, ARRAY)
end

-- Make any bytes fit to be shown: valid UTF-8, not longer than limit bytes.
local function showable(text, limit)
  if #text > limit then text = sub(text, 1, limit - 3) .. "..." end
  local good, bad = ulen(text)
  while not good do
    text = sub(text, 1, bad - 1) .. "?" .. sub(text, bad + 1)
    good, bad = ulen(text, bad)
  end
  return text
end

local function segment(key)
  if type(key) == "number" then return "[" .. tostring(key) .. "]" end
  if find(key, "^[%a_][%w_]*$") and #key <= 40 then return "." .. key end
  return format("[%q]", showable(key, 40))
end

local function key_shown(key)
  local kind = type(key)
  if kind == "string" then return format("%q", showable(key, 40)) end
  if kind == "number" or kind == "boolean" then return tostring(key) end
  return "of type " .. kind
end

-- The value that is being written.  One at a time: nothing of a script runs meanwhile.
local out, n -- its pieces
local path -- to the table that is being written
local limits, pay, label, mixed -- see encode
local values, bytes, paid, pause

local function refuse(why, depth, key)
  local where = {}
  for at = 1, min(depth, SEGMENTS) do where[at] = segment(at < depth and path[at] or key) end
  if depth > SEGMENTS then where[SEGMENTS + 1] = "…" end
  error((label or "value") .. concat(where) .. " cannot leave Lua: " .. why, 0)
end

local function too_many_values() refuse("more than " .. limits.values .. " values", 0) end

local function rest()
  if values > limits.values then too_many_values() end
  if pay then pay(STRIDE * EACH) end
  paid = paid + STRIDE * EACH
  pause = min(pause + STRIDE, limits.values)
end

local function count_bytes(more)
  bytes = bytes + more
  if bytes > limits.bytes then refuse("more than " .. limits.bytes .. " bytes", 0) end
end

local function check_text(text, depth, key)
  if not ulen(text) then refuse("a string that is not valid UTF-8", depth, key) end
end

-- Most keys come again, in this value and the next.
local keys_packed, keys_kept = {}, 0

local function key_packed(key, depth)
  check_text(key, depth, path[depth])
  local packed = pack("<s4", key)
  if #key <= KEY then
    if keys_kept >= KEYS then keys_packed, keys_kept = {}, 0 end
    keys_packed[key], keys_kept = packed, keys_kept + 1
  end
  return packed
end

local put

local function refuse_holes(depth)
  refuse("a list with holes (write null for nothing)", depth, path[depth])
end

local RANK = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local kind, other = type(a), type(b)
  local rank, other_rank = RANK[kind] or 4, RANK[other] or 4
  if rank ~= other_rank then return rank < other_rank end
  if kind ~= other then return kind < other end
  if kind == "boolean" then return not a and b end
  return rank < 4 and a < b
end

-- Name the least of the keys that do not fit: which next meets first is another in every runtime.
local function refuse_key(container, why, fits, depth)
  local least
  for key in next, container do
    if not fits(key) and (least == nil or before(key, least)) then least = key end
  end
  refuse(why .. key_shown(least), depth, path[depth])
end

-- Refuse what is no list, before any of it is written.
local function check_list(list, count, depth)
  local found, whole = 0, true
  for key in next, list do
    found = found + 1
    if key ~= found then
      if mtype(key) ~= "integer" then
        local function fits(other) return mtype(other) == "integer" end
        refuse_key(list, "a list that also has the key ", fits, depth)
      end
      whole = whole and key >= 1 and key <= count
    end
  end
  if found ~= count or not whole then refuse_holes(depth) end
end

local function put_list(list, count, depth)
  check_list(list, count, depth)
  n = n + 1
  out[n] = pack("<c1I4", "a", count)
  for at = 1, count do
    local item = list[at] -- it is there: no metamethod is asked
    put(item, type(item), depth + 1, at)
  end
end

-- One order for every run: replay and hashes depend on it.
local function sorted_keys(object, list_count, depth)
  local keys, count, room = {}, 0, limits.values - values
  local function fits(key)
    return type(key) == "string" or mtype(key) == "integer" and key >= 1 and key <= list_count
  end
  for key in next, object do
    if type(key) == "string" then
      count = count + 1
      if count > room then too_many_values() end
      keys[count] = key
    elseif not fits(key) then
      refuse_key(object, "an object with the key ", fits, depth)
    end
  end
  if count > 1 then
    if pay and count > STRIDE then pay(count) end
    sort(keys)
  end
  return keys, count
end

local function put_object(object, list_count, depth)
  local keys, count = sorted_keys(object, list_count, depth)
  n = n + 1
  out[n] = pack("<c1I4", "o", count + (list_count > 0 and 1 or 0))
  for k = 1, count do
    local key = keys[k]
    n = n + 1
    count_bytes(#key)
    out[n] = keys_packed[key] or key_packed(key, depth)
    local value = object[key] -- it is there: no metamethod is asked
    put(value, type(value), depth + 1, key)
  end
  if list_count > 0 then
    n = n + 1
    out[n] = pack("<s4c1I4", mixed, "a", list_count)
    for at = 1, list_count do
      local item = rawget(object, at)
      if item == nil then refuse_holes(depth) end
      put(item, type(item), depth + 1, at)
    end
  end
end

local function put_table(value, depth, key)
  local marks = getmetatable(value)
  local mark = marks and MARKS[marks]
  if mark == "null" then
    n = n + 1
    out[n] = "z"
    return
  end
  if depth >= limits.depth then
    refuse("nested deeper than " .. limits.depth .. ", or a cycle", depth, key)
  end
  path[depth] = key
  local count = rawlen(value)
  if count > limits.values then too_many_values() end
  if mark == "list" then return put_list(value, count, depth) end
  if count == 0 or mixed and rawget(value, "__swarm") ~= nil then
    return put_object(value, count, depth)
  end
  return put_list(value, count, depth)
end

local function number_packed(value, depth, key)
  if mtype(value) == "integer" then return pack("<c1i8", "i", value) end
  if value ~= value or value == HUGE or value == -HUGE then
    local shown = value ~= value and "nan" or tostring(value)
    refuse("the number " .. shown .. " is not finite", depth, key)
  end
  return pack("<c1d", "d", value)
end

function put(value, kind, depth, key)
  values = values + 1
  if values > pause then rest() end
  if kind == "table" then return put_table(value, depth, key) end
  n = n + 1
  if kind == "string" then
    count_bytes(#value)
    check_text(value, depth, key)
    out[n] = pack("<c1s4", "s", value)
  elseif kind == "number" then
    out[n] = number_packed(value, depth, key)
  elseif kind == "boolean" then
    out[n] = value and "t" or "f"
  elseif kind == "nil" then
    out[n] = "z"
  else
    refuse("a " .. kind, depth, key)
  end
end

-- Write a value as a string.
--
-- most: depth, values, bytes; payer: told what it costs, as it goes (none given: nobody
-- pays); called: what the value is in a refusal; list_part: the name under which the list part
-- of a table with both parts leaves (author's form), or nil to refuse such tables.
local function encode(root, most, payer, called, list_part)
  limits, pay, label, mixed = most, payer, called, list_part
  out, n, path, values, bytes, paid, pause = {}, 0, {}, 0, 0, 0, min(STRIDE, most.values)
  put(root, type(root), 0)
  if bytes + 8 * values > most.bytes then refuse("more than " .. most.bytes .. " bytes", 0) end
  if pay then pay(values * EACH + bytes // BYTES - paid) end
  local pieces = out
  out, path = nil, nil
  return concat(pieces, "", 1, n)
end

local Z, T, F, I, D, S, A = byte("ztfidsa", 1, -1)

-- Read what the host wrote.
local function decode(data)
  local at = 1
  local function take()
    local tag = byte(data, at)
    local value
    if tag == S then
      value, at = unpack("<s4", data, at + 1)
    elseif tag == I then
      value, at = unpack("<i8", data, at + 1)
    elseif tag == D then
      value, at = unpack("<d", data, at + 1)
    elseif tag == Z then
      value, at = null, at + 1
    elseif tag == T then
      value, at = true, at + 1
    elseif tag == F then
      value, at = false, at + 1
    elseif tag == A then
      local count
      count, at = unpack("<I4", data, at + 1)
      value = setmetatable({}, ARRAY)
      for i = 1, count do value[i] = take() end
    else
      local count, key
      count, at = unpack("<I4", data, at + 1)
      value = {}
      for _ = 1, count do
        key, at = unpack("<s4", data, at)
        value[key] = take()
      end
    end
    return value
  end
  return take()
end

return {
  ARRAY = ARRAY,
  array = array,
  decode = decode,
  encode = encode,
  null = null,
  showable = showable,
}
