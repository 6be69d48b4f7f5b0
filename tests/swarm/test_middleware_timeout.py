"""The layer that stops what takes too long."""

from __future__ import annotations

import anyio
import pytest

from swarm.testing import FakeClock
from tests.swarm.layered import Bench, document, step

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def slow(clock: FakeClock, seconds: float, ends: list[str]) -> Bench:
    async def work(value: object) -> object:
        try:
            await clock.sleep(seconds)
        finally:
            ends.append("stopped")
        ends.append("done")
        return value

    return Bench(clock=clock, functions={"work": work})


@pytest.mark.parametrize(("seconds", "status"), [(3, "failed"), (7, "succeeded")])
async def test_work_has_so_many_seconds(seconds: float, status: str) -> None:
    ends: list[str] = []
    bench = slow(FakeClock(jumps=True), 5, ends)
    outcome = await bench.run([{"use": "timeout", "seconds": seconds}])
    assert outcome.status == status
    if outcome.error is not None:
        assert outcome.error["code"] == "step.timeout"
        assert outcome.error["message"] == "'work': no answer within 3 s"
        assert ends == ["stopped"]


async def test_without_it_nobody_stops_the_work() -> None:
    assert (await slow(FakeClock(jumps=True), 5, []).run()).status == "succeeded"


async def test_each_try_has_its_own_time() -> None:
    ends: list[str] = []
    bench = slow(FakeClock(jumps=True), 5, ends)
    retry = {"use": "retry", "max_attempts": 2, "delay_s": 1}
    outcome = await bench.run([retry, {"use": "timeout", "seconds": 3}])
    assert outcome.status == "failed"
    assert ends == ["stopped", "stopped"]


async def test_agents_that_only_wait_are_not_timed_unless_they_ask_for_it() -> None:
    timeout = {"use": "timeout", "seconds": 3}
    asker = {"person": {"kind": "human"}}
    for layers, base, waits in (
        ([timeout], (), True),
        (None, (timeout,), True),
        ([{**timeout, "agents": ["person"]}], (), False),
    ):
        bench = Bench(clock=FakeClock(), base=base)
        async with bench.host() as host:
            made = document(asker, step("person"), layers)
            run = await host.start(await host.load(made), {"given": 1})
            with anyio.fail_after(10):
                await bench.clock.settle()
                await bench.clock.advance(10)
            assert (run.status == "waiting") is waits
