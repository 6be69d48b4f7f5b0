local spec = require "spec"
local check = require "flow.check"

local it, equal, fails = spec.it, spec.equal, spec.fails

it("the nearest word is found", function()
  local allowed = { "agent", "input", "out", "timeout_s" }
  equal(check.nearest("agnet", allowed), "agent")
  equal(check.nearest("inputs", allowed), "input")
  equal(check.nearest("timeout", allowed), "timeout_s")
  equal(check.nearest("o", allowed), nil)
  equal(check.nearest("", allowed), nil)
  equal(check.nearest(("x"):rep(1000), allowed), nil)
end)

it("values are shown in the author's words", function()
  equal(check.shown(nil), "nil")
  equal(check.shown "a\nb", "'a b'")
  equal(#check.shown(("x"):rep(100)), 42)
  equal(check.shown {}, "a table")
  equal(check.shown { 1 }, "a list")
  equal(check.shown(null), "null")
  equal(check.shown(pcall), "a function")
  equal(check.shown { __swarm = "step" }, "a flow.step")
end)

it("one_of admits its words only", function()
  local rule = check.one_of { "all", "any" }
  equal(rule "all", nil)
  equal((rule "some"), "one of 'all', 'any'")
end)

it("a table that is neither a list nor names is said to be both", function()
  equal(check.shown { 1, 2 }, "a list")
  equal(check.shown { a = 1 }, "a table")
  equal(check.shown { 1, nil, 3 }, "a list with 2 of 3 items")
  equal(check.shown { 1, 2, c = 3, b = 4 }, "a list that has the name 'b' too")
  equal({ check.rules.expression { a = { 1, nil, 3 } } }, {
    "a list without holes", ".a", { 1, nil, 3 }, "write flow.null where nothing is meant",
  })
  equal((check.rules.expression { 1, a = 2 }), "a list or a table with names")
  equal(check.rules.expression { 1, 2, { a = null } }, nil)
  equal((check.rules.plain_table { on = { 1, a = 2 } }), "a list or a table with names")
  equal((check.rules.plain_table(5)), "a table")
  equal(check.rules.plain_table { on = { 1, 2 } }, nil)
end)

it("list admits lists only", function()
  local rule = check.list "a list of names"
  equal(rule {}, nil)
  equal(rule { "a", 5 }, nil)
  equal((rule { "a", b = "c" }), "a list of names")
  equal((rule(null)), "a list of names")
end)

it("blame names the line of the author", function()
  fails(function() check.blame("flow.x", "no") end, "check_spec.lua:57: flow.x: no")
end)

return spec.report()
