"""Crashes at any commit: a new driver goes on from the journal, and the end is the same.

The process is dropped with all it knows; only what was committed is left. Whatever had an
answer is not done again, and every effect of the new machine is what was recorded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import anyio
import pytest

import flowir
from flowir.effects import Success
from swarm.core import rows
from swarm.core.driver import Driver
from swarm.core.log import RunLog
from swarm.core.replay import Replay
from swarm.core.run import RunOutcome
from swarm.errors import SwarmError
from swarm.ids import RunId
from swarm.ports.worker import Call, Outcome, StepLink, Worker
from swarm.testing import FakeClock, MemoryJournal, scripted_blueprint
from tests.flowir.random_flows import RandomFlow
from tests.swarm.test_core_replay import drawn, refs

pytestmark = pytest.mark.anyio

RUN = RunId("r_1")
FLOWS = 1000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Crash(BaseException):
    """The process is gone."""


class Mortal(MemoryJournal):
    """A journal whose process dies at one of its commits, before or after it lasts."""

    def __init__(self, left: int, after: bool) -> None:
        super().__init__()
        self.left = left
        self.after = after

    async def commit(self) -> None:
        """Commit, unless this is the one to die at."""
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Crash
        await super().commit()
        if self.left == 0:
            raise Crash


class Life:
    """One random flow, carried on by as many processes as it takes."""

    def __init__(self, seed: int, *, racing: bool) -> None:
        self.chance = drawn(seed)
        self.flow = RandomFlow(seed, racing=racing)
        self.clock = FakeClock(jumps=True)
        self.blueprint = scripted_blueprint(
            self.flow.document, {ref: self.worker(ref) for ref in refs(self.flow.document)}
        )
        self.past: list[dict[str, Any]] = []
        self.done: set[tuple[str, int]] = set()
        self.began = Counter[tuple[str, int]]()
        self.deaths = 0

    def worker(self, ref: str) -> Worker:
        async def work(call: Call, link: StepLink) -> Outcome:
            assert (call.key, call.attempt) not in self.done, "done twice"
            self.began[call.key, call.attempt] += 1
            await self.clock.sleep(self.chance.choice([0, 0, 0, 0.01]))
            return Outcome(self.flow.dispatch(ref, call.input))

        return work

    async def live(self, commits: int | None, cancelled_at: int = 0) -> RunOutcome | None:
        """Go on until the end, or until one of the next commits kills."""
        journal = Mortal(commits or 0, self.chance.random() < 0.5)
        driver = await self.born(journal)
        try:
            await driver.begin()
            if cancelled_at:
                await driver.cancel("enough")
            await driver.drive()
        except BaseException as error:
            if not died(error):
                raise
            self.deaths += 1
        await self.remember(journal)
        return driver.outcome if self.past and self.past[-1]["kind"] in ENDS else None

    async def born(self, journal: Mortal) -> Driver:
        """Make a driver that knows what was committed, and nothing else."""
        log = RunLog(RUN, journal, self.clock)
        past = None
        if self.past:
            past = Replay(self.blueprint.flow, self.past[0])
            past.feed(self.past[1:])
            left, journal.left = journal.left, 0
            journal.append(RUN, self.past)
            await journal.commit()
            journal.left = left
            log.go_on(past.seq, past.status)
        most = self.chance.choice([1, 3, 256])
        return Driver(
            self.blueprint, self.flow.ctx, log=log, clock=self.clock, max_tasks=most, past=past
        )

    async def remember(self, journal: Mortal) -> None:
        self.past = [dict(row) for row in await journal.read(RUN, limit=1_000_000)]
        self.done = {
            (row["key"], row["attempt"])
            for row in self.past
            if row["kind"] in ("step.finished", "step.failed")
        }
        if self.past and self.past[-1]["kind"] not in (*ENDS, "run.interrupted"):
            died_row = {**rows.interrupted_run("died"), "seq": len(self.past) + 1, "run": RUN}
            self.past.append({**died_row, "time_s": self.clock.wall()})


ENDS = ("run.finished", "run.failed", "run.cancelled")


def died(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(died(inner) for inner in error.exceptions)
    return isinstance(error, Crash)


async def lived(seed: int, *, racing: bool, cancelled: bool = False) -> tuple[Life, RunOutcome]:
    life = Life(seed, racing=racing)
    outcome: RunOutcome | None = None
    while outcome is None:
        last = life.deaths >= 6
        outcome = await life.live(
            None if last else life.chance.randint(1, 9), int(cancelled and life.deaths == 1)
        )
    return life, outcome


def pure(flow: RandomFlow) -> tuple[Any, Any]:
    try:
        return flowir.run(flow.document, flow.ctx, flow.dispatch), None
    except flowir.FlowError as error:
        return None, error.to_json()


def check_history(life: Life, outcome: RunOutcome) -> None:
    """The whole journal replays to the same end, and each attempt ends as often as it began."""
    replay = Replay(life.blueprint.flow, life.past[0])
    replay.feed(life.past[1:])
    machine = replay.machine
    assert machine.done
    error = None if machine.error is None else machine.error.to_json()
    assert (error, None if error else machine.result) == (outcome.error, outcome.ctx)
    assert list(replay.asked()) == []
    begun, starts = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for row in life.past:
        if row["kind"] == "step.started":
            begun[row["key"], row["attempt"]] += 1
            starts[row["key"], row["attempt"]] += 1
        elif row["kind"] in ("step.finished", "step.failed", "step.cancelled", "step.interrupted"):
            begun[row["key"], row["attempt"]] -= 1
        assert set(begun.values()) <= {0, 1}
    assert set(begun.values()) <= {0}
    # No worker was asked before the start of its attempt was written down.
    assert all(times <= starts[asked] for asked, times in life.began.items())


async def test_random_flows_with_random_crashes_end_as_the_pure_machine_does() -> None:
    deaths = Counter[int]()
    for seed in range(FLOWS):
        life, outcome = await lived(seed, racing=False)
        assert (outcome.ctx, outcome.error) == pure(life.flow), seed
        check_history(life, outcome)
        deaths[life.deaths] += 1
    print(f"{FLOWS} flows; crashes of each: {sorted(deaths.items())}")  # noqa: T201
    assert sum(n * times for n, times in deaths.items()) > FLOWS


@pytest.mark.parametrize("seed", range(5000, 5060))
async def test_a_race_that_crashed_ends_as_its_journal_says(seed: int) -> None:
    check_history(*await lived(seed, racing=True))


@pytest.mark.parametrize("seed", range(6000, 6060))
async def test_a_cancellation_goes_on_over_crashes(seed: int) -> None:
    life, outcome = await lived(seed, racing=True, cancelled=True)
    check_history(life, outcome)
    if any(row["kind"] == "run.cancelling" for row in life.past):
        # An error in a `finally` replaces the cancellation.
        assert outcome.status in ("cancelled", "failed")


# -- what differs is told --------------------------------------------------------------


def step(ref: str, value: Any, **fields: Any) -> dict[str, Any]:
    return {"kind": "step", "ref": ref, "in": {"op": "lit", "value": value}, **fields}


def flow_of(*children: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "seq", "children": list(children)}


TWO = flow_of(step("a", 1, out="$.x", retry={"max_attempts": 2, "delay_s": 5}), step("b", 2))


async def recorded() -> list[Mapping[str, Any]]:
    clock, journal = FakeClock(jumps=True), MemoryJournal()
    agents: Any = {"a": [ValueError("once"), 7], "b": [8]}
    driver = Driver(
        scripted_blueprint(TWO, agents), {}, log=RunLog(RUN, journal, clock), clock=clock
    )
    await driver.begin()
    await driver.drive()
    return list(await journal.read(RUN))


FIRST, SECOND = TWO["children"]


def but(node: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**node, **fields}


@pytest.mark.parametrize(
    ("flow", "words"),
    [
        (flow_of(but(FIRST, ref="c"), SECOND), "event 2 at $.children[0]: expected agent 'c'"),
        (flow_of(but(FIRST, **{"in": {"op": "lit", "value": 9}}), SECOND), "expected input of"),
        (
            flow_of(but(FIRST, id="named"), SECOND),
            "event 2 at $.children[0]: expected node 'named'",
        ),
        (flow_of(step("a", 1), SECOND), "event 4 at $.children[0]: expected the end of the run"),
        (
            flow_of(but(FIRST, retry={"max_attempts": 2, "delay_s": 6}), SECOND),
            "event 4 at $.children[0]: expected a delay of",
        ),
        (flow_of(SECOND, FIRST), "event 2 at $.children[0]: expected agent 'b', got 'a'"),
        (flow_of(FIRST), "event 7 at $.children[1]: expected the end of the run, got the start"),
        (flow_of(FIRST, SECOND, step("b", 3)), "event 9: expected a run that goes on, got its end"),
    ],
)
async def test_another_flow_is_a_conflict_that_names_the_first_difference(
    flow: Any, words: str
) -> None:
    past = await recorded()
    replay = Replay(flowir.load(flow), past[0])
    with pytest.raises(SwarmError, match=re.escape(words)) as caught:
        replay.feed(past[1:])
    assert caught.value.code == "resume.conflict"
    assert caught.value.values["run_id"] == RUN


async def test_a_row_that_is_missing_is_a_conflict() -> None:
    past = await recorded()
    for gone in range(1, len(past) - 1):
        replay = Replay(flowir.load(TWO), past[0])
        with pytest.raises(SwarmError, match="expected"):
            replay.feed([*past[1:gone], *past[gone + 1 :]])


async def test_an_answer_that_the_machine_cannot_take_is_a_conflict() -> None:
    past = await recorded()
    (at, *_) = (i for i, row in enumerate(past) if row["kind"] == "step.failed")
    replay = Replay(flowir.load(TWO), past[0])
    replay.feed(past[1:at])
    words = "at $.children[0]: expected what the machine can take, got resolve: expected a Failure"
    with pytest.raises(SwarmError, match=re.escape(words)) as caught:
        replay.feed([{**past[at], "code": 5}])
    assert caught.value.code == "resume.conflict"


async def test_a_retry_delay_goes_on_with_what_is_left() -> None:
    past = [row for row in await recorded() if row["seq"] <= 4]
    replay = Replay(flowir.load(TWO), past[0])
    replay.feed(past[1:])
    (asked,) = replay.asked()
    due = past[3]["time_s"] + asked.dispatch.delay_s
    assert 3.75 <= asked.dispatch.delay_s <= 6.25
    assert asked.delay_s(due - 2) == pytest.approx(2)
    assert asked.delay_s(due + 100) == 0
    assert asked.delay_s(due - 1_000_000) == asked.dispatch.delay_s


async def test_what_a_crash_cut_off_is_written_before_anything_else() -> None:
    """A failed attempt was committed, and that it will be asked for again was not."""
    past = [row for row in await recorded() if row["seq"] <= 3]
    replay = Replay(flowir.load(TWO), past[0])
    replay.feed(past[1:])
    replay.status = "interrupted"
    kinds = [row["kind"] for row in replay.closing_rows()]
    assert kinds == ["run.resumed", "step.retrying"]


def test_a_replay_gives_the_machine_the_answers_and_nothing_else() -> None:
    machine = flowir.Machine(flowir.load(TWO), {})
    machine.start()
    (again,) = machine.resolve("$.children[0]", Success(1))
    assert isinstance(again, flowir.Dispatch)
    assert again.key == "$.children[1]"


def test_seeds_are_drawn_again() -> None:
    assert drawn(3).random() == Random(3).random()  # noqa: S311


async def test_pausing_waits_for_nobody_who_waits_himself() -> None:
    """A step that waits before another attempt does not hold a pause up."""
    clock, journal = FakeClock(), MemoryJournal()
    log = RunLog(RUN, journal, clock)
    agents: Any = {"a": [ValueError("once"), 7], "b": [8]}
    driver = Driver(scripted_blueprint(TWO, agents), {}, log=log, clock=clock)
    await driver.begin()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(driver.drive)
        await clock.settle()
        await driver.pause()
    assert log.status == "paused"
    assert driver.outcome is None


async def test_a_cancellation_that_nobody_asked_for_is_a_conflict() -> None:
    past = await recorded()
    stray = {**past[1], "kind": "step.cancelled", "duration_s": 0.0}
    for at in range(2, len(past)):
        replay = Replay(flowir.load(TWO), past[0])
        with pytest.raises(SwarmError, match="the cancellation of step 'a'"):
            replay.feed([*past[1:at], stray])


async def test_the_timer_of_a_step_that_has_ended_is_forgotten() -> None:
    past = await recorded()
    timer = {
        "kind": "timer.set", "seq": 3, "run": RUN, "time_s": past[1]["time_s"],
        "key": past[1]["key"], "attempt": 1, "seconds": 9.0,
    }  # fmt: skip
    replay = Replay(flowir.load(TWO), past[0])
    replay.feed([past[1], timer])
    assert [*replay.waits()] == [timer]
    replay.feed(past[2:])
    assert [*replay.waits()] == []


async def test_what_a_run_is_about_to_do_is_read_off_its_rows() -> None:
    past = await recorded()
    replay = Replay(flowir.load(TWO), past[0])
    assert (replay.pausing, replay.deaths, replay.ending, replay.seq) == (False, 0, None, 1)

    def row(kind: str, **more: Any) -> dict[str, Any]:
        return {"kind": kind, "seq": replay.seq + 1, "time_s": 1.0, **more}

    replay.feed([row("run.pausing")])
    assert (replay.pausing, replay.status, replay.seq) == (True, "running", 2)
    replay.feed([row("run.interrupted", cause="died")])
    assert (replay.pausing, replay.status, replay.deaths) == (True, "interrupted", 1)
    replay.feed([row("run.resumed")])
    assert (replay.pausing, replay.status) == (False, "running")
    replay.feed([row("run.interrupted", cause="closed"), row("run.resumed"), row("run.pausing")])
    assert replay.deaths == 1
    replay.feed([row("run.cancelling", code="run.cancelled", reason="enough")])
    assert (replay.pausing, replay.ending) == (False, None)
    other = Replay(flowir.load(TWO), past[0])
    other.feed([row("run.cancelling", code="host.closed", reason="gone")])
    assert other.ending is not None
    assert (other.ending.code, other.ending.message) == ("host.closed", "gone")
