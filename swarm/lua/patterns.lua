-- Patterns with which C could go on for ever.
--
-- Lua's own matcher is C that no hook looks at, and of some patterns no machine ever sees the end.
-- How long one takes at the most is known from its repeats and from the size of the subject, or
-- from the runs that the repeats find in it.  What is soon over even then goes to C.  The rest is
-- matched here, a repeat at a time as C does it, so that the answer is the same, and paid for.

local meter = (...).meter
local byte, char, sub = string.byte, string.char, string.sub
local find, gmatch, gsub, rep = string.find, string.gmatch, string.gsub, string.rep
local next, tonumber, concat, min, HUGE = next, tonumber, table.concat, math.min, math.huge

-- Steps that C may take at the most, unseen: some nanoseconds each.
local UNSEEN <const> = 30000000
-- Instructions to be paid between two looks at the clock.
local STRIDE <const> = 1024
-- What a run of a class that is looked at costs.
local RUN <const> = 4
-- Bytes that C passes over in the time of a step.
local BYTES <const> = 32
-- Longer runs than those of words in most texts are looked at one by one.
local SHORT <const> = 16
-- Letters of a class that C compares with in a step, and as many as are worth to be fewer.
local LETTERS <const>, LONG <const> = 4, 24
-- Patterns that are kept.
local KEPT <const> = 64

-- compiling ---------------------------------------------------------------------------------

-- KEEP IN STEP with matching.lua.
local ONE <const>, MOST <const>, FEW <const>, MAYBE <const> = 1, 2, 3, 4
local OPEN <const>, CLOSE <const>, END <const>, BALANCE <const> = 5, 6, 7, 8
local FRONTIER <const>, BACK <const>, FAULT <const> = 9, 10, 11
-- Lengths of captures that are not closed, and of those that are a position: as in lstrlib.c.
local OPEN_END <const>, POSITION <const> = -1, -2
local REPEATS = { ["*"] = MOST, ["+"] = MOST, ["-"] = FEW, ["?"] = MAYBE }

-- Where the class that begins at p ends, or nothing and what is wrong with it.
local function class_end(pattern, p)
  local first = sub(pattern, p, p)
  if first == "%" then
    if p == #pattern then return nil, "malformed pattern (ends with '%')" end
    return p + 2
  end
  if first ~= "[" then return p + 1 end
  p = p + 1
  if sub(pattern, p, p) == "^" then p = p + 1 end
  repeat
    if p > #pattern then return nil, "malformed pattern (missing ']')" end
    p = sub(pattern, p, p) == "%" and p < #pattern and p + 2 or p + 1
  until sub(pattern, p, p) == "]"
  return p + 1
end

-- A class as a pattern that stands alone: not every letter may.
local function alone(class)
  if #class == 1 and class ~= "." and find(class, "%p") then return "%" .. class end
  return class
end

local function in_set(letter) return find(letter, "%p") and "%" .. letter or letter end

-- The same class in fewer letters: C compares with one after the other.
local function shortened(class)
  local within, without = {}, {}
  for code = 0, 255 do
    local letter = char(code)
    local list = find(letter, class) and within or without
    list[#list + 1] = in_set(letter)
  end
  if #within == 0 then return "[^\0-\255]" end
  if #within <= #without then return "[" .. concat(within) .. "]" end
  return #without == 0 and "." or "[^" .. concat(without) .. "]"
end

local function part(op, class)
  class = alone(class)
  local weight = 1 + #class // LETTERS
  if #class > LONG then class = shortened(class) end
  return { op = op, class = class, weight = weight, least = 0 }
end

local function escaped_part(pattern, p)
  local letter = sub(pattern, p + 1, p + 1)
  if letter == "b" then
    if p + 3 > #pattern then
      return { op = FAULT, why = "malformed pattern (missing arguments to '%b')" }
    end
    local first, last = sub(pattern, p + 2, p + 2), sub(pattern, p + 3, p + 3)
    local either = "[" .. in_set(first) .. in_set(last) .. "]"
    return { op = BALANCE, first = byte(first), last = byte(last), either = either }, p + 4
  end
  if letter == "f" then
    if sub(pattern, p + 2, p + 2) ~= "[" then
      return { op = FAULT, why = "missing '[' after '%f' in pattern" }
    end
    local after, why = class_end(pattern, p + 2)
    if not after then return { op = FAULT, why = why } end
    return part(FRONTIER, sub(pattern, p + 2, after - 1)), after
  end
  local index = tonumber(letter)
  if index then return { op = BACK, index = index }, p + 2 end
end

-- The part that begins at p, and where the next does; nothing where the pattern is wrong.
local function part_at(pattern, p)
  local letter = sub(pattern, p, p)
  if letter == "(" then
    if sub(pattern, p + 1, p + 1) == ")" then return { op = OPEN, what = POSITION }, p + 2 end
    return { op = OPEN, what = OPEN_END }, p + 1
  end
  if letter == ")" then return { op = CLOSE }, p + 1 end
  if letter == "$" and p == #pattern then return { op = END }, p + 1 end
  if letter == "%" then
    local found, after = escaped_part(pattern, p)
    if found then return found, after end
  end
  local after, why = class_end(pattern, p)
  if not after then return { op = FAULT, why = why } end
  local mark = sub(pattern, after, after)
  local found = part(REPEATS[mark] or ONE, sub(pattern, p, after - 1))
  if not REPEATS[mark] then return found, after end
  if mark == "+" then found.least = 1 end
  return found, after + 1
end

local function compiled(pattern, p)
  local parts = {}
  while p and p <= #pattern do
    parts[#parts + 1], p = part_at(pattern, p)
  end
  return parts
end

-- bounding ----------------------------------------------------------------------------------

-- Behind these the rest of a pattern still matches nothing at all.
local function is_nullable(one)
  local op = one.op
  return op == FEW or op == MAYBE or op == OPEN or op == CLOSE or op == MOST and one.least == 0
end

-- Mark the repeats that may be tried again: what is followed by things that may be nothing is not.
local function mark_tried(parts)
  local rest_is_nullable = true
  for k = #parts, 1, -1 do
    local one = parts[k]
    one.tried = not rest_is_nullable and (one.op == MOST or one.op == FEW or one.op == MAYBE)
    if one.tried and one.op ~= MAYBE and one.class ~= "." then
      one.long = rep(one.class, SHORT + 1)
    end
    rest_is_nullable = rest_is_nullable and is_nullable(one)
  end
end

-- What C does for a part at one place.
local function each_of(one, size)
  if one.op == BALANCE then return size // 4 end
  if one.op == BACK then return 1 + size // BYTES end
  return one.weight or 1
end

-- Steps that C takes at the most: it comes to a part so many times, and not more often to the same
-- place.  From there a repeat goes on at each place to the end of its run.
--
-- count_of: bytes of a class that are in the subject; runs_of: its longest run there, and the
-- places from each place to the end of its run, all together.
local function cost(parts, size, anchored, count_of, runs_of)
  local total, times, at_one_place = 0, anchored and 1 or size + 1, 1
  for k = 1, #parts do
    local one = parts[k]
    total = total + times * each_of(one, size)
    if one.op == ONE then
      times = min(times, at_one_place * count_of(one))
    elseif one.op == BACK then
      at_one_place = times
    elseif one.tried then
      local longest, places = 1, 2 * size + 2
      if one.op ~= MAYBE then longest, places = runs_of(one) end
      local before = times
      times = min(times * (longest + 1), at_one_place * places)
      at_one_place = min(at_one_place * (longest + 1), before)
      total = total + times
    end
    if total > UNSEEN then return HUGE end
  end
  return total
end

local function is_soon(plan, size, longest)
  local function count() return size end
  local function runs(one)
    local run = one.class == "." and size or min(longest, size)
    return run, (size + 1) * (run + 2)
  end
  return cost(plan.parts, size, plan.anchored, count, runs) <= UNSEEN
end

-- Whether subjects of a size are soon matched in which no run is longer than that, whatever they
-- are.  What was found is kept: up to which size they are, and from which on they are not.
local function is_always_soon(plan, size, longest)
  local known = plan[longest]
  if size <= known.yes then return true end
  if size >= known.no then return false end
  local larger = is_soon(plan, 2 * size, longest) and 2 * size or size
  if larger > size or is_soon(plan, size, longest) then
    known.yes = larger
    return true
  end
  known.no = size
  return false
end

local function has_short_runs(plan, subject)
  meter.charge(SHORT * #subject // BYTES)
  for k = 1, #plan.parts do
    local long = plan.parts[k].long
    if long and find(subject, long) then return false end
  end
  return true
end

local counted = meter.unhooked(function(class, subject)
  meter.pay(#subject // BYTES)
  local _, count = gsub(subject, class, "")
  return count
end)

local run_through = meter.unhooked(function(class, subject)
  local longest, places, unpaid = 0, #subject + 1.0, #subject // BYTES
  for from, to in gmatch(subject, "()" .. class .. "+()") do
    local run = to - from
    if run > longest then longest = run end
    places, unpaid = places + run * (run + 1) / 2, unpaid + RUN
    if unpaid >= STRIDE then
      meter.pay(unpaid)
      unpaid = 0
    end
  end
  meter.pay(unpaid)
  return { longest = longest, places = places }
end)

local function is_soon_over(plan, subject)
  local size, counts, runs = #subject, {}, {}
  local function count_of(one)
    local class = one.class
    counts[class] = counts[class] or class == "." and size or counted(class, subject)
    return counts[class]
  end
  local function runs_of(one)
    local class = one.class
    if class == "." then return size, (size + 1) * (size + 2) / 2 end
    runs[class] = runs[class] or run_through(class, subject)
    return runs[class].longest, runs[class].places
  end
  return cost(plan.parts, size, plan.anchored, count_of, runs_of) <= UNSEEN
end

-- The largest subject that is soon matched as long as nothing is known of the pattern but how many
-- repeats it may have: to learn more takes longer than to match what is small.
local function small_size(pattern)
  local _, repeats = gsub(pattern, "[*+?%-]", "")
  local _, others = gsub(pattern, "%%[b%d]", "")
  return (UNSEEN / (#pattern + 1)) ^ (1 / (repeats + others + 1)) // 1 - 1
end

-- Learn what a pattern is made of.
local function new_plan(pattern, loose)
  local anchored = not loose and sub(pattern, 1, 1) == "^"
  local parts = compiled(pattern, anchored and 2 or 1)
  mark_tried(parts)
  local plan = { parts = parts, anchored = anchored }
  plan[SHORT], plan[HUGE] = { yes = 0, no = HUGE }, { yes = 0, no = HUGE }
  return plan
end

-- Those of one script: what it pays must not depend on who came before.  free: of each pattern the
-- size up to which C may match, whatever the subject is.
local free, plans, kept = {}, {}, 0

local function forget()
  for pattern in next, free do free[pattern] = nil end
  plans, kept = {}, 0
end

local function meet(pattern)
  if kept >= KEPT then forget() end
  kept = kept + 1
  free[pattern] = small_size(pattern)
end

-- Return how to match here, or nothing where C may.  loose: a caret is a letter.
local function plan_of(subject, pattern, loose)
  if not free[pattern] then meet(pattern) end
  local size = #subject
  if size <= free[pattern] then return nil end
  local known = (loose and "+" or "-") .. pattern
  local plan = plans[known]
  if not plan then
    plan = new_plan(pattern, loose)
    plans[known] = plan
  end
  if is_always_soon(plan, size, HUGE) then
    -- Where a caret is a letter there is more to do.
    if loose or sub(pattern, 1, 1) ~= "^" then free[pattern] = plan[HUGE].yes end
    return nil
  end
  if is_always_soon(plan, size, SHORT) and has_short_runs(plan, subject) then return nil end
  if not is_soon_over(plan, subject) then return plan end
end

return { forget = forget, free = free, plan_of = plan_of }
