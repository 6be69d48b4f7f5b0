"""The real world behind the ports, and the set of parts that a host is made of."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import CancelScope
from uuid_utils import uuid7

from flowir.records import dataclass
from swarm.ids import RunId
from swarm.ports.audit import AuditLog, AuditReading, CheckpointSink
from swarm.ports.capability import Ledger
from swarm.ports.clock import Clock
from swarm.ports.ids import Ids
from swarm.ports.journal import Journal
from swarm.ports.versions import VersionStore
from swarm.stores.audit import MemoryAudit
from swarm.stores.checkpoints import CHECKPOINTS, FileSink
from swarm.stores.ledger import MemoryLedger
from swarm.stores.memory import MemoryJournal
from swarm.stores.memory_versions import MemoryVersions
from swarm.stores.sqlite import Durability, open_store
from swarm.stores.sqlite.audit import AuditReader
from swarm.stores.sqlite.store import FILE

if TYPE_CHECKING:
    # What signs leans on a large library, which a host without tokens does not load.
    from swarm.core.capability.guard import KeyStore

__all__ = ("Parts", "SystemClock", "TimedIds", "git_versions")


class SystemClock:
    """The clock of the machine."""

    # Seconds that never go back, and UTC seconds since 1970. Not methods around them: a
    # step asks eight times.
    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        """Return *seconds* from now, never earlier: both loops count on `time.monotonic`."""
        await anyio.sleep(max(seconds, 0))

    def deadline(self, seconds: float | None) -> CancelScope:
        """Make a scope that is cancelled *seconds* from now."""
        if seconds is None:
            return CancelScope()
        return CancelScope(deadline=anyio.current_time() + seconds)


class TimedIds:
    """Ids that sort by the time they were made at, and that nobody can guess."""

    def run_id(self) -> RunId:
        """Return an id that no run of any store has had."""
        return RunId(f"r_{uuid7().hex}")


def _nothing() -> None:
    pass


def _keys_in_memory() -> KeyStore:
    from swarm.stores.keyfile import MemoryKeys

    return MemoryKeys(time.time)


def _keys_in(folder: Path) -> Callable[[], KeyStore]:
    """Return how to open the signing keys of a store; what is there already is looked at now.

    Raises: Refused (keys.file).
    """

    def opened() -> KeyStore:
        from swarm.stores.keyfile import KEY_FILE, KeyFile

        return KeyFile(folder / KEY_FILE, time.time)

    if not any(folder.glob("keys.json")):
        return opened
    keys = opened()
    return lambda: keys


def _records_in(
    audit: AuditLog, folder: Path | None
) -> Callable[[], AbstractContextManager[AuditReading]] | None:
    if folder is not None:
        return lambda: AuditReader(folder / FILE)
    return (lambda: nullcontext(audit)) if isinstance(audit, MemoryAudit) else None


def git_versions(folder: str | os.PathLike[str]) -> VersionStore:
    """Open the versions of blueprints that are kept in *folder*; libgit2 is loaded for it."""
    from swarm.stores.git import GitVersions

    return GitVersions(Path(folder))


@dataclass(frozen=True, slots=True)
class Parts:
    """What a host stands on; each is a port, and may be somebody else's.

    Shape: `durable`: the journal outlives the host, so runs that have not ended can be
    gone on with; `close` is called when the host is done with them. `audit` is where
    acts are recorded, and `records` opens that to be read. `ledger` remembers what becomes
    of tokens, in the journal's transactions; `keys` opens the signing keys, and is called
    when a token first turns up; `versions` opens the store of blueprints, when the first is
    asked for; `checkpoints` are handed the signed state of the audit log.
    """

    journal: Journal
    clock: Clock
    ids: Ids
    durable: bool = False
    close: Callable[[], None] = _nothing
    audit: AuditLog | None = None
    records: Callable[[], AbstractContextManager[AuditReading]] | None = None
    ledger: Ledger = field(default_factory=MemoryLedger)
    keys: Callable[[], KeyStore] = _keys_in_memory
    versions: Callable[[], VersionStore] = MemoryVersions
    checkpoints: tuple[CheckpointSink, ...] = ()

    @classmethod
    def in_memory(cls) -> Parts:
        """Make parts that remember nothing beyond this process."""
        audit = MemoryAudit()
        records = lambda: nullcontext(audit)  # noqa: E731
        return cls(MemoryJournal(), SystemClock(), TimedIds(), audit=audit, records=records)

    @classmethod
    def at(cls, folder: str | os.PathLike[str], durability: Durability = "full") -> Parts:
        """Open the parts that keep their state in *folder*.

        Raises: Refused (store.locked, store.foreign, store.newer, store.unavailable,
        keys.file).
        """
        durable = durability != "memory"
        keys = _keys_in(Path(folder)) if durable else _keys_in_memory
        clock, ids = SystemClock(), TimedIds()
        store = open_store(folder, durability, monotonic=clock.monotonic)
        sinks = (FileSink(Path(folder) / CHECKPOINTS),) if durable else ()
        return cls(
            store.journal,
            clock,
            ids,
            durable,
            store.close,
            store.audit,
            _records_in(store.audit, Path(folder) if durable else None),
            ledger=store.ledger,
            keys=keys,
            versions=(lambda: git_versions(folder)) if durable else MemoryVersions,
            checkpoints=sinks,
        )
