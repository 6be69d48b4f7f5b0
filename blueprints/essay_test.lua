local test = require "flow.test"

local function verdict(word, hard) return { verdict = word, words = 9, word = hard } end

return test.suite {
  blueprint = "essay.lua",
  answers = { printer = { test.returns("printed", { times = "any" }) } },
  cases = {
    test.case "is printed as soon as its critic is content" {
      answers = { writer = { "A draft." }, critic = { verdict "PASS" } },
      expect = {
        test.path { "writer", "critic", "printer" },
        test.input("writer", 1, { topic = "patience" }),
        test.input("printer", 1, "A draft."),
        test.ctx("ctx", { essay = "printed" }),
      },
    },
    test.case "is mended as it is told" {
      input = { topic = "tea" },
      answers = {
        writer = { "one", "two", "three" },
        critic = { verdict "LONGER", verdict("PLAINER", "notwithstanding"), verdict "PASS" },
      },
      expect = {
        test.input("writer", 2, { topic = "tea", draft = "one" }),
        test.input("writer", 3, { topic = "tea", draft = "two", word = "notwithstanding" }),
        test.input("printer", 1, "three"),
      },
    },
    test.case "is printed after four readings, content or not" {
      answers = {
        writer = { "a", test.returns("b", { times = 4 }) },
        critic = { test.returns(verdict "LONGER", { times = 4 }) },
      },
      expect = { test.calls("critic", 4), test.calls("printer", 1) },
    },
    test.case "is written by the writer of the house, read by its critic" {
      input = { topic = "tea" },
      answers = { writer = test.real, critic = test.real },
      expect = { test.that "ctx.essay == 'printed'", test.golden "essay" },
    },
    test.case "a word that the critic does not have is a failure" {
      answers = { writer = { "a" }, critic = { verdict "GOOD" } },
      expect = { test.error("agent.verdict", "GOOD") },
    },
  },
}
