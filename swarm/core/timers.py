"""Durable timers: when something is due is written down as a time of day.

While the host lives, time is counted on its steady clock. After a restart what is left is
read from the time of day, which may have jumped: a timer never waits longer than it was
set for, and where the clock went back it waits anew rather than end early.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from flowir.effects import Dispatch
from swarm.core.log import RunLog
from swarm.ports.clock import Clock

__all__ = ("Timers", "remaining_s")


def remaining_s(due_at: float, seconds: float, now: float) -> float:
    """Return how much of *seconds* is left at the time of day *now*.

    >>> remaining_s(100.0, 60.0, 70.0), remaining_s(100.0, 60.0, 5000.0)
    (30.0, 0.0)
    >>> remaining_s(100.0, 60.0, -3600.0)
    60.0
    """
    return min(max(due_at - now, 0.0), seconds)


class Timers:
    """The timers that the attempts of one run have set, and those of its past."""

    def __init__(self, log: RunLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._past: dict[tuple[str, int], deque[float]] = defaultdict(deque)

    def recall(self, row: Mapping[str, Any]) -> None:
        """Take in a `timer.set` of the journal: the attempt sets it again after a restart."""
        self._past[row["key"], row["attempt"]].append(row["due_at"])

    def forget(self, key: str, attempt: int) -> None:
        """Let the past of an attempt go: it has ended."""
        self._past.pop((key, attempt), None)

    def set(self, dispatch: Dispatch, seconds: float) -> float:
        """Write a timer down, unless it was set before; return what is left of it."""
        now = self._clock.wall()
        past = self._past.get((dispatch.key, dispatch.attempt))
        if past:
            return remaining_s(past.popleft(), seconds, now)
        row = {
            "kind": "timer.set",
            "key": dispatch.key,
            "attempt": dispatch.attempt,
            "step": dispatch.ref,
            "seconds": seconds,
            "due_at": now + seconds,
        }
        self._log.append([row])
        return seconds
