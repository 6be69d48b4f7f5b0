"""Batches into transactions, and what to do when nobody knows whether one happened.

After an error from COMMIT the transaction may be on the disk or not, and the connection's
idea of the file is not to be trusted. So the connection is dropped, the file opened anew,
and the batch's last event looked for by run, seq and hash: a batch is one transaction, so
its last event speaks for all. Found: the log is folded into the file and synced, because
what a failed sync left in the page cache is not yet on the disk. Not found: the same rows
are written once more. Only when that fails too is the batch given back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import chain, groupby, starmap
from operator import itemgetter
from time import perf_counter
from typing import Any, TypeVar

import apsw

from swarm.errors import SwarmError
from swarm.ids import RunId
from swarm.ports.journal import Health, RunRow
from swarm.stores.sqlite.binding import Connection
from swarm.stores.sqlite.connection import Source, connect_writer
from swarm.stores.sqlite.folding import Folding
from swarm.stores.sqlite.identity import Identity

__all__ = ("Batch", "Writer")

_T = TypeVar("_T")

# What may pass: space comes back, a disk is plugged in again, somebody lets go of a lock.
_PASSING = (
    apsw.FullError,
    apsw.IOError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.CantOpenError,
    apsw.NoMemError,
)

# So many rows are one statement; of more, so many at a time: a row alone in its statement takes
# a quarter longer.
_AT_ONCE = 8
_MANY = 32

_EPOCH = "select epoch from store where one = 1"
_RUN = (
    "insert into run (no, id, status, blueprint, digest, began_s, ended_s, parent) "
    "values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (no) do update set status = excluded.status, "
    "blueprint = excluded.blueprint, digest = excluded.digest, began_s = excluded.began_s, "
    "ended_s = excluded.ended_s, parent = excluded.parent"
)
_BLOB = "insert or ignore into blob (digest, body) values (?, ?)"
# What a row mentions may be a text that looks like a reference: only what is there is held.
_HOLDING = "insert or ignore into holding (run, digest) select ?, digest from blob where digest = ?"
_EVENT = "insert into event (run, seq, hash, body) values (?, ?, ?, ?)"
_EVENTS = [_EVENT + ", (?, ?, ?, ?)" * more for more in range(_AT_ONCE)]
_EVENTS_MANY = _EVENT + ", (?, ?, ?, ?)" * (_MANY - 1)
# A transaction of its own: nothing is inserted where the epoch is another's.
_EVENT_FROM = "insert into event (run, seq, hash, body) select * from (values (?, ?, ?, ?)"
_IF_OURS = ") where (select epoch from store where one = 1) = ?"
_EVENTS_IF = [_EVENT_FROM + ", (?, ?, ?, ?)" * more + _IF_OURS for more in range(_AT_ONCE)]

_STATEMENT, _VALUES = itemgetter(0), itemgetter(1)

Event = tuple[int, int, bytes, bytes]


def _listed(number: int, run: RunRow) -> tuple[Any, ...]:
    # In the order of the statement.
    return (number, *run)


class Batch:
    """What becomes durable together: events, what they need to be there, what stands beside.

    `beside` are statements with their values that may be carried out twice: whatever else
    belongs into the same transaction. `landed`: it is durable.
    """

    __slots__ = ("beside", "blobs", "ended", "events", "holdings", "landed", "runs")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.runs: dict[int, RunRow] = {}
        self.blobs: dict[bytes, bytes] = {}
        self.holdings: set[tuple[int, bytes]] = set()
        self.ended: dict[RunId, int] = {}
        self.beside: list[tuple[str, tuple[Any, ...]]] = []
        self.landed = False

    def __bool__(self) -> bool:
        return bool(self.events or self.runs or self.beside)

    @property
    def bare(self) -> bool:
        """Whether it is a few events and nothing else."""
        if self.runs or self.blobs or self.holdings or self.beside:
            return False
        return 0 < len(self.events) <= _AT_ONCE


class Writer:
    """The one connection that writes; used by one thread at a time.

    *monotonic* tells when it is time to see whether the file is still where it was.
    `health` is what the last attempt has shown, `seconds` what its opening commit took,
    `epoch` the number of this opening.
    """

    def __init__(self, source: Source, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.health: Health = "ok"
        self._closed = False
        self._source = source
        self._folding = Folding(source, lambda: self._identity.instead())
        self._connection: Connection | None = self._connected()
        self._identity = Identity(source.path, monotonic)
        before = perf_counter()
        try:
            self.epoch = self._begin_epoch(self._connection)
        except BaseException:
            self.drop()
            raise
        self.seconds = perf_counter() - before

    def write(self, batch: Batch) -> float:
        """Make *batch* durable; return the seconds that the commit itself took.

        Raises: SwarmError (journal.degraded, journal.fenced, journal.failed).
        """
        if self.health == "failed":
            raise self._failed(None)
        self._stay()
        try:
            taken = self._transact(batch)
        except apsw.Error:
            return self.attempt(lambda: self._recover(batch))
        except BaseException:
            # An interrupt may leave a transaction open, which no other is to meet.
            self.drop()
            raise
        self.health = "ok"
        self._shorten()
        return taken

    def probe(self) -> None:
        """Write a word of no meaning.

        Raises: as `write`.
        """

        def touch() -> None:
            connection = self.begin()
            # There and back: of a row that stays what it is SQLite writes nothing at all.
            for step in (1, -1):
                connection.execute("update store set epoch = epoch + ? where one = 1", (step,))
            connection.execute("commit")

        self.attempt(touch)

    def attempt(self, act: Callable[[], _T]) -> _T:
        """Do something with the connection; afterwards `health` says how writing stands.

        Raises: SwarmError (journal.degraded, journal.failed) for what the library says,
        and for a file that is not where it was.
        """
        self._stay()
        try:
            result = act()
        except _PASSING as error:
            self.drop()
            if self.health != "failed":
                self.health = "degraded"
            raise SwarmError(
                "journal.degraded",
                f"{self._source.path}: expected a write that lasts, got "
                f"{type(error).__name__}: {error} — runs go on when writing works again",
                path=self._source.path,
            ) from error
        except apsw.Error as error:
            self.drop()
            self.health = "failed"
            raise self._failed(error) from error
        except BaseException:
            self.drop()
            raise
        if self.health == "degraded":
            self.health = "ok"
        self._shorten()
        return result

    def close(self) -> None:
        """Write nothing more: the file may be another's from here on."""
        self.health, self._closed = "failed", True
        self.drop()

    def drop(self) -> None:
        """Leave the connection; the next write opens another."""
        self._folding.end()
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close(True)
            except apsw.Error:
                # It is left because it is broken; what it says on leaving is no news.
                return

    def _shorten(self) -> None:
        """Let the log be folded where it has become long; nothing is begun and not ended."""
        if self._folding.pages >= self._folding.due and self._connection is not None:
            self._folding.fold(self._connection)

    # -- one batch ---------------------------------------------------------------------

    def _recover(self, batch: Batch) -> float:
        self.drop()
        if not self._is_there(batch):
            return self._transact(batch)
        before = perf_counter()
        self._fold()
        return perf_counter() - before

    def _transact(self, batch: Batch) -> float:
        if batch.bare:
            return self._insert(batch.events)
        execute = self.begin().execute
        executemany = self._open().executemany
        if batch.runs:
            executemany(_RUN, starmap(_listed, batch.runs.items()))
        if batch.blobs:
            executemany(_BLOB, batch.blobs.items())
        if batch.holdings:
            executemany(_HOLDING, batch.holdings)
        events = batch.events
        if len(events) <= _AT_ONCE:
            if events:
                execute(_EVENTS[len(events) - 1], sum(events, ()))
        else:
            # The values of one row after the other, and of many rows a tuple.
            values = [chain.from_iterable(events)] * (4 * _MANY)
            executemany(_EVENTS_MANY, zip(*values, strict=False))
            executemany(_EVENT, events[len(events) // _MANY * _MANY :])
        # One after the other, as they came; those of one kind that follow each other at once.
        for statement, some in groupby(batch.beside, _STATEMENT):
            executemany(statement, map(_VALUES, some))
        before = perf_counter()
        execute("commit")
        return perf_counter() - before

    def _insert(self, events: list[Event]) -> float:
        """Do in one statement what a transaction would do in four."""
        connection = self._open()
        before = perf_counter()
        connection.execute(_EVENTS_IF[len(events) - 1], (*sum(events, ()), self.epoch))
        taken = perf_counter() - before
        if connection.changes() == 0:
            raise self._fenced(connection.execute(_EPOCH).fetchone())
        return taken

    def _is_there(self, batch: Batch) -> bool:
        if not batch.events:
            return False
        run, seq, hash_, _ = batch.events[-1]
        row = (
            self._open()
            .execute("select hash from event where run = ? and seq = ?", (run, seq))
            .fetchone()
        )
        return row is not None and row[0] == hash_

    def _fold(self) -> None:
        """Copy the log into the file and sync it.

        Raises: apsw.BusyError, while a reader keeps that from being complete.
        """
        row = self._open().execute("pragma wal_checkpoint(full)").fetchone()
        if row is None or row[0]:
            raise apsw.BusyError("the log could not be folded into the file")

    # -- the connection ----------------------------------------------------------------

    def _stay(self, *, now: bool = False) -> None:
        """Fail for good where the path does not lead to the file that was opened.

        Raises: SwarmError (journal.failed).
        """
        got = self._identity.lost(now=now)
        if got is None:
            return
        self.health = "failed"
        if self._connection is not None:
            # On leaving, SQLite folds and removes the log of that name: another's by now.
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self.drop()
        said = f"expected the file that was opened, got {got} in its place — open the store anew"
        path = self._source.path
        raise SwarmError("journal.failed", f"{path}: {said}", path=path)

    def _open(self) -> Connection:
        if self._connection is None:
            self._stay(now=True)
            self._connection = self._connected()
        return self._connection

    def _connected(self) -> Connection:
        connection = connect_writer(self._source)
        self._folding.watch(connection)
        return connection

    def begin(self) -> Connection:
        """Begin a transaction in which the epoch is still ours.

        Raises: SwarmError (journal.fenced); apsw.Error.
        """
        connection = self._open()
        connection.execute("begin immediate")
        row = connection.execute(_EPOCH).fetchone()
        if row != (self.epoch,):
            connection.execute("rollback")
            raise self._fenced(row)
        return connection

    def _begin_epoch(self, connection: Connection) -> int:
        connection.execute("begin immediate")
        row = connection.execute(
            "update store set epoch = epoch + 1 where one = 1 returning epoch"
        ).fetchone()
        connection.execute("commit")
        assert row is not None  # noqa: S101 - the row is made with the table
        return int(row[0])

    def _fenced(self, row: tuple[int] | None) -> SwarmError:
        self.health = "failed"
        return SwarmError(
            "journal.fenced",
            f"{self._source.path}: expected to be the owner (epoch {self.epoch}), got "
            f"epoch {row[0] if row else None} — another process has taken the store over",
            path=self._source.path,
        )

    def _failed(self, error: apsw.Error | None) -> SwarmError:
        got = "one that is closed" if self._closed else "one that has failed"
        if error is not None:
            got = f"{type(error).__name__}: {error}"
        return SwarmError(
            "journal.failed",
            f"{self._source.path}: expected a journal that can write, got {got} — open the "
            "store anew; runs resume from what was acknowledged",
            path=self._source.path,
        )
