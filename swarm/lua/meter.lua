-- What a script uses, and how it is stopped.
--
-- The count hook adds up VM instructions; library functions whose work grows with their
-- argument charge for it.  Once a limit is passed the script is stopped for good: the hook
-- is set to every instruction and raises again each time, so no pcall, handler or __close
-- of the script gets anywhere.  Hooks belong to one thread, so each coroutine made here
-- carries its own.
--
-- Paid is what ran for the script, no more: Lua counts the instructions of the hook as well,
-- and they are taken off again.  A thread pays when it has come PERIOD instructions far, and
-- nothing for the rest of its last stretch.
--
-- One instruction can be dear: a string of 16 MB joined, compared, or hashed as a key takes
-- milliseconds, and no function is called that could charge for it.  Where PERIOD instructions
-- took longer than SLOW_S the thread is looked at every few instructions from then on, so
-- that the deadline is kept; paid is still once in PERIOD, at the same instructions: the count
-- must not depend on how fast a machine is.
--
-- In author mode the hook also follows the author's lines: a builder reached by a tail
-- call has no author frame below it any more, yet its node must know its line.

local SANDBOX, STDLIB = "=[sandbox]", "@lua_stdlib/"
local sethook, getinfo = debug.sethook, debug.getinfo
local create, resume = coroutine.create, coroutine.resume
local yield, running = coroutine.yield, coroutine.running
local pcall, error, type, rawequal, select = pcall, error, type, rawequal, select
local find, sub = string.find, string.sub
local clock, HUGE = os.clock, math.huge

-- Instructions of the script between two looks.  Fewer, and hooks are most of what runs; more,
-- and many dear ones pass before the first look.
local PERIOD <const> = 76
-- Instructions of the hook itself: so many where nothing is dear, and so many where it looks
-- closely.  Tests tell when these are not the right numbers any more.
local OWN <const>, OWN_CLOSE <const> = 17, 17
local CLOSE <const> = 4 -- divides PERIOD, PERIOD - FIRST_CLOSE and OWN - OWN_CLOSE
-- Of the hook that begins to look closely one instruction is left: the first stretch is longer
-- by all that a look takes but for that.  That of a new thread is longer by all of it.
local FIRST_CLOSE <const> = OWN_CLOSE - 1
local SLOW_S <const> = 0.02
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

-- End the script: whoever looks next finds nothing left to spend.
local function stop(reason)
  local s = script
  if not s.stopped then s.stopped, s.paid, s.instructions = reason, s.used, -1 end
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

-- The hooks of a thread, each with the count that it is set with.  KEEP BOTH WAYS EQUALLY LONG:
-- who makes a coroutine pays for them.
local function far_hook()
  local look = hook
  return look, OWN + PERIOD
end

-- come: how far the thread is by its first look, less CLOSE.
local function close_hook(come)
  local function look()
    local s, at = script, come + CLOSE
    come = at % PERIOD
    local used, now = s.used + at // PERIOD * PERIOD, clock()
    s.used = used
    if used > s.instructions then stop("instructions") end
    if now > s.deadline then stop("seconds") end
  end
  return look, OWN_CLOSE + CLOSE
end

-- Look closely at this thread from now on, and at those to come.  Its hook is set once, not at
-- every look: that walks the stack, and a stack may be deep.
local function watch_closely()
  script.hook_of = close_hook
  local look, count = close_hook(FIRST_CLOSE)
  sethook(look, "", count)
end

local function follow_event(event, line)
  local s = script
  s.used = s.used + FOLLOW
  if not s.stopped then
    if event == "line" then follow_line(line) else follow_return() end
  end
  if s.used > s.instructions then stop("instructions") end
end

function hook(event, line)
  if event ~= "count" then return follow_event(event, line) end
  local s = script
  local used, now = s.used + PERIOD, clock()
  s.used = used
  if used > s.instructions then stop("instructions") end
  if now > s.deadline then stop("seconds") end
  local dear_at = s.dear_at
  s.dear_at = now + s.slow_s
  if now > dear_at then return watch_closely() end
end

local function arm(co)
  local s = script
  if s.stopped then return sethook(co, hook, "", 1) end
  local look, count = s.hook_of(0)
  sethook(co, look, s.follows and "lr" or "", count)
end

-- Pay for work done in C, in instructions.
function meter.charge(amount)
  local s = script
  s.used = s.used + amount
  if s.used > s.instructions then stop("instructions") end
  if amount >= DEAR and clock() > s.deadline then stop("seconds") end
end

-- Pay for what no hook looks at, and look at the clock.
function meter.pay(amount)
  meter.charge(amount)
  if clock() > script.deadline then stop("seconds") end
end

-- Follow lines again.  Setting a hook begins its count anew: what it may have counted is paid.
local function follow()
  meter.charge(PERIOD)
  sethook(hook, "lr", OWN + PERIOD)
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
    meter.charge(PERIOD)
    sethook(hook, "", OWN + PERIOD)
    return followed(file, line, f(...))
  end
end

local function rearmed(ok, ...)
  local s = script
  if s.stopped then stop(s.stopped) end
  arm(running())
  if ok then return ... end
  error((...), 0)
end

-- Wrap a function of ours that ends by itself, runs nothing of the script's and pays as it goes:
-- where no hook looks at its instructions it takes half the time.
function meter.unhooked(f)
  return function(...)
    meter.charge(PERIOD)
    sethook()
    return rearmed(pcall(f, ...))
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

-- Take our own lines off a message, and what a script wrote to look like them.
local function clean(message)
  if type(message) ~= "string" then return message end
  local at, first, last = 1, find(message, "^%[sandbox%]:%d+: ")
  while first do
    at = last + 1
    first, last = find(message, "^%[sandbox%]:%d+: ", at)
  end
  return at > 1 and sub(message, at) or message
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
  -- Of an author's lines each is looked at anyhow.
  fresh.slow_s = fresh.follows and HUGE or SLOW_S
  fresh.hook_of = far_hook
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
  s.dear_at = s.began + s.slow_s
  s.deadline = s.began + s.seconds - s.spent
  return turn(resume(s.co, ...))
end

-- Give the last script up: nothing of it is reachable afterwards.
function meter.leave() script = nil end

return meter
