"""Finds entries without reading the history: an SQLite file, made again when it is lost.

Git is the truth. A history is taken over up to the commit that its ref names; so an entry
that another process wrote, or that a kill kept out of here, is found on the next look.
`spare` has the objects of each newest entry, for the day when git's own are damaged.
Somebody may remove the file while it is open, and where nothing may be written the index
is in memory.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import RLock
from typing import Any, Final, TypeVar

import apsw

from swarm.blueprint.ranges import Interval, Label, parse_label
from swarm.ports.versions import Entry, Note
from swarm.stores.git.objects import Stored
from swarm.stores.sqlite.binding import Connection, connect

__all__ = ("Index",)

_T = TypeVar("_T")

_FORM: Final = 1
_BUSY_MS: Final = 10_000
_TABLES: Final = f"""
    create table if not exists entry (
        id text not null,
        number integer not null,
        digest text not null,
        label text not null,
        major integer not null,
        minor integer not null,
        patch integer not null,
        git_commit text not null,
        author text not null,
        reason text not null,
        written_s real not null,
        reached_s real not null,
        back_to text,
        primary key (id, number)
    ) strict, without rowid;
    create index if not exists entry_digest on entry (id, digest, number);
    create index if not exists entry_label on entry (id, major, minor, patch);
    create index if not exists entry_time on entry (id, reached_s);
    create index if not exists entry_commit on entry (id, git_commit);
    create table if not exists spare (
        id text not null,
        oid text not null,
        raw blob not null,
        primary key (id, oid)
    ) strict;
    pragma user_version = {_FORM};
"""
_FIELDS: Final = "id, number, digest, label, git_commit, author, reason, written_s, back_to"
_LAST: Final = (1 << 62, 0, 0)


class Index:
    """The index at *path*; any thread may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = RLock()
        self._opened: Connection | None = None
        self._inode: int | None = None

    def close(self) -> None:
        """Let go of it; may be called again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close(True)
                self._opened = None

    def _connection(self) -> Connection:
        if self._opened is not None and self._inode != self._found():
            self.close()
        if self._opened is None:
            try:
                self._opened = self._open(str(self._path))
            except (apsw.NotADBError, apsw.CorruptError, _Other):
                self._remove()
                self._opened = self._open(str(self._path))
            except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError):
                self._opened = self._open(":memory:")
            self._inode = self._found()
        return self._opened

    def _found(self) -> int | None:
        try:
            return os.stat(self._path).st_ino
        except FileNotFoundError:
            return None

    def _remove(self) -> None:
        """Remove a damaged index: it says nothing that git does not say.

        Its log goes with it: SQLite drops one that stands beside an empty file. Whoever
        has it open goes on with it until the next look at the path.
        """
        self.close()
        self._path.unlink(missing_ok=True)

    def _open(self, name: str) -> Connection:
        connection = connect(name)
        try:
            connection.set_busy_timeout(_BUSY_MS)
            # Whoever closes one that was removed leaves the log of its successor alone.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            form = connection.execute("pragma user_version").fetchone()[0]
            if form not in (0, _FORM):
                raise _Other
            _write_ahead(connection)
            connection.execute("pragma synchronous = normal")
            if form == 0:
                connection.execute("begin immediate;" + _TABLES + "commit")
        except BaseException:
            connection.close(True)
            raise
        return connection

    def _act(self, act: Callable[[Connection], _T]) -> _T:
        """Do something; once more with a new index, where this one is damaged."""
        with self._lock:
            try:
                return act(self._connection())
            except (apsw.CorruptError, apsw.NotADBError, apsw.IOError):
                self._remove()
                return act(self._connection())

    def _rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
        return self._act(lambda connection: list(connection.execute(sql, values)))

    # -- writing -----------------------------------------------------------------------

    def extend(
        self,
        blueprint: str,
        entries: Sequence[Entry],
        oids: Sequence[str],
        fresh: Iterable[Stored],
    ) -> None:
        """Put entries behind those of a history that are known.

        Shape: *oids* are the objects of the last entry, *fresh* those that are no spare yet.
        """

        def write(connection: Connection) -> None:
            connection.execute("begin immediate")
            try:
                _insert(connection, blueprint, entries)
                _spare(connection, blueprint, entries[-1].number, oids, fresh)
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise

        self._act(write)

    def forget(self, blueprint: str, commit: str | None) -> None:
        """Forget the entries from that of *commit* on: the next look takes over what is there.

        Shape: all of them, where *commit* is None or not known.
        """
        last = None if commit is None else self.by_commit(blueprint, commit)
        number = 0 if last is None else last.number

        def act(connection: Connection) -> None:
            drop = "delete from entry where id = ? and number >= ?"
            connection.execute(drop, (blueprint, number))
            connection.execute("delete from spare where id = ?", (blueprint,))

        self._act(act)

    # -- finding -----------------------------------------------------------------------

    def newest(self, blueprint: str) -> Entry | None:
        """Return the newest entry that is known."""
        return self._one("where id = ? order by number desc", blueprint)

    def by_commit(self, blueprint: str, commit: str) -> Entry | None:
        """Return the entry of a commit."""
        where = "where id = ? and git_commit = ?"
        return self._one(f"indexed by entry_commit {where}", blueprint, commit)

    def by_label(self, blueprint: str, label: Label) -> Entry | None:
        """Return the entry of a label."""
        where = "where id = ? and major = ? and minor = ? and patch = ?"
        return self._one(f"indexed by entry_label {where}", blueprint, *label)

    def by_moment(self, blueprint: str, moment_s: float) -> Entry | None:
        """Return the entry that was the newest at a moment."""
        order = "order by reached_s desc, number desc"
        where = f"where id = ? and reached_s <= ? {order}"
        return self._one(f"indexed by entry_time {where}", blueprint, moment_s)

    def by_range(self, blueprint: str, intervals: Iterable[Interval]) -> Entry | None:
        """Return the entry with the highest label in one of the intervals."""
        found: list[Entry] = []
        for low, high in intervals:
            entry = self._one(
                "indexed by entry_label where id = ? and (major, minor, patch) >= (?, ?, ?)"
                " and (major, minor, patch) < (?, ?, ?)"
                " order by major desc, minor desc, patch desc",
                blueprint,
                *low,
                *(high or _LAST),
            )
            found += [] if entry is None else [entry]
        return max(found, key=lambda entry: parse_label(entry.label), default=None)

    def by_hash(self, blueprint: str, digits: str) -> list[Entry]:
        """Return the newest entry of each version whose hash begins so, at most four."""
        rows = self._rows(
            f"select {_FIELDS}, max(number) from entry"  # noqa: S608 - names of ours
            " where id = ? and digest >= ? and digest < ? group by digest limit 4",
            (blueprint, digits, digits + "g"),
        )
        return [_entry(row[:-1]) for row in rows]

    def page(self, blueprint: str, limit: int, before: int | None) -> list[Entry]:
        """Return entries, the newest first."""
        rows = self._rows(
            f"select {_FIELDS} from entry"  # noqa: S608 - names of ours
            " where id = ? and number < ? order by number desc limit ?",
            (blueprint, (1 << 62) if before is None else before, limit),
        )
        return [_entry(row) for row in rows]

    def spare(self, blueprint: str) -> list[Stored]:
        """Return the objects of the newest entry."""
        rows = self._rows("select oid, raw from spare where id = ?", (blueprint,))
        return [Stored(oid, raw) for oid, raw in rows]

    def spared(self, blueprint: str) -> set[str]:
        """Return the names of the objects of the newest entry."""
        return {row[0] for row in self._rows("select oid from spare where id = ?", (blueprint,))}

    def blueprints(self) -> list[str]:
        """Return the ids that are known."""
        return [row[0] for row in self._rows("select distinct id from entry order by id", ())]

    def _one(self, where: str, *values: Any) -> Entry | None:
        # The index is named: left to itself SQLite reads a whole history by its first key.
        sql = f"select {_FIELDS} from entry {where} limit 1"  # noqa: S608 - words of ours
        rows = self._rows(sql, values)
        return _entry(rows[0]) if rows else None


def _write_ahead(connection: Connection) -> None:
    """Let the file have a log, while others that open it anew do the same.

    SQLite does not wait for their locks here, whatever it was told.
    """
    give_up = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute("pragma journal_mode = wal")
            return
        except apsw.BusyError:
            if time.monotonic() >= give_up:
                raise
            time.sleep(0.002)


class _Other(Exception):
    """The file is an index of another form."""


def _insert(connection: Connection, blueprint: str, entries: Sequence[Entry]) -> None:
    # A clock that goes back does not take an entry out of its order. Another process may
    # have put the same here, and more.
    latest = connection.execute(
        "select max(reached_s) from entry where id = ? and number < ?",
        (blueprint, entries[0].number),
    ).fetchone()[0]
    reached = float("-inf") if latest is None else latest
    rows: list[tuple[Any, ...]] = []
    for entry in entries:
        reached = max(reached, entry.note.written_s)
        rows.append(_row(entry, reached))
    connection.executemany(
        "insert or replace into entry values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
    )


def _spare(
    connection: Connection,
    blueprint: str,
    number: int,
    oids: Sequence[str],
    fresh: Iterable[Stored],
) -> None:
    newest = connection.execute("select max(number) from entry where id = ?", (blueprint,))
    if newest.fetchone()[0] != number:
        return
    connection.execute(
        "delete from spare where id = ? and oid not in (select value from json_each(?))",
        (blueprint, json.dumps(oids)),
    )
    rows = [(blueprint, stored.oid, stored.raw) for stored in fresh]
    connection.executemany("insert or replace into spare values (?, ?, ?)", rows)


def _row(entry: Entry, reached_s: float) -> tuple[Any, ...]:
    label = parse_label(entry.label)
    note = entry.note
    known = (entry.blueprint, entry.number, entry.digest, entry.label, *label, entry.commit)
    return (*known, note.author, note.reason, note.written_s, reached_s, entry.back_to)


def _entry(row: Sequence[Any]) -> Entry:
    blueprint, number, digest, label, commit, author, reason, written_s, back_to = row
    note = Note(author, reason, written_s)
    return Entry(blueprint, number, digest, label, commit, note, back_to)
