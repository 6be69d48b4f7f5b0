-- Values as strings: how JSON crosses between Lua and its host.
--
-- KEEP IN STEP with convert.py, where both forms are described: what comes in is as Python's
-- marshal writes it, what goes out is JSON with its texts behind it.  Encoding walks raw tables:
-- no metamethod of the value runs, so a lying value costs its author nothing but an error.

local getmetatable = debug.getmetatable
local setmetatable, type, next, rawget, rawlen, rawequal, error, tostring =
  setmetatable, type, next, rawget, rawlen, rawequal, error, tostring
local unpack, byte, char, sub = string.unpack, string.byte, string.char, string.sub
local find, format, gsub = string.find, string.format, string.gsub
local concat, sort, mtype, ulen = table.concat, table.sort, math.type, utf8.len
local HUGE, min = math.huge, math.min

local SEGMENTS = 12 -- of a place that is shown
-- Values between two payments, and what each costs, in instructions.  Few: to find that a table
-- which was large is empty takes some milliseconds.
local STRIDE <const>, EACH <const> = 32, 16
-- Keys that are kept as they are written, and the longest of them.
local KEYS <const>, KEY <const> = 256, 40
-- Bytes of a key between two payments.
local PIECE <const> = 4096
-- Members of an object whose keys are remembered for the next one.
local ALIKE <const> = 32
-- In place of each text, which stands behind the JSON; and what stands between texts: a byte
-- that no text has.
local TEXT <const>, BETWEEN <const> = "NaN", "\xff"
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
local out, n -- the pieces of its JSON
local texts, t -- its texts
local path -- to the table that is being written
local shapes -- of the last object at each depth
local limits, pay, label, mixed -- see encode
local values, bytes, most_bytes
local owed, looks, paid -- values to be paid, tables since the last look, what was paid

local function refuse(why, depth, key)
  local where = {}
  for at = 1, min(depth, SEGMENTS) do where[at] = segment(at < depth and path[at] or key) end
  if depth > SEGMENTS then where[SEGMENTS + 1] = "…" end
  error((label or "value") .. concat(where) .. " cannot leave Lua: " .. why, 0)
end

local function too_many_values() refuse("more than " .. limits.values .. " values", 0) end

local function too_many_bytes() refuse("more than " .. limits.bytes .. " bytes", 0) end

local function no_text(depth, key) refuse("a string that is not valid UTF-8", depth, key) end

local function rest()
  if pay then pay(owed * EACH) end
  paid, owed, looks = paid + owed * EACH, 0, 0
end

local function count_values(more)
  values, owed = values + more, owed + more
  if values > limits.values then too_many_values() end
end

-- What may not stand in JSON as it is.
local UNFIT, ESCAPES = '[%c"\\]', {}
for code = 0, 127 do
  local letter = char(code)
  if find(letter, UNFIT) then ESCAPES[letter] = format("\\u%04x", code) end
end

-- A long key takes its time, so it is paid piece by piece.
local function fit(key)
  if #key <= PIECE then return (gsub(key, UNFIT, ESCAPES)) end
  local pieces = {}
  for at = 1, #key, PIECE do
    if pay then pay(PIECE) end
    pieces[#pieces + 1] = gsub(sub(key, at, at + PIECE - 1), UNFIT, ESCAPES)
  end
  return concat(pieces)
end

-- Keys as they are written: after others, before a text, and (by how they would be after others)
-- as the first.  Most come again, in this value and the next.
local heads, text_heads, firsts, kept = {}, {}, {}, 0

local function head_of(key, depth)
  if not ulen(key) then no_text(depth, path[depth]) end
  local head = ',"' .. fit(key) .. '":'
  if #key <= KEY then
    if kept >= KEYS then heads, text_heads, firsts, kept = {}, {}, {}, 0 end
    heads[key], text_heads[key], kept = head, head .. TEXT, kept + 1
  end
  return head
end

local function first_of(head)
  local first = "{" .. sub(head, 2)
  if kept < KEYS then firsts[head], kept = first, kept + 1 end
  return first
end

local put_table

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

local function float_written(value, depth, key)
  if value ~= value or value == HUGE or value == -HUGE then
    local shown = value ~= value and "nan" or tostring(value)
    refuse("the number " .. shown .. " is not finite", depth, key)
  end
  local text = format("%.17g", value)
  return find(text, "[.e]") and text or text .. ".0"
end

-- Write what is no text.
local function put(value, kind, depth, key)
  if kind == "table" then return put_table(value, depth, key) end
  n = n + 1
  if kind == "number" then
    out[n] = mtype(value) == "integer" and value or float_written(value, depth, key)
  elseif kind == "boolean" then
    out[n] = value and "true" or "false"
  elseif kind == "nil" then
    out[n] = "null"
  else
    refuse("a " .. kind, depth, key)
  end
end

local function put_text(text, depth, key)
  bytes = bytes + #text
  if bytes > most_bytes then too_many_bytes() end
  if not ulen(text) then no_text(depth, key) end
  t = t + 1
  texts[t] = text
end

local function put_items(list, count, depth)
  local inner, before, text_before = depth + 1, "[", "[" .. TEXT
  for at = 1, count do
    local item = list[at] -- it is there: no metamethod is asked
    local kind = type(item)
    n = n + 1
    if kind == "string" then
      out[n] = text_before
      put_text(item, inner, at)
    else
      out[n] = before
      put(item, kind, inner, at)
    end
    before, text_before = ",", "," .. TEXT
  end
  n = n + 1
  out[n] = count > 0 and "]" or "[]"
end

-- One order for every run: replay and hashes depend on it.
local function sorted_keys(object, list_count, depth)
  local keys, count, size, room = {}, 0, 0, limits.values - values
  local function fits(key)
    return type(key) == "string" or mtype(key) == "integer" and key >= 1 and key <= list_count
  end
  for key in next, object do
    if type(key) == "string" then
      count, size = count + 1, size + #key
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
  return { keys = keys, count = count, size = size, known = false }
end

local function known_of(shape)
  local known = {}
  for k = 1, shape.count do known[shape.keys[k]] = true end
  shape.known = known
  return known
end

local function has_shape(object, shape)
  local known, count = shape.known or known_of(shape), 0
  for key in next, object do
    if not known[key] then return false end
    count = count + 1
  end
  return count == shape.count
end

-- What an object is like: its keys, in their order.  Objects beside each other are mostly alike.
local function shape_of(object, list_count, depth)
  local last = shapes[depth]
  if last and list_count == 0 and has_shape(object, last) then return last end
  local shape = sorted_keys(object, list_count, depth)
  if shape.count <= ALIKE then shapes[depth] = shape end
  return shape
end

local function put_members(object, keys, count, depth)
  local inner = depth + 1
  for k = 1, count do
    local key = keys[k]
    local value = object[key] -- it is there: no metamethod is asked
    local kind = type(value)
    n = n + 1
    if kind == "string" then
      out[n] = text_heads[key] or head_of(key, depth) .. TEXT
      put_text(value, inner, key)
    else
      out[n] = heads[key] or head_of(key, depth)
      put(value, kind, inner, key)
    end
  end
end

local function put_list_part(object, count, depth)
  for at = 1, count do
    if rawget(object, at) == nil then refuse_holes(depth) end
  end
  n = n + 1
  out[n] = ',"' .. mixed .. '":'
  put_items(object, count, depth)
end

local function put_object(object, list_count, depth)
  local shape = shape_of(object, list_count, depth)
  local count = shape.count
  count_values(count + list_count)
  bytes = bytes + shape.size
  if bytes > most_bytes then too_many_bytes() end
  local opened = n + 1
  put_members(object, shape.keys, count, depth)
  if list_count > 0 then put_list_part(object, list_count, depth) end
  n = n + 1
  if n == opened then
    out[n] = "{}"
  else
    local head = out[opened]
    out[opened], out[n] = firsts[head] or first_of(head), "}"
  end
end

function put_table(value, depth, key)
  local marks = getmetatable(value)
  local mark = marks and MARKS[marks]
  if mark == "null" then
    n = n + 1
    out[n] = "null"
    return
  end
  if depth >= limits.depth then
    refuse("nested deeper than " .. limits.depth .. ", or a cycle", depth, key)
  end
  looks = looks + 1
  if looks + owed > STRIDE then rest() end
  path[depth] = key
  local count = rawlen(value)
  if mark ~= "list" and (count == 0 or mixed and rawget(value, "__swarm") ~= nil) then
    return put_object(value, count, depth)
  end
  count_values(count)
  check_list(value, count, depth)
  return put_items(value, count, depth)
end

-- Write a value as a string.
--
-- most: depth, values, bytes; payer: told what it costs, as it goes (none given: nobody
-- pays); called: what the value is in a refusal; list_part: the name under which the list part
-- of a table with both parts leaves (author's form), or nil to refuse such tables.
local function encode(root, most, payer, called, list_part)
  limits, pay, label, mixed = most, payer, called, list_part
  out, n, texts, t = {}, 0, nil, 0
  values, bytes, most_bytes = 1, 0, most.bytes
  owed, looks, paid = 1, 0, 0
  local kind = type(root)
  if kind == "string" then
    out[1], n, texts = TEXT, 1, {}
    put_text(root, 0)
  else
    if kind == "table" then texts, path, shapes = {}, {}, {} end
    put(root, kind, 0)
  end
  if bytes + 8 * values > most_bytes then too_many_bytes() end
  if pay then pay(values * EACH + bytes // BYTES - paid) end
  local json = concat(out, "", 1, n)
  local behind = t > 0 and BETWEEN .. concat(texts, BETWEEN, 1, t) or ""
  out, texts, path, shapes = nil, nil, nil, nil
  -- Numbers may be longer than they were counted for, and keys of odd letters are.
  if #json + #behind > 2 * most_bytes then too_many_bytes() end
  return json .. behind
end

-- What the host wrote: who reads a part has seen its letter, and returns that of the next part
-- and where it goes on.
local NONE, YES, NO, INT, LONG, FLOAT, WORD, LIST, OBJECT, END = byte("NTFilgu[{0", 1, -1)
local CONSTANTS = { [NONE] = null, [YES] = true, [NO] = false }

local take

local function take_long(data, at)
  local count, value, digit = nil, 0, nil
  count, at = unpack("<i4", data, at)
  local sign = count < 0 and -1 or 1
  for place = 0, count * sign - 1 do
    digit, at = unpack("<I2", data, at)
    value = value + (digit << 15 * place)
  end
  return value * sign, byte(data, at), at + 1
end

local function take_list(data, at)
  local list, count, letter = setmetatable({}, ARRAY), nil, nil
  count, letter, at = unpack("<I4B", data, at)
  for i = 1, count do
    if letter == WORD then
      list[i], letter, at = unpack("<s4B", data, at)
    else
      list[i], letter, at = take(letter, data, at)
    end
  end
  return list, letter, at
end

local function take_object(data, at)
  local object, key, letter = {}, nil, byte(data, at)
  at = at + 1
  while letter ~= END do
    key, letter, at = unpack("<s4B", data, at)
    if letter == WORD then
      object[key], letter, at = unpack("<s4B", data, at)
    else
      object[key], letter, at = take(letter, data, at)
    end
  end
  return object, byte(data, at), at + 1
end

function take(letter, data, at)
  if letter == OBJECT then return take_object(data, at) end
  if letter == INT then return unpack("<i4B", data, at) end
  if letter == LIST then return take_list(data, at) end
  if letter == WORD then return unpack("<s4B", data, at) end
  if letter == FLOAT then return unpack("<dB", data, at) end
  if letter == LONG then return take_long(data, at) end
  return CONSTANTS[letter], byte(data, at), at + 1
end

local function decode(data)
  local value = take(byte(data), data, 2)
  return value
end

return {
  ARRAY = ARRAY,
  array = array,
  decode = decode,
  encode = encode,
  null = null,
  showable = showable,
}
