"""Deadlines in a table, and one who watches it, in place of a timer of the loop for each.

Most work ends long before it must. To note a deadline and to strike it out again costs a
tenth of what it takes to set a timer and to cancel it; and those of one length are due in
the order in which they were noted, so only the first of each length is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TypeAlias

import anyio
from anyio import CancelScope

from swarm.ports.clock import Clock

__all__ = ("Deadlines", "Row")

# When each is due, and what is to be cancelled then, by its number.
Row: TypeAlias = dict[int, tuple[float, CancelScope]]


class Deadlines:
    """The deadlines of a host; they are kept while `serve` goes on (`watched`).

    Units: seconds of the Clock port.
    """

    def __init__(self, clock: Clock) -> None:
        self.watched = False
        self._clock = clock
        self._now: Callable[[], float] = clock.monotonic
        self._numbers = count()
        self._rows: dict[float, Row] = {}
        self._next_s = float("inf")
        self._sooner: anyio.Event | None = None

    def note(self, seconds: float, scope: CancelScope) -> tuple[Row, int]:
        """Cancel *scope* in so many seconds, unless this is struck out (`del row[number]`)."""
        row = self._rows.get(seconds)
        if row is None:
            row = self._rows[seconds] = {}
        number = next(self._numbers)
        due_s = self._now() + seconds
        row[number] = (due_s, scope)
        if due_s < self._next_s:
            self._next_s = due_s
            if self._sooner is not None:
                self._sooner.set()
        return row, number

    async def serve(self) -> None:
        """Cancel what is due, until cancelled oneself."""
        self.watched = True
        try:
            while True:
                if self._now() >= self._next_s:
                    self._next_s = self._act()
                self._sooner = anyio.Event()
                left_s = self._next_s - self._now()
                with self._clock.deadline(left_s if left_s < float("inf") else None):
                    await self._sooner.wait()
        finally:
            self.watched = False

    def _act(self) -> float:
        """Cancel what is due by now; return when the next is."""
        now_s, next_s = self._now(), float("inf")
        for seconds, row in list(self._rows.items()):
            while row:
                number, (due_s, scope) = next(iter(row.items()))
                if due_s > now_s:
                    next_s = min(next_s, due_s)
                    break
                del row[number]
                scope.cancel()
            if not row:
                del self._rows[seconds]
        return next_s
