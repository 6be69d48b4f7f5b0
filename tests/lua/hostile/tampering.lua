--- the string library wiped
--> = "done"
for name in pairs(string) do string[name] = nil end return "done"
--- string methods replaced
--> = "X"
string.upper = function() return "evil" end return ("x"):upper()
--- pcall replaced
--> = "done"
pcall = nil rawset(_G, "pcall", error) return "done"
--- tostring replaced
--> = "done"
tostring = function() return "evil" end return "done"
--- _G made a trap
--> = "done"
setmetatable(_G, { __index = function() return "evil" end, __newindex = function() end }) x = 1 return "done"
--- the libraries enumerated and replaced
--> = "done"
for _, library in pairs { string, table, math, utf8, coroutine } do
  for name in pairs(library) do library[name] = function() return "evil" end end
end
return "done"
--- rawset into a library
--> = "done"
rawset(string, "format", nil) rawset(table, "concat", nil) rawset(math, "floor", nil) return "done"
--- a global left behind
--> = null
local was = left_behind left_behind = "evil" return was
--- null written to
--> script.error /null is read-only/
null.x = 1
--- null rawset
--> script.error /null is read-only/
rawset(null, "x", 1)
--- null appended to
--> script.error /null is read-only/
table.insert(null, "x")
--- null as the target of move
--> script.error /null is read-only/
table.move({ 1 }, 1, 1, 1, null)
--- null sorted
--> script.error /null is read-only/
table.sort(null)
--- null made a list
--> script.error /expected a table, got null/
array(null)
--- the input written to
--> = {"list": [1, 2], "extra": 1, "empty": [], "nothing": null}
input.extra = 1 return input
--- swarm overwritten
--> = 1
swarm.echo = function() return 1 end return swarm.echo()
--- swarm.null replaced
--> = null
swarm.null = {} return null
--- the seed spent
--> = true
for _ = 1, 10 do math.random() end math.randomseed(7) return true
--- the generator unseeded
--> script.error /number expected/
math.randomseed()
--- metatable of a library
--> = null
setmetatable(string, { __index = function() return 1 end }) return getmetatable(table)
--- a coroutine left suspended
--> = "done"
kept = coroutine.wrap(function() coroutine.yield() while true do end end) kept() return "done"
--- shadowed error
--> = "done"
error = function() end error("x") return "done"
