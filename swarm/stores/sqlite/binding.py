"""What is used of the SQLite binding's connection, with types.

A plain connection, which the loop's thread or a worker thread uses, one at a time. The
binding's own asynchronous connection is not used: called from a loop it hands out
coroutines, and rows whose coroutine nobody awaits are lost without a word.

The binding's annotations name a type that only Python 3.12 has; with the ones here,
nothing in this room is unknown to a type checker.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast
from urllib.parse import quote

import apsw

__all__ = ("Backup", "Connection", "Rows", "connect", "connect_still")


class Rows(Protocol):
    """What a statement gives."""

    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        ...


class Backup(Protocol):
    """A copy in the making."""

    done: bool

    def step(self, npages: int = -1, /) -> bool:
        """Copy some pages; return whether that was all."""
        ...


class Connection(Protocol):
    """A file that is open."""

    def execute(self, statements: str, bindings: Sequence[Any] | None = None, /) -> Rows:
        """Run statements with the values of their question marks."""
        ...

    def executemany(self, statements: str, bindings: Iterable[Sequence[Any]], /) -> Rows:
        """Run a statement once for each set of values."""
        ...

    @property
    def filename(self) -> str:
        """The file's path."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and has not ended."""
        ...

    def changes(self) -> int:
        """Return how many rows the last statement changed."""
        ...

    def backup(self, to: str, source: Any, name: str, /) -> AbstractContextManager[Backup]:
        """Begin to copy *source* over this one."""
        ...

    def config(self, op: int, /, *args: int) -> int:
        """Change a setting that no pragma changes."""
        ...

    def set_busy_timeout(self, milliseconds: int, /) -> None:
        """Say how long to wait for another's lock."""
        ...

    def set_wal_hook(self, hear: Callable[[Any, str, int], int], /) -> None:
        """Let *hear* know how many pages the log has, after each commit."""
        ...

    def close(self, force: bool = False, /) -> None:
        """Leave it."""
        ...


def connect(path: str, vfs: str | None = None, *, make: bool = True) -> Connection:
    """Open a file; *make*: also where there is none.

    Raises: apsw.Error.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if make else 0)
    return cast("Connection", apsw.Connection(path, flags=flags, vfs=vfs))


def connect_still(path: str, vfs: str | None = None) -> Connection:
    """Open a file that nobody writes: no lock is taken, and nothing is made beside it.

    Raises: apsw.Error.
    """
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    name = f"file:{quote(os.path.abspath(path))}?immutable=1"
    return cast("Connection", apsw.Connection(name, flags=flags, vfs=vfs))
