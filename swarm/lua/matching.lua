-- The functions of the string library that match: by C where that is soon over, else here, a repeat
-- at a time as C does it, where every step is paid for.
--
-- What is said of a wrong pattern, and when, is as in lstrlib.c.  See patterns.lua.

local meter, patterns = (...).meter, (...).patterns
local plan_of, free = patterns.plan_of, patterns.free
local byte, char, sub, gsub = string.byte, string.char, string.sub, string.gsub
local find, match_in_c, gmatch = string.find, string.match, string.gmatch
local error, next, type, tonumber, tostring = error, next, type, tonumber, tostring
local tointeger, concat, unpack, HUGE = math.tointeger, table.concat, table.unpack, math.huge

-- Steps between two payments, and what each costs.
local STRIDE <const>, EACH <const> = 256, 4
-- Bytes that C passes over in the time of a step.
local BYTES <const> = 32
-- What makes a pattern more than a text, and the bounds of a match: as in lstrlib.c.
local SPECIAL <const> = "[%^%$%*%+%?%.%(%[%%%-]"
local MAX_CAPTURES <const>, MAX_DEPTH <const> = 32, 200
-- KEEP IN STEP with patterns.lua.
local ONE <const>, MOST <const>, FEW <const>, MAYBE <const> = 1, 2, 3, 4
local OPEN <const>, CLOSE <const>, END <const>, BALANCE <const> = 5, 6, 7, 8
local FRONTIER <const>, BACK <const>, FAULT <const> = 9, 10, 11
local OPEN_END <const>, POSITION <const> = -1, -2

local ALL = {}
for code = 0, 255 do ALL[code] = true end

-- The bytes of a class, as C has them.
local function set_of(class)
  if class == "." then return ALL end
  local set = {}
  for code = 0, 255 do
    if find(char(code), class) then set[code] = true end
  end
  return set
end

-- What is needed of a plan by nobody but who matches here.
local function make_ready(plan)
  local sets = {}
  for _, one in next, plan.parts do
    local class = one.class
    if class then
      sets[class] = sets[class] or set_of(class)
      one.set, one.run = sets[class], "^" .. class .. "*"
    end
  end
  plan.ready = true
end

-- One search at a time: nothing of a script runs meanwhile.
local subject, size, parts
local level, begins, lengths -- of captures
local steps

local function fault(why) error(why, 0) end

local function pay_for(more)
  steps = steps + more
  if steps >= STRIDE then
    meter.pay(steps * EACH)
    steps = 0
  end
end

-- Where the run of a class ends that begins here.
local function run_end(one, at)
  if one.set == ALL then return size + 1 end
  local _, last = find(subject, one.run, at)
  pay_for((last - at) // BYTES)
  return last + 1
end

local function capture_to_close()
  for l = level, 1, -1 do
    if lengths[l] == OPEN_END then return l end
  end
  fault("invalid pattern capture")
end

local function balanced_end(one, at)
  if byte(subject, at) ~= one.first then return nil end
  local depth = 1
  while true do
    local next = find(subject, one.either, at + 1)
    pay_for(1 + ((next or size) - at) // BYTES)
    if not next then return nil end
    at = next
    if byte(subject, at) == one.last then
      depth = depth - 1
      if depth == 0 then return at + 1 end
    else
      depth = depth + 1
    end
  end
end

local function repeated_end(one, at)
  local l = one.index
  if l < 1 or l > level or lengths[l] == OPEN_END then fault("invalid capture index %" .. l) end
  local length = lengths[l]
  if length == POSITION or size + 1 - at < length then return nil end
  pay_for(length // BYTES)
  local again = sub(subject, begins[l], begins[l] + length - 1)
  return sub(subject, at, at + length - 1) == again and at + length or nil
end

-- The bytes that the next part must begin with, where it is one that must.
local function wanted(next)
  return next and (next.op == ONE or next.op == MOST and next.least == 1) and next.set or ALL
end

local match

-- The longest first.
local function match_most(one, at, k, depth)
  local last, want = run_end(one, at), wanted(parts[k + 1])
  for to = last, at + one.least, -1 do
    pay_for(1)
    if want == ALL or want[byte(subject, to)] then
      local found = match(to, k + 1, depth + 1)
      if found then return found end
    end
  end
end

-- The shortest first.
local function match_few(one, at, k, depth)
  local set, want = one.set, wanted(parts[k + 1])
  while true do
    pay_for(1)
    if want == ALL or want[byte(subject, at)] then
      local found = match(at, k + 1, depth + 1)
      if found then return found end
    end
    if not set[byte(subject, at)] then return nil end
    at = at + 1
  end
end

local function match_open(one, at, k, depth)
  if level >= MAX_CAPTURES then fault("too many captures") end
  level = level + 1
  begins[level], lengths[level] = at, one.what
  local found = match(at, k + 1, depth + 1)
  if not found then level = level - 1 end
  return found
end

local function match_close(at, k, depth)
  local l = capture_to_close()
  lengths[l] = at - begins[l]
  local found = match(at, k + 1, depth + 1)
  if not found then lengths[l] = OPEN_END end
  return found
end

-- Match from part k on; return where the match ends.
function match(at, k, depth)
  if depth > MAX_DEPTH then fault("pattern too complex") end
  while true do
    pay_for(1)
    local one = parts[k]
    if not one then return at end
    local op = one.op
    if op == ONE then
      if not one.set[byte(subject, at)] then return nil end
      at = at + 1
    elseif op == MOST then
      return match_most(one, at, k, depth)
    elseif op == FEW then
      return match_few(one, at, k, depth)
    elseif op == MAYBE then
      local found = one.set[byte(subject, at)] and match(at + 1, k + 1, depth + 1)
      if found then return found end
    elseif op == OPEN then
      return match_open(one, at, k, depth)
    elseif op == CLOSE then
      return match_close(at, k, depth)
    elseif op == END then
      return at == size + 1 and at or nil
    elseif op == FRONTIER then
      local before = at > 1 and byte(subject, at - 1) or 0
      if one.set[before] or not one.set[byte(subject, at) or 0] then return nil end
    elseif op == FAULT then
      fault(one.why)
    else
      at = op == BALANCE and balanced_end(one, at) or op == BACK and repeated_end(one, at)
      if not at then return nil end
    end
    k = k + 1
  end
end

-- The part that a match begins with, if it is one that must match something.
local function leading()
  local k = 1
  while k <= MAX_CAPTURES and parts[k] and parts[k].op == OPEN do k = k + 1 end
  return parts[k]
end

-- The next place at which a match may begin.
local function candidate(at, want, lead)
  if want == ALL or want[byte(subject, at)] then return at end
  local next = find(subject, lead.class, at)
  pay_for(((next or size) - at) // BYTES)
  return next
end

-- Find the first match from at on that does not end at last; return where it begins and ends, and
-- its captures.
local search = meter.unhooked(function(text, plan, at, last)
  if not plan.ready then make_ready(plan) end
  subject, size, parts, steps = text, #text, plan.parts, 0
  begins, lengths = {}, {}
  local lead = leading()
  local want = wanted(lead)
  local limit = plan.anchored and at or size + 1
  local found
  repeat
    if not plan.anchored then at = candidate(at, want, lead) end
    if not at then break end
    level = 0
    found = match(at, 1, 1)
    if found == last then found = nil end
    at = found and at or at + 1
  until found or at > limit
  meter.pay(steps * EACH)
  if not found then return nil end
  return { from = at, to = found - 1, level = level, begins = begins, lengths = lengths }
end)

-- functions ---------------------------------------------------------------------------------

local function capture(text, found, l)
  if l > found.level then
    if l > 1 then fault("invalid capture index %" .. l) end
    return sub(text, found.from, found.to)
  end
  local begin, length = found.begins[l], found.lengths[l]
  if length == OPEN_END then fault("unfinished capture") end
  if length == POSITION then return begin end
  return sub(text, begin, begin + length - 1)
end

local function captures(text, found, count)
  local values = {}
  for l = 1, count do values[l] = capture(text, found, l) end
  return unpack(values, 1, count)
end

local function all_captures(text, found)
  return captures(text, found, found.level > 0 and found.level or 1)
end

-- What C would take as text.
local function text_of(value)
  return type(value) == "number" and tostring(value) or value
end

-- Where to begin; nothing where there is nothing to look at, or where C has to complain.
local function start_of(text, init)
  local at = init == nil and 1 or tointeger(init)
  if not at then return nil end
  if at < 0 then at = at < -#text and 1 or #text + at + 1 end
  if at > #text + 1 then return nil end
  return at < 1 and 1 or at
end

-- Whether C is through with a subject before anybody could look.
local function is_small(text, pattern)
  local most = free[pattern]
  return most and type(text) == "string" and #text <= most
end

-- Return where to begin, the text and the plan, where C may not do it.
local function prepared(text, pattern, init, loose)
  text, pattern = text_of(text), text_of(pattern)
  if type(text) ~= "string" or type(pattern) ~= "string" then return nil end
  local plan = plan_of(text, pattern, loose)
  return plan and start_of(text, init), text, plan
end

local matching = {}

function matching.find(s, pattern, init, plain)
  if plain or is_small(s, pattern) then return find(s, pattern, init, plain) end
  local at, text, plan = prepared(s, pattern, init)
  if not at or not find(pattern, SPECIAL) then return find(s, pattern, init) end
  local found = search(text, plan, at)
  if not found then return nil end
  return found.from, found.to, captures(text, found, found.level)
end

function matching.match(s, pattern, init)
  if is_small(s, pattern) then return match_in_c(s, pattern, init) end
  local at, text, plan = prepared(s, pattern, init)
  if not at then return match_in_c(s, pattern, init) end
  local found = search(text, plan, at)
  if not found then return nil end
  return all_captures(text, found)
end

function matching.gmatch(s, pattern, init)
  if is_small(s, pattern) then return gmatch(s, pattern, init) end
  local at, text, plan = prepared(s, pattern, init, true)
  if not at then return gmatch(s, pattern, init) end
  local last
  local function sought()
    local found = search(text, plan, at, last)
    if not found then return nil end
    at, last = found.to + 1, found.to + 1
    return at, all_captures(text, found)
  end
  local function given(ok, after, ...)
    if not ok then meter.blame(after) end -- The script calls C here, so C names its line.
    if not after then return nil end
    return ...
  end
  return function() return given(meter.pcall(sought)) end
end

-- Call as C calls: nobody yields across.
local function called(f)
  local value
  gsub("x", "x", function() value = f() end)
  return value
end

local function written(text, found, replacement)
  local function put(letter)
    if letter == "%" then return "%" end
    local l = tonumber(letter)
    if not l then fault("invalid use of '%' in replacement string") end
    if l == 0 then return sub(text, found.from, found.to) end
    return tostring(capture(text, found, l))
  end
  return (gsub(replacement, "%%(.?)", put))
end

local function replaced(text, found, replacement)
  local kind = type(replacement)
  if kind == "string" then return written(text, found, replacement) end
  local value
  if kind == "table" then
    local key = capture(text, found, 1)
    value = called(function() return replacement[key] end)
  else
    value = called(function() return (replacement(all_captures(text, found))) end)
  end
  if not value then return sub(text, found.from, found.to) end
  if type(value) == "string" or type(value) == "number" then return value end
  fault("invalid replacement value (a " .. type(value) .. ")")
end

local REPLACEMENTS = { string = true, table = true, ["function"] = true }

function matching.gsub(s, pattern, replacement, most)
  if is_small(s, pattern) then return gsub(s, pattern, replacement, most) end
  local at, text, plan = prepared(s, pattern)
  replacement = text_of(replacement)
  local limit = most == nil and HUGE or tointeger(most)
  if not (at and limit and REPLACEMENTS[type(replacement)]) then
    return gsub(s, pattern, replacement, most)
  end
  local pieces, count, copied, last = {}, 0, 1, nil
  while count < limit do
    local found = search(text, plan, at, last)
    if not found then break end
    count = count + 1
    pieces[2 * count - 1] = sub(text, copied, found.from - 1)
    pieces[2 * count] = replaced(text, found, replacement)
    at = found.to + 1
    copied, last = at, at
    if plan.anchored then break end
  end
  return concat(pieces) .. sub(text, copied), count
end

return matching
