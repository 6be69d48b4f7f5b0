--- long strings made again and again
--> script.budget
local big = string.rep("x", 8000000) big = big .. big
while true do local _ = big .. "y" end
--- long strings as keys
--> script.budget
local big = string.rep("x", 8000000) big = big .. big
local t = {} while true do local _ = t[big .. "y"] end
--- long strings compared for order
--> script.budget
local big = string.rep("x", 8000000) local a, b = big .. big, big .. big
while true do local _ = a < b end
--- long strings compared for equality
--> script.budget
local big = string.rep("x", 8000000) local a, b = big .. big, big .. big
while true do local _ = a == b end
--- long strings made a few times
--> = 40000005
local big, n = string.rep("x", 8000000), 0
for _ = 1, 5 do n = n + #(big .. "y") end return n
--- packsize of a long format
--> script.budget
local f = string.rep("b", 8000000) while true do string.packsize(f) end
--- packsize of a format
--> = 12
return string.packsize("<i4i8")
--- unpack of a long format
--> script.error /./
local f = string.rep("x", 8000000) return string.unpack(f, "")
--- unpack of zero ended strings, without end
--> script.budget
local s = string.rep("y", 8000000) .. "\0" while true do string.unpack("z", s) end
--- unpack of a zero ended string
--> = "ab"
return (string.unpack("z", "ab\0cd"))
--- unpack with a length that is none
--> script.error /data string too short/
return string.unpack("s8", "\255\255\255\255\255\255\255\127")
--- unpack beyond the end
--> script.error /initial position out of string/
return string.unpack("i4", "abc", 1 << 40)
--- pack of an integer that does not fit
--> script.error /overflow/
return string.pack("i1", 1000)
--- pack with an alignment of three
--> script.error /power of 2|out of limits/
return string.pack("!3i3", 1)
--- pack with the widest integer
--> = 16
return #string.pack("i16", 1)
--- pack with one too wide
--> script.error /out of limits/
return string.pack("i17", 1)
--- gsub with a long replacement, again and again
--> script.budget
local s, r = string.rep("a", 6000), string.rep("y", 5000)
while true do s:gsub("a", r) end
--- gsub that repeats what it found, again and again
--> script.budget
local s = string.rep("a", 60000)
while true do s:gsub("(a+)", "%1%1%1%1%1%1%1%1%1%1%1%1%1%1%1%1%1%1%1%1") end
--- gsub that repeats what it found
--> = "aaaa"
return (("aa"):gsub("(a+)", "%1%1"))
--- gsub with a table that answers without end
--> script.budget
string.gsub("x", "x", setmetatable({}, { __index = function() while true do end end }))
--- gsub with a table
--> = "y"
return (string.gsub("x", "x", { x = "y" }))
--- a back reference, repeated
--> script.budget
return string.find(string.rep("a", 60), string.rep("(a*)", 12) .. "%1%2%3%4b")
--- a back reference
--> = 1
return (string.find("abcabc", "(%a%a%a)%1"))
--- balanced brackets without end
--> script.budget
return string.find(string.rep("(", 500000), "%b()")
--- balanced brackets
--> = "(a(b))"
return string.match("x(a(b))y", "%b()")
--- a frontier for every character
--> = 1
return (string.find(string.rep("ab", 1000), "%f[%w]%w+"))
--- find of a long text, plain, again and again
--> script.budget
local s, p = string.rep("a", 500000), string.rep("a", 500) .. "b"
while true do s:find(p, 1, true) end
--- byte of eight thousand, again and again
--> script.budget
local s = string.rep("a", 8000) while true do s:byte(1, -1) end
--- a number of eight megabytes
--> script.budget
local s = string.rep("1", 8000000) while true do tonumber(s) end
--- numbers of a hundred digits
--> = true
return tonumber(string.rep("1", 100)) > 1e98
--- lower of eight megabytes, again and again
--> script.budget
local s = string.rep("A", 8000000) while true do s:lower() end
--- reverse of eight megabytes, kept
--> script.memory
local s, t = string.rep("A", 8000000), {} while true do t[#t + 1] = s:reverse() end
--- utf8 length of eight megabytes, again and again
--> script.budget
local s = string.rep("é", 4000000) while true do utf8.len(s) end
--- utf8 codes of what is none
--> script.error /invalid UTF%-8 code|invalid UTF-8 code/
for _ in utf8.codes("a\xffb") do end
--- utf8 codes
--> = 2
local n = 0 for _ in utf8.codes("aé") do n = n + 1 end return n
--- utf8 offset beyond all
--> = null
return (utf8.offset("abc", math.maxinteger))
--- utf8 codepoints of a megabyte at once
--> script.error /string slice too long|stack overflow|too many/
return utf8.codepoint(string.rep("a", 2000000), 1, -1)
--- keys of the same beginning, ordered again and again
--> script.budget
local t, same = {}, string.rep("k", 40000)
for i = 1, 500 do t[same .. i] = i end
while true do for _ in pairs(t) do break end end
--- varargs that grow by one
--> script.error /stack overflow|too many/
local function more(...) return 1 + more(1, ...) end more()
--- varargs that grow by one, in a tail
--> script.budget
local function more(...) return more(1, ...) end more()
--- varargs counted
--> = 3
return select("#", nil, nil, nil)
--- select from every end
--> script.error /index out of range/
return select(math.mininteger, 1)
--- ephemerons in a chain
--> script.error /__gc and __mode are not available/
setmetatable({}, { __mode = "k" })
--- a for that wraps around the integers
--> = 3
local n = 0 for i = math.maxinteger - 2, math.maxinteger do n = n + 1 end return n
--- a for over all the integers
--> script.budget
for i = math.mininteger, math.maxinteger do end
--- a for with the largest step
--> = 3
local n = 0 for i = math.mininteger, math.maxinteger, math.maxinteger do n = n + 1 end return n
--- a for down from what is no integer
--> script.budget
for i = 1e308, -math.huge, -1 do end
--- a for over what is no number
--> script.error /'for' initial value \(number expected, got table\)/
for i = {}, 2 do end
--- a for over strings of numbers
--> = 2.0
local n = 0 for i = "1", "2" do n = i end return n
--- goto in circles through blocks
--> script.budget
::a:: do goto b end ::b:: do goto a end
--- goto out of nested loops
--> = 5
local n = 0
for i = 1, 10 do for _ = 1, 10 do n = i if n == 5 then goto out end end end
::out:: return n
--- goto into the scope of a local
--> script.syntax /jumps into the scope of local/
goto f local x ::f:: x = 1
--- shifts by everything
--> = [0, 0, 1]
return { 1 << 64, 1 >> -64, 1 << 0 }
--- the smallest integer divided by minus one
--> = -9223372036854775808
return math.mininteger // -1
--- the smallest integer modulo minus one
--> = 0
return math.mininteger % -1
--- modulo by zero
--> script.error /attempt to perform 'n%+0'/
return 1 % 0
--- fmod by zero
--> script.error /bad argument #2 to 'fmod' \(zero\)/
return math.fmod(1, 0)
--- random over all integers
--> = "integer"
return math.type(math.random(math.mininteger, math.maxinteger))
--- random with three bounds
--> script.error /wrong number of arguments/
return math.random(1, 2, 3)
--- a percent sign before a word
--> = "100%pure"
return string.format("100%%pure")
--- an address behind a percent sign
--> script.error /'%p' is not available/
return string.format("%%%p", {})
--- the sign of what is no number
--> = ["nan", "nan", "nan"]
return { string.format("%s", 0 / 0), string.format("%s", -(0 / 0)), string.format("%.1f", 0 / 0) }
--- a format with a hundred arguments missing
--> script.error /bad argument #2 to 'format'|no value/
return string.format(string.rep("%d", 100))
--- a format of the largest float with all digits
--> = 409
return #string.format("%.99f", 1.7976931348623157e308)
--- quoting zeros and newlines
--> = "\"\\0\\\n\\13\""
return (string.format("%q", "\0\n\r"))
--- concat with a separator of eight megabytes
--> script.memory
return #table.concat({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, string.rep("x", 8000000))
--- concat beyond all integers
--> = ""
return table.concat({}, "", math.maxinteger, math.mininteger)
--- concat up to the last integer
--> script.error /invalid value/
return table.concat({}, "", math.maxinteger - 1, math.maxinteger)
--- insert and remove in a list of a million, at the front
--> script.budget
local t = {} for i = 1, 100000 do t[i] = i end
while true do table.insert(t, 1, 0) table.remove(t, 1) end
--- sort with a comparator that sorts
--> script.error /stack overflow/
local function by(a, b) local t = { 3, 2, 1 } table.sort(t, by) return a < b end
table.sort({ 3, 2, 1 }, by)
--- sort with a comparator that sorts another list
--> = [1, 2, 3]
local t = { 3, 2, 1 }
table.sort(t, function(a, b) local u = { 2, 1 } table.sort(u) return a < b end) return t
--- sort with a comparator that empties the list
--> = 3
local t = { 3, 2, 1 }
table.sort(t, function(a, b) for i = 1, 3 do t[i] = nil end return a < b end) return #t
