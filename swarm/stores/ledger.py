"""What is remembered of tokens, in memory: the twin of the durable one, and its inside.

Everything is dropped once the tokens that it is about have expired, so memory is bounded
by what can still be presented.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import NamedTuple

from swarm.ports.capability import Revoked

__all__ = ("MemoryLedger", "Remembered")


class Remembered(NamedTuple):
    """What a ledger begins with: voids (kind, name, epoch, until), uses (counter, count, until)."""

    epoch: int = 0
    high_s: int = 0
    voids: Iterable[tuple[Revoked, str, int, int]] = ()
    uses: Iterable[tuple[str, int, int]] = ()


class MemoryLedger:
    """Revocations, uses, and the latest time seen."""

    def __init__(self, remembered: Remembered | None = None) -> None:
        past = remembered or Remembered()
        self.epoch = past.epoch
        self.high_s = past.high_s
        self._voids = {(kind, name): (epoch, until_s) for kind, name, epoch, until_s in past.voids}
        self._uses = {counter: (count, until_s) for counter, count, until_s in past.uses}
        self._ends = sorted(
            [(until_s, kind, name) for (kind, name), (_, until_s) in self._voids.items()]
            + [(until_s, "", counter) for counter, (_, until_s) in self._uses.items()]
        )

    def __len__(self) -> int:
        return len(self._voids) + len(self._uses)

    def revoke(self, kind: Revoked, name: str, epoch: int, until_s: int) -> None:
        """Void tokens: those of this name that were minted before *epoch*, until they expire."""
        self.epoch = max(self.epoch, epoch)
        self._voids[kind, name] = (epoch, until_s)
        heappush(self._ends, (until_s, kind, name))
        self._keep_void(kind, name, epoch, until_s)

    def revoked(self, kind: Revoked, name: str) -> int:
        """Return the epoch before which such tokens are void; 0: none was revoked."""
        found = self._voids.get((kind, name))
        return 0 if found is None else found[0]

    def used(self, counter: str) -> int:
        """Return how often this was used."""
        found = self._uses.get(counter)
        return 0 if found is None else found[0]

    def use(self, counter: str, until_s: int) -> None:
        """Count one use more."""
        count = self.used(counter) + 1
        self._uses[counter] = (count, until_s)
        if count == 1:
            heappush(self._ends, (until_s, "", counter))
        self._keep_use(counter, count, until_s)

    def note_time(self, now_s: int) -> None:
        """Remember that it is this late, and forget what has expired by now."""
        if now_s > self.high_s:
            self.high_s = now_s
            self._forget(now_s)
            self._keep_time(now_s)

    def _forget(self, now_s: int) -> None:
        while self._ends and self._ends[0][0] < now_s:
            until_s, kind, name = heappop(self._ends)
            if not kind:
                self._uses.pop(name, None)
            # Revoked again meanwhile it has another end, or the same one once more.
            elif (kind, name) in self._voids and self._voids[kind, name][1] == until_s:
                del self._voids[kind, name]

    # -- what another keeps beside ------------------------------------------------------

    def _keep_void(self, kind: Revoked, name: str, epoch: int, until_s: int) -> None:
        pass

    def _keep_use(self, counter: str, count: int, until_s: int) -> None:
        pass

    def _keep_time(self, now_s: int) -> None:
        pass
