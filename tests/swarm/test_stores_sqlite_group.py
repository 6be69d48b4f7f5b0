"""Group commit alone, over a writer that only counts: who shares, who leads, who hears."""

from __future__ import annotations

import asyncio  # noqa: TID251 - whose tasks are cancelled without a scope
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread

from swarm.errors import SwarmError
from swarm.stores.sqlite import group
from swarm.stores.sqlite.group import GroupCommit
from swarm.stores.sqlite.writer import Batch

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what grows by each event that somebody waits for."""
    made: list[object] = []
    real = anyio.Event

    def event() -> anyio.Event:
        made.append(1)
        return real()

    monkeypatch.setattr(group.anyio, "Event", event)
    return made


class Bench:
    """A group over a writer that keeps what it gets, takes *cost_s*, and can refuse.

    Its clock stands still between writes: what a busy machine adds is no cost of the disk.
    """

    def __init__(self, seconds: float = 0.0, cost_s: float = 0.0) -> None:
        self.cost_s = cost_s
        self.now_s = 1.0
        self.refuses = 0
        self.breaks: Exception | None = None
        self.sizes: list[int] = []
        self.kept: list[int] = []
        self.threads: set[int] = set()
        self.flown = threading.Event()
        self.may_land = threading.Event()
        self.may_land.set()
        self.landed = 0
        self.last = 0
        self.group = GroupCommit(self.write, self.land, seconds, lambda: self.now_s)

    def write(self, batch: Batch) -> float:
        self.threads.add(threading.get_ident())
        self.flown.set()
        taken = self.cost_s or 0.00005
        self.now_s += taken
        if self.cost_s:
            time.sleep(self.cost_s)
        self.may_land.wait(10)
        broken, self.breaks = self.breaks, None
        if broken is not None:
            raise broken
        if self.refuses:
            self.refuses -= 1
            raise SwarmError("journal.degraded", "no")
        self.sizes.append(len(batch.events))
        self.kept += [seq for _, seq, _, _ in batch.events]
        return taken

    def land(self, batch: Batch) -> None:
        self.landed += len(batch.events)

    def append(self, count: int = 1) -> int:
        for _ in range(count):
            self.last += 1
            self.group.open.events.append((1, self.last, b"", b""))
        self.group.grow()
        return self.last

    async def keep(self, count: int = 1) -> None:
        mine = self.append(count)
        await self.group.commit()
        assert mine in self.kept, "returned before it was kept"

    async def together(self, tasks: int, times: int) -> None:
        async def work() -> None:
            for _ in range(times):
                await self.keep()

        async with anyio.create_task_group() as group:
            for _ in range(tasks):
                group.start_soon(work)

    def whole(self) -> bool:
        return self.kept == [*range(1, self.last + 1)] and self.landed == self.last


async def test_a_lone_caller_flies_at_once_in_his_own_thread() -> None:
    bench = Bench()
    for _ in range(500):
        await bench.keep()
    assert (bench.sizes, bench.threads) == ([1] * 500, {threading.get_ident()})
    assert bench.whole()


@pytest.mark.parametrize("seconds", [0.0, 0.0005])
async def test_many_callers_share_without_a_thread(seconds: float) -> None:
    bench = Bench(seconds)
    await bench.together(100, 5)
    assert len(bench.sizes) <= 20
    assert bench.threads == {threading.get_ident()}
    assert bench.whole()


async def test_on_a_slow_disk_the_next_flight_gathers_while_one_is_in_a_thread() -> None:
    bench = Bench(seconds=0.01, cost_s=0.003)
    await bench.together(20, 5)
    assert threading.get_ident() not in bench.threads
    assert len(bench.sizes) <= 20
    assert bench.whole()


async def test_a_disk_that_becomes_slow_is_left_to_a_thread() -> None:
    bench = Bench(cost_s=0.003)
    for _ in range(10):
        await bench.keep()
    assert bench.threads > {threading.get_ident()}
    assert bench.whole()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # on trio a leader may come first
async def test_many_who_share_wait_for_a_slow_commit_in_place(anyio_backend: str) -> None:
    """What keeps the loop for 2 ms is nothing beside the turn of a thousand; for ten it is."""
    many = Bench(seconds=0.002, cost_s=0.002)
    await many.together(1_000, 2)
    assert many.threads == {threading.get_ident()}
    assert many.whole()
    few = Bench(seconds=0.002, cost_s=0.002)
    await few.together(10, 2)
    assert threading.get_ident() not in few.threads
    assert few.whole()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("tasks", "in_place"), [(399, False), (400, True)])
async def test_each_who_shares_a_commit_lets_it_take_five_microseconds(
    anyio_backend: str, tasks: int, *, in_place: bool
) -> None:
    bench = Bench(seconds=0.002)
    await bench.together(tasks, 1)
    assert (bench.threads == {threading.get_ident()}) is in_place
    assert bench.whole()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_waits_does_as_the_last_flight_went(
    monkeypatch: pytest.MonkeyPatch, events: list[object], anyio_backend: str
) -> None:
    """Behind a thread, for news; in place, by turns, though the first who comes is alone."""
    turns: list[int] = []

    async def counted() -> None:
        turns.append(1)
        await anyio.lowlevel.checkpoint()

    bench = Bench(seconds=0.002, cost_s=0.002)
    await bench.together(1_000, 3)
    assert events == [], "in place"
    slow = Bench(seconds=0.002, cost_s=0.002)
    monkeypatch.setattr(group, "giving_turns", lambda: counted)
    await slow.together(10, 10)
    assert events, "behind a thread"
    assert len(turns) <= 10, "none after the first flight"


async def test_more_rows_than_a_transaction_takes_are_written_in_parts() -> None:
    bench = Bench()
    for _ in range(20):
        bench.append(1000)
    await bench.keep()
    assert bench.sizes == [4000, 4000, 4000, 4000, 4000, 1]
    assert bench.whole()


async def test_rows_beside_are_rows_of_a_transaction_too() -> None:
    bench = Bench()
    bench.group.open.beside += [("", ())] * 3_999
    bench.append()
    await bench.keep()
    assert bench.sizes == [1, 1]


@pytest.mark.parametrize("cost_s", [0.0001, 0.01])
async def test_one_commit_counts_for_no_more_than_it_took(cost_s: float) -> None:
    """One slow one among quick ones, or a quick disk whose first commit was quicker still."""
    bench = Bench(seconds=0.00001, cost_s=cost_s)
    await bench.keep()
    assert bench.group._seconds <= 0.00001 + min(cost_s, 0.0008) / 8  # pyright: ignore[reportPrivateUsage]


async def test_nothing_to_commit_writes_nothing() -> None:
    bench = Bench()
    await bench.group.commit()
    assert bench.sizes == []


@pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.01])
async def test_what_is_refused_is_kept_in_front(seconds: float) -> None:
    bench = Bench(seconds)
    bench.refuses = 2
    for _ in range(2):
        bench.append(400)
        with pytest.raises(SwarmError, match="no"):
            await bench.group.commit()
    await bench.keep()
    assert bench.whole()


async def test_each_who_shared_hears_of_a_refusal_by_an_error_of_his_own() -> None:
    bench = Bench(seconds=0.0005)
    bench.refuses = 1
    heard: list[SwarmError] = []

    async def work() -> None:
        bench.append()
        try:
            await bench.group.commit()
        except SwarmError as error:
            heard.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(work)
    assert len({id(error) for error in heard}) == 5
    await bench.group.commit()
    assert bench.whole()


async def test_nobody_who_shared_a_flight_that_broke_off_is_told_that_it_landed() -> None:
    bench = Bench(seconds=0.0005)
    bench.breaks = ValueError("no refusal, but a fault")
    heard: list[str] = []

    async def work() -> None:
        bench.append()
        try:
            await bench.group.commit()
        except (SwarmError, ValueError) as error:
            heard.append(str(error))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(work)
    torn = "expected a commit to end, got an interrupt in the midst of it"
    assert sorted(heard) == [torn, torn, "no refusal, but a fault"]
    await bench.group.commit()
    assert bench.whole()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # who comes first leads
async def test_whose_transaction_has_landed_is_told_before_the_next_one_fails(
    anyio_backend: str,
) -> None:
    class Second(Bench):
        def land(self, batch: Batch) -> None:
            super().land(batch)
            self.refuses = int(len(self.sizes) == 1)

    bench = Second(seconds=0.0006)
    told: list[tuple[int, bool]] = []

    async def work(count: int) -> None:
        bench.append(count)
        try:
            await bench.group.commit()
        except SwarmError:
            told.append((count, False))
        else:
            told.append((count, True))

    async with anyio.create_task_group() as tasks:
        for count in (1, 3_999, 5):
            tasks.start_soon(work, count)
    assert bench.sizes == [4_000]
    assert (3_999, True) in told
    assert (5, False) in told
    await bench.group.commit()
    assert bench.whole()


async def test_who_commits_what_another_has_in_the_air_waits_for_it() -> None:
    bench = Bench(seconds=0.01, cost_s=0.005)
    order: list[str] = []

    async def said(name: str, act: Callable[[], object]) -> None:
        act()
        await bench.group.commit()
        order.append(name)

    async with anyio.create_task_group() as tasks:
        bench.may_land.clear()
        tasks.start_soon(said, "first", bench.append)
        await to_thread.run_sync(bench.flown.wait)
        assert bench.kept == []
        tasks.start_soon(said, "second", bench.may_land.set)
    assert sorted(order) == ["first", "second"]
    assert bench.kept == [1]


async def test_something_else_is_done_between_two_flights() -> None:
    bench = Bench(seconds=0.01, cost_s=0.002)
    seen: list[tuple[int, int]] = []

    def act() -> int:
        before = len(bench.sizes)
        time.sleep(0.004)
        seen.append((before, len(bench.sizes)))
        return 7

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.together, 5, 5)
        for _ in range(3):
            assert await bench.group.exclusively(act) == 7
    assert all(before == after for before, after in seen)
    assert bench.whole()


async def test_cancelled_callers_are_answered() -> None:
    bench = Bench(seconds=0.01, cost_s=0.003)
    done: list[int] = []

    async def work() -> None:
        await bench.keep()
        done.append(1)

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(work)
            await anyio.lowlevel.checkpoint()
            scope.cancel()
    assert len(done) == bench.last
    assert bench.whole()


async def test_who_waits_behind_a_thread_leaves_the_loop_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Turns are given away while a commit in place is near, not while a collection goes on."""
    turns = 0

    async def counted() -> None:
        nonlocal turns
        turns += 1
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(group, "giving_turns", lambda: counted)
    bench, done = Bench(), threading.Event()
    begun = anyio.Event()

    def collect() -> None:
        done.wait(10)

    async def collecting() -> None:
        begun.set()
        await bench.group.exclusively(collect)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collecting)
        await begun.wait()
        await anyio.lowlevel.checkpoint()
        for _ in range(5):
            tasks.start_soon(bench.keep)
        for _ in range(300):
            await anyio.lowlevel.checkpoint()
        assert bench.sizes == []
        assert turns <= 20
        done.set()
    assert bench.whole()


async def test_who_waits_for_a_commit_in_place_waits_for_turns_alone(
    events: list[object],
) -> None:
    bench = Bench(seconds=0.0005)
    await bench.together(50, 4)
    assert events == []
    assert bench.whole()


async def test_after_two_flights_that_nobody_joined_he_flies_alone_again() -> None:
    bench = Bench()
    inner: Any = bench.group
    inner._alone = False
    await bench.keep()
    assert inner._alone is False, "one does not tell"
    await bench.keep()
    assert (inner._alone, inner._listen_at) == (True, pytest.approx(bench.now_s - 0.00005 + 0.002))
    inner._alone = False
    for joined, alone in ((2, False), (1, False), (2, False), (2, False), (1, False), (1, True)):
        inner._count(joined)
        assert inner._alone is alone
    assert bench.whole()


async def test_who_flies_alone_listens_each_two_milliseconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    turns: list[int] = []

    async def counted() -> None:
        turns.append(len(bench.sizes))

    monkeypatch.setattr(group, "cancel_shielded_checkpoint", counted)
    await bench.keep()
    assert turns == [1], "the very first one flies before it listens"
    for at_s in (0.001, 0.0019, 0.0025, 0.003, 0.005):
        bench.now_s = 1.00005 + at_s
        await bench.keep()
    assert len(turns) == 3
    assert bench.whole()


@pytest.mark.parametrize(
    ("taken_s", "learnt_s"),
    [(0.0002, 0.0002), (0.0007, 0.0002625), (0.0016, 0.000375), (0.01, 0.000375)],
)
async def test_what_a_commit_costs_is_an_average_in_which_none_counts_too_much(
    taken_s: float, learnt_s: float
) -> None:
    inner: Any = Bench(seconds=0.0002).group
    inner._learn(taken_s)
    assert inner._seconds == pytest.approx(learnt_s)


async def test_between_two_transactions_of_a_flight_in_place_everybody_has_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(seconds=0.0006)
    turns: list[int] = []

    async def counted() -> None:
        turns.append(len(bench.sizes))

    monkeypatch.setattr(group, "cancel_shielded_checkpoint", counted)
    bench.append(4000)
    bench.append(4000)
    await bench.keep()
    assert bench.sizes == [4000, 4000, 1]
    assert turns == [0, 1, 2]


async def test_what_is_done_exclusively_is_done_whatever_is_cancelled() -> None:
    bench = Bench()
    done: list[int] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        assert await bench.group.exclusively(lambda: done.append(1) or 7) == 7
    assert done == [1]


async def test_who_waits_to_do_something_exclusively_does_it_whatever_is_cancelled() -> None:
    bench = Bench(seconds=0.01)
    bench.may_land.clear()
    kept: list[int] = []

    async def land() -> None:
        bench.may_land.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.keep)
        await to_thread.run_sync(bench.flown.wait)
        with anyio.CancelScope() as scope:
            scope.cancel()
            tasks.start_soon(land)
            await bench.group.exclusively(lambda: kept.extend(bench.kept))
    assert kept == [1]


@pytest.fixture
def led(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return what grows by each turn that a leader gives away before he takes off."""
    turns: list[int] = []

    async def counted() -> None:
        turns.append(1)
        await anyio.lowlevel.cancel_shielded_checkpoint()

    monkeypatch.setattr(group, "cancel_shielded_checkpoint", counted)
    return turns


async def test_who_is_cancelled_leads_no_flight_that_another_leads(led: list[int]) -> None:
    bench, may_end = Bench(), threading.Event()

    async def end() -> None:
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        may_end.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.group.exclusively, lambda: may_end.wait(10))
        await anyio.wait_all_tasks_blocked()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as keeping:
                for _ in range(3):
                    keeping.start_soon(bench.keep)
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
                tasks.start_soon(end)
                scope.cancel()
    assert led == [1]
    assert bench.sizes == [3]
    assert bench.whole()


async def test_who_has_nothing_to_commit_waits_for_what_is_in_the_air_alone(
    led: list[int],
) -> None:
    bench, may_end = Bench(), threading.Event()
    heard: list[str] = []

    async def collecting() -> None:
        await bench.group.exclusively(lambda: may_end.wait(10))
        heard.append("collected")

    async def commit() -> None:
        await bench.group.commit()
        heard.append("committed")

    async def other() -> None:
        await bench.group.exclusively(lambda: heard.append("other"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collecting)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        tasks.start_soon(commit)
        tasks.start_soon(other)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert heard == []
        may_end.set()
    assert sorted(heard) == ["collected", "committed", "other"]
    assert (bench.sizes, led) == ([], []), "and it flies nothing behind it"


async def test_news_are_told_once_to_all_who_wait_for_them() -> None:
    flight: Any = group._Flight()  # pyright: ignore[reportPrivateUsage]
    flight.tell()
    heard: list[int] = []

    async def wait() -> None:
        await flight.wait()
        heard.append(1)

    for _ in range(2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            tasks.start_soon(wait)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            assert len(heard) % 2 == 0
            assert flight.news is not None
            flight.tell()
            assert flight.news is None
    assert heard == [1] * 4


# -- cancelled without a scope ---------------------------------------------------------------


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_leader_whose_task_is_cancelled_lands_with_all_who_came_along(
    anyio_backend: str, times: int
) -> None:
    """A task's own `cancel` minds no shield, and the thread is at it all the same."""
    bench = Bench(seconds=0.01, cost_s=0.001)
    bench.may_land.clear()
    tasks = [asyncio.create_task(bench.keep()) for _ in range(4)]
    await to_thread.run_sync(bench.flown.wait)
    later = [asyncio.create_task(bench.keep()) for _ in range(2)]
    for _ in range(times):
        await asyncio.sleep(0)
        tasks[0].cancel()
        later[0].cancel()
    await asyncio.sleep(0)
    assert not tasks[0].done()
    bench.may_land.set()
    ended = await asyncio.gather(*tasks, *later, return_exceptions=True)
    assert [isinstance(end, asyncio.CancelledError) for end in ended] == [
        True, False, False, False, True, False,
    ]  # fmt: skip
    assert ended[1:4] == [None] * 3
    assert bench.whole()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("seconds", [0.0005, 0.01])
async def test_what_a_cancelled_task_has_appended_lands_before_it_ends(
    anyio_backend: str, seconds: float
) -> None:
    bench = Bench(seconds)
    task = asyncio.create_task(bench.keep())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.kept == [1]
    assert bench.whole()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_leader_in_place_who_is_cancelled_between_two_transactions_writes_both(
    anyio_backend: str,
) -> None:
    bench = Bench(seconds=0.0005)
    bench.append(4000)
    bench.append(7)
    tasks = [asyncio.create_task(bench.group.commit()) for _ in range(2)]
    for _ in range(10):
        await asyncio.sleep(0)
        if bench.sizes:
            tasks[0].cancel()
            break
    assert bench.sizes == [4000]
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ended] == [asyncio.CancelledError, type(None)]
    assert bench.whole()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_nobody_writes_while_something_else_is_done_whose_asker_was_cancelled(
    anyio_backend: str,
) -> None:
    bench, begun, done = Bench(seconds=0.01), threading.Event(), threading.Event()

    def act() -> None:
        begun.set()
        done.wait(10)

    asker = asyncio.create_task(bench.group.exclusively(act))
    await to_thread.run_sync(begun.wait)
    asker.cancel()
    keeper = asyncio.create_task(bench.keep())
    await anyio.wait_all_tasks_blocked()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (asker.done(), bench.kept) == (False, [])
    done.set()
    await keeper
    with pytest.raises(asyncio.CancelledError):
        await asker
    assert bench.whole()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_of_the_task_s_own_is_not_lost_in_that_of_a_scope(
    anyio_backend: str,
) -> None:
    bench = Bench(seconds=0.01, cost_s=0.001)
    after: list[str] = []

    async def keep() -> None:
        with scope:
            await bench.keep()
            after.append("kept, and told that it is")

    for own in (True, False):
        bench.flown.clear()
        bench.may_land.clear()
        scope = anyio.CancelScope()
        task = asyncio.create_task(keep())
        await to_thread.run_sync(bench.flown.wait)
        if own:
            task.cancel()
        scope.cancel()
        bench.may_land.set()
        await asyncio.wait([task])
        assert task.cancelled() is own
    assert after == ["kept, and told that it is"]
    assert bench.whole()
