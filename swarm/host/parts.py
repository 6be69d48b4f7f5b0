"""The real world behind the ports, and the set of parts that a host is made of."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import CancelScope
from uuid_utils import uuid7

from swarm.errors import Refused
from swarm.ids import RunId
from swarm.ports.clock import Clock
from swarm.ports.ids import Ids
from swarm.ports.journal import Journal
from swarm.stores.memory import MemoryJournal

__all__ = ("Parts", "SystemClock", "TimedIds")


class SystemClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def wall(self) -> float:
        """Return UTC seconds since 1970."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return *seconds* from now, never earlier: both loops count on `time.monotonic`."""
        await anyio.sleep(max(seconds, 0))

    def deadline(self, seconds: float | None) -> CancelScope:
        """Make a scope that is cancelled *seconds* from now."""
        if seconds is None:
            return CancelScope()
        return CancelScope(deadline=anyio.current_time() + seconds)


class TimedIds:
    """Ids that sort by the time they were made at, and that nobody can guess."""

    def run_id(self) -> RunId:
        """Return an id that no run of any store has had."""
        return RunId(f"r_{uuid7().hex}")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a host stands on; each is a port, and may be somebody else's."""

    journal: Journal
    clock: Clock
    ids: Ids

    @classmethod
    def in_memory(cls) -> Parts:
        """Make parts that remember nothing beyond this process."""
        return cls(MemoryJournal(), SystemClock(), TimedIds())

    @classmethod
    def at(cls, store: str | os.PathLike[str]) -> Parts:
        """Open the parts that keep their state in the folder *store*.

        Raises: Refused (store.unavailable).
        """
        raise Refused(
            "store.unavailable",
            f"{str(Path(store))!r}: expected a store that can be opened, got a folder, and no "
            "store on disk is built in — swarm.Host.in_memory() runs without one",
            store=str(store),
        )
