"""Random flows through the host's driver: the blocking driver agrees, and so does a replay.

The replay gives a fresh machine the answers of the journal in the order of the journal, and
compares everything it asks for with what was written down: what is recorded is enough to
go on from.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any, cast

import anyio
import pytest

import flowir
from flowir import Cancel, Dispatch, Failure, Machine, Success
from flowir.errors import shorten
from swarm.blueprint.canonical import canonical_bytes, digest_of
from swarm.core.driver import Driver
from swarm.core.log import RunLog
from swarm.core.replay import Replay as Past
from swarm.core.run import RunOutcome
from swarm.errors import SwarmError
from swarm.ids import RunId
from swarm.ports.worker import Call, Outcome, StepLink, Worker
from swarm.testing import FakeClock, MemoryJournal, scripted_blueprint
from tests.flowir.random_flows import RandomFlow

pytestmark = pytest.mark.anyio

RUN = RunId("r_1")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def drawn(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - drawn again from its seed


class Journey:
    """One random flow driven once, its workers answering after a random while."""

    def __init__(self, flow: RandomFlow, seed: int, max_tasks: int) -> None:
        self.flow = flow
        self.chance = drawn(seed)
        self.clock = FakeClock(jumps=True)
        self.journal = MemoryJournal()
        self.calls = self.moment_at = 0
        self.moment = anyio.Event()
        agents: dict[str, Any] = {ref: self.worker(ref) for ref in refs(flow.document)}
        self.driver = Driver(
            scripted_blueprint(flow.document, agents),
            flow.ctx,
            log=RunLog(RUN, self.journal, self.clock),
            clock=self.clock,
            max_tasks=max_tasks,
        )

    def worker(self, ref: str) -> Worker:
        async def work(call: Call, link: StepLink) -> Outcome:
            self.calls += 1
            if self.calls == self.moment_at:
                self.moment.set()
            await self.clock.sleep(self.chance.choice([0, 0, 0.01, 0.5]))
            return Outcome(self.flow.dispatch(ref, call.input))

        return work

    async def run(self) -> RunOutcome:
        await self.driver.begin()
        await self.driver.drive()
        assert self.driver.outcome is not None
        return self.driver.outcome

    async def rows(self) -> list[Any]:
        return [*await self.journal.read(RUN, limit=1_000_000)]


def refs(node: Any) -> set[str]:
    if type(node) is list:
        return set[str]().union(*map(refs, cast("list[Any]", node)))
    if type(node) is not dict:
        return set()
    members = cast("dict[str, Any]", node)
    own = {members["ref"]} if members.get("kind") == "step" else set[str]()
    return own.union(*map(refs, members.values()))


class Replay:
    """A fresh machine that is told what the journal says, and checked against it."""

    def __init__(self, flow: RandomFlow) -> None:
        self.machine = Machine(flow.document, flow.ctx)
        self.asked: dict[tuple[str, int], Dispatch] = {}
        self.take(self.machine.start())

    def take(self, effects: tuple[Dispatch | Cancel, ...]) -> None:
        for effect in effects:
            if isinstance(effect, Cancel):
                del self.asked[effect.key, effect.attempt]
            else:
                self.asked[effect.key, effect.attempt] = effect

    def read(self, row: Any) -> None:
        kind = row["kind"]
        if kind == "step.started":
            asked = self.asked[row["key"], row["attempt"]]
            digest = hashlib.sha256(canonical_bytes(asked.input)).hexdigest()
            assert (asked.ref, asked.node_id, digest) == (row["step"], row["node"], row["input"])
        elif kind == "step.finished":
            self.answer(row, Success(row["value"]))
        elif kind == "step.failed":
            self.answer(row, Failure(row["code"], row["message"], row["permanent"], row["data"]))
        elif kind == "step.cancelled":
            assert (row["key"], row["attempt"]) not in self.asked
        elif kind == "run.cancelling":
            self.take(self.machine.cancel(row["reason"]))

    def answer(self, row: Any, outcome: Success | Failure) -> None:
        del self.asked[row["key"], row["attempt"]]
        self.take(self.machine.resolve(row["key"], outcome, row["attempt"]))


def replayed(flow: RandomFlow, rows: list[Any]) -> Machine:
    replay = Replay(flow)
    for row in rows:
        replay.read(row)
    assert replay.machine.done
    assert replay.asked == {}
    return replay.machine


def check(machine: Machine, outcome: RunOutcome) -> None:
    if machine.error is not None:
        assert outcome.error == machine.error.to_json()
    else:
        assert outcome.error is None
        assert outcome.ctx == machine.result


@pytest.mark.parametrize("seed", range(40))
async def test_the_blocking_driver_and_a_replay_give_the_same(seed: int) -> None:
    flow = RandomFlow(seed, racing=False)
    journey = Journey(flow, seed, max_tasks=drawn(seed).choice([1, 2, 256]))
    outcome = await journey.run()
    check(replayed(flow, await journey.rows()), outcome)
    assert (outcome.ctx, outcome.error) == blocking(flow)


def blocking(flow: RandomFlow) -> tuple[Any, Any]:
    try:
        return flowir.run(flow.document, flow.ctx, flow.dispatch), None
    except flowir.FlowError as error:
        return None, error.to_json()


@pytest.mark.parametrize("seed", range(1000, 1040))
async def test_a_replay_of_a_race_gives_the_same(seed: int) -> None:
    flow = RandomFlow(seed)
    journey = Journey(flow, seed, max_tasks=drawn(seed).choice([1, 3, 256]))
    outcome = await journey.run()
    check(replayed(flow, await journey.rows()), outcome)


async def cancelled(seed: int) -> tuple[Journey, RunOutcome]:
    """Drive a flow, and cancel it while one of its first steps is being done."""
    flow = RandomFlow(seed)
    journey = Journey(flow, seed, max_tasks=drawn(seed).choice([1, 3, 256]))
    journey.moment_at = drawn(seed).randrange(1, 8)
    outcomes: list[RunOutcome] = []

    async def run() -> None:
        outcomes.append(await journey.run())
        journey.moment.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await journey.moment.wait()
        await journey.driver.cancel("enough")
    return journey, outcomes[0]


@pytest.mark.parametrize("seed", range(2000, 2040))
async def test_a_replay_of_a_cancelled_run_gives_the_same(seed: int) -> None:
    journey, outcome = await cancelled(seed)
    check(replayed(journey.flow, await journey.rows()), outcome)


async def test_those_cancellations_come_in_the_midst_of_things() -> None:
    midst = 0
    for seed in range(2000, 2040):
        journey, _ = await cancelled(seed)
        kinds = [row["kind"] for row in await journey.rows()]
        midst += "run.cancelling" in kinds and "step.cancelled" in kinds
    assert midst >= 20


# -- what a history may say -----------------------------------------------------------------


def step(ref: str, input: Any = None, **more: Any) -> dict[str, Any]:
    return {"kind": "step", "ref": ref, "in": {"op": "lit", "value": input}, **more}


def seq(*nodes: Any) -> dict[str, Any]:
    return {"kind": "seq", "children": list(nodes)}


def lanes(join: str) -> dict[str, Any]:
    items = {"op": "lit", "value": [1, 2]}
    return {"kind": "fanout", "items": items, "bind": "$.i", "body": step("w"), "join": join,
            "out": "$.o"}  # fmt: skip


RETRY = {"max_attempts": 2, "delay_s": 10, "jitter": 0}
PLAIN = seq(step("a", 1, out="$.x"), step("b", 2, retry=RETRY, id="bee"))
A, B = "$.children[0]", "$.children[1]"
LANE_0, LANE_1 = "$.children[0].body@0", "$.children[0].body@1"
TOKENS: Any = {"tokens": 0, "cost": 0.0, "duration_s": 0.0}


class History:
    """A journal as it is written, row by row, and what a replay makes of it."""

    def __init__(self, flow: Any = PLAIN, **started: Any) -> None:
        row = {"kind": "run.started", "run": "r", "seq": 1, "time_s": 100.0, "input": {}, **started}
        self.seq = 1
        self.past = Past(flowir.load(flow), row)

    def row(self, kind: str, *, time_s: float | None = None, **more: Any) -> History:
        self.seq += 1
        time_s = 100.0 + self.seq if time_s is None else time_s
        self.past.feed([{"kind": kind, "run": "r", "seq": self.seq, "time_s": time_s, **more}])
        return self

    def of(self, kind: str, key: str, step: str, attempt: int = 1, **more: Any) -> History:
        return self.row(f"step.{kind}", key=key, step=step, attempt=attempt, **more)

    def started(self, key: str = A, step: str = "a", input: Any = 1, attempt: int = 1) -> History:
        node = {"b": "bee", "w": "$.children[0].body"}.get(step, key)
        return self.of("started", key, step, attempt, node=node, input=digest_of(input))

    def finished(self, key: str = A, step: str = "a", value: Any = 5, attempt: int = 1) -> History:
        return self.of("finished", key, step, attempt, value=value, **TOKENS)

    def failed(self, key: str = B, step: str = "b", attempt: int = 1) -> History:
        how = {"code": "c", "message": "m", "permanent": False, "data": None}
        return self.of("failed", key, step, attempt, **how, **TOKENS)

    def at_b(self) -> History:
        return self.started().finished()

    @property
    def asked(self) -> list[tuple[str, int, bool, bool]]:
        found = self.past.asked()
        return [(a.dispatch.key, a.dispatch.attempt, a.began, a.open) for a in found]

    @property
    def opened(self) -> list[tuple[str, str, int]]:
        return [(row["kind"], row["key"], row["attempt"]) for row in self.past.open_rows()]

    @property
    def closing(self) -> list[tuple[str, str | None, int | None]]:
        rows = self.past.closing_rows()
        return [(row["kind"], row.get("key"), row.get("attempt")) for row in rows]


def begun() -> History:
    return History().started()


def failed_once() -> History:
    return History().at_b().started(B, "b", 2).failed()


def raced() -> History:
    """A race whose first lane has won while the second was at work."""
    history = History(seq(lanes("race"), step("z")))
    history.started(LANE_0, "w", None).started(LANE_1, "w", None)
    return history.finished(LANE_0, "w", 1)


def named(step: str, key: str, attempt: int = 1) -> str:
    return f"step {step!r} at {key} attempt {attempt}"


FIRST = named("a", A)

# What a journal cannot say: the event and its place, what was expected, and what came.
CONFLICTS: dict[str, tuple[Any, str, str, str]] = {
    "a step that was never asked for": (
        lambda: History().started(B, "b", 2),
        f"2 at {B}", FIRST, f"the start of {named('b', B)}",
    ),
    "another attempt of it": (
        lambda: History().started(attempt=2),
        f"2 at {A}", FIRST, f"the start of {named('a', A, 2)}",
    ),
    "the same attempt twice": (
        lambda: begun().started(),
        f"3 at {A}", FIRST, f"the start of {FIRST}",
    ),
    "another agent": (lambda: History().started(step="x"), f"2 at {A}", "agent 'a'", "'x'"),
    "another node": (
        lambda: History().of("started", A, "a", node="other", input=digest_of(1)),
        f"2 at {A}", f"node '{A}'", "'other'",
    ),
    "another input": (
        lambda: History().started(input=2),
        f"2 at {A}", f"input of digest {shorten(digest_of(1))}", shorten(digest_of(2)),
    ),
    "an end of what did not begin": (
        lambda: History().finished(),
        f"2 at {A}", FIRST, f"the end of {FIRST}",
    ),
    "an end of another attempt": (
        lambda: begun().finished(attempt=2),
        f"3 at {A}", FIRST, f"the end of {named('a', A, 2)}",
    ),
    "an end of what was interrupted": (
        lambda: begun().of("interrupted", A, "a").finished(),
        f"4 at {A}", FIRST, f"the end of {FIRST}",
    ),
    "an interruption of what did not begin": (
        lambda: History().of("interrupted", A, "a"),
        f"2 at {A}", FIRST, f"the end of {FIRST}",
    ),
    "a cancellation that nobody wanted": (
        lambda: begun().of("cancelled", A, "a"),
        f"3 at {A}", FIRST, f"the cancellation of {FIRST}",
    ),
    "the same cancellation twice": (
        lambda: raced().of("cancelled", LANE_1, "w").of("cancelled", LANE_1, "w"),
        f"6 at {LANE_1}", named("z", B), f"the cancellation of {named('w', LANE_1)}",
    ),
    "an answer before a cancellation that is owed": (
        lambda: raced().started(B, "z", None).finished(B, "z"),
        f"6 at {B}", f"step.cancelled of {named('w', LANE_1)}", "step.finished",
    ),
    "a cancellation of the run before one that is owed": (
        lambda: raced().row("run.cancelling", code="run.cancelled", reason="why"),
        "5", f"step.cancelled of {named('w', LANE_1)}", "run.cancelling",
    ),
    "an answer before another attempt that is owed": (
        lambda: failed_once().started(B, "b", 2, 2).failed(attempt=2),
        f"7 at {B}", f"step.retrying of {named('b', B, 2)}", "step.failed",
    ),
    "another attempt that nobody asked for": (
        lambda: begun().of("retrying", A, "a", 2, delay_s=0),
        f"3 at {A}", FIRST, f"another attempt, {named('a', A, 2)}",
    ),
    "another delay": (
        lambda: failed_once().of("retrying", B, "b", 2, delay_s=11),
        f"6 at {B}", "a delay of 10.0 s", "11 s",
    ),
    "words of a step that nobody asked for": (
        lambda: History().of("progress", B, "b", text="x"),
        f"2 at {B}", FIRST, named("b", B),
    ),
    "an end of the run that goes on": (
        lambda: begun().row("run.finished", ctx={}),
        "3", "a run that goes on", "its end",
    ),
    "an end of a success that failed": (
        lambda: begun().failed(A, "a").row("run.finished", ctx={}),
        "4", "the failure step.failed", "the end of a success",
    ),
    "another end": (
        lambda: History(seq(step("a", 1, out="$.x"))).at_b().row("run.finished", ctx={"x": 6}),
        "4", "another final context", "the one that was recorded",
    ),
    "more than the end": (
        lambda: History(seq(step("a", 1))).at_b().started(),
        f"4 at {A}", "the end of the run", f"the start of {FIRST}",
    ),
    "something while two are asked for": (
        lambda: History(seq(lanes("all"))).started(step="x"),
        f"2 at {A}", f"{named('w', LANE_0)} or 1 more", f"the start of {named('x', A)}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CONFLICTS)
def test_the_first_difference_is_told(what: str) -> None:
    tell, place, expected, got = CONFLICTS[what]
    with pytest.raises(SwarmError) as caught:
        tell()
    error = caught.value
    assert str(error) == f"run r, event {place}: expected {expected}, got {got}"
    assert error.code == "resume.conflict"
    seq, _, key = place.partition(" at ")
    assert error.values == {"run_id": "r", "seq": int(seq), "key": key or None}


def test_what_was_recorded_leads_to_where_the_run_stood() -> None:
    history = History()
    assert history.asked == [(A, 1, False, False)]
    assert history.started().asked == [(A, 1, True, True)]
    history.of("progress", A, "a", text="x")
    assert (history.opened, history.past.seq) == ([("step.interrupted", A, 1)], 3)
    assert history.of("interrupted", A, "a").asked == [(A, 1, True, False)]
    assert history.opened == []
    assert history.started().finished().asked == [(B, 1, False, False)]
    history.started(B, "b", 2).failed()
    assert history.closing == [("step.retrying", B, 2)]
    history.of("retrying", B, "b", 2, delay_s=10.0)
    assert (history.closing, history.asked) == ([], [(B, 2, False, False)])
    history.started(B, "b", 2, 2).finished(B, "b", 7, 2).row("run.finished", ctx={"x": 5})
    assert (history.asked, history.past.status, history.past.seq) == ([], "succeeded", 12)
    assert history.past.machine.result == {"x": 5}


def test_what_had_begun_is_told_before_what_had_not() -> None:
    history = History(seq(lanes("all"))).started(LANE_1, "w", None)
    assert history.asked == [(LANE_1, 1, True, True), (LANE_0, 1, False, False)]
    assert history.opened == [("step.interrupted", LANE_1, 1)]


def test_a_cancellation_is_owed_for_what_was_at_work_and_not_for_the_rest() -> None:
    history = raced()
    assert history.closing == [("step.cancelled", LANE_1, 1)]
    assert history.asked == [(B, 1, False, False)]
    assert history.of("cancelled", LANE_1, "w").closing == []
    idle = History(seq(lanes("race"), step("z")))
    idle.started(LANE_0, "w", None).finished(LANE_0, "w", 1)
    assert idle.closing == []
    interrupted = History(seq(lanes("race"), step("z"))).started(LANE_0, "w", None)
    interrupted.started(LANE_1, "w", None).of("interrupted", LANE_1, "w")
    assert interrupted.finished(LANE_0, "w", 1).closing == []


def test_a_run_goes_on_with_the_ends_that_it_lacks_and_then_with_what_it_owes() -> None:
    history = raced().started(B, "z", None).row("run.interrupted", cause="died")
    assert history.closing == [
        ("step.interrupted", B, 1),
        ("run.resumed", None, None),
        ("step.cancelled", LANE_1, 1),
    ]
    assert history.past.closing_rows()[-1]["duration_s"] == 0.0


@pytest.mark.parametrize(
    ("now", "left_s"), [(106.0, 10.0), (107.5, 8.5), (116.0, 0.0), (900.0, 0.0), (50.0, 10.0)]
)
def test_what_is_left_of_a_delay_is_read_from_the_time_of_day(now: float, left_s: float) -> None:
    history = failed_once()
    (owed,) = history.past.asked()
    # The delay is not written down yet: it begins when it is.
    assert owed.delay_s(now) == 10.0
    history.of("retrying", B, "b", 2, delay_s=10)
    (asked,) = history.past.asked()
    assert asked.delay_s(now) == left_s
    history.started(B, "b", 2, 2)
    assert asked.delay_s(now) == 0.0


def test_hosts_that_died_are_counted_until_a_step_ends() -> None:
    history = begun()
    for deaths, cause in ((1, "died"), (1, "stopped"), (2, "died")):
        history.row("run.interrupted", cause=cause)
        assert history.past.deaths == deaths
        assert history.past.status == "interrupted"
        history.row("run.resumed")
    assert history.of("interrupted", A, "a").past.deaths == 2
    assert history.started().past.deaths == 2
    assert history.finished().past.deaths == 0


def test_a_run_that_is_to_pause_is_so_until_it_goes_on_or_is_cancelled() -> None:
    history = begun().row("run.pausing")
    assert history.past.pausing is True
    assert history.row("run.paused").past.pausing is True
    assert history.row("run.resumed").past.pausing is False
    history.row("run.pausing").row("run.cancelling", code="run.cancelled", reason="why")
    assert history.past.pausing is False
    assert history.past.ending is None
    assert history.closing == [("step.cancelled", A, 1)]


def test_what_a_run_is_cancelled_for_is_known_where_nobody_asked_for_it() -> None:
    history = begun().row("run.cancelling", code="budget.exhausted", reason="no time")
    assert history.past.ending is not None
    assert (history.past.ending.code, history.past.ending.message) == (
        "budget.exhausted",
        "no time",
    )


def test_time_is_what_passed_from_the_first_row_to_the_last() -> None:
    history = History()
    assert history.past.elapsed_s == 0.0
    assert history.row("run.pausing", time_s=104.5).past.elapsed_s == 4.5
    assert history.row("run.paused", time_s=90.0).past.elapsed_s == 0.0


def test_questions_are_kept_and_timers_until_their_step_ends() -> None:
    history = begun().row("question.asked", id="q1").row("question.answered", id="q1")
    for key in (A, B):
        history.row("timer.set", key=key, attempt=1, due_at=1.0)
    history.row("timer.set", key=A, attempt=2, due_at=2.0)

    def waits() -> list[tuple[str, Any]]:
        return [(row["kind"], row.get("key", row.get("id"))) for row in history.past.waits()]

    asked = [("question.asked", "q1"), ("question.answered", "q1")]
    assert waits() == [*asked, ("timer.set", A), ("timer.set", B), ("timer.set", A)]
    history.finished()
    assert waits() == [*asked, ("timer.set", B), ("timer.set", A)]
    cancelled = raced().past
    assert list(cancelled.waits()) == []
    race = History(seq(lanes("race"), step("z"))).started(LANE_0, "w", None)
    race.row("timer.set", key=LANE_1, attempt=1, due_at=1.0)
    race.row("timer.set", key=LANE_1, attempt=2, due_at=1.0)
    race.finished(LANE_0, "w", 1)
    assert [row["attempt"] for row in race.past.waits()] == [2]


def test_children_of_attempts_that_are_over_are_orphans() -> None:
    history = begun()
    for child, key, attempt in (("c1", A, 1), ("c2", A, 2), ("c3", B, 1), ("c4", B, 1)):
        history.row("child.started", child=child, key=key, attempt=attempt)
    history.row(
        "child.ended", child="c4", key=B, attempt=1, step="b", spent={"steps": 1, "attempts": 1}
    )
    assert history.past.orphans(cancelling=False) == ["c2", "c3"]
    assert history.past.orphans(cancelling=True) == ["c1", "c2", "c3"]
    history.finished()
    assert history.past.orphans(cancelling=False) == ["c1", "c2"]
    assert history.past.meter.spent.steps == 2


def test_the_first_row_says_what_the_run_is() -> None:
    plain = History().past
    assert (plain.run_id, plain.input, plain.seq, plain.status) == ("r", {}, 1, "running")
    assert (plain.parent, plain.deaths, plain.pausing) == (None, 0, False)
    assert History(parent={"run": "p"}, input={"a": 1}).past.parent == "p"
    limited = History(budget={"fuel": 50, "tokens": 7}).past
    assert limited.machine.fuel <= 50
    assert limited.meter.budget.tokens == 7
    limited_by_flow = History().past
    assert limited_by_flow.machine.fuel > 50
    edited = History(rerun={"edits": {A: {"$.y": 3}}})
    edited.started().finished().started(B, "b", 2).finished(B, "b", 1)
    assert edited.past.machine.result == {"y": 3, "x": 5}
