"""The parts for tests: a clock that is moved, agents that answer what was written down."""

from __future__ import annotations

import anyio
import pytest

from flowir import WorkerFailure
from swarm.ports.worker import Call
from swarm.testing import CountedIds, FakeClock, ScriptedWorker

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_sleeps_end_in_the_order_of_their_times() -> None:
    clock, woken = FakeClock(start_s=0), list[tuple[str, float]]()

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async with anyio.create_task_group() as tasks:
        for name, seconds in (("c", 3), ("a", 1), ("b", 2)):
            tasks.start_soon(sleeper, name, seconds)
        await clock.advance(2.5)
        assert woken == [("a", 1), ("b", 2)]
        assert clock.monotonic() == clock.wall() == 2.5
        await clock.advance(1)
    assert woken[2] == ("c", 3)


async def test_a_deadline_cancels_what_lasts_too_long() -> None:
    clock = FakeClock()

    async def stay() -> None:
        with clock.deadline(5) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stay)
        await clock.advance(5)


async def test_a_deadline_that_was_kept_does_nothing() -> None:
    clock = FakeClock()
    with clock.deadline(5) as scope:
        pass
    await clock.advance(10)
    assert not scope.cancelled_caught
    with clock.deadline(None):
        await clock.sleep(0)


async def test_a_jumping_clock_needs_no_help() -> None:
    clock, woken = FakeClock(start_s=0, jumps=True), list[float]()

    async def sleeper(seconds: float) -> None:
        for _ in range(3):
            await clock.sleep(seconds)
            woken.append(clock.monotonic())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleeper, 10)
        tasks.start_soon(sleeper, 7)
    assert woken == [7, 10, 14, 20, 21, 30]


async def test_answers_are_given_in_turn() -> None:
    worker = ScriptedWorker([1, ValueError("no")])
    call = Call("r_1", "$", "a", "in")
    assert (await worker(call, None)).value == 1  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no"):
        await worker(call, None)  # type: ignore[arg-type]
    with pytest.raises(WorkerFailure, match="expected 2 calls"):
        await worker(call, None)  # type: ignore[arg-type]
    assert [c.input for c in worker.calls] == ["in"] * 3


async def test_a_script_may_be_a_function_even_an_async_one() -> None:
    async def double(n: int) -> int:
        return n * 2

    call = Call("r_1", "$", "a", 4)
    assert (await ScriptedWorker(double)(call, None)).value == 8  # type: ignore[arg-type]


def test_ids_are_counted() -> None:
    ids = CountedIds()
    assert [ids.run_id(), ids.run_id()] == ["r_1", "r_2"]
