"""Reading a store: events with their chain checked, lists of runs, blobs, a copy.

Each read uses a connection that nobody else uses meanwhile, so that several threads may
read while one writes.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from swarm.core.audit.entries import Growth
from swarm.errors import Refused, SwarmError
from swarm.ids import RunId
from swarm.ports.journal import Row, RunRow
from swarm.stores.chain import damaged, genesis, walk
from swarm.stores.entries import Head, decode, follow, has_ended, missing_blob, whole_blob
from swarm.stores.ledger import Remembered
from swarm.stores.sqlite import schema
from swarm.stores.sqlite.audit import growth_of, some_of
from swarm.stores.sqlite.binding import Connection, connect
from swarm.stores.sqlite.connection import Source, connect_reader

__all__ = ("Reader",)

_IDLE = 4
_PAGES = 4_096
_RUN_COLUMNS = "id, status, blueprint, digest, began_s, ended_s, parent"
# A store of an older version is looked at as it is: it knows no parents.
_WITH_PARENTS = 4
_OLD_COLUMNS = _RUN_COLUMNS.replace("parent", "null")


class Reader:
    """What is committed in the store of one file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._idle: list[Connection] = []
        self._closed = False

    def close(self) -> None:
        """Leave the connections; those in use are left when their reads end."""
        self._closed = True
        while self._idle:
            try:
                self._idle.pop().close(True)
            except apsw.Error:
                # Nothing is owed to a disk that can only be read any more.
                continue

    # -- events ------------------------------------------------------------------------

    def read(self, run_id: RunId, since: int, limit: int) -> list[Row]:
        """Return up to *limit* rows above *since*.

        Raises: SwarmError (journal.damaged).
        """
        with self._connection() as connection:
            fetch = _Fetch(connection)
            return [
                _decoded(run_id, seq, body, fetch)
                for seq, body in _links(connection, run_id, max(since, 0), limit)
            ]

    def verify(self, run_id: RunId) -> int | None:
        """Return the first event that is not what was written, if any."""
        run, seq = RunRow(run_id), 0
        try:
            with self._connection() as connection:
                fetch = _Fetch(connection)
                for seq, body in _links(connection, run_id, 0, -1):
                    row = _decoded(run_id, seq, body, fetch)
                    run = follow(run, row)
                listed = _run(connection, run_id)
        except SwarmError as error:
            if error.code != "journal.damaged":
                raise
            return int(error.values["seq"])
        # A cut tail breaks no link; what is listed may still remember an end.
        missing = listed is not None and has_ended(listed[1]) and not has_ended(run)
        return seq + 1 if missing else None

    def head(self, run_id: RunId) -> Head | None:
        """Return the end of the run's log, if the run is there."""
        with self._connection() as connection:
            found = _run(connection, run_id)
            if found is None:
                return None
            number, run = found
            last = connection.execute(
                "select seq, hash from event where run = ? order by seq desc limit 1", (number,)
            ).fetchone()
            return Head(run, number) if last is None else Head(run, number, last[0], last[1])

    # -- runs --------------------------------------------------------------------------

    def heads(self) -> dict[RunId, int]:
        """Return each run's last event."""
        with self._connection() as connection:
            return dict(
                connection.execute(
                    "select id, (select max(seq) from event where run = no) as head "
                    "from run where head is not null order by no"
                )
            )

    def runs(
        self, status: Collection[str] | None, limit: int, before: RunId | None
    ) -> list[RunRow]:
        """List runs, the latest first."""
        where: list[str] = []
        values: list[str | int] = []
        if status is not None:
            where.append(f"status in ({', '.join('?' * len(status))})")
            values.extend(status)
        if before is not None:
            where.append("no < (select no from run where id = ?)")
            values.append(before)
        only = f"where {' and '.join(where)} " if where else ""
        with self._connection() as connection:
            rows = connection.execute(
                f"select {_columns(connection)} from run {only}order by no desc limit ?",  # noqa: S608
                (*values, limit),
            )
            return [RunRow(*row) for row in rows]

    def last_number(self) -> int:
        """Return the highest number that a run has."""
        with self._connection() as connection:
            row = connection.execute("select max(no) from run").fetchone()
            return (row and row[0]) or 0

    # -- tokens ------------------------------------------------------------------------

    def tokens(self) -> Remembered:
        """Return what is remembered of tokens."""
        with self._connection() as connection:
            state = connection.execute("select epoch, high_s from token_state").fetchone()
            voids = connection.execute("select kind, name, epoch, until_s from token_void")
            uses = connection.execute("select counter, count, until_s from token_use")
            return Remembered(state[0], state[1], list(voids), list(uses))

    def audit(self) -> Growth:
        """Return the end of the audit log."""
        with self._connection() as connection:
            return growth_of(connection)

    def acts(self, since: int, limit: int) -> list[bytes]:
        """Return the bodies of up to *limit* entries of the audit log behind number *since*."""
        with self._connection() as connection:
            return some_of(connection, since, limit)

    # -- blobs, copies -----------------------------------------------------------------

    def blob(self, name: str) -> bytes:
        """Return the bytes of this digest.

        Raises: Refused (blob.unknown); SwarmError (blob.damaged).
        """
        with self._connection() as connection:
            return _Fetch(connection)(name)

    def copy(self, target: str | os.PathLike[str]) -> None:
        """Write the store as it is now to a new file, which is there whole or not at all.

        Raises: Refused (store.backup).
        """
        path = Path(target)
        half = path.with_name(f"{path.name}.part")
        try:
            if path.exists():
                raise FileExistsError(17, "it is there already")
            with self._connection() as connection:
                _copy(connection, str(half))
            half.rename(path)
        except (OSError, SwarmError) as error:
            half.unlink(missing_ok=True)
            raise Refused(
                "store.backup",
                f"{path}: expected a new file that can be written, got {error}",
                path=str(path),
            ) from error

    def admit(self) -> None:
        """Look whether this is a store that can be read as it is.

        Raises: Refused (store.foreign, store.newer, store.older); SwarmError
        (journal.unreadable).
        """
        with self._connection() as connection:
            schema.admit_reader(connection, self._source.path)

    # -- connections -------------------------------------------------------------------

    @contextmanager
    def _connection(self) -> Generator[Connection]:
        connection: Connection | None = None
        whole = False
        try:
            connection = self._taken()
            yield connection
            whole = True
        except apsw.Error as error:
            raise SwarmError(
                "journal.unreadable",
                f"{self._source.path}: expected a file that can be read, got "
                f"{type(error).__name__}: {error}",
                path=self._source.path,
            ) from error
        finally:
            if connection is not None:
                self._leave(connection, whole=whole)

    def _taken(self) -> Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return connect_reader(self._source)

    def _leave(self, connection: Connection, *, whole: bool) -> None:
        # A read that broke off is still open, and would keep the log from being folded.
        if whole and not self._closed and len(self._idle) < _IDLE:
            self._idle.append(connection)
        else:
            connection.close(True)


class _Fetch:
    """Gets blobs through one connection, and checks that they are what they are called."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, name: str) -> bytes:
        row = self._connection.execute(
            "select body from blob where digest = ?", (_raw(name),)
        ).fetchone()
        if row is None:
            raise missing_blob(name)
        return whole_blob(name, row[0])


def _raw(name: str) -> bytes:
    try:
        return bytes.fromhex(name)
    except ValueError:
        return b""


def _columns(connection: Connection) -> str:
    row = connection.execute("pragma user_version").fetchone()
    return _RUN_COLUMNS if row is not None and row[0] >= _WITH_PARENTS else _OLD_COLUMNS


def _run(connection: Connection, run_id: RunId) -> tuple[int, RunRow] | None:
    row = connection.execute(
        f"select no, {_columns(connection)} from run where id = ?",  # noqa: S608
        (run_id,),
    ).fetchone()
    return None if row is None else (row[0], RunRow(*row[1:]))


def _links(
    connection: Connection, run_id: RunId, since: int, limit: int
) -> Iterator[tuple[int, bytes]]:
    """Walk up to *limit* (below 0: all) events above *since*, checking each link.

    Raises: SwarmError (journal.damaged).
    """
    rows = connection.execute(
        "select seq, hash, body from event where run = (select no from run where id = ?) "
        "and seq >= ? order by seq limit ?",
        (run_id, since, limit if limit < 0 or not since else limit + 1),
    )
    seq, before = since, genesis(run_id)
    try:
        if since:
            # The event at `since` is read for its hash alone.
            first = next(rows, None)
            if first is None:
                return
            before = first[1] if first[0] == since else b""
        for seq, body in walk(run_id, since, before, rows):
            yield seq, body
    except apsw.CorruptError as error:
        raise damaged(run_id, seq + 1) from error


def _decoded(run_id: RunId, seq: int, body: bytes, fetch: _Fetch) -> Row:
    try:
        return decode(body, fetch)
    except SwarmError as error:
        # What the row needs is gone or another: that is the row's damage.
        raise damaged(run_id, seq) from error


def _copy(connection: Connection, path: str) -> None:
    target = connect(path)
    try:
        # Within one reading transaction, so that a busy writer cannot make it begin anew.
        connection.execute("begin")
        connection.execute("select count(*) from store").fetchone()
        with target.backup("main", connection, "main") as backup:
            while not backup.done:
                backup.step(_PAGES)
    finally:
        connection.execute("rollback")
        target.close(True)
