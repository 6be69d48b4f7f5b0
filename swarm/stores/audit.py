"""The audit log in memory: the twin of the durable one, chained and grown like it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from swarm.core.audit.entries import Growth, Kept, Row, entry_of
from swarm.core.audit.tree import subtree
from swarm.ports.audit import AuditEntry, WrittenEntry

__all__ = ("MemoryAudit",)


class MemoryAudit:
    """Keeps entries as bytes, in their order, as long as the process lives."""

    def __init__(self) -> None:
        self._growth = Growth()
        self._rows: list[Row] = []

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self._growth.tree.size

    def end(self) -> tuple[int, bytes, bytes]:
        """Return how many entries there are, the chain's last hash, and the tree's root."""
        growth = self._growth
        return growth.tree.size, growth.head, growth.tree.root

    @property
    def entries(self) -> Sequence[AuditEntry]:
        """The entries, in their order."""
        return [entry_of(body) for _, _, _, body in self._rows]

    def record(self, entry: AuditEntry | WrittenEntry) -> None:
        """Put *entry* behind the others."""
        self._rows.append(self._growth.add(entry))

    async def append(self, entry: AuditEntry | WrittenEntry) -> None:
        """Keep an entry."""
        self.record(entry)

    async def read(self, since: int = 0, limit: int = 1000) -> Sequence[AuditEntry]:
        """Return up to *limit* entries behind number *since*."""
        return [entry_of(body) for _, _, _, body in self._rows[since : since + limit]]

    def rows(self, since: int = 0) -> Iterator[Kept]:
        """Read the entries behind number *since*, as they are kept."""
        return map(Kept._make, self._rows[since:])

    def of_step(self, run: str, step: str | None = None) -> Iterator[Kept]:
        """Read the entries about a step of a run, or about all of the run."""
        for row in self.rows():
            entry = entry_of(row.body)
            if entry.run == run and step in (None, entry.step):
                yield row

    def node(self, level: int, number: int) -> bytes:
        """Return the hash of a complete subtree."""
        _, leaf, above, _ = self._rows[((number + 1) << level) - 1]
        return subtree(leaf, above, level)
