"""What a store offers: the journal, the blobs beside it, and its own keeping."""

from __future__ import annotations

import os
from typing import Protocol

from swarm.ports.audit import AuditLog
from swarm.ports.capability import Ledger
from swarm.ports.journal import Journal
from swarm.ports.outputs import Blobs

__all__ = ("Store",)


class Store(Protocol):
    """A place that remembers. Open it with one of `swarm.stores`; close it when done."""

    @property
    def journal(self) -> Journal:
        """The log of the runs."""
        ...

    @property
    def blobs(self) -> Blobs:
        """The bytes beside the log."""
        ...

    @property
    def audit(self) -> AuditLog:
        """The record of acts."""
        ...

    @property
    def ledger(self) -> Ledger:
        """What is remembered of tokens."""
        ...

    async def backup(self, target: str | os.PathLike[str]) -> None:
        """Write a copy of the store as it is now to the new file *target*.

        Raises: Refused (store.backup), when that file is there already, or nothing can
        be copied.
        """
        ...

    def close(self) -> None:
        """Let go of the store; what was appended and not committed is gone."""
        ...
