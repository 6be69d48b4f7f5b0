--- a question mark for every letter, and the letters behind them
--> script.budget
return (("a"):rep(40)):find(("a?"):rep(40) .. ("a"):rep(41))
--- question marks and their letters, few
--> = [1, 5]
return array { ("a"):rep(5):find(("a?"):rep(5) .. ("a"):rep(5)) }
--- a number as the subject of many repeats
--> script.budget
return string.find(123456789012345678, ("%d*"):rep(50) .. "x")
--- a number as subject and pattern
--> = [2, 3]
return array { string.find(1230, 23) }
--- a catastrophic pattern in pcall, for ever
--> script.budget
local s, p = ("a"):rep(3000), ("a*"):rep(6) .. "b" while true do pcall(string.find, s, p) end
--- a catastrophic pattern in a thousand coroutines
--> script.budget
local s, p = ("a"):rep(3000), ("a-"):rep(6) .. "b"
for _ = 1, 900 do pcall(coroutine.wrap(function() return s:match(p) end)) end
--- a catastrophic pattern in a callback of a catastrophic pattern
--> script.budget
local s = ("a"):rep(200000)
return s:gsub("(a-)a-a-ab?", function(a) return (a:gsub("a*a*a*b", "")) .. s:match("a*a*b") end)
--- patterns in callbacks of patterns that C is not given
--> = ["bbbbb", 5]
local s = ("a"):rep(20)
local r, n = s:gsub("(a-)(a-)(a-)aaaa", function() return (("ab"):rep(9000):match("^(a-b)(.-)(.-)(.-)b$"):gsub("a", "")) end)
return array { r, n }
--- a catastrophic pattern with a place to begin, again and again
--> script.budget
local s = ("a"):rep(100000) for i = 1, #s do local _ = s:find("a*a*b", i) end
--- a place to begin, beyond the end and before the beginning
--> = [3, 1]
local s = ("a"):rep(100000) .. "b" local n = 0
for _, i in ipairs { 0, -1, 100002, math.maxinteger, math.mininteger } do if s:find("a*a*a*b", i) then n = n + 1 end end
return array { n, (s:find("a*a*a*b", -3)) - 99998 }
--- new patterns without end, each planned anew
--> script.budget
local s, n = ("ab"):rep(30000), 0
while true do n = n + 1 local _ = s:find("a*" .. n .. "-b*" .. n .. "c") end
--- new patterns, a hundred
--> = 100
local s, n = ("ab"):rep(300), 0
for i = 1, 100 do if not s:find("a*" .. i .. "b*" .. i .. "c") then n = n + 1 end end return n
--- words of a letter, counted again and again to know how long they are
--> script.budget
local s = ("a "):rep(250000) while true do local _ = s:match("(%a+)%s*=%s*(%a+)") end
--- a set of five hundred letters, repeated
--> script.budget
return (("x"):rep(500000)):find("[" .. ("a"):rep(480) .. "]*[^x]*x*y")
--- a set of five hundred letters, looked for again and again
--> script.budget
local s, p = ("x"):rep(500000), "[" .. ("a"):rep(490) .. "]y" while true do s:find(p) end
--- a set of a hundred letters, looked for
--> = 100001
return (("x"):rep(100000) .. "a"):find("[" .. ("ab"):rep(50) .. "]")
--- back references to what is long, two hundred of them
--> script.budget
return (("a"):rep(500000)):find("(a*)" .. ("%1"):rep(200) .. "b")
--- a yield in the callback of a pattern that C is not given
--> script.error /attempt to yield across a C.call boundary/
return (("a"):rep(100000)):gsub("a-a-a*ab?", function() return swarm.echo and swarm.echo(1) or coroutine.yield(1) end)
--- the same in a coroutine
--> = false
local co = coroutine.wrap(function() return pcall(string.gsub, ("a"):rep(9000), "a-a-a*ab?", coroutine.yield) end)
return (co())
--- an iterator kept after its pattern was wrong
--> = [false, true, true, true]
local it, short = (("a"):rep(2000) .. "c"):gmatch("a-a-a-c("), ("ac"):gmatch("a-a-a-c(")
return array { (pcall(it)), (pcall(it)), pcall(short) == false, (pcall(short)) }
--- a replacement whose table answers without end, for a pattern that C is not given
--> script.budget
return (("a"):rep(9000)):gsub("(a-)a-a-ab?", setmetatable({}, { __index = function() while true do end end }))
--- a replacement that is longer and longer
--> script.memory /./
return (("a"):rep(500000)):gsub("a-a-a-", function(a) return a .. ("x"):rep(100000) end)
--- a text that looks like a text's place
--> = ["NaN", "Infinity", "[NaN,NaN]", "\\u0000", "{\"a\":NaN}", "null"]
return array { "NaN", "Infinity", "[NaN,NaN]", "\\u0000", '{"a":NaN}', "null" }
--- keys that look like the end of an object
--> = {"\"":1,"\":NaN}":2,"\\":3,"\\u0041":4,"]":5,"a\nb":6}
return { ['"'] = 1, ['":NaN}'] = 2, ["\\"] = 3, ["\\u0041"] = 4, ["]"] = 5, ["a\nb"] = 6 }
--- the byte that stands between texts, in a text and in a key
--> script.result /cannot leave Lua: a string that is not valid UTF-8/
return { ["a"] = "b\xffc", ["d\xff"] = 1 }
--- a key of two megabytes of zeros
--> script.result /more than 2097152 bytes/
return { [("\0"):rep(2097152)] = 1 }
--- keys of odd letters, as many as may leave
--> script.result /more than 2097152 bytes/
local t = {} for i = 1, 40000 do t[("\1"):rep(20) .. i] = i end return t
--- keys of odd letters, a few
--> = 1
local t = {} for i = 1, 40 do t[("\1"):rep(20) .. i] = i end return t[("\1"):rep(20) .. 1]
--- every object unlike the one before
--> = 9000
local t = array {} for i = 1, 9000 do t[i] = { ["k" .. i] = i, [i % 7 == 0 and "seven" or "k"] = i } end
return #t
--- every object unlike the one before, left
--> same
local t = array {} for i = 1, 3000 do t[i] = { ["k" .. i] = i, [i % 7 == 0 and "seven" or "k"] = i } end
return t
--- a hundred thousand floats with all their digits
--> script.result /more than 2097152 bytes|more than 100000 values/
local t = array {} for i = 1, 100000 do t[i] = -1e-300 / i end return t
--- floats with all their digits
--> = [-0.0, 0.1, 1e+300, 5e-324, 123456789012345680.0]
return array { -0.0, 0.1, 1e300, 5e-324, 123456789012345680.0 }
--- objects whose members are gone, many of one kind
--> script.budget
local dead = {} for i = 1, 60000 do dead["k" .. i] = i end for k in pairs(dead) do dead[k] = nil end
local list = array {} for i = 1, 90000 do list[i] = dead end
while true do pcall(swarm.fail, "a", "b", list) swarm.echo(list) end
--- a result for which no memory is left
--> script.memory /./
local hoard, s = {}, ("x"):rep(100000)
for i = 1, 600 do hoard[i] = s .. i end
local t = array {} for i = 1, 20 do t[i] = s end
while true do hoard[#hoard + 1] = s .. #hoard end return t
--- memory up to the brim, and then a pattern
--> script.memory /./
local hoard, n = {}, 0
local ok = pcall(function() while true do n = n + 1 hoard[n] = ("x"):rep(1000) .. n end end)
return (("a"):rep(9000)):match("a-a-a-b")
--- memory nearly up to the brim, and then a result
--> = 1
local hoard = {} for i = 1, 300 do hoard[i] = ("x"):rep(100000) .. i end return 1
--- a failure whose value cannot leave
--> script.error /bad/
error({ message = "bad", code = "x", value = pcall, ["\xff"] = 1 })
--- a failure whose value has more than may leave
--> script.error /bad/
local t = {} for i = 1, 20000 do t[i] = i end error({ message = "bad", list = t })
--- a failure whose value asks for its code
--> script.error /bad/
error(setmetatable({ message = "bad" }, { __index = function() while true do end end, __pairs = function() while true do end end }))
