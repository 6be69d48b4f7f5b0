-- What a script uses, and how it is stopped.
--
-- The count hook adds up VM instructions; library functions whose work grows with their
-- argument charge for it.  Once a limit is passed the script is stopped for good: the hook
-- is set to every instruction and raises again each time, so no pcall, handler or __close
-- of the script gets anywhere.  Hooks belong to one thread, so each coroutine made here
-- carries its own.
--
-- One instruction can be dear: a string of 16 MB joined, compared, or hashed as a key takes
-- milliseconds, and no function is called that could charge for it.  Where EVERY instructions
-- took longer than SLOW_S the thread is looked at every few instructions from then on, so
-- that the deadline is kept; paid is still once in EVERY, at the same instructions: the count
-- must not depend on how fast a machine is.
--
-- In author mode the hook also follows the author's lines: a builder reached by a tail
-- call has no author frame below it any more, yet its node must know its line.

local SANDBOX, STDLIB = "=[sandbox]", "@lua_stdlib/"
local sethook, getinfo = debug.sethook, debug.getinfo
local create, resume = coroutine.create, coroutine.resume
local yield, running = coroutine.yield, coroutine.running
local pcall, error, type, rawequal, select = pcall, error, type, rawequal, select
local find, sub, setmetatable = string.find, string.sub, setmetatable
local clock = os.clock

-- Instructions between two looks.  The price of a hook is having one; down to this interval
-- it does not grow.
local EVERY = 249
-- Instructions of the hook itself are counted too: so many where nothing is dear, and so many
-- where it looks closely.  A test tells when these are not the right numbers any more.
local OWN, OWN_CLOSE = 33, 36
local CLOSE = 6 -- divides EVERY - OWN - OWN_CLOSE
local SLOW_S = 0.02
-- What following one line of an author costs, in instructions.
local FOLLOW = 20
-- A charge worth a look at the clock.
local DEAR = 1024
local MAX_COROUTINES = 1000
local STOPPED = "stopped"
local OUT_OF_MEMORY = "not enough memory"

local meter = { STOPPED = STOPPED, OUT_OF_MEMORY = OUT_OF_MEMORY }
local script -- the one that runs now
local hook

local function stop(reason)
  script.stopped = script.stopped or reason
  sethook(hook, "", 1)
  error(STOPPED, 0)
end

local function is_author(source)
  return source ~= SANDBOX and sub(source, 1, #STDLIB) ~= STDLIB and source ~= "=[C]"
end

local function follow_line(line)
  local source = getinfo(3, "S").source
  if is_author(source) then script.file, script.line = sub(source, 2), line end
end

-- Something returns to the author: what runs next may be on a line that began before it.
local function follow_return()
  local caller = getinfo(4, "Sl")
  if caller and is_author(caller.source) then
    script.file, script.line = sub(caller.source, 2), caller.currentline
  end
end

-- What is paid when a thread that is looked at closely has come so far.  A table, since the
-- way through the hook must be of the same length each time.
local PERIOD = EVERY - OWN
local PAID = {}
for counted = 0, PERIOD - 1 do PAID[counted] = counted == 0 and EVERY or 0 end

-- Look closely at this thread from now on.  Its hook is set once, not at every look: that
-- walks the stack, and a stack may be deep.
local function watch_closely(s)
  s.counted[running()] = OWN_CLOSE
  sethook(hook, "", OWN_CLOSE + CLOSE)
end

local function count(s, now)
  local thread = running()
  local counted = s.counted[thread]
  if counted then
    counted = (counted + CLOSE) % PERIOD
    s.counted[thread] = counted
    s.used = s.used + PAID[counted]
    return false
  end
  s.used = s.used + EVERY
  return now - s.looked > SLOW_S and not s.follows
end

function hook(event, line)
  local s = script
  if event ~= "count" then
    s.used = s.used + FOLLOW
    if not s.stopped then
      if event == "line" then follow_line(line) else follow_return() end
    end
    if s.stopped or s.used > s.instructions then stop("instructions") end
    return
  end
  local now = clock()
  local dear = count(s, now)
  s.looked = now
  if s.stopped or s.used > s.instructions then stop("instructions") end
  if now > s.deadline then stop("seconds") end
  if dear then return watch_closely(s) end
end

local function arm(co)
  local s = script
  if s.stopped then
    sethook(co, hook, "", 1)
  else
    sethook(co, hook, s.follows and "lr" or "", EVERY)
  end
end

-- Pay for work done in C, in instructions.
function meter.charge(amount)
  local s = script
  s.used = s.used + amount
  if s.used > s.instructions then stop("instructions") end
  if amount >= DEAR and clock() > s.deadline then stop("seconds") end
end

-- Follow lines again.  Setting a hook begins its count anew: what it may have counted is paid.
local function follow()
  meter.charge(EVERY)
  sethook(hook, "lr", EVERY)
end

local function followed(file, line, ...)
  script.file, script.line = file, line
  follow()
  return ...
end

-- Wrap a function of the standard library: while it runs nobody's lines are followed, which
-- would cost more than the function itself.
function meter.unfollowed(f)
  return function(...)
    local file, line = script.file, script.line
    meter.charge(EVERY)
    sethook(hook, "", EVERY)
    return followed(file, line, f(...))
  end
end

-- Raise at the nearest line of the script, leaving our own frames out of the blame.
function meter.blame(message)
  if script.follows then error(script.file .. ":" .. script.line .. ": " .. message, 0) end
  local level = 2
  local frame = getinfo(level, "Sl")
  while frame and (frame.source == SANDBOX or frame.what == "C") do
    level = level + 1
    frame = getinfo(level, "Sl")
  end
  if frame then message = frame.short_src .. ":" .. frame.currentline .. ": " .. message end
  error(message, 0)
end

local function clean(message)
  if type(message) == "string" and find(message, "^%[sandbox%]:%d+: ") then
    return sub(message, (find(message, ": ", 1, true)) + 2)
  end
  return message
end
meter.clean = clean

-- After a protected call: a stop goes on, an ordinary error is the script's to handle.
local function settled(ok, ...)
  if ok then return true, ... end
  local message = ...
  if script.stopped then stop(script.stopped) end
  if message == OUT_OF_MEMORY then stop("memory") end
  if script.follows then follow() end
  return false, clean(message)
end

function meter.pcall(...)
  if select("#", ...) == 0 then meter.blame("bad argument #1 to 'pcall' (value expected)") end
  return settled(pcall(...))
end

-- The handler runs after the fact: inside the error it would run with hooks off, and an
-- endless one could not be stopped.
local function handled(handler, ok, ...)
  if ok then return true, ... end
  return false, handler(...)
end

function meter.xpcall(f, handler, ...)
  if type(handler) ~= "function" then
    meter.blame("bad argument #2 to 'xpcall' (function expected, got " .. type(handler) .. ")")
  end
  return handled(handler, meter.pcall(f, ...))
end

function meter.create(f)
  if type(f) ~= "function" then
    meter.blame("bad argument #1 to 'create' (function expected, got " .. type(f) .. ")")
  end
  local s = script
  s.coroutines = s.coroutines + 1
  if s.coroutines > MAX_COROUTINES then
    meter.blame("more than " .. MAX_COROUTINES .. " coroutines")
  end
  local co = create(f)
  arm(co)
  return co
end

-- A script's values meet ours by rawequal only: its __eq must have no say.
--
-- Requests to the host pass through the coroutines a script makes: HOST, then name and payload.
local HOST = {}

local function ask(...) return yield(HOST, ...) end
meter.ask = ask

local function continued(co, ok, tag, ...)
  if ok and rawequal(tag, HOST) then return continued(co, resume(co, yield(HOST, ...))) end
  return settled(ok, tag, ...)
end

function meter.resume(co, ...)
  if type(co) ~= "thread" then
    meter.blame("bad argument #1 to 'resume' (coroutine expected, got " .. type(co) .. ")")
  end
  -- Many coroutines of few, dear instructions each: none gets as far as its own hook.
  if clock() > script.deadline then stop("seconds") end
  return continued(co, resume(co, ...))
end

local function unwrapped(ok, ...)
  if ok then return ... end
  error((...), 0)
end

function meter.wrap(f)
  local co = meter.create(f)
  return function(...) return unwrapped(meter.resume(co, ...)) end
end

function meter.yield(...)
  if running() == script.co then meter.blame("attempt to yield from outside a coroutine") end
  return yield(...)
end

-- Begin a script: body runs in its own coroutine at the next go.
function meter.enter(fresh, body)
  script = fresh
  fresh.used, fresh.coroutines, fresh.spent = 0, 0, 0.0
  fresh.counted = setmetatable({}, { __mode = "k" })
  fresh.co = create(body)
  arm(fresh.co)
end

-- Run the script until it ends or asks: "ask", name, payload | "done", result | "failed", error.
local function turn(ok, tag, ...)
  local s = script
  s.spent = s.spent + (clock() - s.began)
  if ok and rawequal(tag, HOST) then return "ask", ... end
  if ok and not s.stopped then return "done", tag end
  return "failed", tag
end

function meter.go(...)
  local s = script
  s.began = clock()
  s.looked = s.began
  s.deadline = s.began + s.seconds - s.spent
  return turn(resume(s.co, ...))
end

-- Give the last script up: nothing of it is reachable afterwards.
function meter.leave() script = nil end

return meter
