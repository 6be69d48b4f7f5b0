--- __index that makes a deeper __index
--> script.budget
local function deeper() return setmetatable({}, { __index = function(_, k) return deeper()[k] end }) end
while true do pcall(function() return deeper().x end) end
--- __index that answers
--> = 7
return setmetatable({}, { __index = function(_, k) return k end })[7]
--- __newindex that writes to itself
--> script.error /stack overflow|C stack overflow/
local t = setmetatable({}, { __newindex = function(t, k, v) t[k .. "x"] = v end })
t.a = 1
--- __newindex that writes raw
--> = 1
local t = setmetatable({}, { __newindex = function(t, k, v) rawset(t, k .. "x", v) end })
t.a = 1 return t.ax
--- a ring of __newindex
--> script.error /'__newindex' chain too long; possible loop/
local a, b = {}, {}
setmetatable(a, { __newindex = b }) setmetatable(b, { __newindex = a })
a.x = 1
--- a chain of two __newindex
--> = 1
local a, b = {}, {}
setmetatable(a, { __newindex = b })
a.x = 1 return b.x
--- a ring of __index
--> script.error /'__index' chain too long; possible loop/
local a = {} setmetatable(a, { __index = a }) return a.x
--- __concat that concatenates without end
--> script.budget
local t = setmetatable({}, {}) getmetatable(t).__concat = function(a, b) while true do end end
while true do pcall(function() return t .. "x" end) end
--- __concat that hoards
--> script.memory
local mt = {} local function new(s) return setmetatable({ s }, mt) end
mt.__concat = function(a, b) return new(string.rep("x", 1000000) .. #a) end
local t, all = new(""), {} while true do t = t .. t all[#all + 1] = t end
--- __concat that joins
--> = "ab"
local mt = {} mt.__concat = function(a, b) return a[1] .. b[1] end
return setmetatable({ "a" }, mt) .. setmetatable({ "b" }, mt)
--- __len of another kind
--> script.error /'for' limit \(number expected, got string\)/
local t = setmetatable({}, { __len = function() return "many" end })
for i = 1, #t do end
--- __len without end
--> script.budget
return #setmetatable({}, { __len = function() while true do end end })
--- __len that counts
--> = 3
return #setmetatable({}, { __len = function() return 3 end })
--- __eq without end inside a table of results
--> script.budget
local mt = { __eq = function() while true do end end }
return setmetatable({}, mt) == setmetatable({}, mt)
--- __eq that lies to the libraries
--> = "null"
local liar = setmetatable({}, { __eq = function() return true end })
return liar == swarm.null and tostring(swarm.null)
--- __lt without end
--> script.budget
local mt = { __lt = function() while true do end end }
table.sort({ setmetatable({}, mt), setmetatable({}, mt) })
--- __lt that compares
--> = 1
local mt = { __lt = function(a, b) return a.n < b.n end }
local t = { setmetatable({ n = 2 }, mt), setmetatable({ n = 1 }, mt) }
table.sort(t) return t[1].n
--- __le without end
--> script.budget
local mt = { __le = function() while true do end end }
return setmetatable({}, mt) <= setmetatable({}, mt)
--- __unm, __bnot and __idiv without end
--> script.budget
local mt = {} for _, name in ipairs({ "__unm", "__bnot", "__idiv" }) do mt[name] = function() while true do end end end
local t = setmetatable({}, mt)
while true do pcall(function() return -t end) pcall(function() return ~t end) pcall(function() return t // 1 end) end
--- arithmetic by metamethods
--> = 12
local mt = { __unm = function() return 3 end, __idiv = function() return 4 end }
local t = setmetatable({}, mt) return -t * (t // 1)
--- __call that calls itself
--> script.error /stack overflow/
local t = setmetatable({}, { __call = function(self) return 1 + self() end }) t()
--- __call in a tail, without end
--> script.budget
local t = setmetatable({}, { __call = function(self) return self() end }) t()
--- __call that answers
--> = 5
return setmetatable({}, { __call = function(_, n) return n end })(5)
--- __close without end in an ordinary block
--> script.budget
do local x <close> = setmetatable({}, { __close = function() while true do end end }) end
--- __close in a generic for, without end
--> script.budget
local closer = setmetatable({}, { __close = function() while true do end end })
for _ in function() return nil end, nil, nil, closer do end
--- __close in a generic for
--> = 1
local n = 0
local closer = setmetatable({}, { __close = function() n = n + 1 end })
for _ in function() return nil end, nil, nil, closer do end
return n
--- __close that yields to the host after the budget
--> script.budget
local x <close> = setmetatable({}, { __close = function() swarm.echo(1) while true do end end })
while true do end
--- __close that calls the host
--> = 4
local n
do local x <close> = setmetatable({}, { __close = function() n = swarm.echo(4) end }) end
return n
--- a variable to close that cannot be
--> script.error /variable 'x' got a non-closable value/
local x <close> = {}
--- __gc in a metatable, by rawset, before it is set
--> script.error /__gc and __mode are not available/
local mt = rawset({}, "__gc", function() while true do end end) setmetatable({}, mt)
--- __gc by a metatable of the metatable
--> = "alive"
local mt = setmetatable({}, { __index = function() return function() while true do end end end })
for _ = 1, 1000 do setmetatable({}, mt) end
local t = {} for i = 1, 100000 do t = { i } end
return "alive"
--- __mode by a metatable of the metatable
--> = 1
local mt = setmetatable({}, { __index = function() return "kv" end })
local t = setmetatable({ {} }, mt) for i = 1, 200000 do local _ = { i } end
return #t
--- __mode in a metatable, by rawset
--> script.error /__gc and __mode are not available/
setmetatable({}, rawset({}, "__mode", "v"))
--- __metatable that is false
--> = false
return getmetatable(setmetatable({}, { __metatable = false }))
--- __metatable that is false, replaced
--> script.error /cannot change a protected metatable/
setmetatable(setmetatable({}, { __metatable = false }), {})
--- __tostring that calls tostring of itself, in format
--> script.error /stack overflow/
local t = setmetatable({}, { __tostring = function(t) return "x" .. string.format("%s", t) end })
return string.format("%s", t)
--- __tostring without end, in format
--> script.budget
return string.format("%s", setmetatable({}, { __tostring = function() while true do end end }))
--- __tostring of eight megabytes, forty times
--> script.memory
local t = setmetatable({}, { __tostring = function() return string.rep("x", 8000000) end })
return #string.format(string.rep("%s", 40), t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t)
--- __tostring in format
--> = "<me>"
return string.format("<%s>", setmetatable({}, { __tostring = function() return "me" end }))
--- __name of a megabyte in an error
--> script.error /./
return #setmetatable({}, { __name = string.rep("x", 1000000) }) < {}
--- __pairs that yields keys for ever
--> script.budget
for _ in pairs(setmetatable({}, { __pairs = function() return function() return 1 end end })) do end
--- __pairs that counts down
--> = 3
local n = 0
for _ in pairs(setmetatable({}, { __pairs = function() return function(_, k) k = (k or 4) - 1 if k > 0 then return k end end end })) do n = n + 1 end
return n
--- a metatable that is its own
--> script.error /loop|overflow/
local t = {} setmetatable(t, t) t.__index = t return t.x
