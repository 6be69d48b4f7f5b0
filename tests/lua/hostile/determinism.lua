--- random numbers repeat
--> same
local t = {} for i = 1, 5 do t[i] = math.random(1000000) end return t
--- the order of pairs
--> = ["1", "2", "a", "b", "c", "d", "e", "true"]
local t = { "x", "y", e = 1, d = 1, c = 1, b = 1, a = 1, [true] = 1 }
local keys = {} for k in pairs(t) do keys[#keys + 1] = tostring(k) end return keys
--- deleting while iterating
--> = 0
local t = { a = 1, b = 2, c = 3, 1, 2, 3 } for k in pairs(t) do t[k] = nil end
local n = 0 for _ in pairs(t) do n = n + 1 end return n
--- adding while iterating
--> = 3
local t, n = { a = 1, b = 2, c = 3 }, 0 for k in pairs(t) do t[k .. "x"] = 1 n = n + 1 end return n
--- the address of a table
--> = ["table", "function", "thread", "function"]
return { tostring({}), tostring(pcall), tostring(coroutine.create(pcall)), tostring(function() end) }
--- an address in a format
--> = "table function"
return string.format("%s %s", {}, pcall)
--- an address in an error
--> script.error /^((?!0x).)*$/
return {} .. {}
--- sort is stable
--> = ["b1", "a1", "c2", "a2", "z3"]
local t = { "c2", "b1", "a2", "a1", "z3" }
table.sort(t, function(a, b) return a:sub(2) < b:sub(2) end) return t
--- the sign of not a number
--> = "nan"
return tostring(0 / 0)
--- time
--> = null
return os
