--- an error that is a table
--> script.error /error object: table/
error({ 1 })
--- an error that is a table with a code and a message
--> script.error /^a.lua:1: m$/
error({ code = "c", message = "m" })
--- an error that is nil
--> script.error /error object: nil/
error()
--- an error that is false
--> script.error /error object: boolean/
error(false)
--- an error that is a number
--> script.error /error object: 5/
error(5)
--- an error that is a function
--> script.error /error object: function/
error(pcall)
--- an error that is a coroutine
--> script.error /error object: thread/
error(coroutine.create(pcall))
--- an error that is null
--> script.error /error object: null/
error(null)
--- an error of eight megabytes
--> script.error /^.{0,4200}$/
error(string.rep("x", 8000000))
--- an error that is not UTF-8
--> script.error /\?\?/
error("\xff\xfe")
--- four thousand bytes that are no UTF-8
--> script.error
error(string.rep("\xff", 10000))
--- an error whose message is a table
--> script.error /error object: table/
error({ message = {} })
--- an error inside __tostring
--> script.error /error object/
error(setmetatable({}, { __tostring = function() error("inner") end }))
--- tostring that returns no string
--> script.error /must return a string/
return tostring(setmetatable({}, { __tostring = function() return 1 end }))
--- assert with a table
--> script.error /^a.lua: m$|^a.lua:1: m$/
assert(false, { message = "m" })
--- assert without a message
--> script.error /assertion failed/
assert(false)
--- a line
--> script.error /^a.lua:3: here$/

-- the third line of this script
error("here")
--- a nil field
--> script.error /^a.lua:1: attempt to index a nil value \(field 'x'\)$/
local t = {} local y = t.x.y
--- a syntax error with its line
--> script.syntax /^a.lua:2: /
local a = 1
local = 2
--- an unfinished string
--> script.syntax /unfinished string/
return "abc
--- end without a beginning
--> script.syntax /'end'|<eof>/
end return function()
--- goto nowhere
--> script.syntax /no visible label/
goto nowhere
--- an attribute that is none
--> script.syntax /unknown attribute/
local x <evil> = 1
--- assignment to a constant
--> script.syntax /attempt to assign to const/
local x <const> = 1 x = 2
