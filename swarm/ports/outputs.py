"""What the host needs of a place for bytes: data that steps hand over, and large members."""

from __future__ import annotations

from typing import Protocol

from swarm.ids import RunId

__all__ = ("Blobs",)


class Blobs(Protocol):
    """Bytes named by their SHA-256, kept as long as a run holds them.

    A run holds what was put for it, and every blob that a row of its journal mentions as
    a reference (`{"$ref": "sha256:…"}`), from the commit of that row on.
    """

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
