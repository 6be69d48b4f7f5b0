"""A run that becomes too long says so in time, begins nothing more, and ends cleanly."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from typing import Any

import anyio
import pytest

import flowir
from swarm import Host, StepContext
from swarm.core.events import STEP_ENDS
from swarm.core.replay import Replay
from swarm.core.run import RunOutcome
from swarm.ids import RunId
from swarm.testing import CountedIds, FakeClock, MemoryJournal, Parts

pytestmark = pytest.mark.anyio

RUN = RunId("long")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def step(value: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "step", "ref": "work", "in": value, **fields}


def seq(*children: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "seq", "children": list(children)}


def loop(body: dict[str, Any], most: int = 1_000_000) -> dict[str, Any]:
    return {"kind": "loop", "counter": "$.n", "cond": "true", "max": most, "body": body}


def guarded(body: dict[str, Any]) -> dict[str, Any]:
    """Nobody may catch the end, and what cleans up is run."""
    caught = {"kind": "assign", "at": "$.caught", "value": "true"}
    return {"kind": "try", "body": body, "catch": caught, "finally": step("'clean'")}


def document(flow: dict[str, Any], events: int | None = None) -> dict[str, Any]:
    limits = {} if events is None else {"limits": {"events": events}}
    agents = [{"name": "work", "kind": "function", "function": "work"}]
    return {"swarm": 1, "id": "long", "agents": agents, "flow": flow, **limits}


def named(row: Any) -> tuple[str, int]:
    return row["key"], row["attempt"]


class World:
    def __init__(self) -> None:
        self.journal, self.clock, self.ids = MemoryJournal(), FakeClock(jumps=True), CountedIds()
        self.came = Counter[Any]()

    def host(self) -> Host:
        host = Host(Parts(self.journal, self.clock, self.ids, durable=True), resume="manual")

        @host.function("work")
        async def work(value: Any) -> Any:  # pyright: ignore[reportUnusedFunction] - registered
            self.came[value] += 1
            if value == "fails":
                raise ValueError("as told")
            return value

        return host

    async def run(self, flow: dict[str, Any], events: int | None = None) -> RunOutcome:
        async with self.host() as host:
            blueprint = await host.load(document(flow, events))
            run = await host.start(blueprint, {"list": list(range(200))}, run_id=RUN)
            return await run.wait()

    async def rows(self) -> list[Any]:
        return list(await self.journal.read(RUN, limit=1_000_000))

    async def check(self, outcome: RunOutcome, events: int) -> list[Any]:
        """It failed for its length; work begins up to the limit, and every start has an end."""
        assert (outcome.status, outcome.error and outcome.error["code"]) == (
            "failed",
            "journal.too_long",
        )
        rows = await self.rows()
        (at,) = [row["seq"] for row in rows if row["kind"] == "run.cancelling"]
        assert at > events
        begun = [r for r in rows if r["kind"] == "step.started"]
        assert all(r["seq"] <= events for r in begun if r["seq"] < at)
        ends = [r for r in rows if r["kind"] in STEP_ENDS]
        assert Counter(map(named, begun)) == Counter(map(named, ends))
        assert rows[-1]["kind"] == "run.failed"
        replay = Replay(flowir.load(rows[0]["document"]["flow"]), rows[0])
        replay.feed(rows[1:])
        assert replay.machine.done
        return rows


async def test_the_51201st_event_is_refused_and_the_run_ends_with_its_finally(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    with caplog.at_level(logging.WARNING):
        outcome = await world.run(guarded(loop(step("ctx.n", out="$.x"))))
    rows = await world.check(outcome, 51_200)
    assert rows[51_199]["kind"] == "step.finished"
    assert [row["kind"] for row in rows[51_200:]] == [
        "run.cancelling",
        "step.started",
        "step.finished",
        "run.failed",
    ]
    assert world.came["clean"] == 1
    (warned,) = [row for row in rows if row["kind"] == "budget.warning"]
    assert (warned["seq"], warned["of"], warned["used"], warned["limit"]) == (
        10_241,
        "events",
        10_240,
        51_200,
    )
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "run long has 10240 events of the 51200" in record.getMessage()


async def test_a_run_of_just_its_length_succeeds() -> None:
    """run.started, 2 for each step, one warning: 18. The end does not count."""
    world = World()
    assert (await world.run(loop(step("ctx.n"), 8), 18)).status == "succeeded"
    rows = await world.rows()
    assert [row["seq"] for row in rows if row["kind"].startswith("run.")] == [1, 19]
    assert world.came.total() == 8
    longer = World()
    outcome = await longer.run(loop(step("ctx.n"), 11), 20)
    await longer.check(outcome, 20)


@pytest.mark.parametrize("limit", [1, 3, 200])
async def test_many_lanes_stop_at_the_limit_and_each_cleans_up(limit: int) -> None:
    body = {"kind": "try", "body": step("ctx.x"), "catch": seq(), "finally": step("'clean'")}
    lanes = {"kind": "fanout", "items": "ctx.list", "bind": "$.x", "body": body}
    world = World()
    rows = await world.check(
        await world.run({**lanes, "join": "all", "limit": limit, "out": "$.all"}, 101), 101
    )
    cancelled = [row for row in rows if row["kind"] == "step.cancelled"]
    assert world.came["clean"] >= len(cancelled)


async def test_attempts_that_waited_before_the_next_are_refused_too() -> None:
    retry = {"max_attempts": 1000, "delay_s": 1}
    world = World()
    await world.check(await world.run(guarded(step("'fails'", retry=retry)), 60), 60)
    assert world.came["clean"] == 1


async def test_an_attempt_that_finds_no_room_after_its_delay_ends_the_other_lanes() -> None:
    world = World()

    async def either(value: Any, step: StepContext) -> Any:
        if value == "fails":
            raise ValueError("as told")
        with suppress(flowir.WorkerFailure):
            while True:
                await step.progress("on")
        await anyio.sleep_forever()

    async with world.host() as host:
        host.function("either")(either)
        agents = [{"name": n, "kind": "function", "function": n} for n in ("either", "work")]
        items = {"op": "lit", "value": ["fails", "stays"]}
        tries = {**step("ctx.x", retry={"delay_s": 1}), "ref": "either"}
        lanes = {"kind": "fanout", "items": items, "bind": "$.x", "body": tries, "join": "all"}
        document = {"swarm": 1, "id": "d", "agents": agents, "limits": {"events": 50}}
        blueprint = await host.load({**document, "flow": guarded({**lanes, "out": "$.all"})})
        run = await host.start(blueprint, {}, run_id=RUN)
        rows = await world.check(await run.wait(), 50)
    assert [row["step"] for row in rows if row["kind"] == "step.cancelled"] == ["either"]
    assert [row["step"] for row in rows if row["kind"] == "step.started"][2:] == ["work"]


async def test_what_a_worker_says_counts_and_is_refused_to_it() -> None:
    world = World()
    said: list[int] = []

    async def chatter(value: Any, step: StepContext) -> Any:
        for number in range(1_000):
            await step.progress(f"{number}")
            said.append(number)

    async with world.host() as host:
        host.function("chatter")(chatter)
        agents = [{"name": n, "kind": "function", "function": n} for n in ("chatter", "work")]
        flow = guarded({**step("1"), "ref": "chatter"})
        limits = {"events": 50}
        blueprint = await host.load(
            {"swarm": 1, "id": "d", "agents": agents, "flow": flow, "limits": limits}
        )
        run = await host.start(blueprint, {}, run_id=RUN)
        outcome = await run.wait()
    (failed,) = [row for row in await world.rows() if row["kind"] == "step.failed"]
    assert (failed["code"], failed["permanent"]) == ("journal.too_long", True)
    # Started, the step's start, one warning, and what it said.
    assert len(said) == 47
    await world.check(outcome, 50)
    assert world.came["clean"] == 1


async def test_it_goes_on_with_its_end_after_its_host_died() -> None:
    whole = World()
    rows = await whole.check(await whole.run(guarded(loop(step("ctx.n"))), 40), 40)
    (at,) = [row["seq"] for row in rows if row["kind"] == "run.cancelling"]
    for kept in range(at - 2, len(rows)):
        world = World()
        world.journal.append(RUN, rows[:kept])
        await world.journal.commit()
        async with world.host() as host:
            run = await host.resume(RUN)
            outcome = await run.wait()
        await world.check(outcome, 40)


async def test_a_blueprint_may_not_say_more_than_a_store_takes() -> None:
    async with World().host() as host:
        await host.load(document(step("1"), 500_000))
        with pytest.raises(Exception, match="500000") as refused:
            await host.load(document(step("1"), 500_001))
        assert "events" in str(refused.value)
