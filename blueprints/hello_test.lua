local test = require "flow.test"

return test.suite {
  blueprint = "hello.lua",
  answers = { greeter = test.real },
  cases = {
    test.case "greets whom it is told to greet" {
      input = { name = "Ada" },
      answers = { shouter = { "HELLO, ADA!" } },
      expect = {
        test.path { "greeter", "shouter" },
        test.input("shouter", 1, "Hello, Ada!"),
        test.ctx("ctx.loud", "HELLO, ADA!"),
      },
    },
    test.case "greets the world where nobody is named" {
      answers = { shouter = { "HELLO, WORLD!" } },
      expect = { test.input("greeter", 1, { name = "world" }), test.golden "hello-world" },
    },
    test.case "fails where nobody shouts" {
      input = { name = "Ada" },
      answers = { shouter = { test.fails("process.exit", "exit 1", { permanent = true }) } },
      expect = { test.error("process.exit", "exit 1") },
    },
  },
}
