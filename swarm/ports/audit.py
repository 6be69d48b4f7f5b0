"""What the host needs of a record of acts: append-only, kept apart from the runs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

__all__ = ("AuditEntry", "AuditLog")


class AuditEntry(NamedTuple):
    """One act, or one decision about one.

    Shape: `actor` is who (`agent:writer`, `operator:ada`), `verb` what (`do`, for a step),
    `decision` how far it came or what was decided (`begun`, `done`, `failed`, `cancelled`);
    `run`, `step` and `attempt` say where, as far as it is an act of a run; `input` and
    `output` are SHA-256 digests of canonical JSON; `detail` is JSON without secrets.
    Units: `at_s` in UTC seconds since 1970.
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


class AuditLog(Protocol):
    """Keeps entries in the order in which they were appended, and changes none."""

    async def append(self, entry: AuditEntry) -> None:
        """Return when *entry* is kept.

        Whoever must not act unrecorded waits for this before acting.
        Raises: SwarmError (audit.*), when it is not kept.
        """
        ...
