local test = require "flow.test"

return test.suite {
  blueprint = "retry.json",
  cases = {
    test.case "asks a third time, after its delays" {
      answers = { unsteady = { test.fails("net.down", { times = 2 }), "here" } },
      expect = {
        test.path { "unsteady", "unsteady", "unsteady" },
        test.ctx("ctx.answer", "here"),
        test.event("step.retrying", {}, 2),
        test.usage { steps = 1, attempts = 3 },
      },
    },
    test.case "does its steps itself" {
      answers = { unsteady = test.real },
      expect = { test.ctx("ctx.answer", "attempt 3"), test.golden "retry" },
    },
    test.case "does not ask again after a failure of another kind" {
      answers = { unsteady = { test.fails "disk.full" } },
      expect = { test.error "disk.full", test.calls("unsteady", 1) },
    },
    test.case "gives up after the third" {
      answers = { unsteady = { test.fails("net.down", { times = 3 }) } },
      expect = { test.error "net.down" },
    },
  },
}
