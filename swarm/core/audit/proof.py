"""That entries are in the log of a checkpoint, in a file that stands by itself.

It holds the entries as they were written, the hash before each and its path to the root, the
checkpoint that signs the root, and, where there is an earlier checkpoint, that its log is the
beginning of this one. Checking it takes nothing else but the public key.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from flowir.door import parse_json
from flowir.errors import FlowError
from flowir.records import dataclass
from swarm.core.audit.checkpoint import Checkpoint, read_checkpoint
from swarm.core.audit.entries import GENESIS, Kept, link
from swarm.core.audit.tree import (
    HASH_BYTES,
    Node,
    consistency,
    inclusion,
    is_consistent,
    is_included,
)
from swarm.errors import Refused

__all__ = ("Proof", "Proved", "check_proof", "make_proof", "read_proof")

_MOST_BYTES: Final = 16 * 1024 * 1024
# No path is longer: 2**64 entries are more than anybody writes.
_MOST_STEPS = 64


class Proved(NamedTuple):
    """An entry: its number, the hash of the one before, its text, and its path to the root."""

    no: int
    before: bytes
    body: str
    path: tuple[bytes, ...]

    def to_wire(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        path = [step.hex() for step in self.path]
        return {"no": self.no, "before": self.before.hex(), "body": self.body, "path": path}


@dataclass(frozen=True, slots=True)
class Proof:
    """Entries, the checkpoint, and the one before it with its path."""

    entries: tuple[Proved, ...]
    checkpoint: Checkpoint
    earlier: Checkpoint | None = None
    since: tuple[bytes, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        earlier = None
        if self.earlier is not None:
            earlier = {
                "checkpoint": self.earlier.to_wire(),
                "path": [step.hex() for step in self.since],
            }
        entries = [entry.to_wire() for entry in self.entries]
        whole = {"v": 1, "entries": entries, "checkpoint": self.checkpoint.to_wire()}
        return {**whole, "earlier": earlier}


def make_proof(
    rows: Sequence[Kept], checkpoint: Checkpoint, node: Node, earlier: Checkpoint | None = None
) -> Proof:
    """Make the proof for some entries of the log that *node* knows."""
    size = checkpoint.size
    entries = tuple(
        Proved(
            row.no,
            node(0, row.no - 2) if row.no > 1 else GENESIS,
            row.body.decode(),
            tuple(inclusion(row.no - 1, size, node)),
        )
        for row in rows
    )
    if earlier is None or not 0 < earlier.size <= size:
        return Proof(entries, checkpoint)
    return Proof(entries, checkpoint, earlier, tuple(consistency(earlier.size, size, node)))


def check_proof(proof: Proof, keys: Collection[str]) -> str | None:
    """Say what is wrong with a proof, if anything is."""
    checkpoint = proof.checkpoint
    if not checkpoint.holds(keys):
        return "checkpoint: expected one that this key signed, got another"
    root = bytes.fromhex(checkpoint.root)
    for no, before, body, path in proof.entries:
        leaf = link(before, body.encode())
        if not is_included(leaf, no - 1, checkpoint.size, path, root):
            return f"entry {no}: expected one of the log that was signed, got another"
    earlier = proof.earlier
    if earlier is None:
        return None
    if not earlier.holds(keys) or earlier.host != checkpoint.host:
        return "earlier checkpoint: expected one that this key signed, got another"
    old_root = bytes.fromhex(earlier.root)
    if not is_consistent(earlier.size, checkpoint.size, old_root, root, proof.since):
        return "earlier checkpoint: expected the beginning of this log, got another history"
    return None


def read_proof(text: bytes) -> Proof:
    """Read a proof.

    Raises: Refused (audit.proof, audit.checkpoint).
    """
    try:
        found = parse_json(text, max_bytes=_MOST_BYTES, at="proof")
    except FlowError as e:
        raise Refused("audit.proof", str(e)) from e
    if type(found) is not dict or found.keys() != {"v", "entries", "checkpoint", "earlier"}:
        raise _refused("expected the members of a proof, got others")
    if found["v"] != 1 or type(found["entries"]) is not list or not found["entries"]:
        raise _refused("expected version 1 with entries, got something else")
    entries = tuple(_entry(entry) for entry in found["entries"])
    checkpoint = read_checkpoint(_object(found["checkpoint"]))
    if found["earlier"] is None:
        return Proof(entries, checkpoint)
    earlier = _object(found["earlier"])
    if set(earlier) != {"checkpoint", "path"}:
        raise _refused("expected an earlier checkpoint with its path, got something else")
    before = read_checkpoint(_object(earlier["checkpoint"]))
    return Proof(entries, checkpoint, before, _path(earlier["path"]))


def _entry(found: Any) -> Proved:
    entry = _object(found)
    if set(entry) != {"no", "before", "body", "path"} or type(entry["body"]) is not str:
        said = "expected an entry with number, hash before, text and path, got something else"
        raise _refused(said)
    if type(entry["no"]) is not int or entry["no"] < 1:
        raise _refused("expected the number of an entry, got something else")
    (before,) = _path([entry["before"]])
    return Proved(entry["no"], before, entry["body"], _path(entry["path"]))


def _path(found: Any) -> tuple[bytes, ...]:
    if type(found) is not list or len(found) > _MOST_STEPS:
        raise _refused("expected a path of hashes, got something else")
    try:
        path = tuple(bytes.fromhex(step) for step in found)
    except (TypeError, ValueError) as e:
        raise _refused("expected a path of hashes, got something else") from e
    if any(len(step) != HASH_BYTES for step in path):
        raise _refused("expected a path of hashes, got something else")
    return path


def _object(found: Any) -> Mapping[str, Any]:
    if type(found) is not dict:
        raise _refused("expected an object, got something else")
    return found


def _refused(said: str) -> Refused:
    return Refused("audit.proof", f"proof: {said}")
