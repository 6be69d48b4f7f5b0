"""The audit log on a disk: a table of the journal's file, written in its transactions.

The table refuses changes and removals by itself; whoever has the file can take that away,
and then the chain, the tree and the checkpoints show what was done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TypeAlias

import apsw
from anyio import to_thread

from swarm.core.audit.entries import Growth, Kept, entry_of
from swarm.core.audit.tree import Tree, peaks_of, subtree
from swarm.errors import SwarmError
from swarm.ports.audit import AuditEntry, WrittenEntry
from swarm.stores.sqlite import schema
from swarm.stores.sqlite.binding import Connection
from swarm.stores.sqlite.connection import Source, connect_reader

__all__ = ("AuditReader", "SqliteAudit", "growth_of", "some_of")

Beside: TypeAlias = Callable[[str, tuple[Any, ...]], None]
Some: TypeAlias = Callable[[int, int], list[bytes]]

# Carried out again it changes nothing; where another entry stands, the table refuses.
_INSERT: Final = (
    "insert into audit (no, hash, tree, body) values (?, ?, ?, ?) "
    "on conflict (no) do update set hash = excluded.hash where hash <> excluded.hash"
)
_ROWS: Final = "select no, hash, tree, body from audit where no > ? order by no"
_SOME: Final = "select body from audit where no > ? order by no limit ?"
_OF_STEP: Final = (
    "select no, hash, tree, body from audit "
    "where json_extract(cast(body as text), '$.run') = ? "
    "and (? is null or json_extract(cast(body as text), '$.step') = ?) order by no"
)


class SqliteAudit:
    """Appends through *beside*; *commit* makes it last, and *some* reads what does."""

    def __init__(
        self, growth: Growth, beside: Beside, commit: Callable[[], Awaitable[None]], some: Some
    ) -> None:
        self._some = some
        self._growth = growth
        self._beside = beside
        self._commit = commit

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self._growth.tree.size

    def end(self) -> tuple[int, bytes, bytes]:
        """Return how many entries there are, the chain's last hash, and the tree's root."""
        growth = self._growth
        return growth.tree.size, growth.head, growth.tree.root

    def record(self, entry: AuditEntry | WrittenEntry) -> None:
        """Put *entry* behind the others; it lasts from the next commit on."""
        self._beside(_INSERT, self._growth.add(entry))

    async def append(self, entry: AuditEntry | WrittenEntry) -> None:
        """Return when *entry* is kept."""
        self.record(entry)
        await self._commit()

    async def read(self, since: int = 0, limit: int = 1000) -> Sequence[AuditEntry]:
        """Return up to *limit* committed entries behind number *since*."""
        return [entry_of(body) for body in await to_thread.run_sync(self._some, since, limit)]


def growth_of(connection: Connection) -> Growth:
    """Return the end of the log as it is on the disk."""
    row = connection.execute("select no, hash from audit order by no desc limit 1").fetchone()
    if row is None:
        return Growth()
    return Growth(row[1], Tree(row[0], peaks_of(row[0], _node_of(connection))))


def some_of(connection: Connection, since: int, limit: int) -> list[bytes]:
    """Return the bodies of up to *limit* entries behind number *since*."""
    return [row[0] for row in connection.execute(_SOME, (since, limit))]


class AuditReader:
    """The audit log in the file of a store, read beside whoever has that open.

    What is read is one state of the file, as it was at the opening.
    Raises: SwarmError (audit.unreadable), for a file that cannot be read; Refused
    (store.foreign, store.newer, store.older).
    """

    def __init__(self, file: Path) -> None:
        self._path = str(file)
        with ExitStack() as undo:
            try:
                self._connection = connect_reader(Source(self._path))
                undo.callback(self._connection.close, True)
                schema.admit_reader(self._connection, self._path, schema.LINKED)
                self._connection.execute("begin")
                self.size, self.head, self.root = self._end()
            except apsw.Error as error:
                raise self._unreadable(error) from error
            undo.pop_all()

    def __enter__(self) -> AuditReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close(True)

    def rows(self, since: int = 0) -> Iterator[Kept]:
        """Read the entries behind number *since*, as they are kept."""
        return self._read(_ROWS, (since,))

    def of_step(self, run: str, step: str | None = None) -> Iterator[Kept]:
        """Read the entries about a step of a run, or about all of the run."""
        return self._read(_OF_STEP, (run, step, step))

    def node(self, level: int, number: int) -> bytes:
        """Return the hash of a complete subtree."""
        return _node_of(self._connection)(level, number)

    def _end(self) -> tuple[int, bytes, bytes]:
        growth = growth_of(self._connection)
        return growth.tree.size, growth.head, growth.tree.root

    def _read(self, statement: str, values: tuple[Any, ...]) -> Iterator[Kept]:
        try:
            for row in self._connection.execute(statement, values):
                yield Kept(*row)
        except apsw.Error as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: apsw.Error) -> SwarmError:
        said = f"expected an audit log that can be read, got {type(error).__name__}: {error}"
        return SwarmError("audit.unreadable", f"{self._path}: {said}")


def _node_of(connection: Connection) -> Callable[[int, int], bytes]:
    def node(level: int, number: int) -> bytes:
        row = connection.execute(
            "select hash, tree from audit where no = ?", ((number + 1) << level,)
        ).fetchone()
        return b"" if row is None else subtree(row[0], row[1], level)

    return node
