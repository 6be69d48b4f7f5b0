--- io.popen
--> script.error /global 'io'.*reach no files/
return io.popen("id"):read("a")
--- io.open
--> script.error /global 'io'/
return io.open("/etc/passwd"):read("a")
--- io.lines
--> script.error /global 'io'/
for line in io.lines("/etc/passwd") do return line end
--- os.execute
--> script.error /global 'os'/
return os.execute("id")
--- os.exit
--> script.error /global 'os'/
os.exit(0)
--- os.setlocale
--> script.error /global 'os'/
os.setlocale("C")
--- os.getenv
--> script.error /global 'os'/
return os.getenv("HOME")
--- os.remove
--> script.error /global 'os'/
return os.remove("/tmp/x")
--- the clock
--> script.error /global 'os'.*no clock/
return os.time()
--- dofile
--> script.error /global 'dofile'/
dofile("/etc/passwd")
--- loadfile
--> script.error /global 'loadfile'/
loadfile("/etc/passwd")
--- load
--> script.error /global 'load'.*made at run time/
return load("return 1")()
--- loadstring
--> script.error /global 'loadstring'/
return loadstring("return 1")()
--- require in a worker
--> script.error /global 'require'.*only blueprint scripts/
return require "os"
--- package.loadlib
--> script.error /global 'package'/
return package.loadlib("libc.so.6", "system")
--- package.searchers
--> script.error /global 'package'/
return package.searchers
--- package.loaded
--> script.error /global 'package'/
return package.loaded.os
--- debug.getregistry
--> script.error /global 'debug'/
return debug.getregistry()
--- debug.sethook
--> script.error /global 'debug'/
debug.sethook()
--- debug.getupvalue
--> script.error /global 'debug'/
return debug.getupvalue(pcall, 1)
--- debug.setmetatable of numbers
--> script.error /global 'debug'/
debug.setmetatable(1, {})
--- python
--> script.error /global 'python'/
return python.builtins.open("/etc/passwd")
--- python.eval
--> script.error /global 'python'/
return python.eval("1")
--- collectgarbage
--> script.error /global 'collectgarbage'/
return collectgarbage("count")
--- warn
--> script.error /global 'warn'/
warn("@on")
--- print
--> script.error /global 'print'.*swarm.progress/
print("x")
--- string.dump
--> script.error /field 'dump'/
return string.dump(function() end)
--- bytecode as source
--> script.syntax /unexpected symbol/
@@escape@@Lua
--- getmetatable of a string
--> = null
return getmetatable("")
--- the string metatable by method
--> script.error /field 'dump'|method 'dump'/
return (""):dump()
--- what _G has
--> = ["_G", "_VERSION", "array", "assert", "coroutine", "error", "getmetatable", "input", "ipairs", "math", "next", "null", "pairs", "pcall", "rawequal", "rawget", "rawlen", "rawset", "select", "setmetatable", "string", "swarm", "table", "tonumber", "tostring", "type", "utf8", "xpcall"]
local names = {} for name in pairs(_G) do names[#names + 1] = name end return names
--- _ENV is _G
--> = true
return rawequal(_ENV, _G)
--- the varargs of a script
--> = true
local all = { ... } return #all == 0 or (#all == 1 and rawequal(all[1], _G))
--- the environment left behind
--> = null
_ENV = { pcall = pcall } return pcall and input
--- a function that returns its world
--> = null
local function f() return _ENV end return f().os
--- __pairs that returns _G
--> = false
local t = setmetatable({}, { __pairs = function() return function() end, _G, nil end })
local _, world = pairs(t) return world.os ~= nil
--- metatable of _G
--> = null
return getmetatable(_G)
--- metatable of null
--> = "null"
return getmetatable(null)
--- metatable of an array
--> = "array"
return getmetatable(array {})
--- metatable of the input's lists
--> = "array"
return getmetatable(input.list)
--- a protected metatable replaced
--> script.error /protected metatable/
setmetatable(null, {})
--- an array's metatable replaced
--> script.error /protected metatable/
setmetatable(array {}, {})
--- levels of error beyond the stack
--> script.error
error("x", 1000000000)
--- a negative level of error
--> script.error
error("x", -1)
--- error levels that would blame our own frames
--> = true
local seen = {}
for level = 0, 20 do
  local _, e = pcall(function() error("x", level) end)
  seen[#seen + 1] = e
end
return not table.concat(seen):find("sandbox")
--- errors of wrapped functions name no frames of ours
--> = true
local seen = {}
for _, f in ipairs { string.rep, string.format, table.insert, table.concat, table.sort, setmetatable, pairs, coroutine.create, utf8.char, string.byte, tonumber, ipairs, next, table.unpack, string.pack, math.floor } do
  local _, e = pcall(f, {}, {}, {}) seen[#seen + 1] = tostring(e)
end
return not table.concat(seen, "\n"):find("sandbox")
--- a looping callback handed to the host
--> script.error /swarm.echo: arguments\[1\] cannot leave Lua: a function/
swarm.echo(function() while true do end end)
--- a value handed to the host
--> = [1, "x"]
return swarm.echo({ 1, "x" })
--- wrong arguments to the host
--> script.error /swarm.echo: TypeError/
swarm.echo(1, 2, 3, 4)
--- a host function that fails
--> script.error /swarm.broken: RuntimeError: no luck/
swarm.broken()
--- a host function's failure caught
--> = "a.lua:1: swarm.broken: RuntimeError: no luck"
local _, e = pcall(swarm.broken) return type(e) == "string" and "a.lua:1: " .. e:gsub("^a.lua:1: ", "")
--- a host function called inside a callback of C
--> script.error /attempt to yield across a C-call boundary/
string.gsub("x", "x", function() return swarm.echo("y") end)
--- a host function called inside a coroutine inside pcall
--> = "y"
local co = coroutine.wrap(function() local _, v = pcall(swarm.echo, "y") coroutine.yield(v) end)
return co()
--- a failure forged
--> script.error
error(setmetatable({ code = "x", message = "y" }, { __metatable = "failure" }))
--- a failure raised
--> x.y
swarm.fail("x.y", "z")
--- a failure raised without words
--> script.error /expected a code and a message/
swarm.fail()
--- a failure whose code was taken away
--> script.error
local _, e = pcall(swarm.fail, "x", "y") e.code = nil error(e)
--- a failure with a function in it
--> script.error
local _, e = pcall(swarm.fail, "x", "y", print or pcall) error(e, 0)
