"""Group commit: who appended within one turn of the loop shares one transaction.

Three ways to fly, by what a commit costs on this disk (an average, without the rows):

    below 0.5 ms, and nobody else about   in place, at once: no task switch, no thread
    below 1 ms, or 5 us for each who      after one turn of the loop, in place
    waits for it
    above                                 after one turn of the loop, in a thread

What it costs is what the commit itself takes: rows are no fault of the disk's, and a thread
does not write them faster. That it keeps the loop from others counts beside what the turn
took anyhow, which is some 50 us for each who came in it: a thousand runs in step wait a few
ms for their commit as readily as one waits 50 us. A thread, which such a loop has to give
the interpreter to again and again, made them a tenth slower.

One flight is in the air at a time; the next gathers meanwhile. The first who waits for a
flight leads it: he lets everybody who is ready have a turn, and takes off. Who waits for a
flight in place gives turns away until his batch has landed: his next turn comes behind the
leader's, and a turn costs a fifth of what it takes to wait for news. Whether
somebody else is about is learned by listening: every 2 ms he who flies alone gives one
turn away, and sees whether another commit came in it.

What fails to land is put back in front of what waits, in its order. Knows nothing of
tables or rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TypeVar

import anyio
from anyio import CancelScope, to_thread
from anyio.lowlevel import cancel_shielded_checkpoint

from swarm.core.tasks import giving_turns, is_by_scope, to_its_end
from swarm.errors import SwarmError
from swarm.stores.sqlite.writer import Batch

__all__ = ("GroupCommit",)

_T = TypeVar("_T")

_AT_ONCE_S = 0.0005
_IN_PLACE_S = 0.001
_SHARE_S = 0.000005
_LISTEN_S = 0.002
# What one slow commit among quick ones counts for.
_MOST_S = 0.0008
# A row takes some 4 us of the loop, a tenth of what led to it. All who came in one turn had
# better land together: who waits for a second transaction waits another turn, at 10 us.
_ROWS = 4_000


class _Flight:
    """What all who wait for the same transactions wait for."""

    __slots__ = ("elsewhere", "error", "joined", "landed", "led", "news", "turn")

    def __init__(self) -> None:
        # In a thread: who waits for turns of the loop would keep it busy for nothing.
        self.elsewhere = False
        self.led = False
        self.joined = 0
        self.landed = False
        self.error: SwarmError | None = None
        self.news: anyio.Event | None = None
        # Of the loop that all of them are on: found out once, and not by each.
        self.turn: Callable[[], Awaitable[None]] | None = None

    def tell(self) -> None:
        """Wake whoever waits."""
        if self.news is not None:
            self.news.set()
            self.news = None

    async def wait(self) -> None:
        """Return at the next news."""
        if self.news is None:
            self.news = anyio.Event()
        await self.news.wait()


class GroupCommit:
    """Gathers batches and lets *write* make them durable, in the order of gathering.

    `open` is the batch to append to; `grow` is to be called before appending, so that what
    is appended in one turn stays together. *write* returns what the commit itself took,
    *landed* hears of every batch that is durable.
    Units: *seconds* is what one commit takes, to begin with; *timer* gives seconds.
    """

    def __init__(
        self,
        write: Callable[[Batch], float],
        landed: Callable[[Batch], None],
        seconds: float,
        timer: Callable[[], float] = perf_counter,
    ) -> None:
        self.open = Batch()
        self._write = write
        self._landed = landed
        self._seconds = seconds
        self._timer = timer
        self._sealed: deque[Batch] = deque()
        self._air: _Flight | None = None
        self._next = _Flight()
        self._alone = True
        # How the last flight went, and so how the next is expected to.
        self._in_place = True
        self._listen_at = 0.0
        self._calls = 0
        self._joined = 0

    def grow(self) -> None:
        """Close the open batch where it has become large enough for a transaction."""
        if len(self.open.events) + len(self.open.beside) >= _ROWS:
            self._sealed.append(self.open)
            self.open = Batch()

    async def commit(self) -> None:
        """Return when everything appended so far is durable."""
        if self._alone and self._seconds < _AT_ONCE_S and self._air is None and not self._next.led:
            if self._sealed:
                self._fly_at_once()
            elif self.open:
                self._fly_alone()
            else:
                return
            if self._timer() > self._listen_at:
                await self._listen()
            return
        self._calls += 1
        if self.open:
            flight, batch = self._next, self.open
        elif self._sealed:
            flight, batch = self._next, self._sealed[-1]
        elif self._air is not None:
            flight, batch = self._air, None
        else:
            return
        flight.joined += 1
        try:
            # Written out, here and in `_landing`: a thousand runs come through here together,
            # and each coroutine on the way is made, and gone through, for each.
            while not flight.landed:
                if batch is not None and batch.landed:
                    return
                if not flight.led and flight is not self._air:
                    await self._landing(flight)
                    break
                if self._in_place and not (self._air and self._air.elsewhere):
                    if flight.turn is None:
                        flight.turn = giving_turns()
                    await flight.turn()
                    continue
                if flight.news is None:
                    flight.news = anyio.Event()
                await flight.news.wait()
        except anyio.get_cancelled_exc_class() as cancelled:
            # Who is cancelled is answered first. The shield goes up when it is needed: to
            # wait behind one costs as much as to write two rows.
            await to_its_end(self._landing, flight)
            if not is_by_scope(cancelled):
                raise
        if flight.error is not None:
            # Each who waited raises one of his own: they travel through different tasks.
            error = flight.error
            raise SwarmError(error.code, error.message, **error.values) from error

    async def exclusively(self, act: Callable[[], _T]) -> _T:
        """Do something else with what *write* uses, in a thread, between two flights."""
        found: list[_T] = []
        with CancelScope(shield=True):
            while self._air is not None:
                await self._air.wait()
            self._air = flight = _Flight()
            flight.elsewhere = True
            try:
                found.append(await to_its_end(to_thread.run_sync, act))
            finally:
                self._air = None
                flight.landed = True
                flight.tell()
        return found[0]

    # -- alone -------------------------------------------------------------------------

    def _fly_at_once(self) -> None:
        batches = self._take()
        try:
            while batches:
                self._write_first(batches)
        finally:
            self._give_back(batches)

    def _fly_alone(self) -> None:
        """Write the open batch, as `_fly_at_once` does where nothing else waits."""
        batch, self.open = self.open, Batch()
        try:
            self._learn(self._write(batch))
        except BaseException:
            self._sealed.append(batch)
            raise
        batch.landed = True
        self._landed(batch)

    async def _listen(self) -> None:
        self._alone = False
        before = self._calls
        await cancel_shielded_checkpoint()
        self._alone = self._calls == before
        self._listen_at = self._timer() + _LISTEN_S

    # -- together ----------------------------------------------------------------------

    async def _landing(self, flight: _Flight) -> None:
        """Wait until *flight* has landed, and lead it where nobody does."""
        while not flight.landed:
            if flight.led or flight is self._air:
                await flight.wait()
            else:
                with CancelScope(shield=True):
                    await self._lead(flight)

    async def _lead(self, flight: _Flight) -> None:
        """Take the flight off after one turn, and land it, whatever happens."""
        flight.led = True
        batches: deque[Batch] = deque()
        try:
            await cancel_shielded_checkpoint()
            while self._air is not None:
                await self._air.wait()
            self._count(flight.joined)
            self._air, self._next = flight, _Flight()
            flight.elsewhere = self._seconds > max(_IN_PLACE_S, _SHARE_S * flight.joined)
            self._in_place = not flight.elsewhere
            batches = self._take()
            await self._fly(batches)
        except SwarmError as error:
            flight.error = error
        finally:
            # Reached by a cancellation too that no shield keeps out (the loop's own, at
            # an interrupt): on the ground another leads; in the air nobody knows.
            if self._air is flight:
                self._air = None
                flight.landed = True
                if batches:
                    flight.error = flight.error or _torn()
                    self._give_back(batches)
            flight.led = False
            flight.tell()

    def _count(self, joined: int) -> None:
        """Go on alone after two flights that nobody else joined.

        One does not tell: where the loop wakes tasks in any order, who leads twice in a
        row may come before those whom he has just woken.
        """
        if joined == self._joined == 1:
            self._alone = True
            self._listen_at = self._timer() + _LISTEN_S
        self._joined = joined

    async def _fly(self, batches: deque[Batch]) -> None:
        if self._air is not None and self._air.elsewhere:
            # What a thread is at is not left to it: it has the one connection.
            await to_its_end(to_thread.run_sync, self._all, batches)
            return
        while batches:
            self._write_first(batches)
            if batches:
                try:
                    await cancel_shielded_checkpoint()
                except anyio.get_cancelled_exc_class():
                    # Others wait for the rest.
                    self._all(batches)
                    raise

    def _all(self, batches: deque[Batch]) -> None:
        while batches:
            self._write_first(batches)

    # -- batches -----------------------------------------------------------------------

    def _take(self) -> deque[Batch]:
        batches, self._sealed = self._sealed, deque()
        if self.open:
            batches.append(self.open)
            self.open = Batch()
        return batches

    def _give_back(self, batches: deque[Batch]) -> None:
        self._sealed.extendleft(reversed(batches))

    def _write_first(self, batches: deque[Batch]) -> None:
        """Write the first of *batches*; it stays where that fails."""
        batch = batches[0]
        self._learn(self._write(batch))
        batches.popleft()
        batch.landed = True
        self._landed(batch)

    def _learn(self, taken: float) -> None:
        """Note what a commit took: an average of the last few."""
        # One commit in which the machine did something else is no slow disk.
        if taken > _MOST_S:
            taken = min(taken, max(self._seconds * 8, _MOST_S))
        self._seconds += (taken - self._seconds) / 8


def _torn() -> SwarmError:
    return SwarmError(
        "journal.degraded", "expected a commit to end, got an interrupt in the midst of it"
    )
