-- One script at a time: prepared, run turn by turn, its failure told.
--
-- The host hands strings over and gets strings back; see sandbox.py for the order of calls.
-- No object of the host ever enters this state.

local convert, meter, library = (...).convert, (...).meter, (...).library
local closures = (...).closures
local encode, decode, null, array = convert.encode, convert.decode, convert.null, convert.array
local showable, blame, ask = convert.showable, meter.blame, meter.ask
local load, pcall, error, type, next, ipairs = load, pcall, error, type, next, ipairs
local rawequal, rawget, setmetatable = rawequal, rawget, setmetatable
local getmetatable, getinfo = debug.getmetatable, debug.getinfo
local pack, concat, gmatch, sub = table.pack, table.concat, string.gmatch, string.sub

local LETTERS = 4096 -- bytes of a message that leaves
local FRAMES = 40
local CODE = 100 -- bytes of the code of a failure
local CHUNKS = 64 -- compiled scripts kept

-- What may leave: a worker's result and arguments, a blueprint, an error's value.
local RESULT = { depth = 128, values = 100000, bytes = 2 * 1024 * 1024 }
local BLUEPRINT = { depth = 400, values = 1000000, bytes = 16 * 1024 * 1024 }
local ATTACHED = { depth = 64, values = 10000, bytes = 64 * 1024 }

-- If the first string buffer to outgrow the C stack meets the memory limit, Lua 5.4 keeps a
-- half-made metatable for buffers and can neither close nor free one again: make it now.
string.rep("x", 100000)

local FAILURE = {
  __metatable = "failure",
  __tostring = function(failure) return rawget(failure, "message") end,
}

local script
local waiting -- the host's answer to the script's request

-- Write down what leaves a script, at its expense.
local leaving = meter.unhooked(function(value, limits, label, mixed)
  return encode(value, limits, meter.pay, label, mixed)
end)

-- workers -----------------------------------------------------------------------------------

local function fail(code, message, data)
  if type(code) ~= "string" or type(message) ~= "string" then
    local got = type(code) .. " and " .. type(message)
    blame("swarm.fail: expected a code and a message, got " .. got)
  end
  if #code == 0 or #code > CODE then
    blame("swarm.fail: expected a code of 1 to " .. CODE .. " bytes, got " .. #code)
  end
  error(setmetatable({ code = code, message = message, data = data }, FAILURE), 0)
end

-- Ask the host and return its answer, or raise what it raised.
local function request(name, payload)
  local answered = ask(name, payload)
  local answer = waiting
  waiting = nil
  if answered then return answer end
  if type(answer) == "table" then error(setmetatable(answer, FAILURE), 0) end
  blame(answer)
end

local function host_function(name)
  return function(...)
    local arguments = pack(...)
    local count = arguments.n
    arguments.n = nil
    for i = 1, count do
      if arguments[i] == nil then arguments[i] = null end
    end
    local ok, payload = meter.pcall(leaving, array(arguments), RESULT, "arguments")
    if not ok then blame("swarm." .. name .. ": " .. payload) end
    return request(name, payload)
  end
end

local function worker_environment(input, facts, functions)
  local env = library.environment()
  local swarm = { array = array, fail = fail, null = null }
  for name, value in next, facts do swarm[name] = value end
  for name in gmatch(functions, "[^,]+") do swarm[name] = host_function(name) end
  env.input, env.swarm = input, swarm
  return env
end

local chunks, chunk_count = {}, 0

-- Compile so that each run can bring its own globals.
local function compiled(name, source)
  local known = chunks[name]
  if known and known.source == source then return known.chunk end
  local chunk, why = load("local _ENV = ...; " .. source, "@" .. name, "t", {})
  if not chunk then return nil, why end
  if chunk_count >= CHUNKS then chunks, chunk_count = {}, 0 end
  if not chunks[name] then chunk_count = chunk_count + 1 end
  chunks[name] = { source = source, chunk = chunk }
  return chunk
end

local function begin(fresh, body)
  script, waiting = fresh, nil
  meter.enter(fresh, body)
end

-- Prepare a worker script; returns nothing, or why it cannot be compiled.
local function worker(name, source, input, facts, functions, seed, instructions, seconds)
  local chunk, why = compiled(name, source)
  if not chunk then return showable(why, LETTERS) end
  local env = worker_environment(decode(input), decode(facts), functions)
  library.begin(seed)
  local fresh = { instructions = instructions, seconds = seconds }
  begin(fresh, function()
    local result = chunk(env)
    fresh.ended = true
    return leaving(result, RESULT)
  end)
end

-- authors -----------------------------------------------------------------------------------

local RUNNING = {}

local function shown_cycle(stack, name)
  local names = {}
  for i = 1, #stack do
    if stack[i] == name or #names > 0 then names[#names + 1] = "'" .. stack[i] .. "'" end
  end
  names[#names + 1] = "'" .. name .. "'"
  return concat(names, " requires ")
end

-- What the standard library alone may ask of the sandbox.
local privileged = {
  -- The author's line that runs now.
  caller = function() return script.file, script.line end,
  -- What a flow function sees of its script.
  closures = meter.unfollowed(closures),
  -- Where a function was written: file, first and last line.
  place_of = function(f)
    local info = getinfo(f, "S")
    return sub(info.source, 2), info.linedefined, info.lastlinedefined
  end,
  -- Wrap what authors call.
  public = meter.unfollowed,
  -- Hand the script's result through a function before it leaves, which also tells whether
  -- mistakes are told with it.
  finish = function(f) script.finish = f end,
}

local function run_module(name, found, env, require)
  local own = env
  if found.trusted then
    own = library.environment()
    own.require = require
  end
  local chunk, why = load(found.source, "@" .. found.name, "t", own)
  if not chunk then error(showable(why, LETTERS), 0) end
  local result = chunk(name, found.trusted and privileged or found.name)
  if result == nil then return true end
  return result
end

local function requirer(env)
  local loaded, stack = {}, {}
  local function require(name)
    if type(name) ~= "string" then blame("require: expected a name, got " .. type(name)) end
    local known = loaded[name]
    if rawequal(known, RUNNING) then blame("require: a circle: " .. shown_cycle(stack, name)) end
    if known ~= nil then return known end
    local found = request("require", encode(showable(name, 200), RESULT))
    local file, line = script.file, script.line
    loaded[name] = RUNNING
    stack[#stack + 1] = name
    local result = run_module(name, found, env, require)
    stack[#stack] = nil
    loaded[name] = result
    script.file, script.line = file, line
    return result
  end
  return require
end

-- Names that other hosts of Lua, and other scripts of ours, have: who asks for one may want to
-- know whether it is there.
local ELSEWHERE = {}
for name in gmatch([[
  arg bit bit32 collectgarbage debug dofile getfenv input io jit load loadfile loadstring
  module newproxy os package print setfenv swarm unpack warn
]], "%w+") do
  ELSEWHERE[name] = true
end

-- Remember which globals were read that are not there, and on which line first.
local function watched(env)
  local unset = {}
  local index = meter.unfollowed(function(_, name)
    if type(name) == "string" and not ELSEWHERE[name] and not unset[name] then
      unset[name] = true
      unset[#unset + 1] = { name = name, file = script.file, line = script.line }
    end
  end)
  setmetatable(env, { __index = index })
  return unset
end

-- A name that nothing ever gave a value is a misspelt one; as the last item of a list it
-- would be gone without a trace.
local function refuse_unset(env, unset)
  for _, read in ipairs(unset) do
    if rawget(env, read.name) == nil then
      local name = showable(read.name, 60)
      error(read.file .. ":" .. read.line .. ": '" .. name
        .. "': expected a name that the script gives a value, got nil", 0)
    end
  end
end

-- Prepare a blueprint script; returns nothing, or why it cannot be compiled.
local function author(name, source, instructions, seconds, list_part)
  local env = library.environment()
  env.require = requirer(env)
  local unset = watched(env)
  local chunk, why = load(source, "@" .. name, "t", env)
  if not chunk then return showable(why, LETTERS) end
  library.begin(1)
  local fresh = { instructions = instructions, seconds = seconds }
  fresh.follows, fresh.file, fresh.line = true, name, 1
  begin(fresh, function()
    local result, has_mistakes = chunk(), false
    if fresh.finish then result, has_mistakes = fresh.finish(result) end
    if not has_mistakes then refuse_unset(env, unset) end
    fresh.ended = true
    return leaving(result, BLUEPRINT, "value", list_part)
  end)
end

-- turns -------------------------------------------------------------------------------------

-- Tell what is wrong with a source, or nothing.
local function syntax(name, source)
  local chunk, why = load(source, "@" .. name, "t", {})
  if not chunk then return showable(why, LETTERS) end
end

-- Hand over the host's answer, to be seen at the next turn.
local function answer(payload) waiting = decode(payload) end

-- Run to the next request or the end: "ask", name, payload | "done", payload | "failed".
local function step(answered)
  local kind, first, second = meter.go(answered)
  if kind ~= "failed" then return kind, first, second end
  script.error = first
  return kind
end

local function frames_of(co)
  local frames, level = {}, 0
  local frame = getinfo(co, level, "Sln")
  while frame and #frames < FRAMES do
    if frame.what ~= "C" and frame.source ~= "=[sandbox]" then
      frames[#frames + 1] = {
        file = showable(sub(frame.source, 2), LETTERS),
        line = frame.currentline,
        name = frame.what == "main" and "main chunk" or showable(frame.name or "?", 60),
      }
    end
    level = level + 1
    frame = getinfo(co, level, "Sln")
  end
  return array(frames)
end

local function kind_of(problem)
  if script.stopped then return script.stopped end
  if problem == meter.OUT_OF_MEMORY then return "memory" end
  if script.ended then return "result" end
  return "error"
end

-- The script's __tostring is never called: here no hook could stop it.
local function message_of(problem)
  if type(problem) == "string" then return meter.clean(problem) end
  if type(problem) == "number" then return "error object: " .. problem end
  if type(problem) ~= "table" then return "error object: " .. type(problem) end
  if rawequal(problem, null) then return "error object: null" end
  local message = rawget(problem, "message")
  return type(message) == "string" and message or "error object: table"
end

-- What goes with a failure, where it may leave: to find out is to write it, once in vain.
local function attached(value)
  if pcall(encode, value, ATTACHED) then return value end
end

-- Tell why the script failed, as one string; starved: memory ran out under our own feet.
local function failure(starved)
  local problem = starved and meter.OUT_OF_MEMORY or script.error
  local told = {
    kind = kind_of(problem),
    message = showable(message_of(problem), LETTERS),
    frames = frames_of(script.co),
  }
  -- What it had paid by then is the same in every run; what a clock stopped is not.
  if told.kind == "instructions" then told.value = { instructions = script.paid } end
  if type(problem) == "table" and not rawequal(problem, null) then
    told.value = attached(problem)
    local raised = rawequal(getmetatable(problem), FAILURE)
    if raised and told.value and type(rawget(problem, "code")) == "string" then
      told.kind = "raised"
    end
  end
  return encode(told, BLUEPRINT)
end

-- Forget the script; the runtime may take another.
local function leave()
  script, waiting = nil, nil
  meter.leave()
end

-- Nothing of Lua's own world stays reachable, but what lupa looks up at every call.
local package, world = package, _G
for _, names in next, { world, package.loaded, package.preload } do
  for name in next, names do names[name] = nil end
end
world.debug = { traceback = function(message) return message end }

return {
  answer = answer,
  author = author,
  failure = failure,
  leave = leave,
  step = step,
  syntax = syntax,
  worker = worker,
}
