--- a wrapped coroutine inside pcall inside a gsub callback, without end
--> script.budget
string.gsub("xxxx", "x", function() pcall(coroutine.wrap(function() while true do end end)) end)
--- a wrapped coroutine inside pcall inside a gsub callback
--> = "abab"
return (string.gsub("xx", "x", function() local _, v = pcall(coroutine.wrap(function() return "ab" end)) return v end))
--- a gsub callback in a coroutine in a gsub callback, two hundred deep
--> script.error /C stack overflow|error in error handling/
local function deep() return (string.gsub("x", "x", function() return coroutine.wrap(deep)() end)) end
return deep()
--- a gsub callback in a coroutine in a gsub callback, three deep
--> = "end"
local function deep(n) if n == 0 then return "end" end return (string.gsub("x", "x", function() return coroutine.wrap(deep)(n - 1) end)) end
return deep(3)
--- a coroutine that asks the host out of a gsub callback
--> script.error /attempt to yield across a C-call boundary/
coroutine.wrap(function() string.gsub("x", "x", function() return swarm.echo("y") end) end)()
--- the same, caught, and then asked properly
--> = "y"
pcall(string.gsub, "x", "x", function() return swarm.echo("no") end)
return swarm.echo("y")
--- a hundred coroutines that wait for each other
--> script.error /C stack overflow|cannot resume non-suspended coroutine/
local co = {}
for i = 1, 100 do co[i] = coroutine.create(function() assert(coroutine.resume(co[i % 100 + 1])) end) end
assert(coroutine.resume(co[1]))
--- a hundred coroutines in a row
--> = 100
local n, f = 0, function() end
for _ = 1, 100 do local g = f f = function() n = n + 1 coroutine.wrap(g)() if n > 100 then error("deep") end end end
local ok = pcall(f) return n
--- a dead coroutine resumed for ever
--> script.budget
local co = coroutine.create(function() end)
while true do coroutine.resume(co) end
--- a dead coroutine resumed once
--> = "cannot resume dead coroutine"
local co = coroutine.create(function() end) coroutine.resume(co)
local _, why = coroutine.resume(co) return why
--- a dead wrapped coroutine called in pcall, for ever
--> script.budget
local f = coroutine.wrap(function() end) f()
while true do pcall(f) end
--- an error that is a table, thirty coroutines deep
--> = 30
local function deep(n) if n == 0 then error({ deep = 30 }) end return coroutine.wrap(deep)(n - 1) end
local _, e = pcall(deep, 30) return e.deep
--- an error that is nil, thirty coroutines deep
--> script.error /error object: nil/
local function deep(n) if n == 0 then error(nil) end return coroutine.wrap(deep)(n - 1) end
deep(30)
--- an error that is a coroutine which never ends
--> script.error /error object: thread/
error(coroutine.create(function() while true do end end))
--- a stop inside thirty coroutines, each of which catches
--> script.budget
local function deep(n) while true do pcall(n == 0 and function() while true do end end or coroutine.wrap(function() deep(n - 1) end)) end end
deep(30)
--- memory that runs out thirty coroutines deep, each of which catches
--> script.memory
local hoard = {}
local function deep(n) pcall(n == 0 and function() while true do hoard[#hoard + 1] = string.rep("x", 100000) .. #hoard end end or coroutine.wrap(function() deep(n - 1) end)) end
deep(30) return "survived"
--- yields between pcalls, without end
--> script.budget
local co = coroutine.wrap(function() while true do pcall(coroutine.yield, 1) end end)
while true do co() end
--- a yield inside pcall
--> = 2
local co = coroutine.wrap(function() pcall(coroutine.yield, 1) return 2 end)
co() return co()
--- eight thousand values yielded, again and again
--> script.budget
local many = {} for i = 1, 8000 do many[i] = i end
local co = coroutine.wrap(function() while true do coroutine.yield(table.unpack(many)) end end)
while true do co() end
--- the main coroutine kept and resumed from another
--> script.error /cannot resume non-suspended coroutine/
local main = coroutine.running()
coroutine.wrap(function() assert(coroutine.resume(main)) end)()
--- the main coroutine is not of a script's making
--> = true
local _, is_main = coroutine.running() return is_main == false or is_main == true
--- isyieldable
--> = true
return coroutine.isyieldable()
--- status of all kinds
--> = ["suspended", "dead"]
local co = coroutine.create(function() end) local a = coroutine.status(co) coroutine.resume(co)
return { a, coroutine.status(co) }
--- slow instructions spread over many coroutines
--> script.budget
local big = string.rep("x", 8000000) big = big .. big
local t = {}
while true do for _ = 1, 40 do coroutine.wrap(function() for _ = 1, 20 do local _ = t[big .. "y"] end end)() end end
--- wrap of what is none
--> script.error /function expected, got nil/
coroutine.wrap(nil)
--- resume of a function
--> script.error /coroutine expected, got function/
coroutine.resume(function() end)
--- close of a coroutine is not there
--> script.error /attempt to call a nil value \(field 'close'\)/
coroutine.close(coroutine.create(function() end))
