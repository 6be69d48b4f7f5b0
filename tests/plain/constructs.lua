--@ `nil`, `true`, `false`
function(ctx) return { a = nil, b = true, c = false } end
function(ctx) ctx.a = nil ctx.b = true return { gone = ctx.a == nil, there = ctx.b } end
function(ctx) local a, b = nil, false return { a == nil, b == nil, b == false } end
function(ctx) if nil then return 1 elseif false then return 2 elseif true then return 3 end end
function(ctx) local t = { x = false } return { t.x == false, t.y == nil, not t.x, not t.y } end
--@ numbers
function(ctx) return { 0, 12, 1e3, 0x1F, 2.5, .5, 3., 0x.8p1, 1e-3 } end
function(ctx) return { 9223372036854775807, -9223372036854775807, 0xffffffffffffffff } end
function(ctx) return { 1 == 1.0, 1 // 1, 2 / 1, 2 ^ 1 } end
function(ctx) return { 100000000000000, 1e15, 0.1, 123456.789 } end
function(ctx) local a, b = 5, 5.0 return { a = a, b = b, same = a == b } end
--@ strings
function(ctx) return { "a", 'b', [[c]], [==[d]]e]==] } end
function(ctx) return { "\65\066\x43\u{44}", "tab\there", 'quo"te', "back\\slash" } end
function(ctx) return "one \z
  two" end
function(ctx) return [[
first line
second line]] end
function(ctx) return { "", " ", "a\nb", ("x"):rep(3) } end
--@ `local`
function(ctx) local x = 1 return x end
function(ctx) local x return x == nil end
function(ctx) local x = ctx.n local y = x return { x = x, y = y } end
function(ctx) local draft = echo { n = 1 } return draft.n end
function(ctx) local x = ctx.n or 7 local t = { x = x } return t end
--@ several locals at once
function(ctx) local a, b, c = 1, 2 return { a, b, c == nil } end
function(ctx) local a, b = ctx.n, ctx.s return { a = a, b = b } end
function(ctx) local a, b = echo(1), echo(2) return { a, b } end
function(ctx) local a, b = 1, 2 local a, b = b, a return { a, b } end
function(ctx) local a, b = 1, 2, 3 return { a, b } end
--@ `<const>`
function(ctx) local x <const> = 5 return x + 1 end
function(ctx) local x <const> = ctx.n or 1 return x end
function(ctx) local a <const>, b = 1, 2 b = a return b end
function(ctx) local list <const> = {} list[1] = "a" return list end
function(ctx) local t = {} t[1.0] = "a" t[2.0] = "b" return t end
function(ctx) local x = 1 local function seen() return x end local x = 10 return seen() + x end
function(ctx) local x <const> = echo(3) do local x = 4 ctx.y = x end return x end
--@ `do … end` and shadowing
function(ctx) local x = 1 do local x = 2 ctx.a = x end ctx.b = x end
function(ctx) local x = 1 local x = x + 1 local x = x * 10 return x end
function(ctx) do local x = 1 do local x = 2 do local x = 3 ctx.c = x end ctx.b = x end ctx.a = x end end
function(ctx) local i = 9 for i = 1, 2 do ctx["k" .. 1] = i end return i end
--> {"k1": 0}
function(ctx)
  local v = 1
  if ctx.k1 then local v = 2 ctx.in_arm = v end
  while v < 3 do local v2 = v v = v2 + 1 end
  return { v, ctx.in_arm }
end
function(ctx) do return "early" end end
--@ several results of a helper
function(ctx) local function bounds(l) return l[1], l[#l] end local a, b = bounds({ 1, 2, 3 }) return a + b end
function(ctx) local from, to = ("hello"):find("l+") return { from, to } end
function(ctx) local text, n = ("a-b-c"):gsub("-", "+") return { text, n } end
function(ctx) local a, b, c = classify(1) return { a, b == nil, c == nil } end
function(ctx) local a, b ctx.a, b = string.find("abc", ctx.s or "b", 1, true) return { ctx.a, b } end
function(ctx) local function first(v) return need(v), "rest" end local ok, e = pcall(function() local a, b = first(ctx.gone) return b end) return { ok, e.code } end
function(ctx) return { (("x,y"):gsub(",", ";")), (("k=v"):match("=(%a)")) } end
function(ctx) return { echo(("a b"):gsub(" ", "-")), tostring(("a b"):gsub(" ", "-")) } end
--@ assignment to a local
function(ctx) local n = 1 n = n + 1 n = n * 5 return n end
function(ctx) local x = "a" x = 2 x = { x } return x end
function(ctx) local t = { n = 1 } t = { n = t.n + 1 } return t end
function(ctx) local x if ctx.n then x = "yes" else x = "no" end return x end
function(ctx) local x = 0 for i = 1, 3 do x = x + i end return x end
--@ assignment to a field of ctx
function(ctx) ctx.a = 1 ctx.b = ctx.a + 1 end
function(ctx) ctx["odd name"] = 1 return ctx end
function(ctx) ctx.n = nil return ctx.n == nil end
function(ctx) ctx.t = { a = 1 } ctx.t = "text" end
function(ctx) ctx.draft = echo { topic = "x" } ctx.again = echo(ctx.draft) end
--@ assignment to nested fields
function(ctx) ctx.a = { b = { c = 1 } } ctx.a.b.c = ctx.a.b.c + 1 ctx.a.b.d = "x" end
function(ctx) ctx.a.b = 1 end
function(ctx) local t = {} t.a = {} t.a.b = {} t.a.b.c = 1 return t end
function(ctx) ctx.t = {} ctx.t["two words"] = { ok = true } return ctx.t end
function(ctx) ctx.before = echo(1) ctx.gone.field = 1 ctx.after = echo(2) end
function(ctx) ctx.m = {} for i = 1, 3 do ctx.m["k" .. i] = { v = i } end ctx.m.k2.v = 9 end
--@ several targets at once
function(ctx) ctx.a, ctx.b = 1, 2 ctx.a, ctx.b = ctx.b, ctx.a end
function(ctx) local i, t = 1, { 10, 20 } i, t[i] = i + 1, 99 return { i, t } end
function(ctx) local a, b, c = 1, 2, 3 a, b, c = c, a, b return { a, b, c } end
function(ctx) local a, b = 1 a, b = 5 return { a, b == nil } end
function(ctx) local a a, ctx.b = echo(1), echo(2) return { a, ctx.b } end
--@ `t.name`
function(ctx) return { ctx.n, ctx.s } end
function(ctx) return ctx.r.x end
function(ctx) local t = { a = { b = { c = "deep" } } } return t.a.b.c end
function(ctx) local r = rec(1) return { r.ok == nil, r.nothing == nil } end
function(ctx) return ctx.gone.field end
function(ctx) return { ctx["n"], ctx.r["x"] } end
--@ `t[key]`
function(ctx) local t = nil local ok = pcall(function() return t[ctx.gone] end) return { ok, ({ 1 })[ctx.gone] == nil } end
function(ctx) local k = "x" return { v = ctx.r and ctx.r[k] } end
function(ctx) local names = { a = 1, b = 2 } local k = ctx.s or "b" return names[k] or "none" end
function(ctx) return CFG.names[ctx.n] == nil end
function(ctx) local t = { a = 1 } return { t[ctx.gone] == nil, t["a"], t["b"] == nil } end
function(ctx) local k, t = ctx.k, { x = "text", y = 1 } return { t[k] } end
function(ctx) local list, i = { "a", "b" }, 2.0 return { list[i], list[2.5] == nil, list[0] == nil } end
--@ `t[1]`
function(ctx) local l = { "a", "b", "c" } return { l[1], l[3], l[4] == nil, l[0] == nil, l[-1] == nil } end
function(ctx) return ctx.l and ctx.l[2] end
function(ctx) local l = {} return l[1] == nil end
function(ctx) local rows = { { 1, 2 }, { 3, 4 } } return rows[2][1] end
function(ctx) local l = { 5, 6, 7 } for i = 1, #l do ctx.sum = (ctx.sum or 0) + l[i] end end
function(ctx) ctx.l[1] = "new" return ctx.l end
--@ a table with names
function(ctx) return { a = 1, ["b c"] = 2, d = { e = "f" } } end
function(ctx) return { x = ctx.n, y = ctx.gone } end
function(ctx) return echo { a = echo { b = 1 }, c = 2 } end
function(ctx) return {} end
function(ctx) local t = { a = 1, a = 2 } return t.a end
function(ctx) return { n = #{ 1, 2 }, ["end"] = true; last = 1, } end
--@ a list
function(ctx) return { 1, "two", true, { 4 } } end
function(ctx) return { [1] = "x", [2] = "y" } end
function(ctx) local l = { echo(1), echo(2) } return { l = l, n = #l } end
function(ctx) return { {}, {}, { {} } } end
function(ctx) return #{ 1, 2, 3; 4 } end
--@ computed names in a table
function(ctx) local k = "a" return { [k] = 1 } end
function(ctx) local k = "a" .. 1 return { [k] = 1, b = 2, [k .. "x"] = 3 } end
function(ctx) return { ["x" .. (ctx.s or "")] = echo(1) } end
function(ctx) local n, m = "same", "same" return { [n] = 1, [m] = 2 } end
function(ctx) local t = { [ctx.s or "k"] = { deep = true } } return t[ctx.s or "k"].deep end
--@ `+`, `-`, `*`
function(ctx) return { 1 + 2, 1 - 2, 3 * 4, 1.5 + 1, 2 * 2.0 } end
function(ctx) return (ctx.n or 1) * 2 + 1 end
function(ctx) return 2 + 3 * 4 - 5 end
function(ctx) return ctx.s + 1 end
function(ctx) return ctx.gone * 2 end
function(ctx) local t = 0 for i = 1, 4 do t = t + i * i end return t end
--@ `/`, `//`, `%`
function(ctx) return { 7 / 2, 8 / 2, 7 // 2, -7 // 2, 7.0 // 2, 7 // 2.0 } end
function(ctx) return { 7 % 3, -7 % 3, 7 % -3, 5.5 % 2, -5.5 % 2 } end
function(ctx) return (ctx.n or 9) / 3 end
function(ctx) return { (ctx.n or 9) // 2, (ctx.n or 9) % 2 } end
function(ctx) return ctx.s // 2 end
--@ `-x`
function(ctx) return { -1, -2.5, - -3 } end
function(ctx) return -(ctx.n or 4) end
function(ctx) local x = 5 return { -x, -x + 1, -(x + 1) } end
function(ctx) return -ctx.s end
function(ctx) local l = { -1 } return -l[1] end
--@ `^` and bits
function(ctx) return { 2 ^ 10, 2 ^ 0.5 > 1.4, (ctx.n or 3) ^ 2, 2 ^ -1 } end
function(ctx) return { 6 & 3, 6 | 3, 6 ~ 3, ~0, 1 << 4, 256 >> 4 } end
function(ctx) local n = ctx.n or 5 return { n & 1, n | 8, n ~ 1 } end
function(ctx) local x = 0 while 2 ^ x < 10 do x = x + 1 end return x end
function(ctx) return 3.0 & 1 end
--@ `..`
function(ctx) return "a" .. "b" .. "c" end
function(ctx) return "n=" .. (ctx.n or 0) .. "!" end
function(ctx) return 1 .. 2 end
function(ctx) return ctx.gone .. "x" end
function(ctx) return { 2.5 .. "", 2.0 .. "", -1 .. "", 1e100 .. "" } end
function(ctx) local s = "" for i = 1, 3 do s = s .. i .. "," end return s end
--@ `#`
function(ctx) return { #"abc", #{ 1, 2 }, #"", #{} } end
function(ctx) return #ctx.l end
function(ctx) return #(ctx.s or "four") end
function(ctx) return #ctx.gone end
function(ctx) local l = {} l[#l + 1] = "a" l[#l + 1] = "b" return #l end
--@ `==`, `~=`
function(ctx) return { 1 == 1.0, "1" == 1, nil == false, true == true, "a" ~= "b" } end
function(ctx) return { ctx.n == 3, ctx.n ~= 3, ctx.gone == nil, ctx.s ~= nil } end
function(ctx) return 9007199254740993 == 9007199254740992.0 end
function(ctx) return (ctx.s == "abc") == true end
function(ctx) if ctx.n == ctx.n then return "same" end end
--@ `<`, `<=`, `>`, `>=`
function(ctx) return { 1 < 2, 1 <= 1.0, "a" < "b", "B" < "a", 2 > 3, 3 >= 3 } end
function(ctx) return (ctx.n or 0) > 2 end
function(ctx) return ctx.s < 1 end
function(ctx) return ctx.gone < 1 end
function(ctx) return { (ctx.s or "x") >= "a", 9007199254740993 > 9007199254740992.0 } end
--@ `and`
function(ctx) return { 1 and 2, 0 and "zero", false and 1, (nil and 1) == nil, ("a" and nil) == nil } end
function(ctx) return { v = ctx.n and ctx.s } end
function(ctx) return ctx.r and ctx.r.x and ctx.r.x + 1 end
function(ctx) local v = ctx.b and echo(1) return { v = v } end
function(ctx) return { x = ctx.gone and ctx.gone.deep and ctx.gone.deep.er } end
--@ `or`
function(ctx) return { nil or 1, false or nil or "last", 0 or 1, "" or "x" } end
function(ctx) return ctx.gone or ctx.n or "default" end
function(ctx) local v = ctx.b or echo(1) return { v = v } end
function(ctx) local f = false return { f or "f", ctx.no or false } end
function(ctx) return ctx.n == 3 and "three" or ctx.s == "abc" and "text" or "other" end
function(ctx) local list = copy(ctx.gone or {}) list[#list + 1] = 1 return list end
--@ `not`
function(ctx) return { not nil, not false, not 0, not "", not {} } end
function(ctx) return not ctx.n end
function(ctx) return { not (ctx.n == 3), not not ctx.s } end
function(ctx) if not ctx.gone then return "gone" end return "there" end
function(ctx) return not (ctx.n and ctx.s) or not ctx.b end
--@ parentheses
function(ctx) return (1 + 2) * 3 end
function(ctx) return ((ctx.n or 1) + (2)) end
function(ctx) return (ctx.r or {}).x end
function(ctx) return (("a" .. "b")):upper() end
function(ctx) return not (false or (nil and true)) end
--@ `if`
function(ctx) if ctx.n then ctx.a = 1 end end
function(ctx) if ctx.n and ctx.n > 2 then return "big" end return "small" end
function(ctx) if ctx.gone then ctx.x = echo(1) end ctx.y = echo(2) end
function(ctx) if 0 then ctx.zero = "true" end if "" then ctx.empty = "true" end end
function(ctx) if ctx.n then if ctx.s then if ctx.b then return "all" end end end return "some" end
--@ `elseif`, `else`
function(ctx) if ctx.n == 1 then return 1 elseif ctx.n == 3 then return 3 else return "else" end end
function(ctx) if ctx.gone then ctx.a = 1 elseif ctx.s then ctx.a = 2 else ctx.a = 3 end end
function(ctx) if echo(1) == 2 then ctx.r = "a" elseif echo(2) == 2 then ctx.r = "b" elseif echo(3) then ctx.r = "c" end end
function(ctx) local x if ctx.n then x = 1 else x = 2 end return x end
function(ctx) if classify(ctx.n or 0) == "zero" then return "z" elseif ctx.n > 2 then return "p" else return "n" end end
--@ `while`
function(ctx) local n = 0 while echo(n) < 4 do limit(4) n = n + 1 end return n end
function(ctx) local n = 0 while n < 3 do n = n + 1 end return n end
function(ctx) local n = 0 while n < (ctx.n or 2) do n = n + 1 ctx.last = echo(n) end end
function(ctx) local n = 0 while true do n = n + 1 if n > 4 then break end end return n end
function(ctx) while judge(ctx.d).verdict ~= "PASS" do ctx.d = echo { topic = "x" } end return ctx.d end
function(ctx) while ctx.gone do ctx.never = true end return "done" end
function(ctx) local a = 0 while a < 2 do local b = 0 while b < 2 do b = b + 1 ctx.t = (ctx.t or 0) + 1 end a = a + 1 end end
--@ `repeat`
function(ctx) local n = 0 repeat n = n + 1 until n >= 3 return n end
function(ctx) local n = 0 repeat n = n + 1 local big = n > 2 until big return n end
function(ctx) local n = 0 repeat n = n + 1 local r = judge(n) until r.verdict == "PASS" or n >= 5 ctx.n = n end
function(ctx) local n = 0 repeat n = n + 1 if n > 6 then break end until echo(n) == 3 return n end
function(ctx) repeat ctx.once = true until true end
function(ctx) local n = 0 repeat n = n + 1 if n == 2 then return "left" end until n > 5 end
--@ numeric `for`
function(ctx) for i = 1, 20000000 do if i > 3 then break end ctx.last = i end return ctx.last end
function(ctx) local o = {} for i = 1, 3 do o[#o + 1] = i end return o end
function(ctx) local t = 0 for i = 1, ctx.n or 2 do t = t + i end return t end
function(ctx) for i = 1, 0 do ctx.never = i end return "none" end
function(ctx) local o = {} for i = 1, 2 do i = i * 100 o[#o + 1] = i end return o end
function(ctx) for i = 1, "x" do ctx.a = i end end
function(ctx) for i = 1, 2 do for j = i, 2 do ctx["c"] = echo(i * 10 + j) end end end
--@ numeric `for` with a step
function(ctx) local o = {} for i = 3, 1, -1 do o[#o + 1] = i end return o end
function(ctx) local o = {} for i = 0, 1, 0.25 do o[#o + 1] = i end return o end
function(ctx) local n = 0 for i = 0, 1, 0.1 do n = n + i end return { n > 5, n } end
function(ctx) local o = {} for i = 1.0, 3 do o[#o + 1] = i end return o end
function(ctx) for i = 1, 3, (ctx.gone or 0) do ctx.never = i end end
function(ctx) local o = {} for i = 1, 10, 4 do o[#o + 1] = i end return o end
function(ctx) local o = {} for i = ctx.n or 5, 1, -2 do o[#o + 1] = i end return o end
function(ctx) local o, s = {}, ctx.n and 2 or 1 for i = 1, 4, s do o[#o + 1] = i end return o end
--@ `for … in ipairs`
function(ctx) local o = {} for i, x in ipairs({ "a", "b" }) do o[#o + 1] = i .. x end return o end
function(ctx) for _, x in ipairs(ctx.l or {}) do ctx.sum = (ctx.sum or 0) + x end end
function(ctx) for i in ipairs({ 7, 8, 9 }) do ctx.last = i end end
function(ctx) for _, x in ipairs(list(1)) do echo(x) end end
function(ctx) local grid = {} for y = 1, 2 do grid[y] = {} for x = 1, 2 do grid[y][x] = x * y end end return grid end
function(ctx) for _, row in ipairs({ { 1, 2 }, { 3 } }) do for _, x in ipairs(row) do ctx.t = (ctx.t or 0) + x end end end
function(ctx) for _, x in ipairs(ctx.gone) do ctx.never = x end end
--@ `for … in pairs`
function(ctx) local o = {} for k, v in pairs({ b = 2, a = 1 }) do o[#o + 1] = k .. v end return o end
function(ctx) for k, v in pairs(ctx.r or {}) do ctx[ "last" ] = k .. "=" .. v end end
function(ctx) local n = 0 for _ in pairs({ x = 1, y = 2, z = nil }) do n = n + 1 end return n end
function(ctx) local o = {} for i, v in pairs({ "p", "q" }) do o[#o + 1] = i .. v end return o end
function(ctx) local counts = { a = 1 } counts["b"] = 2 local t = 0 for _, v in pairs(counts) do t = t + v end return t end
--@ `break`
function(ctx) for i = 1, 5 do if i == 3 then break end ctx.last = i end end
function(ctx) while true do break end return "out" end
function(ctx) for i = 1, 2 do for j = 1, 5 do if j == 2 then break end ctx.t = (ctx.t or 0) + 1 end end end
function(ctx) for _, x in ipairs({ 1, 2, 3 }) do if echo(x) == 2 then ctx.found = x break end end end
function(ctx) for i = 1, 4 do if i == ctx.n then ctx.hit = i elseif i == 4 then break end ctx.last = i end return { ctx.hit or 0, ctx.last } end
--@ `goto` to the end of a loop
function(ctx) local o = {} for i = 1, 4 do if i % 2 == 0 then goto continue end o[#o + 1] = i ::continue:: end return o end
function(ctx) local n = 0 while n < 4 do n = n + 1 if n == 2 then goto next end ctx.t = (ctx.t or 0) + n ::next:: end end
function(ctx) for i = 1, 2 do for j = 1, 3 do if j == 2 then goto outer end ctx.t = (ctx.t or 0) + 1 end ::outer:: end end
function(ctx) for _, x in ipairs({ 1, 2, 3 }) do if x == 2 then echo("skip") goto continue end echo(x) ::continue:: end end
function(ctx) local n = 0 repeat n = n + 1 if n < 3 then if n == 1 then goto continue end ctx.two = n end ctx.last = n ::continue:: until n >= 3 end
--@ `return`
function(ctx) return { a = 1 } end
function(ctx) ctx.a = 1 return end
function(ctx) return echo { x = 1 } end
function(ctx) return nil end
function(ctx) return false end
function(ctx) return ctx.n end
--@ `return` before the end
function(ctx) if not ctx.n then return "no n" end if ctx.n == 3 then return "three" end local r = echo(ctx.n) return { r = r } end
function(ctx) for i = 1, 3 do for j = 1, 3 do if i * j == 4 then return { i, j } end ctx.t = echo(i * 10 + j) end end return "none" end
function(ctx) local n = 0 while true do n = n + 1 if n == 3 then return n end end end
function(ctx) if ctx.n then if ctx.s then return "both" end ctx.only = "n" else return "none" end ctx.after = true end
function(ctx) for _, x in ipairs(ctx.l or { 9 }) do if x == 2 then return "two" end end ctx.checked = true end
function(ctx) do if ctx.b then return 1 end end ctx.x = 1 if ctx.n then return 2 end end
--@ `limit(n)`
function(ctx) local n = 0 while n < 3 do limit(5) n = n + 1 end return n end
function(ctx) local n = 0 repeat limit(MAX) n = n + 1 until n >= 2 return n end
function(ctx) for i = 1, ctx.n or 2 do limit(10) ctx.last = i end end
function(ctx) for _, x in ipairs({ 1, 2 }) do limit(2) ctx.last = x end end
function(ctx) for i = 1, 3 do limit(3) echo(i) end end
--@ calls of agents
function(ctx) ctx.r = echo { a = 1 } end
function(ctx) return echo(ctx.n) end
function(ctx) return echo() == nil end
function(ctx) echo "a text" echo { "a list" } end
function(ctx) ctx.a = num(1) ctx.b = text(2) ctx.c = flaky("ok") end
function(ctx) return nilly(1) == nil end
--@ options of a call
function(ctx) return echo({ a = 1 }, { timeout_s = 5 }) end
function(ctx) ctx.x = echo(1, { id = "first" }) ctx.y = echo(2, { id = "second" }) end
function(ctx) return echo("x", { retry = { max_attempts = 2, delay_s = 0.5 }, timeout_s = 1.5 }) end
function(ctx) return echo(ctx.n, { timeout_s = MAX }) end
function(ctx) local r = echo({ 1 }, { retry = { max_attempts = 1, on = { "net.*" } } }) return r end
--@ agents inside expressions
function(ctx) return echo(1) + echo(2) * echo(3) end
function(ctx) return echo { a = echo { b = echo(ctx.n or 0) }, c = echo(2) } end
function(ctx) return { v = (ctx.r or {}).x, w = echo("after") } end
function(ctx) return echo("a") .. echo("b") .. (ctx.s or "") end
function(ctx) local t = { echo(1), ctx.gone == nil, echo(2) } return t end
function(ctx) return { v = ctx.gone.x .. echo("never").q } end
--@ agents in conditions
function(ctx) if echo(1) == 1 and echo(2) == 3 or echo(3) == 3 then return "yes" end return "no" end
function(ctx) local a = ctx.b and echo { n = 1 } local b = ctx.b or echo { n = 2 } return { a = a, b = b } end
function(ctx) local x = ctx.gone or echo("asked") return x end
function(ctx) if not echo(false) then return "was false" end end
function(ctx) local v = (ctx.n and echo(1)) or (not ctx.n and echo(2)) or echo(3) return { v } end
--@ agents in a table of the script
function(ctx) return agents.echo(1) end
function(ctx) local e = agents.echo return e { x = 2 } end
function(ctx) ctx.a = agents.num(1) ctx.b = agents["echo"](2) end
function(ctx) local ok, v = pcall(agents.echo, 5) return v end
function(ctx) for i = 1, 2 do agents.echo(i) end end
--@ helpers that are expressions
function(ctx) return double(ctx.n or 2) end
function(ctx) return clamp(double(double(3)), 0, 10) end
function(ctx) local function twice(x) return x * 2 end return twice(twice(1)) end
function(ctx) return util.inc(util.inc(1)) end
function(ctx) if clamp(ctx.n or 0, 1, 2) == 2 then return "two" end return "one" end
function(ctx) local join = function(a, b) return a .. "-" .. b end return join("x", join("y", "z")) end
function(ctx) return { SIX, LESS, WORD, SURE, sixfold(2), sixes({ 1, 2 }) } end
function(ctx) for i = 1, SIX do ctx.n = i end if SURE then ctx.w = echo(WORD) end end
function(ctx) return { optional(), optional({ a = 5, b = false }), optional(nil).a } end
--@ helpers of a module
function(ctx) return { M.inc(1), M.twice(ctx.n or 1), P.square(4) } end
function(ctx) return M.asked(ctx.n or 5) + M.maths.square(2) end
function(ctx) return { M.total({ 1, 2, 3 }), P.squares({ 1, 2 }), M.maths.squares({}) } end
function(ctx) return { P.even(10), P.odd(ctx.n or 1), M.maths.even(3) } end
function(ctx) local ok, e = pcall(function() M.refuse("no") end) return { ok, e.code, e.message } end
function(ctx) local ok, e = pcall(M.refuse, ctx.s or "never") return e end
function(ctx) for i = 1, M.step do ctx["n" .. 1] = M.inc(i) end if M.asked(1) > 4 then ctx.more = M.ask("x") end end
--@ helpers that Lua computes
function(ctx) local function clean(s) return (s:gsub("%s+", " ")) end return clean("a  b") .. clean("c   d") end
function(ctx) local function mirror(s) return s:lower() .. s:reverse() end return { mirror("Ab"), echo(mirror("c")) } end
function(ctx) local function pair(a) return { a = a, text = ("%d!"):format(a) } end return pair(ctx.n or 2).text end
function(ctx) return slug("Hello  Big World") end
function(ctx) return { classify(-1), classify(0), classify(ctx.n or 1) } end
function(ctx) return sum({ 1, 2, 3 }) + sum(ctx.l or {}) end
function(ctx) local ok, e = pcall(need, nil) return { ok, e.code, e.message, need(1) } end
function(ctx)
  local function evens(list)
    local found = {}
    for _, n in ipairs(list) do if n % 2 == 0 then found[#found + 1] = n end end
    return found
  end
  return evens({ 1, 2, 3, 4 })
end
--@ helpers that call themselves
function(ctx) return fact(5) end
function(ctx) return fact(ctx.n or 1) end
function(ctx) local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(10) end
function(ctx) local function depth(t) if type(t) ~= "table" then return 0 end return 1 + depth(t.inner) end return depth({ inner = { inner = {} } }) end
function(ctx) return { fact(1), fact(2), fact(3) } end
--@ helpers that call agents
function(ctx) return ask { x = 1 } .. ask { x = 2 } end
function(ctx) local function save(v) ctx.saved = v return echo(v) end local a = save(1) return { a, ctx.saved } end
function(ctx) local a, b = ask(1), ask(2) return { a, b } end
function(ctx) if ask(1) == "yes" then return 1 end return ask(2) end
function(ctx) local function try_twice(x) local ok, v = pcall(flaky, x) if ok then return v end return flaky("ok") end return try_twice("fail") end
--@ helpers that change a table they are given
function(ctx) local function push(l, x) l[#l + 1] = x end local out = {} push(out, 1) push(out, "b") return { out, #out } end
--> {"log": ["a"]}
--> {}
--> {"log": {"x": 1}}
function(ctx) local function note(l, x) table.insert(l, x) end note(ctx.log, 1) note(ctx.log, echo(2)) return { ctx.log, #ctx.log } end
function(ctx) local function bump(t) t.n = (t.n or 0) + 1 return t.n end local t = { n = 1 } local a, b = bump(t), bump(t) return { a, b, t.n } end
function(ctx) local function mark(rows, i, how) rows[i].state = how rows[i].seen = echo(i) end local rows = { { id = 1 }, { id = 2 } } mark(rows, 2, "done") return rows end
function(ctx) local function both(a, b) a.x = 1 b.y = a.x + 1 end local t = {} both(t, t) return t end
function(ctx) local function set(t, k, v) t[k] = v end local t = { deep = { inner = {} } } set(t.deep.inner, "a", 1) set(t.deep, "b", echo(2)) set(t, "c", 3) return t end
function(ctx) local function wrap(l, x) local function put(m, y) m[#m + 1] = y end put(l, x) put(l, x) end local l = { 0 } wrap(l, 7) return l end
function(ctx) local l = { 1 } local function reset() l = { 9 } return 5 end local function push(t, x) t[#t + 1] = x end local old = #l push(l, reset()) return { old, l } end
function(ctx) local l = { 1 } local function nth() return #l + 4 end local function push(t, x) t[#t + 1] = x end push(l, nth()) push(l, nth()) return l end
function(ctx) local l = { 1 } local function push(t, x) l = { "new" } t[#t + 1] = x end pcall(push, copy(l), 2) return l end
function(ctx) local function clear(t) t = {} t.x = 1 return t end local t = { n = 1 } local u = clear(t) return { t.n, u.x } end
function(ctx) local function drain(q) local seen = {} while #q > 0 do seen[#seen + 1] = table.remove(q, 1) end return seen end local q = { 1, 2, 3 } local got = drain(q) return { got = got, left = #q } end
function(ctx) local function push(t, x) t[#t + 1] = x end local log = {} for i = 1, 3 do push(log, i) end for _, x in pairs(log) do ctx.last = x end return { log, ctx.last } end
function(ctx) local function put(t, k) t[k] = true end local seen = {} put(seen, "a") put(seen, "b") local n = 0 for k in pairs(seen) do n = n + 1 end return { n, seen.a, seen.z == nil } end
function(ctx) local function put(t, x) t.items[#t.items + 1] = x end local box = { items = {} } put(box, 1) put(box, echo(2)) return box end
function(ctx) return parallel({ 1, 2 }, function(i) local function push(t, x) t[#t + 1] = x end local l = {} push(l, i) push(l, echo(i)) return l end) end
--@ helpers that take functions or agents
function(ctx) local function update(t, f) for k, v in pairs(t) do t[k] = f(v) end end local t = { a = 1, b = 2 } update(t, function(v) return v * 10 end) update(t, double) return t end
function(ctx) local function update(t, k, f) t[k] = f(t[k]) end local t = { a = 1 } update(t, "a", function(v) return v + 1 end) update(t, "b", function(v) return v or "new" end) return t end
function(ctx) local function each(l, f) for i, x in ipairs(l) do f(x, i) end end local s = 0 each({ 5, 6 }, function(x, i) s = s + x * i end) return s end
function(ctx) local function each(l, f) for i, x in ipairs(l) do f(echo(x), i) end end local s = 0 each({ 5, 6 }, function(x, i) s = s + x * i end) return s end
function(ctx) local function map(l, f) local out = {} for i, x in ipairs(l) do out[i] = f(x) end return out end return { map({ 1, 2 }, function(x) return echo(x) + 1 end), map({ 3 }, double), map({ 4, "a" }, tostring), map({ 5 }, echo) } end
function(ctx) local function filter(l, f) local out = {} for _, x in ipairs(l) do if f(x) then out[#out + 1] = x end end return out end local least = 2 return filter({ 1, 2, 3 }, function(x) return x >= least end) end
function(ctx) local function with(f) local ok, e = pcall(f) return ok and "ok" or e.code end return { with(function() echo(1) end), with(function() error("a.b", "c") end) } end
function(ctx) local function retry(n, f) for i = 1, n do local ok, v = pcall(f, i) if ok then return v end end return "gave up" end return { retry(3, function(i) if i < 3 then error("x.y", "z") end return echo(i) end), retry(1, function() error("x.y", "z") end) } end
function(ctx) local function twice(f, x) return f(f(x)) end return twice(double, 3) + twice(echo, 1) end
function(ctx) local function best(l, of) local found for _, x in ipairs(l) do if not found or of(x) > of(found) then found = x end end return found end return best({ { n = 1 }, { n = 3 }, { n = 2 } }, function(x) return x.n end).n end
--@ helpers that take the context
function(ctx) prepare(ctx, 1) prepare(ctx, 2) return ctx end
function(ctx) local function total(c) return (c.n or 0) + 1 end return total(ctx) end
function(ctx) local c = ctx c.seen = true return c.seen end
function(ctx) local function set(c, v) c.v = v end set(ctx, 1) set(ctx, 2) end
function(ctx) local function first(c) if c.l then return c.l[1] end return "none" end return first(ctx) end
--@ `pcall` with a function
function(ctx) local ok = pcall(function() ctx.a = echo(1) end) return { ok, ctx.a } end
function(ctx) local n = 0 local ok, e = pcall(function() n = 1 ctx.a = echo(1) n = 2 flaky("fail") n = 3 end) return { ok, e.code, n, ctx.a } end
function(ctx) local ok, v = pcall(function() if ctx.n then return echo(ctx.n) end end) return { ok = ok, v = v } end
function(ctx) local ok, v = pcall(function() for i = 1, 3 do if echo(i) == 2 then return i end end error("not.found", "no") end) return { ok, v } end
function(ctx) if not pcall(function() return ctx.gone.x end) then return "failed" end end
function(ctx) pcall(function() pcall(function() error("in", "n") end) ctx.a = 1 error("out", "n") end) return ctx.a end
--@ `pcall` with an agent
function(ctx) local ok, v = pcall(flaky, "ok") return { ok = ok, v = v } end
function(ctx) local ok, e = pcall(flaky, "fail") return { ok, e.code, e.message } end
function(ctx) local ok ok, ctx.answer = pcall(echo, { a = 1 }) return { ok, ctx.answer } end
function(ctx) pcall(flaky, "fail") return "went on" end
function(ctx) return pcall(echo, 1) and "fine" or "bad" end
--@ `error`
function(ctx) error("my.code", "my message") end
function(ctx) if not ctx.n then error("no.n", "n is missing: " .. tostring(ctx.n)) end return ctx.n end
function(ctx) error("only a message") end
function(ctx) local ok, e = pcall(function() error("a.b", "text") end) return { ok, e.code, e.message } end
function(ctx) local ok, e = pcall(function() error("level", 2) end) return { e.code, e.message } end
function(ctx) error({ code = "t.able", message = "from a table", data = { n = 1 } }) end
--@ raising a caught error again
function(ctx) local ok, e = pcall(function() error("a.b", "first") end) if not ok then error(e) end end
function(ctx) local ok, e = pcall(flaky, "fail") ctx.code = e.code error(e) end
function(ctx) local ok, e = pcall(function() local ok, e = pcall(function() error("in.ner", "x") end) error(e) end) return { e.code, e.message } end
function(ctx) local code = ctx.n and "has.n" or "no.n" error(code, "computed") end
function(ctx) local ok, e = pcall(error, "c.d", "direct") return { ok, e.code } end
--@ `assert`
function(ctx) return assert(ctx.n, "no n") end
function(ctx) local v = assert(echo(5)) return v + 1 end
function(ctx) assert(ctx.s == "abc") return "fine" end
function(ctx) local ok, e = pcall(function() assert(nil, "said so") end) return e.message end
function(ctx) return assert(ctx.l, "no list")[1] end
--@ `parallel` over a list
function(ctx) return parallel({ 1, 2, 3 }, function(n) return n * 2 end) end
function(ctx) return parallel(ctx.l or {}, { limit = 2 }, function(n, i) return { echo(n), i } end) end
function(ctx) local outer = 10 return parallel({ 1, 2 }, function(n) local x = n + outer return x end) end
function(ctx) return parallel({ "a", "b" }, function(s) if s == "a" then return "first" end return echo(s) end) end
function(ctx) ctx.r = parallel(list(1), function(x) return { x = x } end) return #ctx.r end
function(ctx) local ok, e = pcall(function() return parallel({ "ok", "fail" }, function(x) return flaky(x) end) end) return { ok, e.code } end
function(ctx) return parallel({ 1, 2 }, echo) end
function(ctx) return parallel({ 1, 2 }, { limit = 1 }, double) end
--@ the joins of `parallel`
function(ctx) return parallel({ "fail", "ok" }, { join = "any" }, function(x) return flaky(x) end) end
function(ctx) return parallel({ "ok", "fail" }, { join = "race" }, function(x) return flaky(x) end) end
function(ctx) return parallel({ "ok", "fail" }, { join = "all_settled" }, function(x) return flaky(x) end) end
function(ctx) return parallel({ "ok", "fail", "ok" }, { join = "quorum", quorum = 2 }, function(x) return flaky(x) end) end
function(ctx) return parallel({ "fail", "ok" }, { join = "quorum", quorum = 2 }, function(x) return flaky(x) end) end
function(ctx) return parallel({}, { join = "any" }, function(x) return x end) end
--@ `parallel` over functions
function(ctx) return parallel { a = function() return echo("A") end, b = function() return echo("B") end } end
function(ctx) local r = parallel({ function() return 1 end, function() return echo(2) end }) return r end
function(ctx) local p = parallel { one = function() local t = echo(1) if t == 1 then return t .. "!" end end } return p.one end
function(ctx) return parallel({ x = function() return flaky("fail") end, y = function() return echo("y") end }, { join = "any" }) end
function(ctx) ctx.both = parallel { l = function() return ctx.l end, n = function() return echo(ctx.n) end } end
--@ `t[#t + 1] = x`
function(ctx) local o = {} o[#o + 1] = 1 o[#o + 1] = 2 return o end
function(ctx) ctx.log = {} for i = 1, 3 do ctx.log[#ctx.log + 1] = echo(i) end end
function(ctx) ctx.l[#ctx.l + 1] = "more" return ctx.l end
function(ctx) local t = { items = {} } t.items[#t.items + 1] = { n = 1 } return t end
function(ctx) local groups = { a = {} } local k = "a" groups[k][#groups[k] + 1] = 1 return groups end
--@ `table.insert`
function(ctx) local l = { "a", "b" } table.insert(l, #l / 2 + 1, "x") return { l, pcall(function() table.insert(l, 1.5, "y") end), #l } end
function(ctx) local o = {} table.insert(o, "a") table.insert(o, "b") return o end
function(ctx) local o = { 1, 2 } table.insert(o, 1, 0) table.insert(o, 4, 3) return o end
function(ctx) local o = { 1 } table.insert(o, 5, 9) return o end
function(ctx) ctx.q = { "x" } table.insert(ctx.q, echo("y")) return ctx.q end
function(ctx) local t = { l = { 2 } } table.insert(t.l, 1, 1) return t end
function(ctx) local g = {} for _, r in ipairs({ { k = "a", v = 1 }, { k = "b", v = 2 }, { k = "a", v = 3 } }) do if not g[r.k] then g[r.k] = {} end table.insert(g[r.k], r.v) end return g end
function(ctx) local g = {} for _, r in ipairs({ { k = "a", v = 1 }, { k = "a", v = 3 } }) do g[r.k] = g[r.k] or {} g[r.k][#g[r.k] + 1] = r.v end return g end
--@ `table.remove`
function(ctx) local l = { "a", "b" } return { table.remove(l, 2.0), #l } end
function(ctx) local function drain(l) while #l > 0 do if echo(table.remove(l)) == 1 then return "one" end end return "out" end local l = { 3, 1, 2 } return { drain(l), #l, drain({}), drain({ 5 }) } end
function(ctx) local o = { 1, 2, 3 } local last = table.remove(o) return { last, o } end
function(ctx) local o = { 1, 2, 3 } local first = table.remove(o, 1) return { first, o } end
function(ctx) local o = {} return table.remove(o) == nil end
function(ctx) local o = { "a", "b" } o[#o] = nil return o end
function(ctx) ctx.q = { 3, 2, 1 } while #ctx.q > 0 do echo(table.remove(ctx.q)) end end
function(ctx) local o = { 1 } table.remove(o, 7) return o end
--@ `table.concat`, `table.sort`
function(ctx) local l = copy(ctx.none or {}) return { table.concat(l, ","), table.concat(ctx.l or {}, "-"), table.concat(echo {}) } end
function(ctx) return table.concat({ "a", "b", "c" }, "-") end
function(ctx) return table.concat({ 1, 2, 3 }) end
function(ctx) return table.concat(ctx.l or { "none" }, ", ") end
function(ctx) local o = { 3, 1, 2 } table.sort(o) return o end
function(ctx) local o = { "b", "a" } table.sort(o) return table.concat(o) end
--@ `table.sort` with an order
function(ctx) local t = { 3, 1, 2 } table.sort(t, function(a, b) return a > b end) return t end
function(ctx) ctx.rows = { { n = 2 }, { n = 1 } } table.sort(ctx.rows, function(a, b) return a.n < b.n end) end
function(ctx) local function shorter(a, b) return #a < #b end local t = { "ccc", "a", "bb" } table.sort(t, shorter) return t end
function(ctx) local t = { { l = { 1, 2 } } } for _, x in ipairs(t) do table.sort(x.l, function(a, b) return a > b end) end return t end
function(ctx) local t = {} table.sort(t, function(a, b) return a > b end) return #t end
function(ctx) local ok, e = pcall(function() local t = { 1, 2 } table.sort(t, function(a, b) error("my.code", "no") end) end) return { ok, e.code } end
--@ `for … in gmatch`
function(ctx) local words = {} for w in ("a b c"):gmatch("%a") do words[#words + 1] = w end return words end
function(ctx) local t = {} for k, v in string.gmatch("a=1, b=2", "(%w+)=(%w+)") do t[k] = v end return t end
function(ctx) for w in (ctx.s or "x,y"):gmatch("[^,]+") do ctx.last = echo(w) if w == "x" then break end end end
function(ctx) for at, w, gone in ("a bc"):gmatch("()(%a+)") do ctx.at = at ctx.w = w ctx.gone = gone == nil end end
function(ctx) for w in (""):gmatch("%a+") do ctx.w = w end return "none" end
function(ctx) for w in ctx.n:gmatch("%a+") do ctx.w = w end end
--@ `next(t)`
function(ctx) local t = {} return next(t) == nil end
function(ctx) return { next({}) == nil, next({ 1 }), next({ a = 1 }), not next({ x = false }) } end
function(ctx) if next(ctx.l or {}) then return "some" else return "none" end end
function(ctx) return next(ctx.n) end
function(ctx) local seen = {} for _, x in ipairs(list(2)) do seen["k" .. x] = true end return next(seen) ~= nil end
--@ texts: what an expression says
function(ctx) local n = 4 return { ("ab"):rep(n / 2), ("abc"):sub(2.0), ("abc"):sub(1, n / 2), string.upper(5) .. string.lower(7), pcall(function() return ("x"):rep(n / 8) end) } end
function(ctx) return { ("abc"):upper(), ("ABC"):lower(), ("abc"):len(), string.upper("x") } end
function(ctx) local s = "abcdef" return { s:sub(2), s:sub(2, 3), s:sub(-2), s:sub(1, -2), s:sub(0), s:sub(10) } end
function(ctx) return { ("ab"):rep(3), ("ab"):rep(2, "-"), ("x"):rep(0), string.rep("z", 2) } end
function(ctx) local s = ctx.s or "xyz" return { s:find("b", 1, true) or 0, s:find("zz", 1, true) == nil } end
function(ctx) local i, j = ctx.n or 2, -1 return ("abcdef"):sub(i, j) end
function(ctx) if (ctx.s or ""):upper() == "ABC" then return "it is" end return "it is not" end
--@ texts: what Lua computes
function(ctx) return string.format("%5.2f|%d|%s", 1.5, 3, "x") end
function(ctx) return { ("a-b"):gsub("%-", "+"), (("k=v"):match("=(.*)")) } end
function(ctx) return { ("abc"):reverse(), ("a"):byte(), string.char(72, 105) } end
function(ctx) local at = ("hello"):find("l+") return at end
function(ctx) return ("%d items"):format(ctx.n or 0) end
--@ `math`
function(ctx) return { math.floor(2.7), math.ceil(2.1), math.abs(-3), math.max(1, 5, 3), math.min(2, 0) } end
function(ctx) return { math.floor(-2.5), math.ceil(-2.5), math.floor(3) } end
function(ctx) return { math.sqrt(16), math.fmod(7, 3), math.tointeger(3.0), math.type(1) } end
function(ctx) return { math.maxinteger, math.pi > 3.14 } end
function(ctx) return math.max(ctx.n or 0, 2) + math.floor((ctx.n or 5) / 2) end
--@ `tostring`, `tonumber`
function(ctx) return { tostring(1), tostring("a"), tostring(true), tostring(nil), tostring(2.5) } end
function(ctx) return { tostring(ctx.n), tostring(ctx.gone) } end
function(ctx) return { tonumber("10"), tonumber("0x10"), tonumber("abc") == nil, tonumber(5) } end
function(ctx) return "n is " .. tostring(ctx.n) end
function(ctx) return (tonumber(ctx.s) or 7) + (tonumber("ff", 16)) end
--@ `type`
function(ctx) return { type(1), type("a"), type(nil), type({}), type(true) } end
function(ctx) return { type(ctx.n), type(ctx.s), type(ctx.l), type(ctx.gone), type(ctx) } end
function(ctx) if type(ctx.l) == "table" then return #ctx.l end return 0 end
function(ctx) local r = echo { a = 1 } return type(r) .. type(r.a) end
function(ctx) return type(rec(1).n) end
--@ `copy`, `array`
function(ctx) local d = copy(ctx.r or {}) d.x = "changed" return { d, ctx.r } end
function(ctx) local a = { n = 1 } local b = copy(a) b.n = 2 return { a.n, b.n } end
function(ctx) local o = array {} o[#o + 1] = 1 return o end
function(ctx) return #array { 1, 2 } end
function(ctx) local kept = {} for _, x in ipairs({ { n = 1 } }) do local c = copy(x) c.n = 5 kept[#kept + 1] = c end return kept end
--@ writing into the items of a loop
function(ctx) local function add(l, x) table.insert(l, x) end ctx.rows = { { log = {} }, { log = { 0 } } } for i, row in ipairs(ctx.rows) do add(row.log, i) add(row.log, echo(i)) row.n = #row.log end return ctx.rows end
function(ctx) local function mark(job) job.done = true job.at = echo(job.id) end ctx.jobs = { { id = 1 }, { id = 2 } } for _, job in ipairs(ctx.jobs) do mark(job) end return ctx.jobs end
function(ctx) local function put(t, v) t.v = v end local list = { { v = 0 }, { v = 0 } } for i, x in ipairs(list) do put(x, i) if i == 2 then put(x, "last") end end return list end
function(ctx) local function add(l, x) l[#l + 1] = x end local rows = { a = { log = {} }, b = { log = {} } } for k, row in pairs(rows) do add(row.log, k) add(row.log, echo(k)) end return rows end
function(ctx) local rows = { { n = 1 }, { n = 2 } } for _, row in ipairs(rows) do row.n = row.n * 10 end return rows end
function(ctx) ctx.rows = { { }, { } } for i, row in ipairs(ctx.rows) do row.at = i row.seen = echo(i) end end
function(ctx) ctx.jobs = { { log = {} } } for _, job in ipairs(ctx.jobs) do table.insert(job.log, "x") job.log[#job.log + 1] = "y" end end
function(ctx) local rows = { { a = { b = 1 } } } for _, row in ipairs(rows) do row.a.b = 2 end return rows[1].a.b end
function(ctx) local rows = { { n = 1 }, { n = 5 } } for _, r in ipairs(rows) do if r.n > 3 then r.big = true break end end return rows end
function(ctx) local t = { { n = 1 }, { n = 2 } } for i in ipairs(t) do t[i].n = 0 end return t end
function(ctx) local t = { 10, 20 } for i, v in ipairs(t) do t[i] = v * 2 end return t end
function(ctx) local t = { a = 1, b = 2 } for k, v in pairs(t) do t[k] = v * 2 end return t end
function(ctx) local t = { a = 1, b = 2 } for k, v in pairs(t) do if v == 1 then t[k] = nil end end return t end
--> {"t": {"a": {"n": [1]}, "b": {"n": []}}}
--> {"t": [{"n": [1]}, {"n": []}]}
--> {"t": {}}
function(ctx) for k, v in pairs(ctx.t) do table.insert(v.n, 5) v.m = k end end
--> {"t": {"a": {"n": [1]}, "b": {"n": []}}}
function(ctx) for k, v in pairs(ctx.t) do table.insert(ctx.t[k].n, 5) ctx.t[k].m = echo(k) end end
function(ctx) local g = { { 1, 2 }, { 3 } } for i, row in ipairs(g) do for j, x in ipairs(row) do row[j] = x * 2 end end return g end
--@ a second name that is not looked at again
--> {"tasks": [{"id": 1}], "log": []}
function(ctx) local tasks = ctx.tasks ctx.tasks[1].done = true table.insert(ctx.log, "x") end
--> {"a": 1, "names": ["a", "z"]}
function(ctx) ctx.gone = {} for _, name in ipairs(ctx.names) do local v = ctx[name] if v == nil then ctx.gone[#ctx.gone + 1] = name end end end
--> {"tasks": [{"id": 1}]}
function(ctx) local t = ctx.tasks[1] local id = t.id ctx.tasks[1].done = true return { id, ctx.tasks } end
--> {"a": {"n": 1}, "k": "a"}
function(ctx) local t = ctx[ctx.k] local n = t.n ctx.a.n = 5 return { n, ctx.a.n } end
--> {"l": [{"n": 1}, {"n": 2}]}
function(ctx) local function rows(l) local out = {} for i, x in ipairs(l) do out[i] = { n = x.n } end return out end local r = rows(ctx.l) r[1].n = 9 return { r, ctx.l } end
--> {"a": {"n": 1}}
function(ctx) for k, v in pairs(copy(ctx)) do ctx.last = k end return ctx.last end
--@ constants of the script
function(ctx) local ok = pcall(function() return CFG.names.first end) local no = pcall(function() return GREETING.x end) return { ok, no, CFG.names[9] == nil, CFG.nothing == nil } end
function(ctx) return { MAX, GREETING, CFG.limit, CFG.names[1], CFG.deep.on } end
function(ctx) for i = 1, MAX do ctx.last = i end end
function(ctx) return { names = CFG.names, n = #CFG.names } end
function(ctx) local c = CFG return c.limit + 1 end
function(ctx) for _, name in ipairs(CFG.names) do echo(name) end end
--@ the whole context
function(ctx) local l = 5 ctx.r = echo(ctx) return ctx.r end
function(ctx) local hidden = 1 return ctx end
function(ctx) ctx.x = 1 ctx.seen = echo(ctx).x end
function(ctx) local n = 0 for k in pairs(ctx) do n = n + 1 end return n end
function(ctx) local k = "n" return { ctx[k] } end
--@ `flow.sleep`, `flow.fail`
function(ctx) flow.sleep(5) return "slept" end
function(ctx) for i = 1, 2 do flow.sleep(i) echo(i) end end
function(ctx) flow.fail("my.code", "message") end
function(ctx) local ok, e = pcall(function() flow.fail("a.b", "m") end) return e.code end
function(ctx) if ctx.gone then flow.sleep(1) end return "awake" end
