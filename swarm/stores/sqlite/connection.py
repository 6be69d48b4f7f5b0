"""Connections to the file of a store, with the settings that all of them have."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import apsw

from swarm.stores.sqlite import schema
from swarm.stores.sqlite.binding import Connection, connect

__all__ = (
    "CHECKPOINT_PAGES",
    "SYNCHRONOUS",
    "Durability",
    "Source",
    "connect_reader",
    "connect_writer",
)

# full: an acknowledged event survives the loss of power. normal: it survives the death of
# the process; a loss of power may take the last of them, never damage what stays. memory:
# nothing is written to a disk, and nothing survives the process.
Durability: TypeAlias = Literal["full", "normal", "memory"]

SYNCHRONOUS: Final[dict[str, str]] = {"full": "full", "normal": "normal"}

_BUSY_MS = 5_000
# SQLite's own default, kept: a larger log is slower to write, and a smaller one is folded
# back into the file more often.
CHECKPOINT_PAGES = 1_000
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
        connection.execute("pragma journal_mode = wal")
        connection.execute(f"pragma synchronous = {SYNCHRONOUS[source.durability]}")
        connection.execute(f"pragma wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"pragma journal_size_limit = {_LOG_BYTES}")
        if sys.platform == "darwin":
            # There, only this reaches the disk itself.
            connection.execute("pragma fullfsync = on")
            connection.execute("pragma checkpoint_fullfsync = on")
        schema.migrate(connection)
    except BaseException:
        connection.close(True)
        raise
    return connection


def connect_reader(source: Source) -> Connection:
    """Open the store's file for reading.

    Raises: apsw.Error.
    """
    connection = connect(source.path, source.vfs, make=False)
    try:
        _settle(connection)
        connection.execute("pragma query_only = on")
    except BaseException:
        connection.close(True)
        raise
    return connection


def _has_log(path: str) -> bool:
    try:
        return Path(f"{path}-wal").stat().st_size > 0
    except OSError:
        return False


def _settle(connection: Connection) -> None:
    connection.set_busy_timeout(_BUSY_MS)
    connection.execute("pragma trusted_schema = off")
    connection.execute("pragma foreign_keys = on")
    connection.execute("pragma cell_size_check = on")
