"""Deadlines in a table: what is due is cancelled, in order, and what was struck out is not."""

from __future__ import annotations

import anyio
import pytest
from anyio import CancelScope

from swarm.core.deadlines import Deadlines
from swarm.testing import FakeClock

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_what_is_due_is_cancelled_and_not_before() -> None:
    clock = FakeClock()
    table = Deadlines(clock)
    assert not table.watched
    ended: list[tuple[str, float]] = []

    async def work(name: str, seconds: float) -> None:
        with CancelScope() as scope:
            table.note(seconds, scope)
            await anyio.sleep_forever()
        ended.append((name, clock.monotonic() - 1_000_000.0))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(table.serve)
        await clock.settle()
        assert table.watched
        for name, seconds in (("long", 60.0), ("short", 5.0), ("other", 60.0), ("least", 0.5)):
            tasks.start_soon(work, name, seconds)
        await clock.advance(4.999)
        assert [name for name, _ in ended] == ["least"]
        await clock.advance(100)
        tasks.cancel_scope.cancel()
    assert not table.watched
    assert dict(ended) == {"least": 0.5, "short": 5, "long": 60, "other": 60}


async def test_what_was_struck_out_is_left_alone() -> None:
    clock = FakeClock()
    table = Deadlines(clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(table.serve)
        await clock.settle()
        scopes = [CancelScope() for _ in range(3)]
        rows = [table.note(10.0, scope) for scope in scopes]
        row, number = rows[1]
        del row[number]
        await clock.advance(11)
        assert [scope.cancel_called for scope in scopes] == [True, False, True]
        later = CancelScope()
        table.note(10.0, later)
        await clock.advance(9)
        assert not later.cancel_called
        await clock.advance(1)
        assert later.cancel_called
        tasks.cancel_scope.cancel()


async def test_a_deadline_in_no_time_is_one() -> None:
    clock = FakeClock()
    table = Deadlines(clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(table.serve)
        await clock.settle()
        scope = CancelScope()
        table.note(0.0, scope)
        await clock.settle()
        assert scope.cancel_called
        tasks.cancel_scope.cancel()


async def test_who_watches_sleeps_until_the_next_is_due_and_looks_no_sooner() -> None:
    clock = FakeClock()
    table = Deadlines(clock)
    asked: list[float | None] = []
    deadline = clock.deadline

    def noted(seconds: float | None) -> CancelScope:
        asked.append(seconds)
        return deadline(seconds)

    clock.deadline = noted  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(table.serve)
        await clock.settle()
        assert asked == [None]
        table.note(10.0, CancelScope())
        await clock.settle()
        # A later one wakes nobody.
        table.note(20.0, CancelScope())
        await clock.settle()
        assert asked == [None, 10.0]
        await clock.advance(10)
        assert asked == [None, 10.0, 10.0]
        await clock.advance(10)
        assert asked == [None, 10.0, 10.0, None]
        # A length of which nothing is left is forgotten, and begins anew.
        assert table._rows == {}  # pyright: ignore[reportPrivateUsage]
        tasks.cancel_scope.cancel()
