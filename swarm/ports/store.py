"""What a store offers: the journal, the blobs beside it, and its own keeping."""

from __future__ import annotations

import os
from typing import Protocol

from swarm.ids import RunId
from swarm.ports.audit import AuditLog
from swarm.ports.capability import Ledger
from swarm.ports.journal import Journal

__all__ = ("Blobs", "Store")


class Blobs(Protocol):
    """Bytes named by their SHA-256, kept as long as a run holds them."""

    def put(self, run_id: RunId, body: bytes) -> str:
        """Keep *body* for the run; return its digest in lower case hex.

        It lasts, and is to be seen, from the commit on that makes the next rows last: the
        same transaction, when nothing is awaited between this and their append.
        """
        ...

    async def get(self, digest: str) -> bytes:
        """Return the committed bytes of this name.

        Raises: Refused (blob.unknown); SwarmError (blob.damaged), where they have
        another digest by now.
        """
        ...


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
