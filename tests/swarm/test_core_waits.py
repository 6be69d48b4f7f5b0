"""Questions and timers of a run: asked once, answered once, due when they are due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

import anyio
import pytest
from pydantic import TypeAdapter

from flowir.effects import Dispatch
from flowir.errors import WorkerFailure
from swarm.core import rows
from swarm.core.attempt import Attempt
from swarm.core.driver import MAX_TASKS, Driver
from swarm.core.events import Event
from swarm.core.log import RunLog
from swarm.core.questions import Question, QuestionBook
from swarm.core.replay import Replay
from swarm.core.terms import Terms
from swarm.core.waits import Waits
from swarm.errors import Refused
from swarm.ids import RunId
from swarm.ports.questions import Ask
from swarm.ports.worker import Call, Outcome, StepLink, Worker
from swarm.testing import FakeClock, MemoryJournal, scripted_blueprint
from swarm.testing.agents import Script
from swarm.workers.sleep import SleepWorker

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
RUN = RunId("r_1")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Asker:
    """A worker that asks one question and answers with what it was told."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        return Outcome(await link.ask(self.ask))


class Bench:
    """A run with its parts at hand, driven in a task of its own."""

    def __init__(
        self, flow: Json, agents: Mapping[str, Script | Worker], *, max_tasks: int = MAX_TASKS
    ) -> None:
        self.clock = FakeClock()
        self.journal = MemoryJournal()
        self.log = RunLog(RUN, self.journal, self.clock)
        self.blueprint = scripted_blueprint(flow, agents)
        self.max_tasks = max_tasks
        self.driver = self.driven()

    def driven(self, past: Replay | None = None) -> Driver:
        return Driver(
            self.blueprint,
            {},
            log=self.log,
            clock=self.clock,
            max_tasks=self.max_tasks,
            past=past,
        )

    async def restart(self, *, after_s: float = 0.0) -> None:
        """Let the host die here, and another go on with the run some time later."""
        self.tasks.cancel_scope.cancel()
        await self.tasks.__aexit__(None, None, None)
        await self.clock.advance(after_s)
        past = await self.past()
        self.log = RunLog.of_past(RUN, self.journal, self.clock, past.status)
        self.log.go_on(past.seq, past.status)
        if past.status == "running":
            self.log.append([*past.open_rows(), rows.interrupted_run("died")])
            await self.log.commit()
            past = await self.past()
        self.driver = self.driven(past)
        await self.__aenter__()

    async def past(self) -> Replay:
        first, *others = await self.rows()
        past = Replay(self.blueprint.flow, first)
        past.feed(others)
        return past

    async def __aenter__(self) -> Bench:
        await self.driver.begin()
        self.tasks = anyio.create_task_group()
        await self.tasks.__aenter__()
        self.tasks.start_soon(self.driver.drive)
        await self.clock.settle()
        return self

    async def __aexit__(self, *error: Any) -> None:
        if error[0] is not None:
            self.tasks.cancel_scope.cancel()
        await self.tasks.__aexit__(*error)

    @property
    def open(self) -> tuple[Question, ...]:
        return self.driver.questions.open()

    async def answer(self, value: Any, id: str = "r_1:1") -> None:
        await self.driver.questions.answer(id, value, by="ada")
        await self.clock.settle()

    async def rows(self, kind: str = "") -> list[Any]:
        found = await self.journal.read(RUN, limit=100_000)
        return [row for row in found if row["kind"].startswith(kind)]

    @property
    def ctx(self) -> Any:
        assert self.driver.outcome is not None
        assert self.driver.outcome.status == "succeeded", self.driver.outcome.error
        return self.driver.outcome.ctx


def step(ref: str, value: Any = None, **fields: Any) -> Json:
    return {"kind": "step", "ref": ref, "in": {"op": "lit", "value": value}, **fields}


def seq(*children: Json) -> Json:
    return {"kind": "seq", "children": list(children)}


def each(items: list[Any], body: Json, **fields: Any) -> Json:
    return {
        "kind": "fanout",
        "items": {"op": "lit", "value": items},
        "bind": "$.i",
        "body": body,
        "join": "all",
        "out": "$.all",
        "collect": {"op": "path", "at": "$.x"},
        **fields,
    }


SURE = Ask("sure?", schema={"type": "boolean"})
ASK = step("person", out="$.x")


async def test_a_run_waits_for_its_answer_and_goes_on_with_it() -> None:
    async with Bench(ASK, {"person": Asker(SURE)}) as bench:
        assert bench.log.status == "waiting"
        [question] = bench.open
        assert (question.id, question.ask, question.step) == ("r_1:1", SURE, "person")
        await bench.answer(True)
    assert bench.ctx == {"x": True}
    assert bench.open == ()
    kinds = [row["kind"] for row in await bench.rows()]
    assert kinds == [
        "run.started",
        "step.started",
        "question.asked",
        "run.waiting",
        "question.answered",
        "run.woken",
        "step.finished",
        "run.finished",
    ]


async def test_rows_have_the_shape_of_their_events() -> None:
    late = Ask("late?", deadline_s=5, on_deadline="default", default="none")
    higher = Ask("up?", deadline_s=5, on_deadline="escalate", escalate_to="boss")
    agents: dict[str, Script | Worker] = {
        "a": Asker(SURE),
        "b": Asker(late),
        "c": Asker(higher),
        "swarm.sleep": SleepWorker(),
    }
    flow = seq(step("a"), step("b"), step("c"), step("swarm.sleep", 3))
    async with Bench(flow, agents) as bench:
        await bench.answer(False)
        await bench.clock.advance(6)
        await bench.clock.advance(6)
        await bench.answer(1, "r_1:3")
        await bench.clock.advance(3)
    event = TypeAdapter[Event](Event)
    rows = await bench.rows()
    for row in rows:
        assert event.validate_python(row, strict=True) == row
    seen = {row["kind"] for row in rows}
    assert seen >= {f"question.{w}" for w in ("asked", "answered", "expired", "escalated")}
    assert "timer.set" in seen


async def test_a_second_answer_is_refused() -> None:
    async with Bench(seq(ASK, ASK), {"person": Asker(SURE)}) as bench:
        await bench.answer(True)
        with pytest.raises(Refused) as caught:
            await bench.answer(False)
        assert caught.value.code == "question.answered"
        await bench.answer(False, "r_1:2")
    assert bench.ctx == {"x": False}


async def test_of_answers_given_at_once_one_counts() -> None:
    refused: list[str] = []

    async def try_to(value: int) -> None:
        try:
            await bench.driver.questions.answer("r_1:1", value)
        except Refused as error:
            refused.append(error.code)

    async with Bench(ASK, {"person": Asker(Ask("n?"))}) as bench, anyio.create_task_group() as some:
        for value in range(10):
            some.start_soon(try_to, value)
    assert refused == ["question.answered"] * 9
    [answered] = await bench.rows("question.answered")
    assert bench.ctx == {"x": answered["value"]}


@pytest.mark.parametrize("value", ["yes", None, float("nan"), {1: 2}])
async def test_an_answer_that_does_not_fit_is_refused_and_the_question_stays(value: Any) -> None:
    async with Bench(ASK, {"person": Asker(SURE)}) as bench:
        with pytest.raises(Refused) as caught:
            await bench.answer(value)
        assert caught.value.code == "question.value"
        assert len(bench.open) == 1
        assert await bench.rows("question.answered") == []
        await bench.answer(True)
    assert bench.ctx == {"x": True}


async def test_an_unknown_question_is_refused() -> None:
    async with Bench(ASK, {"person": Asker(SURE)}) as bench:
        with pytest.raises(Refused) as caught:
            await bench.answer(True, "r_1:7")
        assert caught.value.code == "question.unknown"
        await bench.answer(True)


async def test_a_worker_may_ask_any_number_at_once() -> None:
    async def survey(call: Call, link: StepLink) -> Outcome:
        told: dict[int, Any] = {}

        async def one(n: int) -> None:
            told[n] = await link.ask(Ask(f"number {n}?"))

        async with anyio.create_task_group() as tasks:
            for n in range(5):
                tasks.start_soon(one, n)
        return Outcome([told[n] for n in range(5)])

    async with Bench(step("survey", out="$.x"), {"survey": survey}) as bench:
        assert bench.log.status == "waiting"
        for question in reversed(bench.open):
            await bench.answer(question.ask.prompt, question.id)
    assert bench.ctx == {"x": [f"number {n}?" for n in range(5)]}


async def test_a_run_waits_only_while_nothing_else_is_in_flight() -> None:
    done = anyio.Event()

    async def work(call: Call, link: StepLink) -> Outcome:
        if call.input == 0:
            return Outcome(await link.ask(SURE))
        await done.wait()
        return Outcome(call.input)

    body = {"kind": "step", "ref": "work", "in": {"op": "path", "at": "$.i"}, "out": "$.x"}
    async with Bench(each([0, 1], body), {"work": work}) as bench:
        assert bench.log.status == "running"
        done.set()
        await bench.clock.settle()
        assert bench.log.status == "waiting"
        await bench.answer(True)
    assert bench.ctx["all"] == [True, 1]


async def test_those_who_wait_hold_no_task_slot() -> None:
    lanes = list(range(10))
    async with Bench(each(lanes, ASK), {"person": Asker(SURE)}, max_tasks=2) as bench:
        assert len(bench.open) == 10
        assert bench.log.status == "waiting"
        for question in bench.open:
            await bench.answer(True, question.id)
    assert bench.ctx["all"] == [True] * 10


async def test_who_waits_no_more_holds_a_task_slot_again() -> None:
    came, ready, done = list[int](), anyio.Event(), anyio.Event()

    async def work(call: Call, link: StepLink) -> Outcome:
        came.append(call.input)
        if call.input == 0:
            await link.ask(SURE)
            await done.wait()
        elif call.input == 1:
            await ready.wait()
            await link.ask(SURE)
        return Outcome(call.input)

    body = {"kind": "step", "ref": "work", "in": {"op": "path", "at": "$.i"}, "out": "$.x"}
    async with Bench(each([0, 1, 2], body), {"work": work}, max_tasks=1) as bench:
        assert came == [0, 1]
        await bench.answer(True)
        ready.set()
        await bench.clock.settle()
        assert came == [0, 1], "one works again while the other asks"
        done.set()
        await bench.clock.settle()
        assert came == [0, 1, 2]
        await bench.answer(True, "r_1:2")
    assert bench.ctx["all"] == [0, 1, 2]


async def test_at_the_deadline_the_step_fails() -> None:
    ask = Ask("sure?", deadline_s=60)
    flow = {
        "kind": "try",
        "body": ASK,
        "catch": seq(),
        "error_at": "$.error",
    }
    async with Bench(flow, {"person": Asker(ask)}) as bench:
        await bench.clock.advance(59)
        assert len(bench.open) == 1
        await bench.clock.advance(1)
        with pytest.raises(Refused) as caught:
            await bench.answer(True)
        assert caught.value.code == "question.expired"
    assert bench.ctx["error"]["cause_code"] == "question.expired"


async def test_at_the_deadline_the_default_is_the_answer() -> None:
    ask = Ask("which?", deadline_s=60, on_deadline="default", default=["a"])
    async with Bench(ASK, {"person": Asker(ask)}) as bench:
        await bench.clock.advance(60)
    assert bench.ctx == {"x": ["a"]}


async def test_at_the_deadline_the_question_goes_to_somebody_else() -> None:
    ask = Ask("sure?", to="junior", deadline_s=60, on_deadline="escalate", escalate_to="senior")
    async with Bench(ASK, {"person": Asker(ask)}) as bench:
        assert bench.open[0].to == "junior"
        await bench.clock.advance(60)
        assert (bench.open[0].to, bench.open[0].deadline_at) == ("senior", None)
        await bench.clock.advance(600)
        assert bench.log.status == "waiting"
        await bench.answer(True)
    assert bench.ctx == {"x": True}


async def test_a_cancelled_run_withdraws_its_questions() -> None:
    async with Bench(ASK, {"person": Asker(SURE)}) as bench:
        await bench.driver.cancel("no more")
        with pytest.raises(Refused) as caught:
            await bench.answer(True)
        assert caught.value.code == "question.closed"
    assert bench.driver.outcome is not None
    assert bench.driver.outcome.status == "cancelled"


async def test_a_step_that_times_out_withdraws_its_question() -> None:
    flow = {"kind": "try", "body": step("person", timeout_s=5), "catch": seq(), "err_at": "$.e"}
    async with Bench(flow, {"person": Asker(SURE)}) as bench:
        await bench.clock.advance(5)
    assert bench.open == ()
    assert [r["kind"] for r in await bench.rows("run.")][-1] == "run.finished"


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (Ask("?", schema={"type": "text"}), "schema"),
        (Ask("?", schema={"$ref": "https://example.org/schema"}), "schema"),
        (Ask("?", deadline_s=0), "deadline_s"),
        (Ask("?", on_deadline="default"), "deadline_s"),
        (Ask("?", on_deadline="never", deadline_s=1), "on_deadline"),  # type: ignore[arg-type]
        (Ask("?", on_deadline="escalate", deadline_s=1), "escalate_to"),
        (Ask("?", {}, {"type": "null"}, None, 5, "default", 1), "default"),
        (Ask("?", to=""), "to"),
    ],
)
async def test_a_question_that_cannot_be_is_a_permanent_failure(ask: Ask, field: str) -> None:
    async with Bench(step("person", retry={}), {"person": Asker(ask)}) as bench:
        pass
    [failed] = await bench.rows("step.failed")
    assert (failed["code"], failed["permanent"]) == ("question.malformed", True)
    assert field in failed["message"]
    assert await bench.rows("question.") == []


async def test_a_sleep_is_written_down_and_ends_when_it_is_over() -> None:
    async with Bench(step("swarm.sleep", 30), {"swarm.sleep": SleepWorker()}) as bench:
        [timer] = await bench.rows("timer.set")
        assert (timer["seconds"], timer["due_at"]) == (30, bench.clock.wall() + 30)
        await bench.clock.advance(29.9)
        assert bench.driver.outcome is None
        await bench.clock.advance(0.1)
    assert bench.ctx == {}


async def test_a_worker_that_fails_after_its_answer_asks_anew_in_its_next_attempt() -> None:
    async def fickle(call: Call, link: StepLink) -> Outcome:
        told = await link.ask(Ask("n?"))
        if call.attempt == 1:
            raise WorkerFailure("fickle", "once more")
        return Outcome(told)

    flow = step("fickle", out="$.x", retry={"max_attempts": 2, "delay_s": 10, "jitter": 0})
    async with Bench(flow, {"fickle": fickle}) as bench:
        await bench.answer(1)
        assert bench.open == ()
        await bench.clock.advance(10)
        await bench.answer(2, "r_1:2")
    assert bench.ctx == {"x": 2}


async def test_an_open_question_is_open_again_after_a_restart_and_not_put_twice() -> None:
    async with Bench(ASK, {"person": Asker(SURE)}) as bench:
        for _ in range(3):
            await bench.restart(after_s=1000)
            assert [q.id for q in bench.open] == ["r_1:1"]
            assert bench.log.status == "waiting"
        await bench.answer(True)
    assert bench.ctx == {"x": True}
    assert len(await bench.rows("question.asked")) == 1


async def test_what_a_lane_asked_that_lost_as_its_host_died_is_asked_no_more() -> None:
    done = anyio.Event()

    async def work(call: Call, link: StepLink) -> Outcome:
        if call.input == 0:
            await link.ask(SURE)
        await done.wait()
        return Outcome(call.input)

    body = {"kind": "step", "ref": "work", "in": {"op": "path", "at": "$.i"}, "out": "$.x"}
    bench = Bench(each([0, 1], body, join="race"), {"work": work})
    async with bench:
        done.set()
    rows = await bench.rows()
    won = next(at for at, row in enumerate(rows) if row["kind"] == "step.finished")
    bench.journal = MemoryJournal()
    bench.journal.append(RUN, rows[: won + 1])
    await bench.journal.commit()
    past = await bench.past()
    bench.log = RunLog.of_past(RUN, bench.journal, bench.clock, past.status)
    bench.log.go_on(past.seq, past.status)
    bench.driver = bench.driven(past)
    await bench.driver.begin()
    assert bench.open == ()
    await bench.driver.drive()
    kinds = [row["kind"] for row in await bench.rows()]
    assert kinds[won + 1 :] == [row["kind"] for row in rows[won + 1 :]]


async def test_an_answer_survives_a_restart_before_its_step_has_ended() -> None:
    stuck = anyio.Event()

    async def slow(call: Call, link: StepLink) -> Outcome:
        told = [await link.ask(Ask("first?")), await link.ask(Ask("second?"))]
        await stuck.wait()
        return Outcome(told)

    async with Bench(step("slow", out="$.x"), {"slow": slow}) as bench:
        await bench.answer("one")
        await bench.restart()
        assert [q.ask.prompt for q in bench.open] == ["second?"]
        await bench.answer("two", "r_1:2")
        await bench.restart()
        assert bench.open == ()
        with pytest.raises(Refused) as caught:
            await bench.answer("three")
        assert caught.value.code == "question.answered"
        stuck.set()
    assert bench.ctx == {"x": ["one", "two"]}
    assert len(await bench.rows("question.asked")) == 2


async def test_a_deadline_survives_a_restart() -> None:
    ask = Ask("which?", deadline_s=60, on_deadline="default", default="a")
    async with Bench(ASK, {"person": Asker(ask)}) as bench:
        await bench.clock.advance(20)
        await bench.restart(after_s=20)
        await bench.clock.advance(19.9)
        assert len(bench.open) == 1
        await bench.clock.advance(0.1)
    assert bench.ctx == {"x": "a"}


async def test_a_deadline_that_passed_while_no_host_was_there_is_acted_on_at_once() -> None:
    ask = Ask("sure?", deadline_s=60, on_deadline="escalate", escalate_to="boss")
    async with Bench(ASK, {"person": Asker(ask)}) as bench:
        await bench.restart(after_s=3600)
        await bench.clock.advance(0)
        assert bench.open[0].to == "boss"
        await bench.restart()
        assert bench.open[0].to == "boss"
        await bench.answer(True)
    assert bench.ctx == {"x": True}


async def test_a_sleep_goes_on_after_a_restart_where_it_was() -> None:
    async with Bench(step("swarm.sleep", 100), {"swarm.sleep": SleepWorker()}) as bench:
        await bench.clock.advance(30)
        await bench.restart(after_s=30)
        await bench.clock.advance(39.9)
        assert bench.driver.outcome is None
        await bench.clock.advance(0.1)
    assert bench.ctx == {}
    assert len(await bench.rows("timer.set")) == 1


async def test_a_sleep_that_ended_while_no_host_was_there_ends_at_once() -> None:
    async with Bench(step("swarm.sleep", 100), {"swarm.sleep": SleepWorker()}) as bench:
        await bench.restart(after_s=5000)
    assert bench.ctx == {}


@pytest.mark.parametrize("jump_s", [-3600.0, -1e9])
async def test_a_clock_that_went_back_makes_no_sleep_end_early(jump_s: float) -> None:
    async with Bench(step("swarm.sleep", 100), {"swarm.sleep": SleepWorker()}) as bench:
        [timer] = await bench.rows("timer.set")
        now = bench.clock.wall()
        bench.clock.wall = lambda: now + jump_s  # type: ignore[method-assign]
        await bench.restart()
        await bench.clock.advance(99.9)
        assert bench.driver.outcome is None
        await bench.clock.advance(0.1)
    assert timer["due_at"] == now + 100


async def test_the_delay_before_another_attempt_survives_a_restart() -> None:
    retry = {"max_attempts": 2, "delay_s": 60, "max_delay_s": 60, "jitter": 0}
    flow = step("shaky", out="$.x", retry=retry)
    async with Bench(flow, {"shaky": [ValueError("no"), "yes"]}) as bench:
        await bench.clock.advance(20)
        await bench.restart(after_s=20)
        await bench.clock.advance(19.9)
        assert bench.driver.outcome is None
        await bench.clock.advance(0.1)
    assert bench.ctx == {"x": "yes"}


@pytest.mark.parametrize(
    ("status", "ends", "open_ones"),
    [
        ("interrupted", (), ["q1", "q2", "q3"]),
        ("interrupted", [("step.finished", "$/1", 1)], ["q2", "q3"]),
        ("paused", [("step.failed", "$/1", 2), ("step.cancelled", "$/2", 1)], ["q1"]),
        ("paused", [("step.started", "$/1", 1), ("step.finished", "$/1", 3)], ["q1", "q2", "q3"]),
        ("cancelled", (), []),
        ("failed", (), []),
    ],
)
def test_of_a_run_that_rests_what_nobody_waits_for_is_asked_no_more(
    status: Any, ends: Sequence[tuple[str, str, int]], open_ones: list[str]
) -> None:
    clock = FakeClock()
    asked = [
        {
            "kind": "question.asked", "id": name, "run": RUN, "key": key, "attempt": attempt,
            "step": "work", **vars_of(Ask("well?")), "to": None, "asked_at": 0.0,
            "deadline_at": None,
        }
        for name, key, attempt in (("q1", "$/1", 1), ("q2", "$/1", 2), ("q3", "$/2", 1))
    ]  # fmt: skip
    ended = [{"kind": kind, "key": key, "attempt": attempt} for kind, key, attempt in ends]
    log = RunLog.of_past(RUN, MemoryJournal(), clock, status)
    book = QuestionBook.of_past(log, clock, [*asked, *ended])
    assert [question.id for question in book.open()] == open_ones


def vars_of(ask: Ask) -> Json:
    return {field.name: getattr(ask, field.name) for field in fields(ask)}


# -- the waits of a run, by themselves -----------------------------------------------------


class Slots:
    """Gives out slots as it is told, and notes who rests and wakes, and what was written then."""

    def __init__(self, log: RunLog) -> None:
        self.in_flight: int | None = 1
        self.acts: list[tuple[str, Attempt, int]] = []
        self._log = log

    async def rest(self, attempt: Attempt) -> None:
        self.acts.append(("rest", attempt, attempt.resting))
        await self._log.commit()

    def wake(self, attempt: Attempt) -> None:
        self.acts.append(("wake", attempt, attempt.resting))


class Floor:
    """The waits of a run that has begun, and what they stand on."""

    def __init__(self) -> None:
        self.clock, self.journal = FakeClock(), MemoryJournal()
        self.log = RunLog(RUN, self.journal, self.clock)
        self.log.append([rows.run_started(scripted_blueprint(seq(), {}), {})])
        self.slots = Slots(self.log)
        self.waits = Waits(self.log, self.clock, self.slots)

    def attempt(self, key: str = "$", attempt: int = 1) -> Attempt:
        return Attempt(Dispatch(key, "work", None, attempt), cast("Terms", None), 0.0, 0.0)

    async def kinds(self) -> list[str]:
        await self.log.commit()
        return [row["kind"] for row in await self.journal.read(RUN, limit=1_000)][1:]


@pytest.mark.parametrize("in_flight", [None, 0, 1, 2, 3])
async def test_a_run_waits_where_all_that_is_in_flight_does(in_flight: int | None) -> None:
    floor = Floor()
    floor.slots.in_flight = in_flight
    for key in ("$/1", "$/2"):
        floor.waits.elsewhere(floor.attempt(key), True)
    assert floor.log.ahead == ("waiting" if in_flight == 2 else "running")


async def test_a_run_wakes_when_one_of_those_in_flight_waits_no_more() -> None:
    floor = Floor()
    floor.slots.in_flight = 2
    one, two = floor.attempt("$/1"), floor.attempt("$/2")
    floor.waits.note()
    assert not floor.waits.used
    floor.waits.elsewhere(one, True)
    assert floor.waits.used
    floor.waits.elsewhere(one, True)
    floor.waits.questions.ask(two.dispatch, SURE)
    assert floor.log.ahead == "waiting"
    floor.waits.note()
    floor.waits.elsewhere(one, False)
    floor.waits.elsewhere(one, False)
    assert floor.log.ahead == "running"
    floor.slots.in_flight = 1
    floor.waits.note()
    await floor.waits.questions.answer("r_1:1", True)
    expected = ["question.asked", "run.waiting", "run.woken", "run.waiting"]
    assert await floor.kinds() == [*expected, "question.answered", "run.woken"]


async def test_an_attempt_that_nobody_wants_any_more_makes_no_run_wait() -> None:
    floor = Floor()
    unwanted = floor.attempt()
    unwanted.wanted = False
    floor.waits.elsewhere(unwanted, True)
    floor.waits.elsewhere(unwanted, False)
    assert floor.log.ahead == "running"


async def test_nothing_is_said_of_a_run_of_which_nothing_goes_on() -> None:
    floor = Floor()
    floor.waits.elsewhere(floor.attempt(), True)
    floor.waits.close()
    floor.waits.elsewhere(floor.attempt(), False)
    assert await floor.kinds() == ["run.waiting"]
    ended = Floor()
    ended.log.append([rows.run("run.cancelled")])
    ended.waits.elsewhere(ended.attempt(), True)
    assert await ended.kinds() == ["run.cancelled"]


async def test_who_waits_rests_once_for_each_of_its_waits() -> None:
    floor = Floor()
    attempt = floor.attempt()
    async with floor.waits.held(attempt):
        assert floor.log.ahead == "waiting"
        async with floor.waits.held(attempt):
            assert attempt.resting == 2
        assert attempt.resting == 1
    assert floor.slots.acts == [
        ("rest", attempt, 1), ("rest", attempt, 2), ("wake", attempt, 1), ("wake", attempt, 0),
    ]  # fmt: skip
    assert await floor.kinds() == ["run.waiting", "run.woken"]


async def test_who_fails_while_it_waits_is_awake_again() -> None:
    floor = Floor()
    attempt = floor.attempt()
    with pytest.raises(ValueError, match="odd"):
        async with floor.waits.held(attempt):
            raise ValueError("odd")
    assert (attempt.resting, floor.slots.acts[-1][0]) == (0, "wake")
    assert floor.log.ahead == "running"


@pytest.mark.parametrize("kind", ["step.finished", "step.failed", "step.cancelled"])
async def test_what_an_attempt_waited_for_goes_with_it(kind: str) -> None:
    floor = Floor()
    for attempt in (1, 2):
        floor.waits.questions.ask(floor.attempt(attempt=attempt).dispatch, SURE)
        floor.waits.elsewhere(floor.attempt(attempt=attempt), True)
        timer = {"kind": "timer.set", "key": "$", "attempt": attempt, "due_at": 0.0}
        floor.waits.recall(timer)
    floor.waits.recall({"kind": "step.started", "key": "$", "attempt": 1})
    floor.waits.recall({"kind": "step.interrupted", "key": "$", "attempt": 1})
    assert len(floor.waits.questions.open()) == 2
    floor.waits.recall({"kind": kind, "key": "$", "attempt": 1})
    assert [question.attempt for question in floor.waits.questions.open()] == [2]
    # The timer of the first is set anew; that of the second was due long ago.
    await _slept(floor, 1, 5.0)
    await _slept(floor, 2, 0.0)
    # One attempt is in flight, and one waits.
    floor.waits.note()
    assert floor.log.ahead == "waiting"
    floor.waits.over(floor.attempt(attempt=2))
    floor.waits.note()
    assert floor.waits.questions.open() == ()
    assert floor.log.ahead == "running"


async def _slept(floor: Floor, attempt: int, seconds: float) -> None:
    """Let an attempt sleep five seconds, and see how much of them is waited for."""
    before = floor.clock.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(floor.waits.sleep, floor.attempt(attempt=attempt), 5.0)
        await floor.clock.settle()
        await floor.clock.advance(seconds)
    assert floor.clock.monotonic() == before + seconds


async def test_a_run_that_never_waits_makes_nothing_for_those_who_do() -> None:
    floor = Floor()
    floor.waits.over(floor.attempt())
    floor.waits.note()
    assert floor.waits.used is False
    await floor.clock.settle()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(floor.waits.sleep, floor.attempt(), 1.0)
        await floor.clock.settle()
        assert floor.waits.used is True
        await floor.clock.advance(1)
    asking = Floor()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asking.waits.ask, asking.attempt(), SURE)
        await asking.clock.settle()
        assert asking.waits.used is True
        assert asking.log.ahead == "waiting"
        await asking.waits.questions.answer("r_1:1", True)
    assert asking.slots.acts[0][0] == "rest"
    recalled = Floor()
    recalled.waits.recall({"kind": "run.waiting"})
    assert recalled.waits.used is True
