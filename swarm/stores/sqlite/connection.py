"""Connections to the file of a store, with the settings that all of them have."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

import apsw

from flowir.records import dataclass
from swarm.errors import Refused
from swarm.stores.sqlite import schema
from swarm.stores.sqlite.binding import Connection, connect, connect_still

__all__ = (
    "CHECKPOINT_PAGES",
    "SYNCHRONOUS",
    "Durability",
    "Source",
    "connect_folding",
    "connect_reader",
    "connect_writer",
)

# full: an acknowledged event survives the loss of power. normal: it survives the death of
# the process; a loss of power may take the last of them, never damage what stays. memory:
# nothing is written to a disk, and nothing survives the process.
Durability: TypeAlias = Literal["full", "normal", "memory"]

SYNCHRONOUS: Final[dict[str, str]] = {"full": "full", "normal": "normal"}

_BUSY_MS = 5_000
# Of a new file. A commit writes the pages that it touches, two of them for a step: half of
# SQLite's default makes it a fifth cheaper, and rows in groups no dearer.
PAGE_BYTES = 2048
# Twice the bytes of SQLite's own default: what is written anew meanwhile, as the ends of indexes
# are, is folded once. A log twice as long again gains nothing.
CHECKPOINT_PAGES = 4_000
_LOG_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """Which file, how durable, and through which VFS (None: the system's)."""

    path: str
    durability: Durability = "full"
    vfs: str | None = None


def connect_writer(source: Source) -> Connection:
    """Open the store's file for writing, make it if it is not there, bring it up to date.

    Raises: Refused (store.foreign, store.newer), with the file untouched; apsw.Error.
    """
    has_log = _has_log(source.path)
    connection = connect(source.path, source.vfs)
    try:
        # A file that will be refused is not to be tidied up on leaving it: a log that lies
        # beside it would be folded in. One without a log is left as it was.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(has_log))
        _settle(connection)
        schema.admit(connection, source.path)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        connection.execute(f"pragma page_size = {PAGE_BYTES}")
        connection.execute("pragma journal_mode = wal")
        # A commit that folds the log lets everybody wait: `Folding` does it beside.
        connection.execute("pragma wal_autocheckpoint = 0")
        connection.execute(f"pragma journal_size_limit = {_LOG_BYTES}")
        _make_durable(connection, source)
        schema.migrate(connection)
    except BaseException:
        connection.close(True)
        raise
    return connection


def connect_folding(source: Source, instead: Callable[[], str | None]) -> Connection:
    """Open the store's file, which is there, for folding its log in and nothing else.

    Where *instead* says that something else stands at the path, that is left as it is.
    Raises: apsw.Error.
    """
    connection = connect(source.path, source.vfs, make=False)
    try:
        # Opened, and nothing of it looked at yet: the log beside it may be of another file,
        # whose pages would be copied into this one.
        got = instead()
        if got is not None:
            raise apsw.CantOpenError(f"{got} in the place of {source.path}")
        # Who leaves it may be the last: then the log is the writer's to fold.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        _settle(connection)
        _make_durable(connection, source)
    except BaseException:
        connection.close(True)
        raise
    return connection


def connect_reader(source: Source) -> Connection:
    """Open the store's file for reading.

    Where its folder cannot be written to, or its disk is full, SQLite cannot make the index
    of its log; a file without a log is then read as it lies there.
    Raises: Refused (store.unavailable), where what is in the log cannot be had; apsw.Error.
    """
    has_log = _has_log(source.path)
    try:
        return _reading(connect(source.path, source.vfs, make=False), has_log=has_log)
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.IOError) as error:
        lack = _lack(error, source.path)
        if lack is None:
            raise
        if has_log:
            folder, (expected, got) = Path(source.path).parent, lack
            raise Refused(
                "store.unavailable",
                f"{folder}: expected {expected}, because some of the store is in its log still, "
                f"got {got}",
                store=str(folder),
            ) from error
        return _reading(connect_still(source.path, source.vfs), has_log=False)


def _lack(error: apsw.Error, path: str) -> tuple[str, str] | None:
    """Return what the index of a log needs, and what there is; None: that is not the fault."""
    if isinstance(error, apsw.IOError):
        # Nobody has the store open: then there would be an index already, and it is shared.
        full = getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE
        return ("room on its disk", "none — make some") if full else None
    if not Path(path).is_file() or os.access(Path(path).parent, os.W_OK):
        return None
    return "a folder that can be written to", "one that cannot — open it once where it can be"


def _reading(connection: Connection, *, has_log: bool) -> Connection:
    try:
        _settle(connection)
        # Who reads after the owner has died must not fold its log in on leaving: that is
        # writing. Where there was no log, what was made beside the file goes again.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(has_log))
        connection.execute("pragma query_only = on")
        with suppress(apsw.NotADBError):  # what the file is instead is told elsewhere
            connection.execute("pragma schema_version").fetchone()
    except BaseException:
        connection.close(True)
        raise
    return connection


def _has_log(path: str) -> bool:
    try:
        return Path(f"{path}-wal").stat().st_size > 0
    except OSError:
        return False


def _make_durable(connection: Connection, source: Source) -> None:
    connection.execute(f"pragma synchronous = {SYNCHRONOUS[source.durability]}")
    if sys.platform == "darwin":
        # There, only this reaches the disk itself.
        connection.execute("pragma fullfsync = on")
        connection.execute("pragma checkpoint_fullfsync = on")


def _settle(connection: Connection) -> None:
    connection.set_busy_timeout(_BUSY_MS)
    connection.execute("pragma trusted_schema = off")
    connection.execute("pragma foreign_keys = on")
    connection.execute("pragma cell_size_check = on")
