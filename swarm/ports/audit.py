"""What the host needs of a record of acts: append-only, kept apart from the runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

__all__ = (
    "AuditEntry",
    "AuditLog",
    "AuditReading",
    "CheckpointSink",
    "CheckpointWitness",
    "WrittenEntry",
)


class AuditEntry(NamedTuple):
    """One act, or one decision about one.

    Shape: `actor` is who (`agent:writer`, `operator:ada`), `verb` what (`do`, for a step),
    `decision` how far it came or what was decided (`begun`, `done`, `failed`, `cancelled`,
    `allowed`, `denied`); `run`, `step` and `attempt` say where, as far as it is an act of a
    run; `input` and `output` are SHA-256 digests of canonical JSON; `detail` is JSON
    without secrets. Units: `at_s` in UTC seconds since 1970.
    """

    at_s: float
    actor: str
    verb: str
    decision: str
    run: str | None = None
    step: str | None = None
    attempt: int | None = None
    input: str | None = None
    output: str | None = None
    detail: Mapping[str, Any] = MappingProxyType[str, Any]({})


# An entry as it is kept, written already (`swarm.core.audit.pen`; `entry_of` reads it).
WrittenEntry: TypeAlias = bytes


class AuditLog(Protocol):
    """Keeps entries in the order in which they were appended, and changes none."""

    @property
    def size(self) -> int:
        """How many entries there are, those on their way to the disk included."""
        ...

    def end(self) -> tuple[int, bytes, bytes]:
        """Return how many entries there are, the chain's last hash, and the tree's root.

        Those on their way to the disk are counted.
        """
        ...

    def record(self, entry: AuditEntry | WrittenEntry) -> None:
        """Put *entry* behind the others; it lasts from the journal's next commit on.

        In one transaction with the rows that are appended in the same turn: an act and
        its entry, or neither.
        Raises: SwarmError (audit.malformed).
        """
        ...

    async def append(self, entry: AuditEntry | WrittenEntry) -> None:
        """Return when *entry* is kept.

        Whoever must not act unrecorded waits for this before acting.
        Raises: SwarmError (audit.malformed, journal.…), when it is not kept.
        """
        ...

    async def read(self, since: int = 0, limit: int = 1000) -> Sequence[AuditEntry]:
        """Return up to *limit* entries that are kept, in order: the first is *since* + 1.

        Raises: SwarmError (journal.unreadable).
        """
        ...


class AuditReading(Protocol):
    """The log as it was at one moment."""

    def rows(self, since: int = 0) -> Iterator[Any]:
        """Read the entries behind number *since*, as they are kept."""
        ...

    def of_step(self, run: str, step: str | None = None) -> Iterator[Any]:
        """Read the entries about a step of a run, or about all of the run."""
        ...

    def node(self, level: int, number: int) -> bytes:
        """Return the hash of a complete subtree."""
        ...


class CheckpointSink(Protocol):
    """Takes checkpoints to where whoever changes the log cannot change them as well."""

    async def put(self, checkpoint: Mapping[str, Any]) -> None:
        """Keep a checkpoint, in its written form.

        Raises: any exception; it is offered again with the next one.
        """
        ...


@runtime_checkable
class CheckpointWitness(Protocol):
    """A sink that can be asked for what it was handed last, when a host opens."""

    async def latest(self) -> Mapping[str, Any] | None:
        """Return the last checkpoint that it keeps, in its written form.

        Raises: any exception; the host opens without it.
        """
        ...
