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
from swarm.blueprint.canonical import canonical_bytes
from swarm.core.driver import Driver
from swarm.core.log import RunLog
from swarm.core.run import RunOutcome
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
