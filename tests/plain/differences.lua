--@ equality
function(ctx) return { 1 } == { 1 } end
function(ctx) return { a = { 1, { b = 2 } } } == { a = { 1, { b = 2 } } } end
function(ctx) local a, b = { n = 1.0 }, { n = 1 } if a ~= b then return "other" end return "same" end
function(ctx) local r = echo { n = 1 } return { r == { n = 1 }, r ~= { n = 2 }, r == copy(r) } end
function(ctx) local t = { { 1 }, { 2 } } return t[1] == { 1 } and t[2] ~= { 1 } end
--@ copies
function(ctx) local t = { n = 1 } local u = echo(t) u.n = 2 return t.n end
function(ctx) local l = { { n = 1 } } parallel(l, function(x) x.n = 5 return x end) return l end
function(ctx) local l = { { n = 1 } } local out = parallel(l, function(x) return x end) out[1].n = 5 return { l, out } end
function(ctx) ctx.a = { l = { 1 } } ctx.b = echo(ctx.a) table.insert(ctx.b.l, 2) return { #ctx.a.l, #ctx.b.l } end
--@ empty
function(ctx) local t = {} return { t, #t } end
function(ctx) local out = {} for _, x in ipairs(ctx.none or {}) do out[#out + 1] = x end return { out = out } end
function(ctx) local l = { 1 } table.remove(l) return { l = l } end
--@ kinds
function(ctx) return ("x").name == nil end
function(ctx) return ({ a = 1 })[1] == nil end
function(ctx) local l = { 1, 2 } return l.name == nil end
function(ctx) local l, k = list(4), "name" ctx.before = l[k] == nil return ctx.before end
function(ctx) local t = echo { a = 1 } for _, x in ipairs(t) do return x end return "none" end
function(ctx) local ok, e = pcall(function() local s = text(1) .. "t" return s.x end) return { ok, e ~= nil } end
--@ nil_items
function(ctx) local t = { 1, nil } return #t end
function(ctx) local t = { nil, 2, nil } local n = 0 for _ in ipairs(t) do n = n + 1 end return { n, #t } end
function(ctx) local t = {} t[#t + 1] = ctx.gone t[#t + 1] = ctx.gone return #t end
function(ctx) local t = { 1, 2, 3 } t[3] = nil return { #t, t } end
function(ctx) local t = {} table.insert(t, nilly(1)) table.insert(t, "x") return { #t, t[1] == nil, t[2] } end
--> {"l": [null, 1, null]}
function(ctx) return { #ctx.l, ctx.l[2] } end
function(ctx) local answers = parallel({ 1, 2 }, function(x) return nilly(1) end) return #answers end
--@ no_holes
function(ctx) local t, k = { 1, 2 }, 2.5 t[k] = 9 return t[2.5] end
function(ctx) local t = { 1 } t[5] = 2 return t[5] end
function(ctx) local t = { 1 } for i = 3, 4 do t[i] = i end return t[4] end
function(ctx) local t, at = {}, 2 t[at] = "x" return t[at] end
function(ctx) local t = { "a" } local ok = pcall(function() t[0 + #t - 1] = "x" end) return { ok, t[1] } end
--@ names_counted
function(ctx) return #{ a = 1 } end
function(ctx) local t = { a = 1, b = 2 } t.a = nil return #t end
function(ctx) local t, k = { a = 1, b = 2 }, "a" t[k] = nil return { #t, t.a == nil } end
function(ctx) local t = { a = ctx.gone, b = 1 } return #t end
--> {"r": {"x": null, "y": 1}}
function(ctx) return #ctx.r end
--@ code_points
function(ctx) return #"äöü" end
function(ctx) local s = "日本語" return { #s, s:len(), s:sub(2, 2), s:sub(-1), string.sub(s, 2) } end
function(ctx) return (("naïve"):find("ve", 1, true)) end
function(ctx) local s = "😀!" return { s:sub(1, 1), s:sub(2), #s } end
--> {"s": "é"}
function(ctx) return { #ctx.s, #(ctx.s .. "x"), string.len(ctx.s) } end
--@ letters
function(ctx) return ("ä"):upper() end
function(ctx) return { string.lower("ÀÉ"), ("straße"):upper() } end
function(ctx) local s = "Ömer" if s:lower() == "ömer" then return 1 end return 2 end
--@ overflow
function(ctx) return math.maxinteger + 1 end
function(ctx) local n = math.mininteger return { pcall(function() return n - 1 end), n } end
function(ctx) local n = 3037000500 return n * n end
function(ctx) local n = math.mininteger return -n end
function(ctx) local n = math.mininteger return math.abs(n) end
function(ctx) local n = math.mininteger return n // -1 end
function(ctx) local x = 1e308 return x * 10 > 1 end
function(ctx) local n = 1 for i = 1, 70 do n = n * 2 end return n end
function(ctx) local ok, e = pcall(function() ctx.n = math.maxinteger + (ctx.n or 1) end) if e and e.code == "arith.overflow" then return "told" end return "not" end
--@ zero_division
function(ctx) local z = 0 return 1 / z > 5 end
function(ctx) local z = ctx.z or 0.0 return { 5 % z ~= 1 } end
function(ctx) local z = 0 local ok, e = pcall(function() return 1 // z end) if not ok and e.code == "arith.zero_division" then return "told" end return "not" end
function(ctx) local z = 0.0 return { -1 // z < 0 } end
--@ zero_sign
function(ctx) return -6 % 3.0 end
function(ctx) local n = -9.0 return { n = n % 3 } end
function(ctx) local n = -4 ctx.r = n % 2.0 return ctx.r end
--@ text_numbers
function(ctx) return (ctx.t or "10") + 1 end
function(ctx) return (ctx.t or "3") * 2 end
function(ctx) local ok, n = pcall(function() return -(ctx.t or "5") end) return ok end
function(ctx) return math.floor(ctx.t or "2.5") end
function(ctx) return math.max(ctx.t or "7", 1) end
function(ctx) return ("abc"):sub(ctx.t or "2") end
--@ float_text
function(ctx) return (0.1 + 0.2) .. "" end
function(ctx) return tostring(1e15) end
function(ctx) local x = 1e15 return "x" .. -x end
function(ctx) return table.concat({ 1e15, 2.5, 123456789012345.0 }, " ") end
function(ctx) local x = 100 / 3 return { #tostring(x), tostring(x) } end
function(ctx) local _, e = pcall(error, 1e15) return e.message end
--> {"x": 1e21}
function(ctx) return ctx.x .. "|" .. ctx.x / 7 end
--@ boolean_text
function(ctx) local b = ctx.b == true return "is " .. tostring(b) .. (ctx.gone or true) end
function(ctx) local l = echo { true, false } return table.concat(l, ",") end
function(ctx) local r = echo { b = true } return "b: " .. r.b end
--@ table_text
function(ctx) return tostring(echo { 1 }) end
function(ctx) local t = rec(1) return #tostring(t) > 0 end
function(ctx) local ok = pcall(function() ctx.s = tostring(ctx.r or echo { a = 1 }) end) return ok end
--@ exact_floor
function(ctx) return 1 // 0.1 end
function(ctx) local x = 0.1 return 3 // x end
function(ctx) local a, b = 6.0, 0.1 return { a // b, a / b } end
--@ error_objects
function(ctx) local _, e = pcall(error, "m") return e.code end
function(ctx) local _, e = pcall(function() error("a.b", "why") end) return { e.code, e.message } end
function(ctx) local ok, e = pcall(function() local x = ctx.gone.field end) return { ok, e.message ~= nil } end
function(ctx) local _, e = pcall(flaky, "fail") local _, f = pcall(error, "plain " .. e.message) return f end
function(ctx) local _, e = pcall(function() assert(ctx.gone, "is gone") end) return e.message end
--@ unknown_codes
--> {"code": "never.written"}
function(ctx) local _, e = pcall(function() error(ctx.code, "m") end) return { e.code, e.message } end
--> {"code": "never.written"}
function(ctx) error(ctx.code, "m") end
--> {"e": {"code": "from.outside", "message": "m", "data": [1]}}
function(ctx) local _, e = pcall(function() error(ctx.e) end) return e end
--@ helper_errors
function(ctx) local function bad(t) local x = t.a.b return x end local _, e = pcall(function() return bad(echo {}) end) return e.code end
function(ctx) local function bad(s) local n = s + 1 return n end local ok, e = pcall(function() return bad("x") end) if e.code == "step.failed" then return "step" end return e.code end
function(ctx) local _, e = pcall(function() return string.format("%d", "x") end) return e.code end
function(ctx) local function bad(n) if n > 1 then error("my.own", "m") end local t = nil return t.x end local _, e = pcall(function() return bad(0) end) local _, f = pcall(function() return bad(2) end) return { e.code, f.code } end
function(ctx) local _, e = pcall(function() local big = 1e308 return big ^ 2 end) return e.code end
--@ early_reads
function(ctx) local n = 1 local function bump() n = n + 1 echo(n) return n end return n + bump() end
function(ctx) local n = 1 local function bump() n = n * 10 echo(n) return 5 end return { n < bump(), n == bump(), n - bump() } end
function(ctx) local t = { 1, 2 } local function swap() t = { 7, 8 } echo(0) return 1 end return t[swap()] end
function(ctx) local n = 2 local function twice() n = n * 2 echo(n) return 1 end local m = n * (twice() + twice()) return { m, n } end
--@ sorted_names
function(ctx) for k in pairs({ b = 1, a = 2 }) do return k end end
function(ctx) local out = {} for k, v in pairs({ z = 1, m = 2, a = 3 }) do out[#out + 1] = k .. v end return out end
function(ctx) for k, v in pairs({ one = 1, two = 2 }) do echo { k, v } end end
function(ctx) return next({ b = 1, a = 2, c = 3 }) end
--@ bounded
function(ctx) local n = 0 while n < 20 do limit(9) n = n + 1 end return n end
function(ctx) local n = 0 repeat limit(3) n = n + 1 until n == 5 return n end
function(ctx) for i = 1, ctx.n or 4 do limit(2) ctx.last = i end end
function(ctx) for _, x in ipairs({ 1, 2, 3 }) do limit(1) ctx.last = x end end
function(ctx) local ok, e = pcall(function() while true do limit(5) ctx.i = (ctx.i or 0) + 1 if ctx.i == 9 then return end end end) return { ok, e.code, ctx.i } end
function(ctx) local n = 0 while echo(n) < 9 do limit(4) n = n + 1 end return n end
--@ whole_context
function(ctx) ctx.x = 1 return nil end
function(ctx) ctx.x = 1 end
function(ctx) ctx.x = 1 if ctx.gone == nil then return end return 5 end
function(ctx) ctx.x = 1 return echo(nil) end
