"""The chain of a run's events: each hash covers the bytes kept and the hash before it.

The bytes are written once, and what is hashed is what is kept, so checking needs no
second encoding and no agreement on a canonical spelling. The first link is bound to the
run's id: a run's events cannot be passed off as another's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

from swarm.errors import SwarmError

__all__ = ("damaged", "genesis", "link", "walk")


def genesis(run_id: str) -> bytes:
    """Return what the first event of the run is chained to."""
    return sha256(b"run.v1" + run_id.encode()).digest()


def link(before: bytes, body: bytes) -> bytes:
    """Return the hash of an event that follows the hash *before*."""
    return sha256(b"ev.v1" + before + body).digest()


def walk(
    run_id: str, since: int, before: bytes, entries: Iterable[tuple[int, bytes, bytes]]
) -> Iterator[tuple[int, bytes]]:
    """Check each link of (seq, hash, body) behind the event *since*, whose hash is *before*.

    Shape: yields seq and body.
    Raises: SwarmError (journal.damaged), at the first that is not what was written.
    """
    seq = since
    for number, hash_, body in entries:
        seq += 1
        if number != seq or link(before, body) != hash_:
            raise damaged(run_id, seq)
        before = hash_
        yield seq, body


def damaged(run_id: str, seq: int) -> SwarmError:
    """Say that an event is not what was written."""
    return SwarmError(
        "journal.damaged",
        f"run {run_id} at event {seq}: expected what was written, got something else — "
        "this run is set aside; others are not touched",
        run_id=run_id,
        seq=seq,
    )
