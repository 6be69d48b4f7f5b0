--- the host asked without end
--> script.budget
while true do swarm.echo(1) end
--- the host asked in pcall, without end
--> script.budget
while true do pcall(swarm.broken) pcall(swarm.echo) end
--- the host asked a hundred times
--> = 100
local n = 0 for _ = 1, 100 do n = n + swarm.echo(1) end return n
--- the host handed three megabytes
--> script.error /swarm.echo: arguments.* cannot leave Lua: more than 2097152 bytes/
swarm.echo(string.rep("x", 3000000))
--- the host handed one megabyte
--> = 1000000
return #swarm.echo(string.rep("x", 1000000))
--- the host handed a cycle
--> script.error /nested deeper than 128, or a cycle/
local t = {} t.t = t swarm.echo(t)
--- the host handed eight thousand arguments
--> script.error /swarm.echo: .*argument/
local t = {} for i = 1, 8000 do t[i] = i end
swarm.echo(table.unpack(t))
--- the host handed what is not finite
--> script.error /the number inf is not finite/
swarm.echo(math.huge)
--- the host handed a function below a lying metatable
--> script.error /a function/
swarm.echo(setmetatable({ f = print or pcall }, { __index = function() return 1 end, __pairs = function() return next, {} end }))
--- the host handed itself
--> script.error /a function/
swarm.echo(swarm.echo)
--- the host's answer changed
--> = [1, 2]
local a = swarm.echo({ 1 }) a[2] = 2 return a
--- the host asked in __close after the result was given
--> = 1
local x <close> = setmetatable({}, { __close = function() swarm.echo(2) end })
return 1
--- the host asked by a result's metamethods
--> = {"a": 1}
return setmetatable({ a = 1 }, { __index = swarm.echo, __len = swarm.echo, __pairs = swarm.echo, __tostring = swarm.echo })
--- the host asked by an iterator
--> = 3
local n = 0
for v in function() if n < 3 then return swarm.echo(n + 1) end end do n = v end return n
--- the host asked in a comparator
--> = [1, 2, 3]
local t = { 3, 1, 2 } table.sort(t, function(a, b) return swarm.echo(a) < swarm.echo(b) end) return t
--- the host asked in a metamethod
--> = 8
return setmetatable({}, { __add = function(_, b) return swarm.echo(b) + 1 end }) + 7
--- the host asked by two coroutines in turn
--> = [1, 2, 1, 2]
local out = {}
local function worker(n) return coroutine.wrap(function() while true do out[#out + 1] = swarm.echo(n) coroutine.yield() end end) end
local a, b = worker(1), worker(2) a() b() a() b() return out
--- a coroutine left in the middle of the host's answer
--> = 1
local co = coroutine.create(function() swarm.echo(1) coroutine.yield() error("never") end)
coroutine.resume(co) return 1
--- swarm replaced by what loops
--> = 1
swarm = setmetatable({}, { __index = function() while true do end end }) return 1
--- a function of the host kept and called under another name
--> = 5
local f = swarm.echo swarm = nil return f(5)
--- a fact overwritten
--> = "x"
swarm.fail = "x" return swarm.fail
--- fail with a code of a megabyte
--> script.error /swarm\.fail: expected a code of 1 to 100 bytes, got 1000000/
swarm.fail(string.rep("x", 1000000), "no")
--- fail with a code
--> out.of.luck /no/
swarm.fail("out.of.luck", "no")
--- fail with what is no code
--> script.error /expected a code and a message/
swarm.fail({}, "no")
--- a failure raised from a coroutine three deep
--> out.of.luck /no/
local function deep(n) if n == 0 then swarm.fail("out.of.luck", "no") end return coroutine.wrap(deep)(n - 1) end
deep(3)
--- a failure caught and thrown as text
--> script.error /no/
local ok, e = pcall(swarm.fail, "out.of.luck", "no") error(tostring(e), 0)
--- a failure whose metatable is asked for
--> = "failure"
local _, e = pcall(swarm.fail, "a.b", "no") return getmetatable(e)
--- a failure given another metatable
--> script.error /cannot change a protected metatable/
local _, e = pcall(swarm.fail, "a.b", "no") setmetatable(e, {})
--- input replaced while it is read
--> = 2
local n = 0 for i, v in ipairs(input.list) do input.list = nil n = n + 1 end return n
--- input made a trap for the next script
--> = 1
setmetatable(input, { __index = function() while true do end end, __metatable = "mine" }) return 1
--- input's list made an object
--> script.result /a list that also has the key/
input.list.name = 1 return input.list
--- the string methods through a string's own index
--> script.error /attempt to index a string value|attempt to index|protected|string/
local mt = getmetatable("") mt.__index = nil
--- a string written to
--> script.error /attempt to index a string value/
local s = "x" s.y = 1
--- a method added to strings by the library's table
--> script.error /attempt to call a nil value \(method 'evil'\)/
string.evil = function() return 1 end return ("x"):evil()
--- load in all its forms
--> = [null, null, null, null]
return { load or null, loadstring or null, dofile or null, loadfile or null }
--- os and io, by every way around
--> = [null, null, null, null]
return { rawget(_G, "os") or null, rawget(_G, "io") or null, _ENV["debug"] or null, _G._G._G.package or null }
--- bytecode in a module's clothes
--> script.error /attempt to call a nil value \(global 'require'\)/
require("\27Lua")
--- a chunk that ends itself early
--> script.syntax /'?<eof>'? expected near 'end'|expected near 'end'/
end return _ENV --[[
--- a chunk that takes the sandbox's varargs
--> = [1, "table", "table"]
return { select("#", ...), type(...), tostring((...)) }
--- _ENV exchanged for nothing
--> script.error /attempt to index a nil value \(local '_ENV'\)|_ENV/
local _ENV = nil x = 1
--- _ENV exchanged for a table
--> = 3
local r = 3 do local _ENV = { r = r } return r end
--- _ENV as the parameter of a function
--> = 4
local function f(_ENV) return x end return f({ x = 4 })
