"""The store in memory: the twin of the durable one, for tests and for runs of a moment."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from itertools import dropwhile, islice
from operator import itemgetter

from swarm.blueprint.shared import Shared
from swarm.errors import Refused, SwarmError
from swarm.ids import RunId
from swarm.ports.journal import Forgotten, Health, Row, RunRow
from swarm.stores.audit import MemoryAudit
from swarm.stores.chain import genesis, walk
from swarm.stores.entries import (
    DEFAULT_STORE_LIMITS,
    Entry,
    Head,
    StoreLimits,
    decode,
    digest,
    extend,
    has_ended,
    live,
    missing_blob,
    whole_blob,
)
from swarm.stores.ledger import MemoryLedger

__all__ = ("MemoryBlobs", "MemoryJournal", "MemoryStore")


# What is checked of an entry: seq, hash and body.
_LINK = itemgetter(1, 2, 3)


class _Log:
    """One run: where appending goes on, and what is committed."""

    __slots__ = ("entries", "head", "run")

    def __init__(self, run_id: RunId) -> None:
        self.head = Head(RunRow(run_id))
        self.run: RunRow | None = None
        self.entries: list[Entry] = []


class MemoryBlobs:
    """Bytes by their digest, seen once they are committed."""

    def __init__(self) -> None:
        self.held: dict[RunId, set[str]] = {}
        self._bodies: dict[str, bytes] = {}
        self._open: dict[str, bytes] = {}

    def put(self, run_id: RunId, body: bytes) -> str:
        """Keep *body* for the run; return its digest in lower case hex."""
        name = digest(body)
        self._open[name] = bytes(body)
        self.held.setdefault(run_id, set()).add(name)
        return name

    def share(self, run_id: RunId, shared: Shared) -> None:
        """Keep for the run what others have too."""
        self._open[shared.digest] = shared.body
        self.held.setdefault(run_id, set()).add(shared.digest)

    def hold(self, run_id: RunId, name: str) -> None:
        """Keep what is there of this name for the run too."""
        if name in self._bodies or name in self._open:
            self.held.setdefault(run_id, set()).add(name)

    async def get(self, digest: str) -> bytes:
        """Return the committed bytes of this name."""
        return self.body(digest)

    def body(self, name: str) -> bytes:
        """Return the committed bytes of this name, at once."""
        if name not in self._bodies:
            raise missing_blob(name)
        return whole_blob(name, self._bodies[name])

    def commit(self) -> None:
        """Show what was put."""
        self._bodies.update(self._open)
        self._open.clear()

    def unheld(self, run_ids: Collection[RunId]) -> dict[str, int]:
        """Return what only these runs hold, with its size."""
        gone = {name for run in run_ids for name in self.held.get(run, ())}
        stay = {name for run, names in self.held.items() if run not in run_ids for name in names}
        return {name: len(self._bodies[name]) for name in gone - stay if name in self._bodies}

    def remove(self, names: Collection[str]) -> None:
        """Let these go."""
        for name in names:
            del self._bodies[name]


class MemoryJournal:
    """Keeps each run's rows as bytes, chained, so that what is read is nobody else's.

    `commits` counts how often something was made to last.
    """

    def __init__(self, limits: StoreLimits = DEFAULT_STORE_LIMITS) -> None:
        self.commits = 0
        self.health: Health = "ok"
        self._limits = limits
        self.blobs = MemoryBlobs()
        self._runs: dict[RunId, _Log] = {}
        self._open: list[tuple[_Log, list[Entry], RunRow]] = []

    def append(self, run_id: RunId, rows: Sequence[Row]) -> None:
        """Put *rows* behind the others of the run, all or none; unseen before `commit`."""
        if not rows:
            return
        log = self._runs.get(run_id) or _Log(run_id)
        entries = extend(log.head, rows, self._limits, self)
        self._runs[run_id] = log
        self._open.append((log, entries, log.head.run))

    def hold(self, head: Head, name: str) -> None:
        """Keep what is there of this digest for the run too."""
        self.blobs.hold(head.run.run_id, name)

    def share(self, head: Head, shared: Shared) -> None:
        """Keep for the run what it shares with others."""
        self.blobs.share(head.run.run_id, shared)

    def spill(self, head: Head, body: bytes) -> None:
        """Leave a large member in its row: here it is in memory either way."""

    def new(self, run_id: RunId) -> None:
        """Promise that there is no run of this id: here nobody would look for it anyway."""

    async def commit(self) -> None:
        """Show everything appended so far."""
        self.blobs.commit()
        if not self._open:
            return
        batch, self._open = self._open, []
        for log, entries, run in batch:
            log.entries += entries
            log.run = run
        self.commits += 1

    async def probe(self) -> Health:
        """Commit; memory does not fail."""
        await self.commit()
        return self.health

    async def read(self, run_id: RunId, since: int = 0, limit: int = 1000) -> Sequence[Row]:
        """Return up to *limit* committed rows with `seq` above *since*, in order."""
        log = self._runs.get(run_id)
        entries = log.entries if log is not None else []
        first = max(since, 0)
        before = entries[first - 1][2] if 0 < first <= len(entries) else genesis(run_id)
        chosen = map(_LINK, islice(entries, first, first + limit))
        body = self.blobs.body
        return [decode(found, body) for _, found in walk(run_id, first, before, chosen)]

    async def heads(self) -> Mapping[RunId, int]:
        """Return each run's last committed `seq`, in the order in which the runs began."""
        return {run_id: len(log.entries) for run_id, log in self._runs.items() if log.entries}

    async def run(self, run_id: RunId) -> RunRow | None:
        """Return what a list shows of one run, if it is committed."""
        log = self._runs.get(run_id)
        return None if log is None else log.run

    async def runs(
        self,
        status: Collection[str] | None = None,
        *,
        limit: int = 1000,
        before: RunId | None = None,
    ) -> Sequence[RunRow]:
        """List committed runs, the latest first."""
        rows = [log.run for log in reversed(self._runs.values()) if log.run is not None]
        if before is not None:
            rows = [*dropwhile(lambda row: row.run_id != before, rows)][1:]
        return [row for row in rows if status is None or row.status in status][:limit]

    async def verify(self, run_id: RunId) -> int | None:
        """Return the `seq` of the run's first event that is not what was written, if any."""
        log = self._runs.get(run_id)
        entries = log.entries if log is not None else []
        try:
            for _ in walk(run_id, 0, genesis(run_id), map(_LINK, entries)):
                pass
        except SwarmError as error:
            return int(error.values["seq"])
        return None

    async def forget(self, run_ids: Collection[RunId], *, dry_run: bool = False) -> Forgotten:
        """Remove ended runs and the blobs that nobody else holds."""
        known = {run_id: self._runs[run_id] for run_id in self._families(run_ids)}
        for run_id, log in known.items():
            if log.run is None or not has_ended(log.run):
                raise live(run_id, "pending" if log.run is None else log.run.status)
        blobs = self.blobs.unheld(known)
        events = [entry for log in known.values() for entry in log.entries]
        size = sum(len(body) for _, _, _, body in events) + sum(blobs.values())
        if not dry_run:
            self.blobs.remove(blobs)
            for run_id in known:
                del self._runs[run_id]
                self.blobs.held.pop(run_id, None)
        return Forgotten(len(known), len(events), len(blobs), size)

    def _families(self, run_ids: Collection[RunId]) -> list[RunId]:
        """Return the runs that there are of these, and the runs within them."""
        found = [run_id for run_id in dict.fromkeys(run_ids) if run_id in self._runs]
        for run_id in found:
            found += [one for one, log in self._runs.items() if log.head.run.parent == run_id]
        return list(dict.fromkeys(found))


class MemoryStore:
    """A journal and blobs that live as long as the process."""

    def __init__(self, limits: StoreLimits = DEFAULT_STORE_LIMITS) -> None:
        self.journal = MemoryJournal(limits)
        self.blobs = self.journal.blobs
        self.ledger = MemoryLedger()
        self.audit = MemoryAudit()

    async def backup(self, target: str | os.PathLike[str]) -> None:
        """Refuse: there is nothing on a disk that could be copied."""
        raise Refused(
            "store.backup",
            f"{os.fspath(target)}: expected a store on a disk, got one in memory",
            path=os.fspath(target),
        )

    def close(self) -> None:
        """Do nothing: what is here goes with the process."""
