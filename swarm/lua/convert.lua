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

-- The shared sentinel of JSON null; locked, and the libraries refuse to write into it.
local null = setmetatable({}, {
  __metatable = "null",
  __tostring = function() return "null" end,
  __newindex = function() error("null is read-only", 2) end,
})

-- The metatable that marks a table as a list, so that an empty one stays a list.
local ARRAY = { __metatable = "array" }

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

-- Write a value as a string.
--
-- limits: depth, values, bytes; mixed: the name under which the list part of a table with
-- both parts leaves (author's form), or nil to refuse such tables.
local function encode(root, limits, label, mixed)
  local out, n, bytes, values = {}, 0, 0, 0
  local most_bytes, most_values = limits.bytes, limits.values
  local path = {}

  local function refuse(why, depth)
    local where = {}
    for i = 1, min(depth, SEGMENTS) do where[i] = segment(path[i]) end
    if depth > SEGMENTS then where[SEGMENTS + 1] = "…" end
    error((label or "value") .. concat(where) .. " cannot leave Lua: " .. why, 0)
  end

  local function check(s, depth)
    if not ulen(s) then refuse("a string that is not valid UTF-8", depth) end
    bytes = bytes + #s
    if bytes > most_bytes then refuse("more than " .. most_bytes .. " bytes", 0) end
  end

  local put

  local function put_list(list, count, depth)
    n = n + 1
    out[n] = pack("<c1I4", "a", count)
    for i = 1, count do
      path[depth + 1] = i
      put(rawget(list, i), depth + 1)
    end
  end

  local function put_list_only(list, count, depth)
    local found = 0
    for key in next, list do
      found = found + 1
      if mtype(key) ~= "integer" then
        refuse("a list that also has the key " .. key_shown(key), depth)
      end
    end
    if found ~= count then refuse("a list with holes (write null for nothing)", depth) end
    put_list(list, count, depth)
  end

  local function put_object(object, list_count, depth)
    local keys, count = {}, 0
    for key in next, object do
      if type(key) == "string" then
        count = count + 1
        if values + count > most_values then
          refuse("more than " .. most_values .. " values", 0)
        end
        keys[count] = key
      elseif not (mtype(key) == "integer" and key >= 1 and key <= list_count) then
        refuse("an object with the key " .. key_shown(key), depth)
      end
    end
    -- One order for every run: replay and hashes depend on it.
    sort(keys)
    n = n + 1
    out[n] = pack("<c1I4", "o", count + (list_count > 0 and 1 or 0))
    for i = 1, count do
      local key = keys[i]
      check(key, depth)
      path[depth + 1] = key
      local value = rawget(object, key)
      n = n + 1
      if type(value) == "string" then
        -- Most members are: key and text in one piece, and no call more.
        values = values + 1
        if values > most_values then refuse("more than " .. most_values .. " values", 0) end
        bytes = bytes + 8
        check(value, depth + 1)
        out[n] = pack("<s4c1s4", key, "s", value)
      else
        out[n] = pack("<s4", key)
        put(value, depth + 1)
      end
    end
    if list_count > 0 then
      n = n + 1
      out[n] = pack("<s4", mixed)
      for i = 1, list_count do
        if rawget(object, i) == nil then
          refuse("a list with holes (write null for nothing)", depth)
        end
      end
      put_list(object, list_count, depth)
    end
  end

  local function put_table(value, depth)
    if depth >= limits.depth then
      refuse("nested deeper than " .. limits.depth .. ", or a cycle", depth)
    end
    local count = rawlen(value)
    if count > most_values then refuse("more than " .. most_values .. " values", 0) end
    if rawequal(getmetatable(value), ARRAY) then return put_list_only(value, count, depth) end
    if count == 0 then return put_object(value, 0, depth) end
    if mixed and rawget(value, "__swarm") ~= nil then return put_object(value, count, depth) end
    return put_list_only(value, count, depth)
  end

  function put(value, depth)
    values = values + 1
    if values > most_values then refuse("more than " .. most_values .. " values", 0) end
    bytes = bytes + 8
    local kind = type(value)
    if kind == "table" and not rawequal(value, null) then return put_table(value, depth) end
    n = n + 1
    if kind == "string" then
      check(value, depth)
      out[n] = pack("<c1s4", "s", value)
    elseif kind == "number" then
      if mtype(value) == "integer" then
        out[n] = pack("<c1i8", "i", value)
      elseif value ~= value or value == HUGE or value == -HUGE then
        local shown = value ~= value and "nan" or tostring(value)
        refuse("the number " .. shown .. " is not finite", depth)
      else
        out[n] = pack("<c1d", "d", value)
      end
    elseif kind == "boolean" then
      out[n] = value and "t" or "f"
    elseif kind == "nil" or kind == "table" then
      out[n] = "z"
    else
      refuse("a " .. kind, depth)
    end
  end

  put(root, 0)
  return concat(out, "", 1, n)
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
