"""The scope of a lane: renewed behind a part that was cut off, left where all was to end."""

from __future__ import annotations

import anyio
import pytest
from anyio import CancelScope
from anyio.lowlevel import checkpoint

from swarm.core.lane import Lane
from swarm.testing import FakeClock

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


async def cut_off(lane: Lane) -> bool:
    """Await something for ever that the lane's scope ends; tell what `renew` says of it."""
    lane.scope.cancel()
    try:
        await anyio.sleep_forever()
    except BaseException as error:
        if lane.renew(error):
            return True
        raise
    raise AssertionError


async def test_behind_a_part_that_was_cut_off_the_lane_goes_on() -> None:
    behind: list[int] = []
    with Lane(FakeClock()) as lane:
        for number in range(3):
            before = lane.scope
            assert await cut_off(lane)
            assert lane.scope is not before
            # The cancellation does not last: what follows may wait.
            await checkpoint()
            behind.append(number)
    assert behind == [0, 1, 2]
    assert not lane.scope.cancel_called


async def test_an_attempt_that_was_given_up_is_not_gone_on_with() -> None:
    behind: list[str] = []
    with Lane(FakeClock()) as lane:
        lane.cancel()
        await cut_off(lane)
        behind.append("lane")
    assert behind == []
    assert lane.stopped
    assert lane.scope.cancel_called


async def test_what_is_around_the_lane_ends_it_too() -> None:
    behind: list[str] = []
    with CancelScope() as around:
        with Lane(FakeClock()) as lane:
            around.cancel()
            await cut_off(lane)
            behind.append("part")
        behind.append("lane")
    assert behind == []
    assert around.cancelled_caught


async def test_a_failure_within_a_part_is_none_of_the_lane() -> None:
    with Lane(FakeClock()) as lane:
        lane.scope.cancel()
        assert not lane.renew(ValueError("no"))
        await checkpoint()
        lane.scope.cancel()
        assert not lane.renew(None)
        await checkpoint()


async def test_a_group_of_cancelled_tasks_within_a_part_is_its_cancellation() -> None:
    async def stay() -> None:
        await anyio.sleep_forever()

    with Lane(FakeClock()) as lane:
        lane.scope.cancel()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stay)
                tasks.start_soon(stay)
        except BaseException as error:
            if not lane.renew(error):
                raise
        await checkpoint()
