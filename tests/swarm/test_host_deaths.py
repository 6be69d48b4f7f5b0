"""Hosts that die, again and again: what the next one finds, and does, exactly.

A death is a photo of what was committed at that moment; the next host gets the photo.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from swarm import Host, Refused
from swarm.host.run import Run
from swarm.ids import RunId
from swarm.testing import CountedIds, FakeClock, MemoryJournal, Parts

pytestmark = pytest.mark.anyio

RUN = RunId("mine")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def step(value: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "step", "ref": "work", "in": value, **fields}


def seq(*children: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "seq", "children": list(children)}


def document(flow: dict[str, Any]) -> dict[str, Any]:
    agents = [{"name": "work", "kind": "function", "function": "work"}]
    return {"swarm": 1, "id": "d", "agents": agents, "flow": flow}


class Photographed(MemoryJournal):
    """Takes a photo of what is committed after so many commits."""

    def __init__(self, at: int = 0) -> None:
        super().__init__()
        self.left = at
        self.photo: dict[RunId, list[Any]] = {}

    async def commit(self) -> None:
        """Commit, and perhaps take the photo."""
        before = self.commits
        await super().commit()
        if self.commits > before:
            self.left -= 1
            if self.left == 0:
                await self.take()

    async def take(self) -> None:
        for run_id in await self.heads():
            self.photo[run_id] = list(await self.read(run_id, limit=1_000_000))

    async def developed(self, at: int = 0) -> Photographed:
        """Return a journal that holds what the photo shows."""
        found = Photographed()
        for run_id, rows in self.photo.items():
            found.append(run_id, rows)
        await found.commit()
        found.left = at
        return found


class World:
    """A flow, the hosts that carry it on one after the other, and what was done."""

    def __init__(self, flow: dict[str, Any]) -> None:
        self.document = document(flow)
        self.journal = Photographed()
        self.clock, self.ids = FakeClock(jumps=True), CountedIds()
        self.came: list[Any] = []
        self.stay_at: Any = object()
        self.fails_at: Any = object()
        self.on_work: Callable[[], None] = lambda: None

    def host(self, **settings: Any) -> Host:
        host = Host(Parts(self.journal, self.clock, self.ids, durable=True), **settings)

        @host.function("work")
        async def work(value: Any) -> Any:  # pyright: ignore[reportUnusedFunction] - registered
            self.came.append(value)
            self.on_work()
            if value == self.stay_at:
                await anyio.sleep_forever()
            if value == self.fails_at:
                raise ValueError("as told")
            return value * 10

        return host

    async def start(self, host: Host) -> Run:
        return await host.start(await host.load(self.document), {"list": LIST}, run_id=RUN)

    async def dies_at(self, value: Any) -> None:
        """Start the run, and lose the host while it does the step of this input."""
        self.stay_at = value
        async with self.host() as host:
            await self.start(host)
            await until(lambda: value in self.came)
            await self.journal.take()
        self.stay_at = object()
        self.journal = await self.journal.developed()
        self.came.clear()

    async def goes_on(self) -> Any:
        async with self.host(resume="manual") as host:
            return await (await host.resume(RUN)).result()


LIST = [1, 2, 3, 4, 5, 6]


async def until(condition: Callable[[], Any]) -> None:
    for _ in range(100_000):
        if condition():
            return
        await anyio.lowlevel.checkpoint()
    raise AssertionError("it never came to that")


def whole(rows: list[Any]) -> list[Any]:
    """What the rows say of the steps, without how often they were interrupted."""
    kinds = ("step.finished", "step.failed", "run.finished")
    words = ("kind", "key", "attempt", "value", "code", "ctx")
    return [{w: row.get(w) for w in words} for row in rows if row["kind"] in kinds]


async def uninterrupted(flow: dict[str, Any]) -> tuple[Any, list[Any]]:
    world = World(flow)
    async with world.host() as host:
        ctx = await (await world.start(host)).result()
    return ctx, whole(list(await world.journal.read(RUN)))


FANOUT = {
    "kind": "fanout",
    "items": "ctx.list",
    "bind": "$.x",
    "body": step("ctx.x", out="$.y"),
    "join": "all",
    "collect": "ctx.y",
    "out": "$.all",
}


@pytest.mark.parametrize("done", range(6))
async def test_a_fanout_does_the_bodies_that_were_not_done_and_no_others(done: int) -> None:
    world = World({**FANOUT, "limit": 1})
    await world.dies_at(LIST[done])
    ctx = await world.goes_on()
    assert world.came == LIST[done:]
    assert ctx["all"] == [10, 20, 30, 40, 50, 60]


async def test_lanes_in_flight_are_done_again_and_their_results_stand_in_order() -> None:
    world = World(FANOUT)
    await world.dies_at(3)
    # The others had ended before their host died.
    ctx = await world.goes_on()
    assert world.came == [3]
    assert ctx["all"] == [10, 20, 30, 40, 50, 60]


async def test_a_host_that_died_in_a_catch_does_not_do_the_body_again() -> None:
    flow = {"kind": "try", "body": step("7"), "catch": step("8", out="$.caught")}
    world = World(flow)
    world.fails_at = 7
    await world.dies_at(8)
    assert (await world.goes_on())["caught"] == 80
    assert world.came == [8]


@pytest.mark.parametrize("turn", range(5))
async def test_a_loop_goes_on_in_the_turn_where_its_host_died(turn: int) -> None:
    body = seq(step("ctx.n", out="$.last"), {"kind": "assign", "at": "$.t", "value": "ctx.n"})
    loop = {"kind": "loop", "counter": "$.n", "cond": "true", "max": 5, "body": body}
    expected, rows = await uninterrupted(loop)
    world = World(loop)
    await world.dies_at(turn)
    found = await world.goes_on()
    assert world.came == [*range(turn, 5)]
    assert json.dumps(found) == json.dumps(expected)
    assert whole(list(await world.journal.read(RUN))) == rows


FIVE = seq(*(step(str(n), out=f"$.s{n}") for n in range(5)))


@pytest.mark.parametrize("commits", [1, 2, 3])
async def test_twenty_hosts_that_die_while_they_take_over_change_nothing(commits: int) -> None:
    """1: the death is written down. 2: the run goes on. 3: a step more is done, once."""
    expected, rows = await uninterrupted(FIVE)
    world = World(FIVE)
    await world.dies_at(1)
    deaths = 0
    for _ in range(20):
        world.journal.left = commits
        async with world.host() as host:
            run = await host.run(RUN)
            await until(lambda r=run: world.journal.left <= 0 or r.status == "succeeded")
        if world.journal.left > 0:
            break
        world.journal = await world.journal.developed()
        deaths += 1
    assert deaths == 20 or commits == 3
    async with world.host(resume="manual") as host:
        run = await host.run(RUN)
        if run.status != "succeeded":
            run = await host.resume(RUN)
        assert await run.result() == expected
    assert whole(list(await world.journal.read(RUN))) == rows


async def test_a_run_on_which_a_hundred_hosts_died_is_set_aside_and_others_proceed() -> None:
    """The limit is the host's own; each of them came to the deadly step."""
    world = World(FIVE)
    await world.dies_at(1)
    lives = 0
    while True:
        world.came.clear()
        world.stay_at = 1
        async with world.host() as host:
            other = await host.start(await host.load(document(step("9"))), run_id=f"other-{lives}")
            await other.result()
            run = await host.run(RUN)
            await until(lambda r=run: 1 in world.came or r.status == "blocked")
            if run.status == "blocked":
                break
            await world.journal.take()
        world.journal = await world.journal.developed()
        lives += 1
    assert lives == 99
    (row,) = [r for r in await world.journal.read(RUN) if r["kind"] == "run.blocked"]
    assert row["code"] == "resume.exhausted"
    assert "got 100 in a row" in row["message"]


async def test_a_run_keeps_the_blueprint_that_it_was_started_with(tmp_path: Path) -> None:
    file = tmp_path / "d.json"
    file.write_text(json.dumps(document(FIVE)))

    def host(*, stays: bool = False) -> Host:
        host = Host(tmp_path / "state", durability="normal", resume="manual")

        @host.function("work")
        async def work(n: Any) -> Any:  # pyright: ignore[reportUnusedFunction] - registered
            if stays and n == 2:
                await anyio.sleep_forever()
            return n * 10

        return host

    async with host(stays=True) as first:
        run = await first.start(await first.load(file), {"list": LIST}, run_id=RUN)
        await anyio.lowlevel.checkpoint()
    assert run.status == "interrupted"
    file.write_text(json.dumps(document(seq(step("4", out="$.other")))))
    async with host() as second:
        changed = await second.load(file)
        with pytest.raises(Refused, match="expected the blueprint") as refused:
            await second.start(changed, {"list": LIST}, run_id=RUN)
        assert refused.value.code == "run.conflict"
        run = await second.resume(RUN)
        assert (await run.result())["s4"] == 40


class WrongClock(FakeClock):
    """A clock whose time of day is set by somebody else meanwhile."""

    def __init__(self) -> None:
        super().__init__(jumps=True)
        self.set_s = 0.0

    def wall(self) -> float:
        """Return what the time of day is said to be."""
        return max(0.0, super().wall() + self.set_s)


async def test_a_time_of_day_that_is_set_changes_neither_order_nor_durations() -> None:
    world = World(FIVE)
    clock = world.clock = WrongClock()
    jumps = iter((3_600.0, -7_200.0, -1e12, 7_200.0, 0.0) * 3)

    def set_it() -> None:
        clock.set_s = next(jumps)

    world.on_work = set_it
    await world.dies_at(3)
    await world.goes_on()
    rows = list(await world.journal.read(RUN))
    assert [row["seq"] for row in rows] == [*range(1, len(rows) + 1)]
    assert all(row["duration_s"] >= 0 for row in rows if "duration_s" in row)
    assert min(row["time_s"] for row in rows) == 0.0
    assert Counter(r["key"] for r in rows if r["kind"] == "step.finished").total() == 5
