"""A clock that stands still until a test moves it, or jumps when nobody has work."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count

import anyio
from anyio import CancelScope
from anyio.lowlevel import checkpoint

__all__ = ("FakeClock",)

# Turns of the loop after which everybody who could go on has done so: a chain of wake-ups
# longer than this between two sleeps is not a test's.
_TURNS = 100


class FakeClock:
    """Time as data: what is due happens in order, and takes no time.

    With `jumps`, a sleep moves the clock to the next thing that is due once nobody else
    has anything to do: retries and long sleeps then need no help from the test. That
    knows of tasks only: what a thread or a process does stands inside `working`, or the
    test moves the clock by `advance`.
    """

    def __init__(self, *, start_s: float = 1_000_000.0, jumps: bool = False) -> None:
        self._now = start_s
        self._jumps = jumps
        self._moves = 0
        self._workers = 0
        self._idle: anyio.Event | None = None
        self._numbers = count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def monotonic(self) -> float:
        """Return the seconds this clock shows."""
        return self._now

    def wall(self) -> float:
        """Return the seconds this clock shows, as if they were UTC."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return when the clock has moved by *seconds*."""
        if seconds <= 0:
            await checkpoint()
            return
        over = anyio.Event()
        self._at(seconds, over.set)
        while self._jumps and not over.is_set():
            await self._jump()
        await over.wait()

    def deadline(self, seconds: float | None) -> CancelScope:
        """Make a scope that is cancelled when the clock has moved by *seconds*."""
        scope = CancelScope()
        if seconds is not None:
            self._at(seconds, scope.cancel)
        return scope

    @contextmanager
    def working(self) -> Generator[None]:
        """While inside, somebody works whom the loop does not see: the clock jumps nowhere."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    @contextmanager
    def resting(self) -> Generator[None]:
        """While inside, who works waits for tasks that the loop does see."""
        self._count(-1)
        try:
            yield
        finally:
            self._count(1)

    async def advance(self, seconds: float) -> None:
        """Move the clock; what is due on the way happens in order, each with its effects."""
        until = self._now + seconds
        await self.settle()
        while self._due and self._due[0][0] <= until:
            self._fire()
            await self.settle()
        self._now = until

    async def settle(self) -> None:
        """Let every task that can go on do so."""
        for _ in range(_TURNS):
            await checkpoint()

    def _count(self, more: int) -> None:
        self._workers += more
        if self._workers == 0 and self._idle is not None:
            self._idle.set()
            self._idle = None

    def _at(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self._now + seconds, next(self._numbers), act))

    async def _jump(self) -> None:
        """Fire what is next, unless somebody else did while this one waited."""
        moves = self._moves
        await self.settle()
        if self._workers:
            self._idle = self._idle or anyio.Event()
            await self._idle.wait()
            return
        if moves == self._moves and self._due:
            self._fire()

    def _fire(self) -> None:
        due, _, act = heapq.heappop(self._due)
        self._now = max(self._now, due)
        self._moves += 1
        act()
