--@ assignment to a global | global
function(ctx) total = 4 end
function() ctx.a = 4 end | the context is the parameter
function() return ctx.a end | the context is the parameter
function(ctx) function helper() return 1 end end
--@ assignment to a name of the script | belongs to the script
function(ctx) MAX = 4 end
function(ctx) CFG.limit = 5 end
function(ctx) double = 1 end | stays the one it is
--@ `<close>` | <close>
function(ctx) local x <close> = nil end
--@ `...` | '...'
function(ctx) local function f(...) return echo(...) end f(1) end
--@ several results of an agent | one value
function(ctx) local a, b = echo(1) end
function(ctx) local a, b, c = pcall(echo, 1) end
function(ctx) local a, b a, b = echo(1) end
function(ctx) return 1, 2 end
--@ several values where one is taken | takes one
function(ctx) local t = { ("x,y"):gsub(",", ";") } return t end
function(ctx) return { 1, ("x"):find("x") } end
function(ctx) table.insert(ctx.l, ("a b"):gsub(" ", "-")) end
function(ctx) return string.format("%s %d", ("a b"):gsub(" ", "-")) end
function(ctx) local function two() return 1, 2 end return { two() } end
function(ctx) local function two() return 1, 2 end return math.max(two()) end
function(ctx) return { ("k=v"):match("(%a)=(%a)") } end
--@ functions as values | function
function(ctx) ctx.f = function() return 1 end end
function(ctx) return { f = double } end
function(ctx) echo(print) end | no output
function(ctx) echo(null) end | flow.null
--@ agents as values | agent
function(ctx) ctx.a = echo end
function(ctx) return { who = echo } end
--@ calls of what is not known | known only while the flow runs
function(ctx) agents[ctx.name](1) end
function(ctx) local f = ctx.f f() end | a value of the flow
function(ctx) ctx.run() end
function(ctx) ehco(1) end | no agent and no function
--@ methods of tables | no method
function(ctx) ctx.obj:run() end
function(ctx) echo:call(1) end | an agent has no methods
function(ctx) return M:later(1) end
function(ctx) return M.later(M, 1) end | is a method
--@ `goto` elsewhere | goto
function(ctx) ::top:: ctx.n = echo(1) if ctx.n then goto top end end
--@ other iterators | ipairs, pairs or gmatch
function(ctx) local words = ctx.s:gmatch("%a+") end | behind 'in'
function(ctx) for k in next, ctx do echo(k) end end
--@ tables with items and names | items or names
function(ctx) return { 1, a = 2 } end
--@ other keys | positions
function(ctx) local t = { [true] = 1 } end | boolean
function(ctx) local t = {} t[0] = 1 end
function(ctx) local t = { 1 } return t[true] end
--@ metatables | plain values
function(ctx) ctx.t = setmetatable({}, {}) end
function(ctx) return getmetatable(ctx) end
--@ `io`, `os`, `print` |
function(ctx) print("x") end | no output
function(ctx) ctx.t = os.time() end | no clock
function(ctx) io.write("x") end | no files
--@ chance | go the same way again
function(ctx) return math.random(6) end
--@ code made at run time | all code of a flow
function(ctx) return load("return 1")() end
--@ `require` inside the function | modules
function(ctx) local m = require("m") end
--@ coroutines | the machine schedules
function(ctx) coroutine.yield(1) end
--@ `select`, `next`, `rawget` and the like |
function(ctx) return select("#", 1) end | one value
function(ctx) return next(ctx, "a") end | pairs
function(ctx) return rawget(ctx, "a") end | metatables
--@ `xpcall` | use pcall
function(ctx) xpcall(function() end, print) end
--@ functions handed to the library | with a function
function(ctx) return ("a"):gsub("a", function() return "b" end) end
function(ctx) local n = 1 table.sort(ctx.l, function(a, b) return a == n end) end | more than it is given
function(ctx) table.sort(ctx.l, ctx.by) end | takes a list and a function
--@ `table.unpack`, `table.pack`, `table.move` |
function(ctx) return math.max(table.unpack({ 1, 2 })) end | one by one
function(ctx) return table.pack(1, 2) end | write { a, b }
--@ infinity and NaN | finite
function(ctx) return 1e999 end
function(ctx) return 1 / 0 end | by zero
--@ bytes that are no UTF-8 | UTF-8
function(ctx) return "\xff" end
--@ a list as an error | has neither
function(ctx) error({ 1, 2 }) end
function(ctx) error() end | a code and a message
function(ctx) error(nil) end | a code and a message
function(ctx) error({}) end | this table has nothing
function(ctx) flow.fail { codex = "a", reason = ctx.r } end | this table has 'codex', 'reason'
--@ errors that are sure to come |
function(ctx) return MAX.x end | indexes a number
function(ctx) return {} + 1 end | only numbers
function(ctx) return "x" .. {} end | joins
function(ctx) return {} < 1 end | compares
function(ctx) for i = 1, 2, 0 do end end | zero
--@ a write under another name | may reach too
function(ctx) local d = ctx.draft d.title = "x" return ctx end
function(ctx) ctx.a = ctx.b ctx.a.x = 1 end
function(ctx) local o = {} local t = { n = 1 } o[1] = t t.n = 2 return o end
function(ctx) ctx.l[2] = ctx.l[1] ctx.l[1].x = 5 end
function(ctx) local t = ctx[ctx.k] ctx.a.n = 5 return t end | write copy(…) where t is set
function(ctx) local t = ctx[ctx.k] t.n = 5 return ctx end
function(ctx) local t = ctx[ctx.k].deep ctx.a.deep.n = 4 return t end
function(ctx) local t = ctx.r.a ctx.r[ctx.k].n = 4 return t end
function(ctx) local x, y = ctx.a, ctx.a x.n = 2 return { x, y } end
function(ctx) local t = { n = 1 } local pair = { one = t, two = t } pair.one.n = 2 return pair end
function(ctx) local t = { n = 1 } local pair = { t, t } pair[1].n = 2 return pair end
function(ctx) local t = {} local box = { deep = { t } } t.n = 2 return box end
function(ctx) local r = echo { n = 1 } ctx.first = r ctx.second = r ctx.first.n = 2 end
function(ctx) local t = ctx.a or {} t.n = 2 return { t, ctx } end
function(ctx) local function first(l) return l[1] end first(ctx.l).n = 1 end | only locals
function(ctx) local function first(l) return l[1] end local x = first(ctx.l) x.n = 1 return ctx end
function(ctx) local function find(l) for _, x in ipairs(l) do if x.n then return x end end end local x = find(ctx.l) x.n = 1 return ctx end
function(ctx) local function group(l) local out = {} for _, x in ipairs(l) do out[x.k] = x end return out end local g = group(ctx.l) g.a.n = 1 return ctx end
function(ctx) local function both(l) return l[1], l[2] end local a, b = both(ctx.l) b.n = 1 return ctx end
function(ctx) local function names() local out = CFG.names return out end local n = names() n[1] = "z" return n end
function(ctx) ctx.c = CFG ctx.c.limit = 9 end | CFG may reach too
function(ctx) local box = { n = CFG.names } box.n[1] = "z" return box end | CFG.names may reach too
function(ctx) local out = parallel({ 1 }, function(v) local t = ctx.a t.n = v return t end) return out end
function(ctx) local t = {} local p = parallel { a = function() return t end, b = function() return t end } p.a.n = 1 return { p, t } end
function(ctx) local ok, e = pcall(function() error("a.b", "m", ctx.a) end) e.data.n = 7 return ctx end
function(ctx) local _, e = pcall(flaky, "fail") local ok, again = pcall(function() error(e) end) again.code = "x" return e.code end
function(ctx) local out, t = {}, {} for i = 1, 2 do t.i = i out[#out + 1] = t end return out end
function(ctx) local n = 0 local t repeat n = n + 1 t = ctx.l[1] ctx.l[1].done = true until t.done or n > 3 return n end
function(ctx) ctx.o.x = ctx.o end | inside itself
function(ctx) ctx.all = { c = ctx } end | inside itself
--@ a helper that changes a table whose name is set anew meanwhile | write copy
function(ctx) local l = { 1 } local function push(t, x) l = { "new", t } t[#t + 1] = x end push(l, 2) return l end
function(ctx) local l = { 1 } local function other() l = { 9 } end local function push(t, x) local first = t other() t[#t + 1] = x return first end return { push(l, 2), l } end
--@ changing the table that a loop goes over | goes over
function(ctx) for i, f in ipairs(ctx.files) do ctx.files[i + 1].done = true end end
function(ctx) for i, f in ipairs(ctx.files) do ctx.files[i].done = true ctx.last = f.done end end | f may reach too
function(ctx) for i, v in ipairs(ctx.l) do i = i + 1 ctx.l[i] = v end end
function(ctx) local l = ctx.l for _, v in ipairs(l) do ctx.l[2] = 9 ctx.last = v end end
function(ctx) for _, v in ipairs(ctx[ctx.k]) do ctx.l[2] = 9 ctx.last = v end end
function(ctx) for k, v in pairs(ctx.r) do ctx.r.last = v end end | pairs(copy(table))
function(ctx) for k, v in pairs(ctx) do ctx.last = v end end
function(ctx) for k, v in pairs(ctx) do ctx.last = echo(v) end end
function(ctx) for k, v in pairs(ctx) do ctx.last = parallel({ 1 }, echo) end end
function(ctx) for k, v in pairs(ctx) do local ok ok, ctx.last = pcall(echo, 1) end end
function(ctx) for k, v in pairs(ctx) do ctx.r.x = 5 end end
function(ctx) for k, v in pairs(ctx) do v.n = 5 end end | may reach too
function(ctx) for _, f in ipairs(ctx.files) do table.insert(ctx.files, f) end end
--@ writing outside of a lane | a lane of parallel cannot write
function(ctx) parallel(ctx.l, function(x) ctx.n = x end) end
function(ctx) local n = 0 parallel(ctx.l, function(x) n = n + x end) end
--@ recursion that calls agents | calls itself
function(ctx) local function f(n) if n > 0 then return echo(f(n - 1)) end return 0 end return f(3) end
--@ options that are not constant | constants
function(ctx) echo(1, { timeout_s = ctx.n }) end
function(ctx) echo(1, { timeuot_s = 5 }) end | did you mean 'timeout_s'
--@ replacing the context | the context
function(ctx) ctx = {} end
function(ctx) ctx[ctx.name] = 1 end | by its name
function(ctx) ctx.__ = 1 end | locals of a flow live
--@ helpers that are not pure |
function(ctx) local function now() return os.time() end return now() end | no clock
