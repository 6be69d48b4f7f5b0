"""The driver on a fake clock: order, bounds, time, cancellation, and what is written down."""

from __future__ import annotations

import asyncio  # noqa: TID251 - whose tasks are cancelled without a scope
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from pydantic import TypeAdapter

from flowir import Success, WorkerFailure
from flowir.errors import FlowError
from flowir.machine import Machine
from swarm.core import driver
from swarm.core.agenda import Agenda
from swarm.core.driver import MAX_TASKS, Driver
from swarm.core.events import RUN_ENDS, STEP_ENDS, Event
from swarm.core.log import EventStream, RunLog
from swarm.core.workshop import Workshop
from swarm.errors import Refused, SwarmError
from swarm.ids import RunId
from swarm.ports.questions import Ask
from swarm.ports.worker import Call, Outcome, StepLink, Usage, Worker
from swarm.testing import FakeClock, MemoryJournal, scripted_blueprint
from swarm.testing.agents import Script

pytestmark = pytest.mark.anyio

Json = dict[str, Any]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Bench:
    """A driver with its parts at hand; `drive` runs it in a task of its own."""

    def __init__(
        self,
        flow: Json,
        agents: Mapping[str, Script | Worker],
        ctx: Any = None,
        *,
        jumps: bool = False,
        max_tasks: int = MAX_TASKS,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.clock = FakeClock(jumps=jumps)
        self.journal = MemoryJournal()
        self.log = RunLog(RunId("r_1"), self.journal, self.clock)
        self.driver = Driver(
            scripted_blueprint(flow, agents, settings=settings),
            {} if ctx is None else ctx,
            log=self.log,
            clock=self.clock,
            max_tasks=max_tasks,
        )

    async def run(self) -> Any:
        await self.driver.begin()
        await self.driver.drive()
        assert self.driver.outcome is not None
        return self.driver.outcome

    async def rows(self) -> list[Any]:
        return [*await self.journal.read(RunId("r_1"), limit=1_000_000)]

    async def kinds(self) -> list[str]:
        return [row["kind"] for row in await self.rows()]


def path(at: str) -> Json:
    return {"op": "path", "at": at}


def lit(value: Any) -> Json:
    return {"op": "lit", "value": value}


def step(ref: str, value: Any = None, **fields: Any) -> Json:
    return {"kind": "step", "ref": ref, "in": lit(value), **fields}


def seq(*children: Json) -> Json:
    return {"kind": "seq", "children": list(children)}


def fan(body: Json, items: int, *, join: str = "all", **fields: Any) -> Json:
    return {
        "kind": "fanout",
        "items": lit(list(range(items))),
        "bind": "$.i",
        "body": body,
        "join": join,
        "out": "$.all",
        "collect": path("$.x"),
        **fields,
    }


ITEM = {"kind": "step", "ref": "work", "in": path("$.i"), "out": "$.x"}


def plus_one(n: int) -> int:
    return n + 1


class Gate:
    """A worker that stays until it is let go, and tells who came and who was stopped."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.came: list[Any] = []
        self.stopped: list[Any] = []
        self.open = anyio.Event()

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        self.came.append(call.input)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.open.wait()
            return Outcome(call.input)
        except anyio.get_cancelled_exc_class():
            self.stopped.append(call.input)
            raise
        finally:
            self.inside -= 1


@pytest.mark.parametrize("limits", [{}, {"concurrency": 1}])
async def test_a_chain_of_steps_is_written_down_with_one_commit_a_step(limits: Json) -> None:
    flow = seq(*(step("a", i, out=f"$.x{i}") for i in range(5)))
    bench = Bench(flow, {"a": plus_one}, settings={"a": limits})
    outcome = await bench.run()
    assert outcome.status == "succeeded"
    assert outcome.ctx == {f"x{i}": i + 1 for i in range(5)}
    assert bench.journal.commits == 6
    assert await bench.kinds() == [
        "run.started",
        *["step.started", "step.finished"] * 5,
        "run.finished",
    ]


async def test_every_row_has_the_shape_of_its_event() -> None:
    async def chatty(call: Call, link: StepLink) -> Outcome:
        await link.progress("half")
        await link.part("note", {"n": 1})
        await link.call("other", 1)
        return Outcome(1, {"late": "part"}, Usage(5, 0.5))

    failing = step("bad", retry={"max_attempts": 2, "delay_s": 1, "jitter": 0})
    flow = seq(
        step("chatty"),
        {"kind": "try", "body": failing, "catch": step("other"), "err_at": "$.e"},
        fan(ITEM, 2, join="race"),
    )
    agents: dict[str, Script | Worker] = {
        "chatty": chatty,
        "other": lambda _: None,
        "bad": [WorkerFailure("x", "no", data=[1]), ValueError("worse")],
        "work": lambda i: i,
    }
    bench = Bench(flow, agents, jumps=True)
    outcome = await bench.run()
    assert outcome.status == "succeeded", outcome.error
    event = TypeAdapter[Event](Event)
    rows = await bench.rows()
    for row in rows:
        assert event.validate_python(row, strict=True) == row
    seen = {row["kind"] for row in rows}
    assert seen >= {"step.progress", "step.part", "step.called", "step.retrying", "step.failed"}
    assert [row["name"] for row in rows if row["kind"] == "step.part"] == ["note", "late"]


async def test_rows_are_numbered_without_a_gap_and_every_start_has_one_end() -> None:
    answers = iter([1, WorkerFailure("x", "no"), 3])

    def third(_: Any) -> Any:
        return next(answers, 4)

    bench = Bench(fan(ITEM, 8, join="any"), {"work": third})
    await bench.run()
    rows = await bench.rows()
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    starts = [(r["key"], r["attempt"]) for r in rows if r["kind"] == "step.started"]
    ends = [(r["key"], r["attempt"]) for r in rows if r["kind"] in STEP_ENDS]
    assert sorted(starts) == sorted(ends)
    assert len(set(starts)) == len(starts)
    assert rows[-1]["kind"] in RUN_ENDS


async def test_many_lanes_share_a_bounded_number_of_tasks() -> None:
    gate = Gate()
    bench = Bench(fan(ITEM, 20), {"work": gate}, max_tasks=4)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        assert sorted(gate.came) == [0, 1, 2, 3]
        gate.open.set()
    assert bench.driver.outcome is not None
    assert bench.driver.outcome.ctx["all"] == list(range(20))
    assert gate.most == 4


async def test_lanes_in_flight_never_exceed_the_flow_s_own_limit() -> None:
    gate = Gate()
    bench = Bench(fan(ITEM, 9, limit=3), {"work": gate})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        assert gate.inside == 3
        gate.open.set()
    assert gate.most == 3
    assert len(gate.came) == 9


async def test_a_lane_is_followed_to_its_end_before_a_new_one_takes_its_task() -> None:
    came: list[Any] = []

    async def work(call: Call, link: StepLink) -> Outcome:
        came.append(call.input)
        return Outcome(call.input)

    second = {"kind": "step", "ref": "work", "in": lit("again"), "out": "$.y"}
    bench = Bench(fan(seq(ITEM, second), 3), {"work": work}, max_tasks=1)
    await bench.run()
    assert came == [0, "again", 1, "again", 2, "again"]
    came.clear()
    first = {"kind": "step", "ref": "work", "in": lit("first")}
    lanes = fan(seq(first, fan(ITEM, 3)), 2, collect=path("$.all"))
    await Bench(lanes, {"work": work}, max_tasks=1).run()
    assert came == ["first", 0, 1, 2] * 2


async def test_a_step_that_takes_too_long_is_stopped_and_raises_step_timeout() -> None:
    gate = Gate()
    body = step("slow", 1, timeout_s=5)
    flow = {"kind": "try", "body": body, "catch": seq(), "error_at": "$.error"}
    bench = Bench(flow, {"slow": gate})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.advance(4.9)
        assert gate.stopped == []
        await bench.clock.advance(0.2)
    assert gate.stopped == [1]
    assert bench.driver.outcome is not None
    error = bench.driver.outcome.ctx["error"]
    assert (error["code"], error["cause_code"]) == ("step.timeout", None)
    assert error["message"] == "'slow': no answer within 5 s"


async def test_an_agent_s_own_timeout_holds_where_the_step_has_none() -> None:
    gate = Gate()
    bench = Bench(step("slow"), {"slow": gate}, settings={"slow": {"timeout_s": 2}})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.advance(2)
    assert bench.driver.outcome is not None
    assert bench.driver.outcome.error is not None
    assert bench.driver.outcome.error["code"] == "step.timeout"


async def test_delays_between_attempts_pass_on_the_clock() -> None:
    times: list[float] = []

    async def work(call: Call, link: StepLink) -> Outcome:
        times.append(bench.clock.monotonic())
        if call.attempt < 3:
            raise ConnectionError("away")
        return Outcome(call.attempt)

    retry = {"max_attempts": 3, "delay_s": 10, "factor": 2, "jitter": 0}
    bench = Bench(step("work", out="$.n", retry=retry), {"work": work})
    began = bench.clock.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.advance(9.9)
        assert len(times) == 1
        await bench.clock.advance(30)
    assert [t - began for t in times] == [0, 10, 30]
    assert bench.driver.outcome is not None
    assert bench.driver.outcome.ctx == {"n": 3}
    rows = await bench.rows()
    assert [r["delay_s"] for r in rows if r["kind"] == "step.retrying"] == [10, 20]
    failed = [r for r in rows if r["kind"] == "step.failed"]
    assert failed[0]["message"] == "ConnectionError: away"
    assert [r["attempt"] for r in rows if r["kind"] == "step.started"] == [1, 2, 3]


async def test_a_delay_of_less_than_a_second_is_one_too() -> None:
    times: list[float] = []

    async def work(call: Call, link: StepLink) -> Outcome:
        times.append(bench.clock.monotonic() - began)
        await bench.clock.sleep(3)
        if call.attempt < 2:
            raise ConnectionError("away")
        return Outcome(None)

    retry = {"max_attempts": 2, "delay_s": 0.5, "jitter": 0}
    bench = Bench(step("work", retry=retry), {"work": work}, jumps=True)
    began = bench.clock.monotonic()
    await bench.run()
    assert times == [0, 3.5]
    took = [row["duration_s"] for row in await bench.rows() if row["kind"] in STEP_ENDS]
    assert took == [3.0, 3.0]


async def test_a_link_is_had_of_an_attempt_that_goes_on_and_of_no_other() -> None:
    go_on = anyio.Event()

    async def work(call: Call, link: StepLink) -> Outcome:
        await go_on.wait()
        raise ConnectionError("away")

    retry = {"max_attempts": 2, "delay_s": 60, "jitter": 0}
    bench = Bench(step("work", retry=retry), {"work": work})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        key = (await bench.rows())[-1]["key"]
        link = bench.driver.link(key, 1)
        assert link is not None
        await link.progress("half")
        assert (await bench.kinds())[-1] == "step.progress"
        assert (bench.driver.link(key, 2), bench.driver.link("$.other", 1)) == (None, None)
        go_on.set()
        await bench.clock.settle()
        assert (await bench.kinds())[-1] == "step.retrying"
        assert [bench.driver.link(key, number) for number in (1, 2)] == [None, None]
        await bench.driver.cancel("enough")


async def test_a_cancel_during_a_delay_ends_it_without_another_attempt() -> None:
    bench = Bench(step("work", retry={"delay_s": 60}), {"work": [ConnectionError("away")]})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        await bench.driver.cancel("enough")
    assert (await bench.kinds())[-3:] == ["step.retrying", "run.cancelling", "run.cancelled"]


async def test_an_interrupt_during_a_delay_lets_the_run_rest_at_once() -> None:
    bench = Bench(step("work", retry={"delay_s": 60}), {"work": [ConnectionError("away")]})
    async with anyio.create_task_group() as tasks:
        await bench.driver.begin()
        tasks.start_soon(bench.driver.drive)
        await bench.clock.settle()
        await bench.driver.interrupt()
        await bench.clock.settle()
        assert not bench.log.live
    assert (await bench.kinds())[-2:] == ["step.retrying", "run.interrupted"]


async def test_the_losers_of_a_race_are_stopped() -> None:
    stopped: list[Any] = []

    async def work(call: Call, link: StepLink) -> Outcome:
        try:
            await bench.clock.sleep(10 - call.input)
        except anyio.get_cancelled_exc_class():
            stopped.append(call.input)
            assert link.cancelled
            raise
        return Outcome(call.input)

    bench = Bench(fan(ITEM, 4, join="race"), {"work": work}, jumps=True)
    outcome = await bench.run()
    assert outcome.ctx["all"] == 3
    assert sorted(stopped) == [0, 1, 2]
    assert (await bench.kinds()).count("step.cancelled") == 3
    took = [row["duration_s"] for row in await bench.rows() if row["kind"] in STEP_ENDS]
    assert took == [7.0] * 4


async def test_an_answer_that_comes_after_its_cancellation_is_dropped() -> None:
    async def work(call: Call, link: StepLink) -> Outcome:
        try:
            await bench.clock.sleep(1 if call.input == 1 else 100)
        except anyio.get_cancelled_exc_class():
            return Outcome("too late")  # a worker that answers all the same
        return Outcome(call.input)

    async def later(call: Call, link: StepLink) -> Outcome:
        await bench.clock.sleep(1)
        return Outcome(5)

    after = {"kind": "step", "ref": "after", "in": lit(None), "out": "$.x"}
    flow = seq(fan(ITEM, 3, join="any"), after)
    bench = Bench(flow, {"work": work, "after": later}, jumps=True)
    outcome = await bench.run()
    assert outcome.error is None
    assert (outcome.ctx["all"], outcome.ctx["x"]) == (1, 5)
    rows = await bench.rows()
    assert [r["value"] for r in rows if r["kind"] == "step.finished"] == [1, 5]


async def test_cancelling_a_run_stops_its_worker_and_runs_finally() -> None:
    gate = Gate()
    flow = {
        "kind": "try",
        "body": step("slow", "body"),
        "catch": step("clean", "catch"),
        "finally": step("clean", "finally"),
    }
    cleaned: list[Any] = []

    async def clean(call: Call, link: StepLink) -> Outcome:
        assert (await bench.kinds())[-1] == "step.started", "written down before it is touched"
        cleaned.append(call.input)
        return Outcome(None)

    bench = Bench(flow, {"slow": gate, "clean": clean})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        await bench.driver.cancel("enough")
        await bench.driver.cancel("again")
    assert gate.stopped == ["body"]
    assert cleaned == ["finally"]
    outcome = bench.driver.outcome
    assert outcome is not None
    assert outcome.status == "cancelled"
    assert outcome.error is not None
    assert (outcome.error["code"], outcome.error["message"]) == ("run.cancelled", "enough")
    assert await bench.kinds() == [
        "run.started",
        "step.started",
        "run.cancelling",
        "step.cancelled",
        "step.started",
        "step.finished",
        "run.cancelled",
    ]


async def test_finally_runs_behind_a_worker_that_answers_although_it_is_stopped() -> None:
    cleaned: list[Any] = []

    async def stubborn(call: Call, link: StepLink) -> Outcome:
        with suppress(anyio.get_cancelled_exc_class()):
            await anyio.sleep_forever()
        return Outcome("too late")

    async def clean(call: Call, link: StepLink) -> Outcome:
        await checkpoint()
        cleaned.append(call.input)
        return Outcome(None)

    flow = {"kind": "try", "body": step("a"), "catch": seq(), "finally": step("clean", 1)}
    bench = Bench(flow, {"a": stubborn, "clean": clean})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        await bench.driver.cancel("enough")
    assert cleaned == [1]


async def test_who_has_answered_while_its_end_was_written_down_is_stopped_no_more() -> None:
    journal, clock, gate = Held(), FakeClock(), Gate()
    log, cleaned = RunLog(RunId("r_1"), journal, clock), list[Any]()

    async def clean(call: Call, link: StepLink) -> Outcome:
        await clock.sleep(1)
        cleaned.append(call.input)
        return Outcome(None)

    flow = {"kind": "try", "body": step("a"), "catch": seq(), "finally": step("clean", 1)}
    driver = Driver(scripted_blueprint(flow, {"a": gate, "clean": clean}), {}, log=log, clock=clock)
    journal.permits.release()
    await driver.begin()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(driver.drive)
        await clock.settle()
        tasks.start_soon(driver.cancel, "enough")
        await clock.settle()
        gate.open.set()
        await clock.settle()
        for _ in range(9):
            journal.permits.release()
        await clock.settle()
        await clock.advance(1)
    assert cleaned == [1]
    assert log.status == "cancelled"


async def test_cancelling_a_run_with_many_lanes_runs_each_finally() -> None:
    gate = Gate()
    cleaned: list[Any] = []
    body = {
        "kind": "try",
        "body": ITEM,
        "catch": seq(),
        "finally": {"kind": "step", "ref": "clean", "in": path("$.i")},
    }
    bench = Bench(fan(body, 10), {"work": gate, "clean": cleaned.append}, max_tasks=3)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        await bench.driver.cancel("enough")
    assert sorted(gate.stopped) == sorted(gate.came) == [0, 1, 2]
    assert sorted(cleaned) == list(range(10))
    assert (await bench.kinds()).count("step.started") == 13, "who is not wanted begins nothing"
    assert bench.driver.outcome is not None
    assert bench.driver.outcome.status == "cancelled"


async def test_one_cancelled_step_may_be_followed_by_many() -> None:
    gate = Gate()
    cleaned: list[Any] = []
    clean = {"kind": "step", "ref": "clean", "in": path("$.i"), "out": "$.x"}
    flow = {"kind": "try", "body": step("slow"), "catch": seq(), "finally": fan(clean, 5)}
    bench = Bench(flow, {"slow": gate, "clean": cleaned.append})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        await bench.driver.cancel("enough")
    assert sorted(cleaned) == [0, 1, 2, 3, 4]


async def test_who_pauses_a_run_that_is_pausing_changes_nothing() -> None:
    gate = Gate()
    bench = Bench(seq(step("a"), step("a")), {"a": gate})
    await bench.driver.begin()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.driver.drive)
        await bench.clock.settle()
        for _ in range(2):
            await bench.driver.pause()
        gate.open.set()
    await bench.driver.pause()
    assert await bench.kinds() == [
        "run.started", "step.started", "run.pausing", "step.finished", "run.paused",
    ]  # fmt: skip


async def test_a_run_that_is_pausing_may_be_cancelled() -> None:
    gate, cleaned = Gate(), list[Any]()
    flow = {"kind": "try", "body": step("a"), "catch": seq(), "finally": step("clean", 1)}
    bench = Bench(flow, {"a": gate, "clean": cleaned.append})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        await bench.driver.pause()
        await bench.driver.cancel("enough")
    assert cleaned == [1]
    assert (await bench.kinds())[-1] == "run.cancelled"


@pytest.mark.parametrize("usage", [Usage(5, 0.0), Usage(0, 0.5)])
async def test_what_a_step_used_is_counted_where_nothing_bounds_it(usage: Usage) -> None:
    async def work(call: Call, link: StepLink) -> Outcome:
        return Outcome(1, usage=usage)

    bench = Bench(step("a"), {"a": work})
    await bench.run()
    used = bench.driver.meter.spent
    assert (used.steps, used.attempts) == (1, 1)
    assert (used.tokens, used.cost) == (usage.tokens, usage.cost)


async def test_cancelling_an_ended_run_changes_nothing() -> None:
    bench = Bench(step("a"), {"a": [1]})
    await bench.run()
    before = await bench.kinds()
    await bench.driver.cancel("enough")
    await bench.driver.pause()
    await bench.driver.interrupt()
    assert await bench.kinds() == before


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ((1, 2), "malformed", "a tuple"),
        (float("nan"), "malformed", "nan"),
        ({"a": [2**70]}, "malformed", "a[0]"),
        ("\ud800", "malformed", "surrogate"),
    ],
)
async def test_a_wrong_answer_fails_as_it_does_in_the_machine(
    answer: Any, code: str, said: str
) -> None:
    bench = Bench(step("a"), {"a": [answer]})
    outcome = await bench.run()
    machine = Machine(step("a"), {})
    machine.start()
    machine.resolve("$", Success(answer))
    assert machine.error is not None
    assert said in outcome.error["message"]
    assert outcome.error["code"] == code
    assert outcome.error == machine.error.to_json()


async def test_what_is_no_outcome_is_a_failure() -> None:
    async def wrong(call: Call, link: StepLink) -> Any:
        return 5

    outcome = await Bench(step("a"), {"a": wrong}).run()
    assert outcome.error["cause_code"] == "worker.error"
    assert "not an Outcome" in outcome.error["message"]


async def test_a_failure_keeps_its_code_data_and_permanence() -> None:
    failure = WorkerFailure("rate.limited", "slow down", True, {"after": 3})
    bench = Bench(step("a", retry={}), {"a": [failure]})
    outcome = await bench.run()
    assert outcome.error == {
        "code": "step.failed",
        "cause_code": "rate.limited",
        "message": "slow down",
        "at": "$",
        "step": "a",
        "attempt": 1,
        "data": {"after": 3},
    }


async def test_data_that_is_no_json_does_not_hide_the_failure() -> None:
    failure = WorkerFailure("odd", "broken", data={1, 2})
    outcome = await Bench(step("a"), {"a": [failure]}).run()
    assert outcome.error["cause_code"] == "odd"
    assert outcome.error["data"] is None
    assert outcome.error["message"].startswith("broken (its data was refused: ")


async def test_a_message_of_any_length_and_spelling_can_be_written_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is logged of it would stand in the test's report, which has to be UTF-8.
    monkeypatch.setattr(logging.getLogger("swarm.core.answers"), "disabled", True)
    outcome = await Bench(step("a"), {"a": [ValueError("\ud800" * 5000)]}).run()
    assert len(outcome.error["message"]) == 2000


async def test_a_worker_gets_its_input_for_itself() -> None:
    def spoil(value: Any) -> Any:
        value["list"].append("spoiled")
        return value

    ctx = {"kept": {"list": [1]}}
    flow = {"kind": "step", "ref": "a", "in": path("$.kept"), "out": "$.got"}
    outcome = await Bench(flow, {"a": spoil}, ctx).run()
    assert outcome.ctx == {"kept": {"list": [1]}, "got": {"list": [1, "spoiled"]}}
    assert ctx == {"kept": {"list": [1]}}


async def test_an_unknown_agent_is_a_permanent_failure() -> None:
    outcome = await Bench(step("nobody", retry={}), {}).run()
    assert outcome.error["cause_code"] == "agent.unknown"
    assert outcome.error["attempt"] == 1


async def test_an_agent_may_call_another_within_its_own_attempt() -> None:
    async def asking(call: Call, link: StepLink) -> Outcome:
        return Outcome([await link.call("other", {"n": 1}), call.key])

    bench = Bench(step("asking", out="$.x"), {"asking": asking, "other": lambda v: v["n"] + 1})
    outcome = await bench.run()
    assert outcome.ctx == {"x": [2, "$"]}
    called = [r for r in await bench.rows() if r["kind"] == "step.called"]
    assert [(r["agent"], r["code"], r["key"]) for r in called] == [("other", None, "$")]


async def test_a_called_agent_s_failure_reaches_the_caller_with_its_code() -> None:
    async def asking(call: Call, link: StepLink) -> Outcome:
        try:
            return Outcome(await link.call("other", None))
        except WorkerFailure as failure:
            return Outcome(failure.code)

    outcome = await Bench(
        step("asking", out="$.x"),
        {"asking": asking, "other": [WorkerFailure("busy", "not now")]},
    ).run()
    assert outcome.ctx == {"x": "busy"}


async def test_agents_that_call_each_other_in_a_circle_are_stopped() -> None:
    async def again(call: Call, link: StepLink) -> Outcome:
        return Outcome(await link.call("again", None))

    outcome = await Bench(step("again"), {"again": again}).run()
    assert outcome.error["cause_code"] == "call.depth"


async def test_a_called_agent_has_its_own_timeout() -> None:
    async def asking(call: Call, link: StepLink) -> Outcome:
        return Outcome(await link.call("slow", None))

    async def slow(call: Call, link: StepLink) -> Outcome:
        await bench.clock.sleep(100)
        return Outcome(None)

    bench = Bench(
        step("asking"),
        {"asking": asking, "slow": slow},
        jumps=True,
        settings={"slow": {"timeout_s": 2}},
    )
    outcome = await bench.run()
    assert outcome.error["code"] == "step.timeout"


async def test_nothing_is_said_for_an_attempt_that_is_over() -> None:
    links: list[StepLink] = []

    async def keep(call: Call, link: StepLink) -> Outcome:
        links.append(link)
        return Outcome(link.cancelled)

    bench = Bench(step("keep", out="$.cancelled"), {"keep": keep})
    outcome = await bench.run()
    assert outcome.ctx == {"cancelled": False}
    assert links[0].cancelled
    late: list[Callable[[], Awaitable[Any]]] = [
        lambda: links[0].progress("late"),
        lambda: links[0].part("late", 1),
        lambda: links[0].call("keep", 1),
    ]
    for act in late:
        with pytest.raises(Refused, match="given up"):
            await act()
    assert (await bench.kinds())[-1] == "run.finished"


async def test_a_part_that_is_no_json_is_the_worker_s_failure() -> None:
    async def odd(call: Call, link: StepLink) -> Outcome:
        await link.part("x", {1})
        return Outcome(None)

    outcome = await Bench(step("odd"), {"odd": odd}).run()
    assert outcome.error["cause_code"] == "worker.error"
    assert "part 'x'" in outcome.error["message"]


async def test_workers_that_never_wait_do_not_starve_the_others() -> None:
    flow = {
        "kind": "loop",
        "counter": "$.n",
        "cond": lit(True),
        "max": 1_000_000,
        "body": step("a"),
    }
    bench = Bench(flow, {"a": lambda _: None})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        await bench.driver.cancel("enough")
    assert bench.driver.outcome is not None
    assert bench.driver.outcome.status == "cancelled"


async def test_a_chain_stays_in_its_task_and_gives_a_turn_away_each_sixteen_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns, tasks = list[int](), set[int]()

    async def turn() -> None:
        turns.append(1)

    async def work(call: Call, link: StepLink) -> Outcome:
        tasks.add(anyio.get_current_task().id)
        return Outcome(None)

    monkeypatch.setattr(driver, "cancel_shielded_checkpoint", turn)
    flow = {"kind": "loop", "counter": "$.n", "cond": lit(True), "max": 64, "body": step("a")}
    await Bench(flow, {"a": work}).run()
    assert (len(turns), len(tasks)) == (4, 1)


async def test_a_lane_that_branches_out_does_all_at_once() -> None:
    gate = Gate()
    body = seq(step("first"), fan(ITEM, 3))
    bench = Bench(fan(body, 2, collect=path("$.all")), {"first": lambda _: None, "work": gate})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        assert gate.inside == 6
        gate.open.set()
    assert bench.driver.outcome is not None
    assert bench.driver.outcome.ctx["all"] == [[0, 1, 2]] * 2


async def test_a_run_without_steps_ends_in_one_commit() -> None:
    bench = Bench({"kind": "assign", "at": "$.x", "value": lit(1)}, {})
    outcome = await bench.run()
    assert outcome.ctx == {"x": 1}
    assert bench.journal.commits == 1
    assert bench.log.status == "succeeded"


async def test_an_error_that_nothing_catches_fails_the_run() -> None:
    flow = {"kind": "assign", "at": "$.x", "value": path("$.missing")}
    bench = Bench(flow, {})
    outcome = await bench.run()
    assert outcome.status == "failed"
    assert outcome.error["code"] == "path.missing"
    assert (await bench.rows())[-1]["error"] == outcome.error


async def test_a_host_that_breaks_ends_the_run_and_keeps_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("in the machine")

    async def first_only(call: Call, link: StepLink) -> Outcome:
        await bench.clock.sleep(100 * call.input)
        return Outcome(None)

    bench = Bench(fan(ITEM, 3), {"work": first_only})
    await bench.driver.begin()
    monkeypatch.setattr(Machine, "resolve", broken)
    await bench.driver.drive()
    rows = await bench.rows()
    assert [r["kind"] for r in rows[-4:]] == [
        "step.finished",
        "step.cancelled",
        "step.cancelled",
        "run.failed",
    ]
    assert rows[-1]["error"]["code"] == "bug"
    assert "in the machine" in rows[-1]["error"]["message"]


class Held(MemoryJournal):
    """A journal whose commits wait until they are let through, one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.permits = anyio.Semaphore(0)

    async def commit(self) -> None:
        await self.permits.acquire()
        await super().commit()


async def test_what_breaks_after_the_end_is_logged_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(call: Call, link: StepLink) -> Outcome:
        try:
            await bench.clock.sleep(call.input)
        finally:
            if call.input:
                monkeypatch.setattr(Agenda, "admit", broken)
        return Outcome(None)

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("in the driver")

    bench = Bench(fan(ITEM, 2, join="race"), {"work": work}, jumps=True)
    outcome = await bench.run()
    assert outcome.status == "succeeded"
    assert [record.getMessage() for record in caplog.records] == ["run r_1 broke after its end"]


async def test_a_run_that_memory_does_not_suffice_for_rests_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> Any:
        raise MemoryError("no more")

    bench = Bench(step("a"), {"a": [1]})
    await bench.driver.begin()
    monkeypatch.setattr(Workshop, "attempt", full)
    await bench.driver.drive()
    assert [record.getMessage() for record in caplog.records] == ["run r_1 rests: no more"]
    assert (bench.driver.outcome, bench.log.live) == (None, False)
    assert await bench.kinds() == ["run.started", "step.started"]


async def test_nothing_is_shown_or_touched_before_it_is_committed() -> None:
    journal, clock = Held(), FakeClock()
    log = RunLog(RunId("r_1"), journal, clock)
    calls: list[Any] = []
    blueprint = scripted_blueprint(seq(step("a", 1), step("a", 2)), {"a": calls.append})
    driver = Driver(blueprint, {}, log=log, clock=clock)

    async def run() -> None:
        await driver.begin()
        await driver.drive()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        for status, called in (("pending", []), ("running", [1]), ("running", [1, 2])):
            await clock.settle()
            assert (log.status, calls) == (status, called)
            journal.permits.release()
        await clock.settle()
    assert log.status == "succeeded"


async def test_another_attempt_too_is_not_made_before_it_is_committed() -> None:
    journal, clock = Held(), FakeClock()
    calls: list[int] = []

    async def work(call: Call, link: StepLink) -> Outcome:
        calls.append(call.attempt)
        if call.attempt == 1:
            raise ConnectionError("away")
        return Outcome(None)

    flow = step("a", retry={"max_attempts": 2, "delay_s": 10, "jitter": 0})
    log = RunLog(RunId("r_1"), journal, clock)
    driver = Driver(scripted_blueprint(flow, {"a": work}), {}, log=log, clock=clock)
    journal.permits.release()
    await driver.begin()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(driver.drive)
        await clock.settle()
        journal.permits.release()
        await clock.settle()
        await clock.advance(10)
        assert calls == [1]
        journal.permits.release()
        await clock.settle()
        assert calls == [1, 2]
        journal.permits.release()


async def test_a_pause_during_a_delay_lets_the_run_rest_before_another_attempt() -> None:
    bench = Bench(step("work", retry={"delay_s": 60}), {"work": [ConnectionError("away"), 1]})
    await bench.driver.begin()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.driver.drive)
        await bench.clock.settle()
        await bench.driver.pause()
    assert (await bench.kinds())[-3:] == ["step.retrying", "run.pausing", "run.paused"]


async def test_a_watcher_gets_history_and_present_as_one_stream() -> None:
    gate = Gate()
    bench = Bench(
        seq(step("a", 1), step("slow", 2), step("a", 3)), {"a": lambda n: n, "slow": gate}
    )
    seen: list[int] = []

    async def watch(since: int) -> None:
        numbers = [e["seq"] async for e in EventStream(bench.log, since)]
        assert numbers == list(range(since + 1, 9))
        seen.append(since)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch, 0)
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        tasks.start_soon(watch, 0)
        tasks.start_soon(watch, 3)
        tasks.start_soon(watch, 6)
        await bench.clock.settle()
        gate.open.set()
    await watch(0)
    await watch(8)
    assert sorted(seen) == [0, 0, 0, 3, 6, 8]


async def test_a_watcher_that_never_reads_on_delays_nobody() -> None:
    bench = Bench(fan(ITEM, 3000), {"work": lambda i: i})
    stream = EventStream(bench.log)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        assert (await anext(stream))["kind"] == "run.started"
    rest = [event["seq"] async for event in stream]
    assert rest == list(range(2, 6003))


async def test_a_watcher_cannot_change_what_others_see() -> None:
    bench = Bench(step("a", out="$.x"), {"a": [{"n": 1}]})
    outcome = await bench.run()
    async for event in EventStream(bench.log):
        if event["kind"] == "step.finished":
            event["value"]["n"] = "changed"
        if event["kind"] == "run.finished":
            assert event["ctx"] == {"x": {"n": 1}}
    assert outcome.ctx == {"x": {"n": 1}}


async def test_a_first_context_that_is_no_json_is_refused_before_anything() -> None:
    with pytest.raises(FlowError, match="a set"):
        Bench(seq(), {}, {"x": {1}})


async def test_the_same_answers_give_the_same_keys_and_inputs() -> None:
    async def requests() -> list[tuple[Any, ...]]:
        bench = Bench(seq(fan(ITEM, 5), step("work", 7)), {"work": plus_one})
        await bench.run()
        rows = await bench.rows()
        return [(r["key"], r["step"], r["input"]) for r in rows if r["kind"] == "step.started"]

    assert await requests() == await requests()


# -- cut off ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 3])
async def test_a_run_whose_tasks_are_cancelled_rests_and_says_so(lanes: int) -> None:
    """Whoever ends a whole loop asks nobody: what is in flight can be gone on with."""
    stay = Gate()
    flow = step("a") if lanes == 1 else fan(step("a"), lanes)
    bench = Bench(flow, {"a": stay})
    await bench.driver.begin()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.driver.drive)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    kinds = await bench.kinds()
    assert kinds[-1] == "run.interrupted"
    assert kinds.count("step.interrupted") == lanes == len(stay.stopped)
    assert (bench.driver.outcome, bench.log.status) == (None, "interrupted")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("lanes", [1, 3])
async def test_a_run_whose_task_is_cancelled_by_no_scope_rests_too(
    anyio_backend: str, lanes: int
) -> None:
    stay = Gate()
    flow = step("a") if lanes == 1 else fan(step("a"), lanes)
    bench = Bench(flow, {"a": stay})
    await bench.driver.begin()
    task = asyncio.create_task(bench.driver.drive())
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await bench.kinds())[-1] == "run.interrupted"
    assert len(stay.stopped) == lanes


async def test_a_run_that_is_cut_off_while_its_end_is_written_down_has_ended() -> None:
    journal, clock = Held(), FakeClock()
    log = RunLog(RunId("r_1"), journal, clock)
    blueprint = scripted_blueprint(step("a", 1, out="$.x"), {"a": plus_one})
    driver = Driver(blueprint, {}, log=log, clock=clock)
    journal.permits.release()
    await driver.begin()
    async with anyio.create_task_group() as outer:

        async def drive() -> None:
            with scope:
                await driver.drive()

        scope = anyio.CancelScope()
        outer.start_soon(drive)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        journal.permits.release()
    assert [row["kind"] for row in await journal.read(RunId("r_1"))][-1] == "run.finished"
    assert (driver.outcome is not None, log.status) == (True, "succeeded")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_where_the_loop_is_gone_nothing_goes_on_behind_a_run(anyio_backend: str) -> None:
    bench = Bench(step("a"), {"a": Gate()})
    await bench.driver.begin()
    after: list[str] = []

    async def drive() -> None:
        await bench.driver.drive()
        after.append("went on")

    left = drive()
    left.send(None)
    left.close()
    assert after == []
    assert (await bench.kinds())[-1] == "step.started"


async def test_a_run_that_waits_for_people_and_is_cut_off_waits_on() -> None:
    async def asks(call: Call, link: StepLink) -> Outcome:
        return Outcome(await link.ask(Ask("well?")))

    bench = Bench(step("a"), {"a": asks})
    await bench.driver.begin()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.driver.drive)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert (await bench.kinds())[-1] == "run.waiting"
    assert bench.log.status == "waiting"


async def test_a_run_that_is_cut_off_by_an_interrupt_rests() -> None:
    async def fail(call: Call, link: StepLink) -> Outcome:
        raise KeyboardInterrupt

    bench = Bench(step("a"), {"a": fail})
    await bench.driver.begin()
    with pytest.raises(KeyboardInterrupt):
        await bench.driver.drive()
    assert (await bench.kinds())[-1] == "run.interrupted"


async def test_a_run_that_is_cut_off_does_not_wait_for_a_journal_that_cannot_write(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(driver, "_LAST_S", 0.05)

    async def cut_off(code: str, message: str) -> Bench:
        bench = Bench(step("a"), {"a": Gate()})
        await bench.driver.begin()

        async def commit() -> None:
            raise SwarmError(code, message)

        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(bench.driver.drive)
                await anyio.wait_all_tasks_blocked()
                monkeypatch.setattr(bench.journal, "commit", commit)
                scope.cancel()
        return bench

    bench = await cut_off("journal.degraded", "no")
    assert "run.interrupted" not in await bench.kinds()
    await cut_off("journal.failed", "no more")
    assert "run r_1 was cut off: no more" in caplog.text


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("act", ["cancel", "interrupt"])
async def test_who_asks_for_the_end_and_is_cancelled_himself_is_obeyed_all_the_same(
    monkeypatch: pytest.MonkeyPatch, anyio_backend: str, act: str
) -> None:
    """A time-out of the loop's own comes while the journal is written, and minds no shield."""
    stay = Gate()
    bench = Bench(step("a"), {"a": stay})
    await bench.driver.begin()
    driving = asyncio.create_task(bench.driver.drive())
    await anyio.wait_all_tasks_blocked()
    real, slow = bench.journal.commit, anyio.Event()

    async def commit() -> None:
        await slow.wait()
        await real()

    monkeypatch.setattr(bench.journal, "commit", commit)
    asking = asyncio.create_task(
        bench.driver.cancel("enough") if act == "cancel" else bench.driver.interrupt()
    )
    await anyio.wait_all_tasks_blocked()
    asking.cancel()
    slow.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await driving
    assert stay.stopped == [None]
    assert (await bench.kinds())[-1] == ("run.cancelled" if act == "cancel" else "run.interrupted")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_nobody_is_touched_before_the_beginning_is_written_whose_starter_was_cancelled(
    monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    stay = Gate()
    bench = Bench(step("a"), {"a": stay})
    real, slow = bench.journal.commit, anyio.Event()

    async def commit() -> None:
        await slow.wait()
        await real()

    monkeypatch.setattr(bench.journal, "commit", commit)
    starting = asyncio.create_task(bench.driver.begin())
    await anyio.wait_all_tasks_blocked()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    driving = asyncio.create_task(bench.driver.drive())
    await anyio.wait_all_tasks_blocked()
    assert stay.came == []
    slow.set()
    await anyio.wait_all_tasks_blocked()
    assert stay.came == [None]
    stay.open.set()
    await driving
    assert (await bench.kinds())[-1] == "run.finished"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_run_one_of_whose_lanes_is_gone_rests(
    anyio_backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker may cancel the task that it finds itself in: no answer comes any more."""
    links: list[StepLink] = []

    async def leaves(call: Call, link: StepLink) -> Outcome:
        if call.input == 1:
            links.append(link)
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        await bench.clock.sleep(1)
        assert links[0].cancelled, "it can say nothing any more"
        return Outcome(call.input)

    flow = fan(step("a", out="$.x", **{"in": path("$.i")}), 3)
    bench = Bench(flow, {"a": leaves}, jumps=True)
    await bench.driver.begin()
    await bench.driver.drive()
    assert (bench.driver.outcome, bench.log.status) == (None, "interrupted")
    assert "a worker cancelled the task that it ran in" in caplog.text
    assert (await bench.kinds()).count("step.finished") == 2
