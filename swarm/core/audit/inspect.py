"""A whole log, read from its beginning: the first entry that is not what was written.

Each entry is held against its number, the chain, and the tree; wherever a checkpoint was
taken, chain and root are held against what was signed. What a chain alone cannot show, an
end that was cut off or a beginning that was written anew, checkpoints show; and the marks
of the next one show where that begins. So it is where a link does not hold: who writes
entries anew can make theirs hold, and only the one behind them does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence

from flowir.records import dataclass
from swarm.core.audit.checkpoint import MARK_BYTES, MAX_MARKS, Checkpoint
from swarm.core.audit.entries import Growth, Kept

__all__ = ("Fault", "Inspected", "inspect")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and the number of the first entry that it is wrong with.

    Shape: `until` where only a range can be told: the first wrong entry is in it.
    """

    no: int
    sort: str
    until: int | None = None

    def __str__(self) -> str:
        where = f"entry {self.no}"
        if self.until is not None and self.until != self.no:
            where = f"entries {self.no} to {self.until}"
        return f"{where}: {_SAID[self.sort]}"


_SAID = {
    "missing": "expected it here, got another number — it was removed",
    "changed": "expected what was written, got something else — changed, removed or moved",
    "tree": "expected the hashes of the tree, got others",
    "cut": "expected it, as a checkpoint says, got the end of the log — it was cut off",
    "forked": "expected what a checkpoint has signed, got another history",
    "signature": "expected a checkpoint that this host signed, got another",
}


@dataclass(frozen=True, slots=True)
class Inspected:
    """What was read: how many entries, the root over them, and the first fault, if any."""

    size: int
    root: bytes
    head: bytes
    checkpoints: int
    fault: Fault | None


def inspect(
    rows: Iterable[Kept],
    sources: Sequence[Sequence[Checkpoint]] = (),
    keys: Collection[str] = (),
) -> Inspected:
    """Read a log from its beginning to its end, or its first fault.

    Shape: *sources* are checkpoints by where they were kept: who writes a history anew may
    have signed its checkpoints anew as well, so one source vouches for no other. *keys* are
    the public keys that may have signed them.
    """
    for source in sources:
        for checkpoint in source:
            if not checkpoint.holds(keys):
                return Inspected(0, b"", b"", 0, Fault(checkpoint.size, "signature"))
    return _Reading(sources).read(rows)


class _Reading:
    """One reading: where it is, and which checkpoints come next."""

    def __init__(self, sources: Sequence[Sequence[Checkpoint]]) -> None:
        self._growth = Growth()
        self._ahead = sorted(
            (
                (number, checkpoint)
                for number, source in enumerate(sources)
                for checkpoint in source
            ),
            key=lambda pair: pair[1].size,
            reverse=True,
        )
        self._due = self._ahead[-1][1].size if self._ahead else -1
        self._passed = 0
        # By source: up to where it has vouched for what was read.
        self._good: dict[int, int] = {}
        # The hashes of the latest entries, to be held against marks.
        self._latest: deque[bytes] = deque(maxlen=MAX_MARKS)

    def read(self, rows: Iterable[Kept]) -> Inspected:
        growth, number, latest = self._growth, 0, self._latest
        fault = self._pass(0)
        for no, hash_, tree, body in rows if fault is None else ():
            number += 1
            if no != number:
                fault = self._broken(number, "missing")
                break
            _, head, made, _ = growth.add(body)
            if head != hash_:
                fault = self._broken(number, "changed")
                break
            latest.append(hash_)
            if made != tree:
                fault = Fault(number, "tree")
            elif number == self._due:
                fault = self._pass(number)
            if fault is not None:
                break
        if fault is None and self._ahead:
            fault = Fault(number + 1, "cut", self._due)
        return Inspected(growth.tree.size, growth.tree.root, growth.head, self._passed, fault)

    def _pass(self, number: int) -> Fault | None:
        """Hold what was read so far against the checkpoints of just this size."""
        here = (self._growth.tree.root.hex(), self._growth.head.hex())
        forks: dict[tuple[str, str], tuple[int, int]] = {}
        while self._ahead and self._ahead[-1][1].size == number:
            source, checkpoint = self._ahead.pop()
            found = (checkpoint.root, checkpoint.head)
            if found == here:
                self._passed += 1
                self._good[source] = number
            else:
                # Sources that hold the same checkpoint are of one history: what one of them
                # has seen before, and is here still, was seen by all.
                first, last = forks.get(found, (1, number))
                vouched = self._good.get(source, 0)
                low, high = self._fork(source, checkpoint, number) or (vouched + 1, number)
                forks[found] = max(first, low), min(last, high)
        self._due = self._ahead[-1][1].size if self._ahead else -1
        if not forks:
            return None
        first, last = min(forks.values())
        return Fault(first, "forked", last)

    def _broken(self, number: int, sort: str) -> Fault:
        """Say where it begins that an entry does not follow from those before it."""
        # What one source has signed is one history.
        forks: dict[int, tuple[int, int]] = {}
        for source, checkpoint in self._ahead:
            fork = self._fork(source, checkpoint, number - 1)
            if fork is not None:
                low, high = forks.get(source, (1, number))
                forks[source] = max(low, fork[0]), min(high, fork[1])
        if not forks:
            return Fault(number, sort)
        first, last = min(forks.values())
        return Fault(first, "forked", last)

    def _fork(self, source: int, checkpoint: Checkpoint, number: int) -> tuple[int, int] | None:
        """Return between which entries the log that was signed departs from this one.

        Shape: *number* entries were read; None, where no mark differs from those.
        """
        start, marks = checkpoint.marked
        here = dict(enumerate(self._latest, number + 1 - len(self._latest)))
        differs = next(
            (no for no, mark in enumerate(marks, start) if here.get(no, mark)[:MARK_BYTES] != mark),
            None,
        )
        if differs is None:
            return None
        # Before the first mark nothing is told: if that differs already, so may the others.
        low = differs if differs > start or start == 1 else 1
        return max(low, self._good.get(source, 0) + 1), differs
