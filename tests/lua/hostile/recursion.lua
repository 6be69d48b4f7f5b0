--- endless recursion
--> script.memory /recursion without end/
local function f() return 1 + f() end f()
--- recursion a thousand deep
--> = 1000
local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end return f(1000)
--- endless tail calls
--> script.budget
local function f() return f() end f()
--- endless recursion caught for ever, with frames so wide that the stack ends before memory
--> script.budget
while true do pcall(function() local function f() local a, b, c, d, e, g, h, i, j, k, l, m return 1 + f() end f() end) end
--- recursion through __index
--> script.error /overflow/
local mt = {} mt.__index = function(t, k) return t[k .. "x"] .. "" end
return setmetatable({}, mt).a
--- recursion through __tostring
--> script.error /overflow/
local t = setmetatable({}, {}) getmetatable(t).__tostring = function(x) return tostring(x) .. "" end return tostring(t)
--- recursion through pcall
--> script.error /overflow/
local function f() local ok, e = pcall(f) if not ok then error(e, 0) end end f()
--- recursion through coroutines
--> script.error /C stack overflow/
local function f() local ok, e = coroutine.resume(coroutine.create(f)) if not ok then error(e, 0) end end f()
--- recursion through gsub
--> script.error /overflow/
local function f() return (string.gsub("x", "x", f)) end f()
--- recursion through sort
--> script.error /overflow/
local function f(a, b) table.sort({ 1, 2 }, f) return a < b end f(1, 2)
--- recursion through __lt
--> script.error /overflow/
local mt = {} mt.__lt = function(a, b) return a < b end
local a, b = setmetatable({}, mt), setmetatable({}, mt) return a < b
--- recursion through an error handler
--> script.error
local function h(e) return error(e) end xpcall(h, h, "x")
error("out")
--- a coroutine that resumes itself
--> = "cannot resume non-suspended coroutine"
local co co = coroutine.create(function() return coroutine.resume(co) end)
local _, _, why = coroutine.resume(co) return why
--- the main coroutine resumed by another
--> = false
local main = coroutine.running()
return (coroutine.wrap(function() return (coroutine.resume(main)) end)())
--- yield at top level
--> script.error /attempt to yield from outside a coroutine/
coroutine.yield(1)
--- yield across a gsub callback
--> script.error /attempt to yield across a C-call boundary/
coroutine.wrap(function() string.gsub("x", "x", function() coroutine.yield() end) end)()
--- resume of what is none
--> script.error /coroutine expected/
coroutine.resume({})
--- a million parentheses
--> script.syntax
return @@100000 (@@1@@100000 )@@
--- a hundred parentheses
--> = 1
return @@100 (@@1@@100 )@@
--- a hundred thousand braces
--> script.syntax
return @@100000 {@@1@@100000 }@@
--- a hundred braces
--> = [[[[[[[[[[1]]]]]]]]]]
return @@10 {@@1@@10 }@@
--- a hundred thousand concatenations
--> script.syntax
return "a"@@50000 .."a"@@
--- a hundred thousand nots
--> script.syntax
return @@60000 not @@ true
--- a hundred thousand minus signs
--> script.syntax
return @@60000 - @@ 1
--- functions nested three hundred deep
--> script.syntax
return @@300 function() return @@1@@300  end@@
--- tables nested two hundred deep leave
--> script.result /nested deeper than 128/
return @@150 {@@1@@150 }@@
--- two hundred and sixty locals
--> script.syntax /too many local variables/
@@260 local a @@
--- a hundred locals
--> = null
@@100 local a @@
--- too many upvalues
--> script.syntax /too many/
@@190 local a @@ local function f() @@190 local b @@ return function() @@100 a=b @@ end end @@70 local c @@
--- more than the source may have
--> script.syntax /at most 262144 bytes/
return 1 -- @@262144 x@@
--- nearly as much as the source may have
--> = 1
return 1 -- @@262100 x@@
--- a long bracket of a hundred thousand signs
--> = "x"
return [@@100000 =@@[x]@@100000 =@@]
--- a number of a hundred thousand digits
--> script.result /not finite/
return @@100000 9@@
--- a hex number of a hundred thousand digits
--> = -1
return 0x@@100000 f@@
