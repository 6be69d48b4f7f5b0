"""Opening a store: the folder, its lock, its file, and the parts over them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import apsw
from anyio import to_thread

from swarm.errors import Refused, SwarmError
from swarm.ports.store import Store
from swarm.stores.entries import DEFAULT_STORE_LIMITS, StoreLimits
from swarm.stores.memory import MemoryStore
from swarm.stores.sqlite.audit import SqliteAudit
from swarm.stores.sqlite.connection import Durability, Source
from swarm.stores.sqlite.journal import SqliteJournal
from swarm.stores.sqlite.ledger import SqliteLedger
from swarm.stores.sqlite.owner import Owner
from swarm.stores.sqlite.reader import Reader
from swarm.stores.sqlite.writer import Writer

__all__ = ("FILE", "SqliteStore", "open_store")

FILE: Final = "journal.db"


def open_store(
    folder: str | os.PathLike[str],
    durability: Durability = "full",
    *,
    limits: StoreLimits = DEFAULT_STORE_LIMITS,
    vfs: str | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Store:
    """Open the store in *folder*, and make it if it is not there.

    Shape: *durability* `memory` gives a store that begins empty and lives as long as the
    process; the folder is neither read nor written. *vfs* names another way to the disk.
    Units: *monotonic* gives the seconds of whoever opens it.
    Raises: Refused (store.locked, store.foreign, store.newer, store.unavailable).
    """
    if durability == "memory":
        return MemoryStore(limits)
    source = Source(str(Path(folder) / FILE), durability, vfs)
    return SqliteStore(Path(folder), source, limits, monotonic)


class SqliteStore:
    """A store in one folder: `journal.db` and `LOCK`."""

    def __init__(
        self, folder: Path, source: Source, limits: StoreLimits, monotonic: Callable[[], float]
    ) -> None:
        self.folder = folder
        with ExitStack() as undo, _said(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._owner = Owner(folder)
            undo.callback(self._owner.release)
            self._writer = Writer(source, monotonic)
            undo.callback(self._writer.close)
            self._reader = Reader(source)
            undo.callback(self._reader.close)
            self.journal = SqliteJournal(self._writer, self._reader, limits)
            self.blobs = self.journal.blobs
            self.ledger = SqliteLedger(self.journal.beside, self._reader.tokens())
            growth = self._reader.audit()
            journal = self.journal
            self.audit = SqliteAudit(growth, journal.beside, journal.commit, self._reader.acts)
            _sync(folder)
            self._undo = undo.pop_all()

    async def backup(self, target: str | os.PathLike[str]) -> None:
        """Write a copy of the store as it is now to the new file *target*."""
        await to_thread.run_sync(self._reader.copy, target)

    def close(self) -> None:
        """Let go of the store; may be called again."""
        self._undo.close()


def _sync(folder: Path) -> None:
    """Make the names of new files last: the file system may keep a file and forget its name."""
    for place in (folder, folder.parent):
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _said(folder: Path) -> Generator[None]:
    """Say what kept a store from being opened.

    Raises: Refused (store.unavailable).
    """
    try:
        yield
    except (OSError, apsw.Error) as error:
        got: Exception = error
        said = (isinstance(error, OSError) and error.strerror) or str(error)
    except UnicodeEncodeError as error:
        got, said = error, "one whose path is no UTF-8"
    except SwarmError as error:
        if isinstance(error, Refused):
            raise
        got, said = error, str(error)
    else:
        return
    raise Refused(
        "store.unavailable",
        f"{folder}: expected a folder that a store can be kept in, got {said}",
        store=str(folder),
    ) from got
