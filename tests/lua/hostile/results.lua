--- not a number
--> script.result /value cannot leave Lua: the number nan is not finite/
return 0 / 0
--- infinity inside
--> script.result /value\.a\[3\]\.b cannot leave Lua: the number inf is not finite/
return { a = { 1, 2, { b = math.huge } } }
--- a finite number
--> = {"a": [1, 2, {"b": 1.5}]}
return { a = { 1, 2, { b = 1.5 } } }
--- invalid UTF-8
--> script.result /not valid UTF-8/
return "\xff"
--- a surrogate in UTF-8
--> script.result /not valid UTF-8/
return "\xed\xa0\x80"
--- an overlong encoding
--> script.result /not valid UTF-8/
return "\xc0\x80"
--- valid UTF-8 with a zero
--> = "é\u0000"
return "é\0"
--- invalid UTF-8 as a key
--> script.result /not valid UTF-8/
return { ["\xff"] = 1 }
--- a cycle
--> script.result /nested deeper than 128, or a cycle/
local t = {} t.t = t return t
--- a shared part
--> = {"a": {"n": 1}, "b": {"n": 1}}
local t = { n = 1 } return { a = t, b = t }
--- a hundred thousand levels
--> script.result /nested deeper than 128/
local t = {} for _ = 1, 100000 do t = { t } end return t
--- a hundred levels
--> script.result /nested deeper than 128/
local t = {} for _ = 1, 128 do t = { t } end return t
--- mixed keys
--> script.result /a list that also has the key "x"/
return { 1, 2, x = 3 }
--- a sparse list
--> script.result /value cannot leave Lua: (a list with holes|an object with the key)/
return { [1] = 1, [1000000000] = 2 }
--- a list with a hole
--> script.result /holes|key 3/
return { 1, nil, 3 }
--- a list with null
--> = [1, null, 3]
return { 1, null, 3 }
--- boolean keys
--> script.result /an object with the key true/
return { [true] = 1 }
--- float keys
--> script.result /an object with the key 1.5/
return { [1.5] = 1 }
--- table keys
--> script.result /an object with the key of type table/
return { [{}] = 1 }
--- integer keys from zero
--> script.result /an object with the key 0/
return { [0] = 1 }
--- a function
--> script.result /value cannot leave Lua: a function/
return function() end
--- a function inside
--> script.result /value\.f cannot leave Lua: a function/
return { f = pcall }
--- a thread
--> script.result /a thread/
return coroutine.create(function() end)
--- a lying metatable
--> = {}
return setmetatable({}, { __pairs = function() return function() return 1, 2 end end, __len = function() return 1 << 40 end, __index = function() return 1 end })
--- an endless metatable
--> = {}
return setmetatable({}, { __pairs = function() while true do end end })
--- an empty object
--> = {}
return {}
--- an empty list
--> = []
return array {}
--- a list with a name
--> script.result /a list that also has the key "x"/
return array { x = 1 }
--- too many values
--> script.result /more than 100000 values/
local t = {} for i = 1, 100000 do t[i] = i end return t
--- nearly too many values
--> = 99999
local t = {} for i = 1, 99999 do t[i] = true end swarm.echo(#t) return #t
--- too many bytes
--> script.result /more than 2097152 bytes/
return string.rep("x", 3000000)
--- billion laughs
--> script.result /more than 100000 values/
local t = { "ha" } for _ = 1, 40 do t = { t, t } end return t
--- the smallest integer
--> = -9223372036854775808
return math.mininteger
--- a float without fraction
--> = 5.0
return 10 / 2
--- nothing
--> = null
--- nil
--> = null
return nil
--- null
--> = null
return null
--- two results
--> = 1
return 1, 2
--- a very long key
--> script.result /cannot leave Lua: a function/
return { [string.rep("k", 100000)] = pcall }
--- a list of many names for one table that was emptied
--> script.budget
local t, l = {}, {}
for i = 1, 600000 do t[i * 7919] = true end
for i = 1, 600000 do t[i * 7919] = nil end
for i = 1, 90000 do l[i] = t end
return l
--- a list of many names for one empty table
--> = 90000
local t, l = {}, {}
for i = 1, 90000 do l[i] = t end
return #swarm.echo(l)
--- a list whose items were written backwards
--> = [1, 2, 3, 4]
local t = {} for i = 4, 1, -1 do t[i] = i end return t
--- a metatable that answers for what is not there
--> script.result /a list with holes/
local asked = setmetatable({ 1, 2, nil, 4 }, { __index = function() while true do end end })
return asked
--- a metatable that says it is like any other
--> script.result /nested deeper than 128/
local like = { __eq = function() return true end }
local t = setmetatable({}, like) t.t = t return t
