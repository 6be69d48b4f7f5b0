"""The journal on a disk: the port's promises over the writer, the readers and the group.

Commits, and reads of a few rows, happen in place where they are quick: a hop to a thread
costs four of them. Longer reads go to a thread.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from anyio import to_thread

from flowir.records import dataclass
from swarm.blueprint.shared import Shared
from swarm.errors import SwarmError
from swarm.ids import RunId
from swarm.ports.journal import Forgotten, Health, Row, RunRow
from swarm.stores.entries import Head, StoreLimits, digest, extend, has_ended
from swarm.stores.sqlite.collection import forget
from swarm.stores.sqlite.group import GroupCommit
from swarm.stores.sqlite.reader import Reader
from swarm.stores.sqlite.writer import Batch, Writer

__all__ = ("SqliteBlobs", "SqliteJournal", "Statistics")

# About what 0.2 ms reads.
_FEW = 64


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a journal has done since it was opened, and for how many runs it holds memory."""

    commits: int
    events: int
    runs: int


class SqliteJournal:
    """One writer, many readers, one file."""

    def __init__(self, writer: Writer, reader: Reader, limits: StoreLimits) -> None:
        self._writer = writer
        self._reader = reader
        self._limits = limits
        self._group = GroupCommit(writer.write, self._landed, writer.seconds)
        # The group's own: a method around it would be one call more for each commit.
        self.commit = self._group.commit
        self._heads: dict[RunId, Head] = {}
        self._commits = self._events = 0
        self._last_number = reader.last_number()
        self.blobs = SqliteBlobs(self, reader)

    @property
    def health(self) -> Health:
        """Whether what is committed now will survive."""
        return self._writer.health

    def new(self, run_id: RunId) -> None:
        """Promise that there is no run of this id: the file is not asked for its past."""
        if run_id not in self._heads:
            self._heads[run_id] = self._new(run_id, self._healthy(run_id))

    def append(self, run_id: RunId, rows: Sequence[Row]) -> None:
        """Put *rows* behind the others of the run, all or none; unseen before `commit`."""
        if not rows:
            return
        group = self._group
        group.grow()
        head = self._heads.get(run_id)
        if head is None or self._writer.health == "failed":
            head = self._head(run_id)
        before = head.run
        batch = group.open
        batch.events += extend(head, rows, self._limits, self)
        if head.run is not before or head.seq == len(rows):
            batch.runs[head.number] = head.run
            if has_ended(head.run):
                batch.ended[run_id] = head.seq

    def hold(self, head: Head, name: str) -> None:
        """Keep what is there of this digest for the run too."""
        self._group.open.holdings.add((head.number, bytes.fromhex(name)))

    def share(self, head: Head, shared: Shared) -> None:
        """Keep for the run what it shares with others."""
        batch = self._group.open
        batch.blobs[shared.raw] = shared.body
        batch.holdings.add((head.number, shared.raw))

    def spill(self, head: Head, body: bytes) -> str:
        """Keep *body* for the run, from the next commit on."""
        name = digest(body)
        raw = bytes.fromhex(name)
        batch = self._group.open
        if head.seq == 0:
            batch.runs[head.number] = head.run
        batch.blobs[raw] = body
        batch.holdings.add((head.number, raw))
        return name

    def beside(self, statement: str, values: tuple[Any, ...]) -> None:
        """Let a statement be carried out with the rows that are appended in the same turn.

        It may be carried out twice, and must not mind.
        """
        self._group.open.beside.append((statement, values))

    async def probe(self) -> Health:
        """Try to write what is kept, or else a word of no meaning; return how that went."""
        try:
            await self._group.commit()
            await self._group.exclusively(self._writer.probe)
        except SwarmError:
            return self._writer.health
        return self._writer.health

    async def read(self, run_id: RunId, since: int = 0, limit: int = 1000) -> Sequence[Row]:
        """Return up to *limit* committed rows with `seq` above *since*, in order."""
        head = self._heads.get(run_id)
        few = limit if head is None else min(limit, head.seq - since)
        if few <= _FEW:
            return self._reader.read(run_id, since, limit)
        return await to_thread.run_sync(self._reader.read, run_id, since, limit)

    async def heads(self) -> Mapping[RunId, int]:
        """Return each run's last committed `seq`, in the order in which the runs began."""
        return await to_thread.run_sync(self._reader.heads)

    async def run(self, run_id: RunId) -> RunRow | None:
        """Return what a list shows of one run, if it is committed."""
        head = self._reader.head(run_id)
        return None if head is None else head.run

    async def runs(
        self,
        status: Collection[str] | None = None,
        *,
        limit: int = 1000,
        before: RunId | None = None,
    ) -> Sequence[RunRow]:
        """List committed runs, the latest first, without reading their events."""
        return await to_thread.run_sync(self._reader.runs, status, limit, before)

    async def verify(self, run_id: RunId) -> int | None:
        """Return the `seq` of the run's first event that is not what was written, if any."""
        return await to_thread.run_sync(self._reader.verify, run_id)

    async def forget(self, run_ids: Collection[RunId], *, dry_run: bool = False) -> Forgotten:
        """Remove ended runs and the blobs that nobody else holds, in one transaction."""
        writer = self._writer
        return await self._group.exclusively(
            lambda: writer.attempt(lambda: forget(writer.begin(), run_ids, dry_run=dry_run))
        )

    def statistics(self) -> Statistics:
        """Return what was done since the opening."""
        return Statistics(self._commits, self._events, len(self._heads))

    def put(self, run_id: RunId, body: bytes) -> str:
        """Keep *body* for the run, from the next commit on."""
        self._group.grow()
        return self.spill(self._head(run_id), body)

    # -- what is ahead of the disk -----------------------------------------------------

    def _healthy(self, run_id: RunId) -> Health:
        health = self._writer.health
        if health == "failed":
            raise SwarmError(
                "journal.failed",
                f"run {run_id}: expected a journal that can write, got one that has failed — "
                "open the store anew",
                run_id=run_id,
            )
        return health

    def _head(self, run_id: RunId) -> Head:
        health = self._healthy(run_id)
        head = self._heads.get(run_id)
        if head is None:
            head = self._reader.head(run_id)
            if head is None:
                head = self._new(run_id, health)
            self._heads[run_id] = head
        return head

    def _new(self, run_id: RunId, health: Health) -> Head:
        if health == "degraded":
            raise SwarmError(
                "journal.degraded",
                f"run {run_id}: expected a journal that takes new runs, got one that cannot "
                "write now — try again when it can",
                run_id=run_id,
            )
        self._last_number += 1
        return Head(RunRow(run_id), self._last_number)

    def _landed(self, batch: Batch) -> None:
        """Drop the heads of runs that have ended: memory is for those that go on."""
        self._commits += 1
        self._events += len(batch.events)
        for run_id, seq in batch.ended.items():
            head = self._heads.get(run_id)
            # More may have been appended meanwhile: it hangs on what is not on the disk yet.
            if head is not None and head.seq == seq:
                del self._heads[run_id]


class SqliteBlobs:
    """The bytes beside a journal, in its file and its transactions."""

    def __init__(self, journal: SqliteJournal, reader: Reader) -> None:
        self._journal = journal
        self._reader = reader

    def put(self, run_id: RunId, body: bytes) -> str:
        """Keep *body* for the run; return its digest in lower case hex."""
        return self._journal.put(run_id, body)

    async def get(self, digest: str) -> bytes:
        """Return the committed bytes of this name."""
        return await to_thread.run_sync(self._reader.blob, digest)
