--- eight gigabytes by rep
--> script.error /a result of more than 8388608 bytes/
return string.rep("x", 1 << 33)
--- eight megabytes by rep
--> = 8388608
return #string.rep("x", 1 << 23)
--- rep with a long separator
--> script.error /a result of more than/
return string.rep("", 100000, string.rep("y", 100000))
--- a string doubled for ever
--> script.memory
local s = "x" while true do s = s .. s end
--- a string doubled ten times
--> = 1024
local s = "x" for _ = 1, 10 do s = s .. s end return #s
--- tables without end
--> script.memory
local t = {} while true do t = { t, string.rep("x", 1000) .. #t } end
--- one table without end
--> script.memory
local t = {} while true do t[#t + 1] = { #t, {}, {} } end
--- strings without end
--> script.memory
local t = {} local i = 0 while true do i = i + 1 t[i] = string.rep("x", 10000) .. i end
--- memory failure caught again and again
--> script.memory
local hoard = {}
while true do pcall(function() while true do hoard[#hoard + 1] = string.rep("x", 100000) .. #hoard end end) end
--- memory failure inside a coroutine
--> script.memory
local hoard = {}
local co = coroutine.wrap(function() while true do hoard[#hoard + 1] = string.rep("x", 100000) .. #hoard end end)
pcall(co)
return "survived"
--- memory failure in a handler
--> script.memory
local hoard = {}
local function eat() while true do hoard[#hoard + 1] = string.rep("x", 100000) .. #hoard end end
xpcall(eat, eat)
--- coroutines without end
--> script.error /more than 1000 coroutines/
local t = {} while true do t[#t + 1] = coroutine.create(function() end) end
--- closures without end
--> script.memory
local t = {} for i = 1, 1e9 do t[i] = function() return i, t, {} end end
--- gsub that blows up
--> script.memory
return #string.gsub(string.rep("x", 500000), "x", string.rep("y", 10000))
--- gsub that grows a little
--> = "yyyy"
return (string.gsub("xx", "x", "yy"))
--- a format of two hundred megabytes
--> script.memory
local s = string.rep("x", 4000000) return #string.format(string.rep("%s", 50), table.unpack((function() local t = {} for i = 1, 50 do t[i] = s end return t end)()))
--- a pack of two gigabytes
--> script.memory
return #string.pack("c2000000000", "x")
--- a pack of eight bytes
--> = 8
return #string.pack("c8", "x")
--- unpack of ten million
--> script.error /unpack: more than 8000 results/
return table.unpack({}, 1, 10000000)
--- unpack of eight thousand
--> = 8000
return (select("#", table.unpack({}, 1, 8000)))
--- unpack of one more
--> script.error /unpack: more than 8000 results/
return (select("#", table.unpack({}, 1, 8001)))
--- a table given a huge array
--> script.memory
local t = {} for i = 1, 50000000 do t[i] = i .. string.rep("x", 1000) end
--- concat of a huge list
--> script.memory
local t = {} local s = string.rep("x", 1000000) for i = 1, 100 do t[i] = s end return #table.concat(t)
--- many results
--> = 1
local t = {} for i = 1, 7000 do t[i] = i end return table.unpack(t)
--- varargs without end
--> script.budget
local function f(...) return f(1, ...) end return f()
--- four megabytes of utf8 codes
--> script.budget
local s = string.rep("é", 2000000) for _ = 1, 1000 do for _ in utf8.codes(s) do end end
--- ballast thrown away
--> = "done"
for _ = 1, 20 do local s = string.rep("x", 4000000) end return "done"
--- an endless error object
--> script.error
local t = {} t[1] = t error(t)
--- an error object of twenty megabytes
--> script.error
error({ message = string.rep("x", 8000000) })
