"""An audit log that lives as long as its host."""

from __future__ import annotations

from swarm.ports.audit import AuditEntry

__all__ = ("MemoryAudit",)


class MemoryAudit:
    """Keeps entries in a list: `entries`, in their order."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def append(self, entry: AuditEntry) -> None:
        """Keep an entry."""
        self.entries.append(entry)
