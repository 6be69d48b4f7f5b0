--- unpack from the smallest 32 bit integer
--> script.error /more than 8000 results/
return table.unpack({}, -2147483648, 2147483647)
--- unpack over all integers
--> script.error /more than 8000 results/
return table.unpack({}, math.mininteger, math.maxinteger)
--- unpack at the end of the integers
--> = 3
return (select("#", table.unpack({}, math.maxinteger - 2, math.maxinteger)))
--- sub over all integers
--> = "abc"
return ("abc"):sub(math.mininteger, math.maxinteger)
--- byte of a megabyte
--> script.error /string slice too long|stack overflow|too many/
return select("#", string.byte(string.rep("x", 8000000), 1, -1))
--- char out of range
--> script.error /out of range/
return string.char(256)
--- unpack of an unfinished string
--> script.error /unfinished string/
return string.unpack("z", "abc")
--- packsize of too much
--> script.error /too large|invalid format option/
return string.packsize(string.rep("c2147483640", 5))
--- a huge width in format
--> script.error /invalid conversion/
return string.format("%1000d", 1)
--- an address in format
--> script.error /'%p' is not available/
return string.format("%p", {})
--- an address in format, with width and flags
--> script.error /not available|invalid conversion/
return string.format("%-20p", {})
--- a percent before a p
--> = "%p"
return string.format("%%%s", "p")
--- quoting infinity
--> = "1e9999"
return string.format("%q", math.huge)
--- quoting a table
--> = "\"table\""
return string.format("%q", {})
--- a megabyte in base 36
--> = true
return type(tonumber(string.rep("z", 1000000), 36)) == "number"
--- a megabyte of hex
--> = true
return tonumber("0x" .. string.rep("f", 1000000)) == -1
--- a base that is none
--> script.error /base out of range/
return tonumber("1", 99)
--- select from behind the front
--> script.error /index out of range/
return select(-5, 1)
--- insert out of bounds
--> script.error /position out of bounds/
table.insert({}, 5, 1)
--- insert too much
--> script.error /wrong number of arguments/
table.insert({}, 1, 2, 3)
--- remove out of bounds
--> script.error /position out of bounds/
table.remove({ 1 }, 7)
--- remove from nothing
--> = null
return table.remove({})
--- concat of tables
--> script.error /invalid value/
return table.concat({ {} })
--- sort of what cannot be compared
--> script.error /attempt to compare/
table.sort({ 1, "a" })
--- next with a key
--> script.error /use pairs/
return next({ a = 1, b = 2 }, "a")
--- next of a table
--> = "a"
return (next({ b = 1, a = 2 }))
--- pairs of nothing
--> script.error /bad argument #1 to 'pairs' \(table expected, got no value\)/
pairs()
--- keys without an order
--> script.error /no fixed order/
pairs({ [{}] = 1 })
--- an integer divided by zero
--> script.error /attempt to divide by zero|attempt to perform/
return 1 // 0
--- a number too large for an integer
--> script.error /no integer representation/
return 1e300 | 1
--- a pattern that is broken
--> script.error /malformed pattern/
return ("x"):find("[")
--- a pattern that recurses
--> script.error /too many captures/
return (string.rep("(", 40) .. "x"):find(string.rep("(", 40))
--- random without an interval
--> script.error /interval is empty/
return math.random(0 - 1)
--- ipairs of nil
--> script.error /bad argument/
ipairs()
--- setmetatable of a string
--> script.error /table expected, got string/
setmetatable("x", {})
--- rawset of a string
--> script.error /table expected/
rawset("x", 1, 2)
--- a method of null
--> script.error /attempt to call a nil value/
null:method()
--- utf8 of what is none
--> = null
return (utf8.len("\xff"))
--- a codepoint out of range
--> script.error /out of range/
return utf8.char(-1)
