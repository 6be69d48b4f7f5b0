"""The layer that lets work in by turns: how many at a time, how many a second, in what order."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from swarm.host.run import Run
from swarm.testing import FakeClock
from tests.swarm.layered import Bench, document, lanes, seq, step

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Crowd:
    """Counts who works at a time, and notes when each began."""

    def __init__(self, clock: FakeClock, seconds: float = 1) -> None:
        self.clock = clock
        self.seconds = seconds
        self.now = self.most = 0
        self.began: list[float] = []
        self.order: list[Any] = []

    async def __call__(self, value: object) -> object:
        self.now += 1
        self.most = max(self.most, self.now)
        self.began.append(self.clock.monotonic() - 1_000_000)
        self.order.append(value)
        try:
            await self.clock.sleep(self.seconds)
        finally:
            self.now -= 1
        return value


def crowded(seconds: float = 1) -> tuple[Crowd, Bench]:
    clock = FakeClock(jumps=True)
    crowd = Crowd(clock, seconds)
    return crowd, Bench(clock=clock, functions={"work": crowd})


@pytest.mark.parametrize(("layers", "most"), [([{"use": "limit", "concurrency": 3}], 3), ([], 10)])
async def test_so_many_go_on_at_a_time(layers: Any, most: int) -> None:
    crowd, bench = crowded()
    outcome = await bench.run(layers, flow=lanes("work", 10))
    assert outcome.status == "succeeded"
    assert crowd.most == most


async def test_so_many_begin_in_a_second() -> None:
    crowd, bench = crowded(0)
    await bench.run([{"use": "limit", "rate_per_s": 2}], flow=lanes("work", 5))
    assert crowd.began == [0, 0.5, 1, 1.5, 2]


async def test_after_a_rest_a_burst_may_begin_at_once() -> None:
    crowd, bench = crowded(0)
    limit = {"use": "limit", "rate_per_s": 1, "burst": 3}
    flow = seq(
        lanes("work", 4), {"kind": "step", "ref": "swarm.sleep", "in": "9"}, lanes("work", 4)
    )
    await bench.run([limit], flow=flow)
    assert crowd.began == [0, 0, 0, 1, 10, 10, 10, 11]


async def test_without_it_all_begin_at_once() -> None:
    crowd, bench = crowded(0)
    await bench.run(flow=lanes("work", 5))
    assert crowd.began == [0] * 5


async def two_runs(layers: Any, scopes: int) -> Crowd:
    """Start a run of many lanes and, when they wait, one of a single step."""
    crowd, bench = crowded()
    async with bench.host() as host:
        many = await host.load(document({"work": {}}, lanes("work", 20), layers))
        one = await host.load(document({"work": {}}, step("work"), layers, id=f"other{scopes}"))
        if scopes == 1:
            one = await host.load(document({"work": {}}, step("work"), layers))
        first = await host.start(many, {"given": 0})
        while len(crowd.order) < 1:
            await anyio.lowlevel.checkpoint()
        second = await host.start(one, {"given": "single"})
        await second.wait()
        await first.wait()
    return crowd


@pytest.mark.parametrize("limit", [{"concurrency": 1}, {"rate_per_s": 1}])
async def test_runs_take_turns(limit: dict[str, Any]) -> None:
    crowd = await two_runs([{"use": "limit", **limit}], 1)
    assert crowd.order.index("single") <= 3


class Sleepers(FakeClock):
    """Counts who waits for a time at once."""

    now = most = 0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds > 0
        self.most = max(self.most, self.now)
        try:
            await super().sleep(seconds)
        finally:
            self.now -= seconds > 0


async def test_one_waits_for_its_second_and_the_others_for_their_turns() -> None:
    clock = Sleepers()
    crowd = Crowd(clock, 0)
    bench = Bench(clock=clock, functions={"work": crowd})
    layers = [{"use": "limit", "rate_per_s": 1}]
    async with bench.host() as host:
        many = await host.load(document({"work": {}}, lanes("work", 5), layers))
        one = await host.load(document({"work": {}}, step("work"), layers))
        first = await host.start(many, {"given": 0})
        await clock.settle()
        second = await host.start(one, {"given": "single"})
        for _ in range(6):
            await clock.settle()
            await clock.advance(1)
        for run in (first, second):
            assert (await run.wait()).status == "succeeded"
    # The third had its turn before the other run came; lanes begin in any order.
    assert [where for where, value in enumerate(crowd.order) if value == "single"] == [3]
    assert crowd.began == [0, 1, 2, 3, 4, 5]
    assert clock.most == 1


async def test_a_scope_decides_what_counts_together() -> None:
    apart = await two_runs([{"use": "limit", "concurrency": 1}], 2)
    together = await two_runs([{"use": "limit", "concurrency": 1, "scope": "host"}], 2)
    assert (apart.most, together.most) == (2, 1)


async def test_whoever_is_cancelled_gives_the_place_back() -> None:
    clock = FakeClock()
    crowd = Crowd(clock, 100)
    bench = Bench(clock=clock, functions={"work": crowd})
    layers = [{"use": "limit", "concurrency": 1, "rate_per_s": 1000}]
    async with bench.host() as host:
        loaded = await host.load(document({"work": {}}, lanes("work", 3), layers))
        first = await host.start(loaded, {})
        await clock.settle()
        await clock.advance(1)
        await first.cancel("enough")
        assert (await first.wait()).status == "cancelled"
        second = await host.start(loaded, {})
        await clock.settle()
        await clock.advance(1)
        assert crowd.now == 1
        await second.cancel("enough")


async def test_an_agent_that_asks_another_of_the_same_scope_does_not_wait_for_itself() -> None:
    bench = Bench(functions={})
    agents = {
        "outer": {"kind": "lua", "source": "return swarm.call('inner', input)"},
        "inner": {"kind": "lua", "source": "return input + 1"},
    }
    limit = {"use": "limit", "concurrency": 1, "scope": "blueprint"}
    with anyio.fail_after(20):
        outcome = await bench.run([limit], flow=step("outer"), agents=agents)
    assert outcome.ctx["out"] == 2


async def test_runs_that_a_step_started_wait_for_places_like_any_other() -> None:
    """They are born in its place, and outlive it."""
    crowd, bench = crowded()
    limit = {"use": "limit", "concurrency": 1, "scope": "host"}
    started: list[Run] = []
    gone = anyio.Event()

    async def launch(value: object) -> object:
        started.extend([await host.start(working, {}) for _ in range(5)])
        return value

    async def wait(value: object) -> object:
        await gone.wait()
        return value

    bench.functions.update(launch=launch, wait=wait)
    async with bench.host() as host:
        agents = {"work": {"layers": [limit]}, "wait": {}}
        working = await host.load(
            document(agents, seq(step("wait", input="1"), step("work", input="1")))
        )
        launching = await host.load(
            document({"launch": {"layers": [limit]}}, step("launch", input="1"))
        )
        await (await host.start(launching, {})).result()
        gone.set()
        for run in started:
            await run.result()
    assert len(crowd.order) == 5
    assert crowd.most == 1
