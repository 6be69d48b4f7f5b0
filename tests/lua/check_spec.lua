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

it("list admits lists only", function()
  local rule = check.list "a list of names"
  equal(rule {}, nil)
  equal(rule { "a", 5 }, nil)
  equal({ rule { "a", b = "c" } }, { "a list of names", ".b", "c" })
  equal((rule(null)), "a list of names")
end)

it("blame names the line of the author", function()
  fails(function() check.blame("flow.x", "no") end, "check_spec.lua:42: flow.x: no")
end)

return spec.report()
