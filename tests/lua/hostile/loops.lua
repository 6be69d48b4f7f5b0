--- endless loop
--> script.budget
while true do end
--- a loop that ends
--> = 1000
local n = 0 while n < 1000 do n = n + 1 end return n

--- endless repeat without a body
--> script.budget
repeat until false
--- endless goto
--> script.budget
::again:: goto again
--- endless numeric for with a step of zero
--> script.error /'for' step is zero/
for i = 1, 2, 0 do end
--- endless float for
--> script.budget
for i = 1, math.huge do end
--- endless generic for
--> script.budget
for _ in function() return 1 end do end

--- endless loop inside a coroutine
--> script.budget
local co = coroutine.create(function() while true do end end)
while true do coroutine.resume(co) end
--- a coroutine that ends
--> = 3
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
co() co() return co()

--- endless loop inside a wrapped coroutine inside pcall
--> script.budget
while true do pcall(coroutine.wrap(function() while true do end end)) end
--- endless loop three coroutines deep
--> script.budget
local function deep(n) return coroutine.wrap(function() if n == 0 then while true do end end deep(n - 1)() end) end
deep(3)()
--- a thousand short coroutines
--> = 1000
local n = 0
for _ = 1, 1000 do n = n + coroutine.wrap(function() return 1 end)() end
return n
--- one coroutine too many
--> script.error /more than 1000 coroutines/
for _ = 1, 1001 do coroutine.wrap(function() end)() end
--- resume goes on after the stop
--> script.budget
local co = coroutine.create(function() while true do end end)
local ok = coroutine.resume(co)
local n = 0
while true do n = n + 1 end

--- pcall around an endless loop, for ever
--> script.budget
while true do pcall(function() while true do end end) end
--- pcall around an error
--> = "a.lua:1: no"
local _, e = pcall(function() error("no") end) return e
--- nested pcall around endless loops
--> script.budget
local function f() pcall(f) while true do end end f()
--- xpcall with an endless handler
--> script.budget
xpcall(function() error("x") end, function() while true do end end)
--- xpcall with a handler
--> = "handled a.lua:1: x"
local _, e = xpcall(function() error("x") end, function(m) return "handled " .. m end) return e
--- xpcall with handlers that fail in turn
--> script.error
local function h(e) error(e) end
xpcall(function() error("x") end, function(e) return xpcall(h, h, e) and h(e) end)
--- pcall of pcall of pcall
--> = true
return (pcall(pcall, pcall, error, "x"))
--- pcall without arguments
--> script.error /bad argument #1 to 'pcall'/
pcall()

--- endless finalizer
--> script.error /__gc and __mode are not available/
setmetatable({}, { __gc = function() while true do end end })
--- a metatable without a finalizer
--> = 7
return setmetatable({}, { __index = function() return 7 end }).x
--- finalizer added to the metatable later
--> script.error /__gc and __mode are not available/
local mt = {} local t = setmetatable({}, mt)
mt.__gc = function() while true do end end
setmetatable(t, mt)
--- weak table
--> script.error /__gc and __mode are not available/
setmetatable({}, { __mode = "k" })
--- endless __close after an endless loop
--> script.budget
local x <close> = setmetatable({}, { __close = function() while true do end end })
while true do end
--- __close runs
--> = 2
local n = 1
do local x <close> = setmetatable({}, { __close = function() n = n + 1 end }) end
return n
--- __close that raises, in a loop of pcalls
--> script.budget
while true do
  pcall(function()
    local x <close> = setmetatable({}, { __close = function() error("again") end })
    error("x")
  end)
end
--- closing a coroutine whose __close never ends
--> script.error /field 'close'/
local co = coroutine.create(function()
  local x <close> = setmetatable({}, { __close = function() while true do end end })
  coroutine.yield()
end)
coroutine.resume(co)
coroutine.close(co)

--- endless __index
--> script.budget
local t = setmetatable({}, { __index = function() while true do end end }) return t.x
--- a long chain of __index, followed again and again
--> script.error /'__index' chain too long/
local t = {}
for _ = 1, 100000 do t = setmetatable({}, { __index = t }) end
while true do local _ = t.x end
--- a chain of __index just short enough, followed again and again
--> script.budget
local t = {}
for _ = 1, 1900 do t = setmetatable({}, { __index = t }) end
while true do local _ = t.x end
--- endless __eq of an error object
--> script.error
local t = setmetatable({}, { __eq = function() while true do end end })
error(t)
--- endless __eq of a yielded value
--> = true
local t = setmetatable({}, { __eq = function() return true end })
local co = coroutine.create(function() coroutine.yield(t, "require", "x") end)
local ok, got = coroutine.resume(co)
return ok and rawequal(got, t)
--- endless __tostring of an error object
--> script.error /error object: table/
error(setmetatable({}, { __tostring = function() while true do end end }))
--- endless __name
--> script.error
local t = setmetatable({}, { __name = ("x"):rep(1000000) }) return #t + t
--- endless __pairs
--> script.budget
for _ in pairs(setmetatable({}, { __pairs = function() return function() return 1 end end })) do end
--- endless __call chain
--> script.error
local t = {}
for _ = 1, 300 do t = setmetatable({}, { __call = t }) end
t()
--- endless __concat
--> script.budget
local t = setmetatable({}, { __concat = function() while true do end end }) return t .. "x"

--- string.rep of nothing, many times
--> = ""
return string.rep("", 1000000000000000)
--- string.rep of nothing with an empty separator
--> = ""
return ("").rep("", math.maxinteger, "")
--- table.insert with a lying length
--> = 1
local t = setmetatable({}, { __len = function() return 1 << 40 end })
table.insert(t, 1, "x")
return rawlen(t)
--- table.insert into a list
--> = ["a", "b", "c"]
local t = { "b" } table.insert(t, 1, "a") table.insert(t, "c") return t
--- table.remove with a lying length
--> = null
return table.remove(setmetatable({}, { __len = function() return 1 << 40 end }))
--- table.concat with a lying length
--> = ""
return table.concat(setmetatable({}, { __len = function() return 1 << 40 end }))
--- table.concat up to 2^53
--> script.error /invalid value/
return table.concat({}, "", 1, 1 << 53)
--- table.unpack with a lying length
--> = 0
return (select("#", table.unpack(setmetatable({}, { __len = function() return 1 << 40 end }))))
--- table.move over all integers
--> script.budget
table.move({}, 1, math.maxinteger - 1, 2)
--- table.move of three items
--> = [1, 1, 2, 3]
return table.move({ 1, 2, 3 }, 1, 3, 2)
--- table.sort with an endless comparator
--> script.budget
table.sort({ 3, 2, 1 }, function() while true do end end)
--- table.sort with a lying comparator
--> = 100
local t = {} for i = 1, 100 do t[i] = i % 7 end
table.sort(t, function() return true end)
return #t
--- table.sort of a million
--> script.budget
local t = {} for i = 1, 400000 do t[i] = -i end table.sort(t)
--- yield in a comparator
--> = [1, 2, 3]
local t = { 3, 1, 2 }
local co = coroutine.wrap(function() table.sort(t, function(a, b) coroutine.yield() return a < b end) return "done" end)
repeat local r = co() until r == "done"
return t
--- endless gsub callback
--> script.budget
string.gsub("x", ".", function() while true do end end)
--- gsub with a callback
--> = "XY"
return (string.gsub("xy", ".", function(c) return c:upper() end))
--- endless gmatch with empty matches
--> script.budget
while true do for _ in string.gmatch("", "") do end end
--- quadratic concatenation
--> script.budget
local s = "" while true do s = s .. "x" end
--- quadratic concatenation of numbers
--> script.budget
local s = "" while true do s = s .. 1234567 end
--- repeated work on a long string
--> script.budget
local s = string.rep("x", 1000000) while true do local _ = s:upper() end
--- repeated joining of a long list
--> script.budget
local t = {} for i = 1, 100000 do t[i] = "x" end
while true do local _ = table.concat(t) end
--- repeated ordering of many keys
--> script.budget
local t = {} for i = 1, 20000 do t["k" .. i] = i end
while true do for _ in pairs(t) do break end end
--- catastrophic pattern, lazy repeats
--> script.budget
return string.find(string.rep("a", 300), string.rep(".-", 40) .. "b")
--- lazy repeats that match
--> = 1
return (string.find("aab", ".-.-b"))
--- catastrophic pattern, greedy repeats
--> script.budget
return string.match(string.rep("a", 100000), "a*a*a*a*b")
--- a subject too long for a pattern
--> script.error /a subject of more than 524288 bytes/
return string.find(string.rep("a", 524289), "b")
--- a subject just short enough
--> = 524288
return (string.find(string.rep("a", 524287) .. "b", "b", 1, true))
--- a pattern too long
--> script.error /a pattern of more than 512 bytes/
return string.find("a", string.rep("a", 513))
--- a pattern just short enough
--> = null
return (string.find("a", string.rep("a", 512)))
