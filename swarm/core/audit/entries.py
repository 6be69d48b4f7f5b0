"""Entries in bytes, chained and put into the tree as they are appended.

The link of the chain is the leaf of the tree: what an entry's leaf stands for is the hash
of the entry before and its own bytes. So one hash of an entry does for both, and whoever
holds a leaf holds all that was before it.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final, NamedTuple, TypeAlias

from pydantic_core import from_json, to_json

from swarm.blueprint.canonical import canonical_bytes
from swarm.core.audit.tree import Tree
from swarm.errors import SwarmError
from swarm.ports.audit import AuditEntry, WrittenEntry

__all__ = (
    "GENESIS",
    "LATEST_S",
    "MOST_BYTES",
    "Growth",
    "Kept",
    "Row",
    "body_of",
    "entry_of",
    "link",
)

GENESIS: Final = sha256(b"audit.v1").digest()
# One entry is told in a line; what is longer belongs into the journal.
MOST_BYTES: Final = 16 * 1024
# Seconds since 1970 up to here, from 1 on, are spelt without an exponent.
LATEST_S: Final = 1e15
# Types that every encoder spells alike.
_SPELT: Final = frozenset({int, str, type(None)})
_MEMBERS: Final = AuditEntry._fields


class Kept(NamedTuple):
    """One entry as it is kept.

    Shape: `no` counts from 1; `hash` chains it to the one before, and is its leaf of the
    tree; `tree` holds the hashes of the subtrees that it completes above that, from below:
    32 bytes each.
    """

    no: int
    hash: bytes
    tree: bytes
    body: bytes


# The same without names: there are two for each step, and the collector soon ceases to look
# at bare tuples.
Row: TypeAlias = tuple[int, bytes, bytes, bytes]


class Growth:
    """The end of a log: what is appended next hangs on it."""

    __slots__ = ("head", "tree")

    def __init__(self, head: bytes = GENESIS, tree: Tree | None = None) -> None:
        self.head = head
        self.tree = tree or Tree()

    def add(self, entry: AuditEntry | WrittenEntry) -> Row:
        """Encode an entry, chain it, and let the tree grow.

        Raises: SwarmError (audit.malformed).
        """
        body = entry if type(entry) is bytes else body_of(entry)
        self.head = head = link(self.head, body)
        tree = self.tree
        made = tree.add(head)
        return tree.size, head, made, body


def link(before: bytes, body: bytes) -> bytes:
    """Return the hash of an entry that follows the hash *before*: the leaf of both."""
    # `leaf_hash`, written out: it is done for every entry.
    return sha256(b"\0" + before + body).digest()


def body_of(entry: AuditEntry | WrittenEntry) -> bytes:
    """Return an entry's bytes: what it does not say is left out.

    Raises: SwarmError (audit.malformed), for what is no JSON, or no entry but a document.
    """
    if isinstance(entry, bytes):
        return entry
    body = _written(entry)
    if body is not None:
        return body
    said = {
        name: value
        for name, value in zip(_MEMBERS, entry, strict=True)
        if value is not None and name != "detail"
    }
    if entry.detail:
        said["detail"] = dict(entry.detail)
    try:
        body = canonical_bytes(said)
    except (TypeError, ValueError) as e:
        raise SwarmError("audit.malformed", f"audit: expected an entry of JSON, got: {e}") from e
    if len(body) > MOST_BYTES:
        said_bytes = f"expected at most {MOST_BYTES} bytes of an entry, got {len(body)}"
        raise SwarmError("audit.malformed", f"audit: {said_bytes}")
    return body


def _written(entry: AuditEntry) -> bytes | None:
    """Write an entry without detail: the same bytes, in a fifth of the time.

    Shape: None for one with detail, with members of other types, or of a time that the two
    encoders might spell otherwise.
    """
    at_s, actor, verb, decision, run, step, attempt, given, gave, detail = entry
    if detail or type(at_s) is not float or not 1.0 < at_s < LATEST_S:
        return None
    if not type(actor) is type(verb) is type(decision) is str:
        return None
    said: dict[str, Any] = {
        "actor": actor,
        "at_s": at_s,
        "attempt": attempt,
        "decision": decision,
        "input": given,
        "output": gave,
        "run": run,
        "step": step,
        "verb": verb,
    }
    # What an attempt's entries have, but for the first of the two, which has no output.
    if not (type(attempt) is int and type(given) is type(run) is type(step) is str):
        if not _SPELT.issuperset(map(type, (attempt, given, gave, run, step))):
            return None
        said = {name: value for name, value in said.items() if value is not None}
    elif gave is None:
        del said["output"]
    elif type(gave) is not str:
        return None
    try:
        body = to_json(said)
    except ValueError:
        return None
    return body if len(body) <= MOST_BYTES else None


def entry_of(body: AuditEntry | WrittenEntry) -> AuditEntry:
    """Read an entry; one that is not written yet is what it is.

    Raises: SwarmError (audit.malformed).
    """
    if isinstance(body, AuditEntry):
        return body
    try:
        said: dict[str, Any] = from_json(body)
        return AuditEntry(**said)
    except (TypeError, ValueError) as e:
        raise SwarmError("audit.malformed", f"audit: expected an entry, got: {e}") from e
