--- zeros compared for order, which C does one by one
--> late
local big = string.rep("\0", 8000000) local a, b = big .. big, big .. big
while true do local _ = a < b end
--- zeros compared for order, a few
--> = true
local a = string.rep("\0", 100) return a .. "a" < a .. "b"
--- words with zeros between them, sorted without end
--> script.budget
local t = {} for i = 1, 50 do t[i] = string.rep("a\0", 2000) .. (50 - i) end
while true do table.sort(t) end
--- words with zeros between them, sorted
--> = ["a\u0000b", "a\u0000c"]
local t = { "a\0c", "a\0b" } table.sort(t) return t
--- arithmetic with a text of a million digits, without end
--> script.budget
local big = string.rep("1", 1000000) while true do local _ = big + 0 end
--- arithmetic with texts of digits
--> = 15
return "10" + "5"
--- bitwise operators on texts of digits
--> script.error /attempt to perform bitwise operation on a string value|no integer representation/
return "10" | 1.5
--- concatenation of two hundred at once, without end
--> script.budget /instructions|seconds|processor/
local s = string.rep("x", 20000)
while true do local _ = s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s end
--- concatenation of many at once
--> = 30
local s = "x" return #(s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s)
--- a metatable of text, asked through its arithmetic
--> script.error /attempt to add a 'table' with a 'string'/
return setmetatable({}, {}) + "x"
--- arithmetic of texts, with a table that answers without end
--> script.budget
return "1" + setmetatable({}, { __add = function() while true do end end })
--- arithmetic of texts, with a table that answers
--> = "1"
return (setmetatable({}, { __add = function(a) return a end }) and "1" + setmetatable({}, { __add = function(a) return a end }))
--- a thousand coroutines that each do nearly as much as is looked at
--> script.budget
local n = 0
for _ = 1, 1000 do coroutine.wrap(function() for _ = 1, 10 do n = n + 1 end end)() end
while true do n = n + 1 end
--- a thousand coroutines of a few instructions
--> = 10000
local n = 0
for _ = 1, 1000 do coroutine.wrap(function() for _ = 1, 10 do n = n + 1 end end)() end
return n
--- one coroutine more than a thousand
--> script.error /more than 1000 coroutines/
for _ = 1, 1001 do coroutine.wrap(function() end)() end
--- a dear coroutine in a dear coroutine, fifty deep
--> script.budget
local big = string.rep("x", 8000000) local t = {}
local function deep(n) if n > 0 then coroutine.wrap(deep)(n - 1) end local _ = t[big .. n] end
while true do deep(50) end
--- the stop, caught by a comparator inside a closer inside a coroutine
--> script.budget
local function endless() while true do end end
while true do
  pcall(coroutine.wrap(function()
    local x <close> = setmetatable({}, { __close = function() pcall(table.sort, { 2, 1 }, endless) end })
    pcall(endless)
  end))
end
--- a closer that raises while the stop is on its way, a hundred of them
--> script.budget
local mt = { __close = function() error("again") end }
local function nest(n) local x <close> = setmetatable({}, mt) if n > 0 then return (nest(n - 1)) end while true do end end
nest(100)
--- closers, a hundred of them
--> = 101
local n = 0
local mt = { __close = function() n = n + 1 end }
local function nest(m) local x <close> = setmetatable({}, mt) if m > 0 then return (nest(m - 1)) end end
nest(100) return n
--- a list that grows while it is walked
--> script.memory
local t = { 1 } for i, v in ipairs(t) do t[i + 1] = v end
--- ipairs over an __index without end
--> script.budget
for _ in ipairs(setmetatable({}, { __index = function(_, i) return i end })) do end
--- ipairs over an __index that ends
--> = 3
local n = 0 for _ in ipairs(setmetatable({}, { __index = function(_, i) if i < 4 then return i end end })) do n = n + 1 end return n
--- pairs, while the table is written to
--> = 3
local t, n = { a = 1, b = 2, c = 3 }, 0
for k in pairs(t) do n = n + 1 t[k] = nil t[k .. "x"] = 1 if n > 50 then break end end
return n
--- a name of a field as long as memory
--> script.memory /./
local t, k = {}, string.rep("k", 8000000) while true do k = k .. k t[k] = 1 end
--- an error whose message is as long as memory, again and again
--> script.memory
local t, s = {}, string.rep("m", 4000000)
while true do local _, e = pcall(error, s .. #t) t[#t + 1] = e end
--- an error whose message is long
--> = 4000000
local _, e = pcall(error, string.rep("m", 4000000), 0) return #e
--- a message with the name of the sandbox in front
--> script.error /^a\.lua:1: \[sandbox\]:1: forged$/
error("[sandbox]:1: forged", 1)
--- a message that poses as one of the sandbox's lines, over and over
--> script.error /^a\.lua:1: forged$/
error(("[sandbox]:1: "):rep(100000) .. "forged", 0)
--- a message that names the sandbox behind its own words
--> script.error /^a\.lua:1: see \[sandbox\]:1: here$/
error("see [sandbox]:1: here", 0)
--- a handler that raises what it is handed
--> = "forged"
local _, e = pcall(xpcall, error, error, ("[sandbox]:1: "):rep(3) .. "forged") return e
--- a message that poses as the stop
--> script.error /stopped/
error("stopped", 0)
--- the stop as a value, raised by the script itself, and on it goes
--> = "on"
pcall(error, "stopped", 0) return "on"
--- not enough memory, as a message of one's own
--> script.memory
pcall(error, "not enough memory", 0) return "on"
--- a failure whose message is a table that has a message without end
--> script.error /error object/
error(setmetatable({}, { __index = function() while true do end end, __tostring = function() while true do end end }))
--- a failure with a value that goes in circles
--> script.error /bad/
local e = { message = "bad" } e.e = e error(e)
--- a format with as many arguments as there can be
--> script.error /string slice too long|too many|no value|more than 8000 results/
return string.format(string.rep("%s", 9000), table.unpack({}, 1, 9000))
--- pack of nothing, eight million times
--> script.budget
local f = string.rep("x", 8000000) while true do string.pack(f) end
--- a float in every format, wide and precise
--> = 99
return #string.format("%99.99f", 0.0) - 2
--- a random number over all the integers
--> = true
return math.type(math.random(math.mininteger, math.maxinteger)) == "integer"
--- random numbers from a seed that is no integer
--> same
math.randomseed(1.5) return { math.random(1 << 30), math.random(1 << 30) }
--- random numbers from a seed that is not finite
--> script.error /./
math.randomseed(1 / 0)
--- the environment, replaced by what answers without end
--> script.budget
local _ENV <const> = setmetatable({}, { __index = function() while true do end end }) return x
--- the environment, replaced by nothing
--> script.error /attempt to index a nil value/
local _ENV = nil return x
--- the environment, replaced by what answers
--> = "x"
local _ENV = setmetatable({}, { __index = function(_, k) return k end }) return x
--- a parameter called _ENV
--> = 7
local function f(_ENV) return x end return f({ x = 7 })
--- goto continue, without end, in a repeat with a local
--> script.syntax /jumps into the scope/
repeat goto continue local x = 1 ::continue:: until x
--- integer for loop whose step is the smallest integer
--> = 2
local n = 0 for i = math.maxinteger, math.mininteger, math.mininteger do n = n + 1 end return n
--- a table made of a vararg of eight thousand, again and again
--> script.budget
local many = {} for i = 1, 7999 do many[i] = i end
while true do local _ = { table.unpack(many) } end
--- select from a vararg of eight thousand, again and again
--> script.budget
local many = {} for i = 1, 7999 do many[i] = i end
local function f(...) return (select(-1, ...)) end
while true do f(table.unpack(many)) end
--- sixteen megabytes of text as the key of a weak answer, compared by every lookup
--> script.budget
local big = string.rep("x", 8000000) local a, b = big .. "1", big .. "1"
local t = { [a] = 1 } while true do local _ = t[b] end
--- the greatest of texts, which C would compare in one call
--> script.error /bad argument #2 to 'max' \(number expected, got string\)/
return math.max(1, string.rep("\0", 1000000))
--- the least of tables whose order has no end
--> script.error /bad argument #1 to 'min' \(number expected, got table\)/
return math.min(setmetatable({}, { __lt = function() while true do end end }), 1)
--- the greatest of numbers, and of none
--> = [3, 1.5, false]
return { math.max(1, 3, 2), math.min(1.5, 2), (pcall(math.max)) }
--- hundreds of captures that each match nothing
--> script.error /too many captures|malformed/
return (("x"):gsub(string.rep("()", 33), "%1"))
