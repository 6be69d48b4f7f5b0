"""Budgets: counted before, settled after, exhausted by name, the same after a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from swarm.blueprint.budget import Budget
from swarm.core.driver import Driver
from swarm.core.log import RunLog
from swarm.core.meter import Meter
from swarm.core.replay import Replay
from swarm.errors import Refused
from swarm.ids import RunId
from swarm.ports.worker import Call, CostlyFailure, Outcome, StepLink, Usage, Worker
from swarm.testing import FakeClock, MemoryJournal, scripted_blueprint
from swarm.testing.agents import Script

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
RUN = RunId("r_1")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Bench:
    """A run with a budget."""

    def __init__(
        self,
        flow: Json,
        agents: Mapping[str, Script | Worker],
        /,
        *,
        settings: Mapping[str, Json] | None = None,
        jumps: bool = False,
        **limits: Any,
    ) -> None:
        self.clock = FakeClock(jumps=jumps)
        self.journal = MemoryJournal()
        self.log = RunLog(RUN, self.journal, self.clock)
        self.blueprint = scripted_blueprint(flow, agents, settings=settings)
        self.driver = self.driven(budget=Budget(**limits))

    def driven(self, **more: Any) -> Driver:
        return Driver(self.blueprint, {}, log=self.log, clock=self.clock, **more)

    async def run(self) -> Any:
        await self.driver.begin()
        await self.driver.drive()
        return self.driver.outcome

    async def rows(self, kind: str = "") -> list[Any]:
        found = await self.journal.read(RUN, limit=100_000)
        return [row for row in found if row["kind"].startswith(kind)]

    async def past(self) -> Replay:
        first, *others = await self.rows()
        past = Replay(self.blueprint.flow, first)
        past.feed(others)
        return past

    async def restart(self) -> None:
        past = await self.past()
        self.log = RunLog.of_past(RUN, self.journal, self.clock, past.status)
        self.log.go_on(past.seq, past.status)
        # Whoever cut it off has let it rest.
        assert past.status == "interrupted"
        self.driver = self.driven(past=past)


def step(ref: str, value: Any = None, **fields: Any) -> Json:
    return {"kind": "step", "ref": ref, "in": {"op": "lit", "value": value}, **fields}


def seq(*children: Json) -> Json:
    return {"kind": "seq", "children": list(children)}


def chain(count: int) -> Json:
    return seq(*(step("work", i, out=f"$.x{i}") for i in range(count)))


def each(count: int, **fields: Any) -> Json:
    return {
        "kind": "fanout",
        "items": {"op": "lit", "value": list(range(count))},
        "bind": "$.i",
        "body": {"kind": "step", "ref": "work", "in": {"op": "path", "at": "$.i"}},
        "join": "all_settled",
        "out": "$.all",
        **fields,
    }


def same(value: Any) -> Any:
    return value


def paid(value: Any) -> Outcome:
    return Outcome(value, usage=Usage(10, 0.5))


async def test_a_run_within_its_budget_knows_nothing_of_it() -> None:
    bench = Bench(chain(3), {"work": same}, steps=3, attempts=3, warn_at=1)
    outcome = await bench.run()
    assert (outcome.status, outcome.partial) == ("succeeded", None)


@pytest.mark.parametrize("of", ["steps", "attempts"])
async def test_a_step_too_many_ends_the_run_and_leaves_what_there_is(of: str) -> None:
    limits: Json = {of: 3}
    bench = Bench(chain(5), {"work": same}, **limits)
    outcome = await bench.run()
    assert outcome.status == "failed"
    assert outcome.error["code"] == "budget.exhausted"
    assert outcome.error["data"] == {"of": of, "slice": None, "limit": 3, "used": 4}
    assert outcome.partial == {"x0": 0, "x1": 1, "x2": 2}
    [ended] = await bench.rows("run.failed")
    assert ended["partial"] == outcome.partial
    assert len(await bench.rows("step.finished")) == 3
    assert [row["code"] for row in await bench.rows("step.failed")] == ["budget.exhausted"]


async def test_another_attempt_is_no_other_step() -> None:
    flow = seq(step("work", retry={"max_attempts": 3, "delay_s": 0}), step("work"))
    answers = [ValueError("a"), ValueError("b"), 1, 2]
    outcome = await Bench(flow, {"work": answers}, steps=2, jumps=True).run()
    assert outcome.status == "succeeded"
    outcome = await Bench(flow, {"work": answers}, attempts=2, jumps=True).run()
    assert outcome.error["data"]["of"] == "attempts"


async def test_exhaustion_is_not_asked_for_again() -> None:
    flow = seq(step("work"), step("work", retry={"max_attempts": 9, "delay_s": 5}))
    bench = Bench(flow, {"work": same}, steps=1)
    await bench.run()
    assert len(await bench.rows("step.started")) == 2


@pytest.mark.parametrize(
    ("on", "status"),
    [(None, "failed"), (["budget.*"], "failed"), (["budget.exhausted"], "succeeded")],
)
async def test_exhaustion_is_caught_by_its_name_only(on: Any, status: str) -> None:
    more = {} if on is None else {"on": on}
    flow = {"kind": "try", "body": chain(5), "catch": seq(), "restore": False, **more}
    outcome = await Bench(flow, {"work": same}, steps=2).run()
    assert outcome.status == status
    if status == "succeeded":
        assert outcome.ctx == {"x0": 0, "x1": 1}


@pytest.mark.parametrize(("limits", "done"), [({"tokens": 25}, 3), ({"cost": 1.0}, 2)])
async def test_tokens_and_cost_are_counted_when_they_are_known(limits: Json, done: int) -> None:
    bench = Bench(chain(6), {"work": paid}, **limits)
    outcome = await bench.run()
    assert outcome.error["data"]["of"] in limits
    assert len(await bench.rows("step.finished")) == done


async def test_what_an_agent_takes_at_most_is_held_back_before_it_is_asked() -> None:
    asked: list[Any] = []

    async def work(call: Call, link: StepLink) -> Outcome:
        asked.append(call.input)
        await anyio.sleep_forever()
        return Outcome(None)

    settings = {"work": {"reserve": {"tokens": 40}}}
    bench = Bench(each(10), {"work": work}, settings=settings, tokens=100)
    outcome = await bench.run()
    # A join does not keep it: with the third lane the run ends, and the first two with it.
    assert outcome.error["data"] == {"of": "tokens", "slice": None, "limit": 100, "used": 120}
    assert len(asked) <= 2


async def test_what_was_held_back_and_not_used_is_there_for_the_next() -> None:
    settings = {"work": {"reserve": {"tokens": 40}}}
    bench = Bench(chain(9), {"work": paid}, settings=settings, tokens=100)
    await bench.run()
    # 10 each: the eighth would begin with 70 used and 40 held back.
    assert len(await bench.rows("step.finished")) == 7


async def test_what_was_held_back_for_a_step_that_was_stopped_is_there_for_the_next() -> None:
    async def work(call: Call, link: StepLink) -> Outcome:
        if call.input == 1:
            await anyio.sleep_forever()
        return paid(call.input)

    settings = {"work": {"reserve": {"tokens": 40}}}
    flow = seq(each(2, join="race"), step("work"), step("work"))
    bench = Bench(flow, {"work": work}, settings=settings, tokens=80)
    assert (await bench.run()).status == "succeeded"


async def test_what_a_called_agent_uses_counts() -> None:
    async def boss(call: Call, link: StepLink) -> Outcome:
        return Outcome(await link.call("work", 1))

    bench = Bench(seq(*(step("boss") for _ in range(5))), {"boss": boss, "work": paid}, tokens=20)
    outcome = await bench.run()
    assert outcome.error["code"] == "budget.exhausted"
    assert len(await bench.rows("step.called")) == 2


async def for_ever(call: Call, link: StepLink) -> Outcome:
    await anyio.sleep_forever()
    return Outcome(None)


async def runs_out(bench: Bench, seconds: int) -> None:
    """See the run end when so many seconds have passed, and not one before."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        await bench.clock.advance(seconds - 1)
        assert bench.driver.outcome is None
        await bench.clock.advance(1)


async def test_time_ends_a_step_that_is_in_flight() -> None:
    bench = Bench(step("work"), {"work": for_ever}, wall_s=60)
    await runs_out(bench, 60)
    assert bench.driver.outcome is not None
    assert bench.driver.outcome.error is not None
    assert bench.driver.outcome.error["data"]["of"] == "wall_s"


async def test_time_that_passed_before_a_restart_counts() -> None:
    bench = Bench(step("work"), {"work": for_ever}, wall_s=60)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        await bench.clock.advance(40)
        tasks.cancel_scope.cancel()
    await bench.restart()
    await runs_out(bench, 20)
    [ended] = await bench.rows("run.failed")
    assert (ended["error"]["data"]["of"], ended["duration_s"]) == ("wall_s", 60.0)


async def test_time_ends_the_wait_before_another_attempt() -> None:
    flow = step("work", retry={"max_attempts": 2, "delay_s": 50, "jitter": 0})
    bench = Bench(flow, {"work": [ValueError("no"), 1]}, wall_s=20, jumps=True)
    start = bench.clock.monotonic()
    outcome = await bench.run()
    assert outcome.error["code"] == "budget.exhausted"
    assert bench.clock.monotonic() - start == 20


async def test_a_step_with_a_shorter_timeout_times_out_as_ever() -> None:
    async def work(call: Call, link: StepLink) -> Outcome:
        await link.sleep(100)
        return Outcome(None)

    bench = Bench(step("work", timeout_s=5), {"work": work}, wall_s=60, jumps=True)
    assert (await bench.run()).error["code"] == "step.timeout"


async def test_fuel_is_the_machines() -> None:
    bench = Bench(chain(100), {"work": same}, fuel=50)
    outcome = await bench.run()
    assert outcome.error["code"] == "fuel.exhausted"
    assert [row["of"] for row in await bench.rows("budget.warning")] == ["fuel"]


async def test_each_limit_warns_once() -> None:
    bench = Bench(chain(10), {"work": paid}, steps=10, tokens=1000, cost=100.0, warn_at=0.5)
    assert (await bench.run()).status == "succeeded"
    [warning] = await bench.rows("budget.warning")
    assert (warning["of"], warning["used"], warning["limit"]) == ("steps", 5, 10)
    assert (await bench.rows())[warning["seq"] - 2]["kind"] == "step.started", "and not at its end"


async def test_a_warning_may_come_with_the_last_answer() -> None:
    bench = Bench(step("work"), {"work": paid}, tokens=15, warn_at=0.5)
    assert (await bench.run()).status == "succeeded"
    [warning] = await bench.rows("budget.warning")
    assert (warning["of"], warning["used"]) == ("tokens", 10)


async def test_a_resume_goes_on_with_the_count() -> None:
    hold = anyio.Event()

    async def work(call: Call, link: StepLink) -> Outcome:
        if call.input == 3:
            await hold.wait()
        return paid(call.input)

    limits: Json = {"steps": 6, "tokens": 1000, "warn_at": 0.3}
    bench = Bench(chain(10), {"work": work}, **limits)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        tasks.cancel_scope.cancel()
    await bench.restart()
    hold.set()
    outcome = await bench.run()
    assert outcome.error["data"] == {"of": "steps", "slice": None, "limit": 6, "used": 7}
    assert len(await bench.rows("step.finished")) == 6
    assert len(await bench.rows("budget.warning")) == 1
    past = await bench.past()
    assert (past.meter.spent.steps, past.meter.spent.tokens) == (7, 60)


def test_a_run_within_a_run_uses_both_budgets() -> None:
    parent, child = Meter(Budget(attempts=2, tokens=100)), Meter(Budget(attempts=9))
    child.recall({"kind": "step.started", "step": "w", "key": "$", "attempt": 1})
    child.join(parent.accounts("w", "$"))
    assert parent.spent.attempts == 1
    most = Usage(60)
    accounts = child.accounts("w", "$")
    assert child.reserve(accounts, 1, most, 0) is None
    child.settle(accounts, most, Usage(60))
    assert parent.spent.tokens == 60
    failure = child.reserve(accounts, 1, most, 0)
    assert failure is not None
    assert failure.code == "budget.exhausted"
    assert parent.spent.attempts == 3


def test_a_run_that_has_ended_within_a_run_is_counted_from_one_row() -> None:
    parent = Meter(Budget())
    spent = {"steps": 2, "attempts": 3, "tokens": 4, "cost": 0.5}
    row = {"kind": "child.ended", "step": "w", "key": "$", "child": "c", "spent": spent}
    parent.recall(row)
    assert (parent.spent.steps, parent.spent.attempts, parent.spent.tokens) == (2, 3, 4)
    # Its attempt was made again, and found it ended, or further on.
    parent.recall(row)
    parent.recall({**row, "spent": {**spent, "tokens": 9}})
    assert (parent.spent.steps, parent.spent.attempts, parent.spent.tokens) == (2, 3, 9)
    again = Meter()
    again.recall({"kind": "step.finished", "step": "x", "key": "$", "tokens": 10, "cost": 0.5})
    again.join(parent.accounts("w", "$"), parent.counted("c"))
    assert (parent.spent.tokens, parent.spent.cost) == (10, 0.5)


@pytest.mark.parametrize(
    "wrong", [{"step": 1}, {"steps": -1}, {"cost": "1"}, {"wall_s": 0}, {"warn_at": 2}, [], 5]
)
def test_what_is_no_budget_is_refused(wrong: Any) -> None:
    with pytest.raises(Refused) as caught:
        Budget.of(wrong)
    assert caught.value.code == "budget.malformed"


def test_of_two_budgets_the_lower_limits_hold() -> None:
    both = Budget(steps=3, cost=1.0).within(Budget(steps=5, tokens=7, warn_at=0.5))
    assert both == Budget(steps=3, cost=1.0, tokens=7, warn_at=0.5)


# -- slices ------------------------------------------------------------------------


def branch(id: str, *children: Json) -> Json:
    return {**seq(*children), "id": id}


def sliced(outcome: Any) -> Any:
    data = outcome.error["data"]
    return data["slice"], data["of"], data["limit"], data["used"]


async def test_an_agent_has_a_slice_of_its_own() -> None:
    flow = seq(*(step(ref, i, out=f"$.{ref}{i}") for i in range(4) for ref in ("a", "b")))
    bench = Bench(flow, {"a": paid, "b": same}, agents={"a": {"tokens": 15}}, tokens=1000)
    outcome = await bench.run()
    assert sliced(outcome) == ("agents.a", "tokens", 15, 20)
    assert "for agent 'a' in a run" in outcome.error["message"]
    assert outcome.partial == {"a0": 0, "b0": 0, "a1": 1, "b1": 1}


async def test_a_part_of_the_flow_has_a_slice_of_its_own() -> None:
    flow = seq(
        step("work", out="$.before"),
        branch("research", step("work"), branch("deep", step("work"), step("work"))),
        step("work", out="$.after"),
    )
    outcome = await Bench(flow, {"work": same}, nodes={"research": {"steps": 3}}).run()
    assert outcome.status == "succeeded"
    outcome = await Bench(flow, {"work": same}, nodes={"research": {"steps": 2}}).run()
    assert sliced(outcome) == ("nodes.research", "steps", 2, 3)
    outcome = await Bench(flow, {"work": same}, nodes={"deep": {"attempts": 1}}).run()
    assert sliced(outcome) == ("nodes.deep", "attempts", 1, 2)


async def test_a_part_of_the_flow_counts_over_its_turns_and_lanes() -> None:
    flow = {**each(3, join="all"), "id": "lanes"}
    flow["body"] = {
        "kind": "loop",
        "counter": "$.n",
        "cond": {"op": "lit", "value": True},
        "max": 2,
        "body": {**step("work"), "id": "turn"},
    }
    bench = Bench(flow, {"work": same}, nodes={"turn": {"steps": 6}, "lanes": {"steps": 6}})
    assert (await bench.run()).status == "succeeded"
    outcome = await Bench(flow, {"work": same}, nodes={"turn": {"steps": 5}}).run()
    assert sliced(outcome) == ("nodes.turn", "steps", 5, 6)


async def test_a_neighbour_whose_place_begins_alike_is_another_part() -> None:
    many = [branch(f"n{i}", step("work")) for i in range(12)]
    outcome = await Bench(seq(*many), {"work": same}, nodes={"n1": {"steps": 1}}).run()
    assert outcome.status == "succeeded"


async def test_a_flow_goes_on_beside_a_part_that_has_used_its_slice_up() -> None:
    flow = seq(
        {
            "kind": "try",
            "id": "part",
            "body": chain(5),
            "catch": seq(),
            "restore": False,
            "on": ["budget.exhausted"],
        },
        step("work", "more", out="$.more"),
    )
    bench = Bench(flow, {"work": same}, nodes={"part": {"steps": 2}})
    assert (await bench.run()).ctx == {"x0": 0, "x1": 1, "more": "more"}


async def test_what_a_called_agent_takes_is_held_back_of_its_slice() -> None:
    async def boss(call: Call, link: StepLink) -> Outcome:
        return Outcome(await link.call("work", 1))

    settings = {"work": {"reserve": {"tokens": 15}}}
    limits: Json = {"agents": {"work": {"tokens": 30}}}
    flow = seq(*(step("boss") for _ in range(5)))
    bench = Bench(flow, {"boss": boss, "work": paid}, settings=settings, **limits)
    outcome = await bench.run()
    # 10 each: the third call would begin with 20 used and 15 held back.
    assert sliced(outcome) == ("agents.work", "tokens", 30, 35)
    called = await bench.rows("step.called")
    assert [row["code"] for row in called] == [None, None, "budget.exhausted"]


async def test_each_slice_warns_once_over_restarts_too() -> None:
    hold = anyio.Event()

    async def work(call: Call, link: StepLink) -> Outcome:
        if call.input == 5:
            await hold.wait()
        return paid(call.input)

    limits: Json = {
        "steps": 100,
        "agents": {"work": {"tokens": 70, "warn_at": 0.5}},
        "nodes": {"all": {"steps": 8, "warn_at": 0.25}},
    }
    bench = Bench(branch("all", *chain(10)["children"]), {"work": work}, **limits)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        tasks.cancel_scope.cancel()
    await bench.restart()
    hold.set()
    outcome = await bench.run()
    assert sliced(outcome) == ("agents.work", "tokens", 70, 70)
    warned = [(row["slice"], row["of"], row["used"]) for row in await bench.rows("budget.")]
    assert warned == [("nodes.all", "steps", 2), ("agents.work", "tokens", 40)]
    past = await bench.past()
    assert (past.meter.spent.steps, past.meter.spent.tokens) == (8, 70)


async def test_what_a_failed_attempt_cost_is_counted_after_a_restart_too() -> None:
    def dear(_: Any) -> Outcome:
        raise CostlyFailure("no.luck", "no luck", True, None, usage=Usage(10, 0.5))

    flow = {"kind": "try", "body": step("work"), "catch": seq(), "restore": False}
    bench = Bench(flow, {"work": dear}, tokens=100)
    assert (await bench.run()).status == "succeeded"
    assert bench.driver.meter.spent.tokens == (await bench.past()).meter.spent.tokens == 10


def test_of_two_slices_the_lower_limits_hold() -> None:
    one = Budget.of({"agents": {"a": {"steps": 3}, "b": {"steps": 1}}})
    both = one.within(Budget.of({"agents": {"a": {"steps": 5, "tokens": 7}}}))
    assert both.to_wire()["agents"] == {
        "a": {"steps": 3, "tokens": 7, "warn_at": 0.8},
        "b": {"steps": 1, "warn_at": 0.8},
    }


@pytest.mark.parametrize("wrong", [{"agents": {"a": {"wall_s": 1}}}, {"nodes": {"n": 3}}])
def test_what_is_no_slice_is_refused(wrong: Any) -> None:
    with pytest.raises(Refused, match=r"budget\.(agents|nodes)"):
        Budget.of(wrong)
