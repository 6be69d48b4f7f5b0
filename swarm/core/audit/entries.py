"""Entries in bytes, chained and put into the tree as they are appended."""

from __future__ import annotations

import json.encoder
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from swarm.blueprint.canonical import canonical_bytes
from swarm.core.audit.tree import Tree
from swarm.errors import SwarmError
from swarm.ports.audit import AuditEntry

__all__ = ("GENESIS", "Growth", "Kept", "body_of", "entry_of", "link")

GENESIS: Final = sha256(b"audit.v1").digest()
# One entry is told in a line; what is longer belongs into the journal.
_MOST_BYTES = 16 * 1024


_FINITE: Final = float("inf")
_text: Callable[[Any], str] = json.encoder.encode_basestring
_MEMBERS: Final = AuditEntry._fields


class Kept(NamedTuple):
    """One entry as it is kept.

    Shape: `no` counts from 1; `hash` chains it to the one before; `tree` holds the hashes
    of the subtrees that it completes, from its own leaf up: 32 bytes each.
    """

    no: int
    hash: bytes
    tree: bytes
    body: bytes


class Growth:
    """The end of a log: what is appended next hangs on it."""

    __slots__ = ("head", "tree")

    def __init__(self, head: bytes = GENESIS, tree: Tree | None = None) -> None:
        self.head = head
        self.tree = tree or Tree()

    def add(self, entry: AuditEntry) -> Kept:
        """Encode an entry, chain it, and let the tree grow.

        Raises: SwarmError (audit.malformed).
        """
        return self.add_body(body_of(entry))

    def add_body(self, body: bytes) -> Kept:
        """Do so with what is encoded already."""
        self.head = link(self.head, body)
        made = self.tree.add(body)
        return Kept(self.tree.size, self.head, made, body)


def link(before: bytes, body: bytes) -> bytes:
    """Return the hash of an entry that follows the hash *before*."""
    return sha256(b"au.v1" + before + body).digest()


def body_of(entry: AuditEntry) -> bytes:
    """Return an entry's bytes: what it does not say is left out.

    Raises: SwarmError (audit.malformed), for what is no JSON, or no entry but a document.
    """
    if not entry.detail:
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
    if len(body) > _MOST_BYTES:
        said_bytes = f"expected at most {_MOST_BYTES} bytes of an entry, got {len(body)}"
        raise SwarmError("audit.malformed", f"audit: {said_bytes}")
    return body


def _written(entry: AuditEntry) -> bytes | None:
    """Write the entry of an act on a step: the same bytes, in a third of the time.

    Shape: None for what has other members, or members of other types.
    """
    at_s, actor, verb, decision, run, step, attempt, given, gave, _ = entry
    if not (type(at_s) is float and -_FINITE < at_s < _FINITE and type(attempt) is int):
        return None
    named = type(run) is str and type(step) is str and type(given) is str
    if not (named and type(actor) is str and type(verb) is str and type(decision) is str):
        return None
    if gave is not None and type(gave) is not str:
        return None
    output = "" if gave is None else f'"output":{_text(gave)},'
    said = (
        f'{{"actor":{_text(actor)},"at_s":{at_s!r},"attempt":{attempt},'
        f'"decision":{_text(decision)},"input":{_text(given)},'
        f'{output}"run":{_text(run)},"step":{_text(step)},"verb":{_text(verb)}}}'
    )
    try:
        body = said.encode()
    except UnicodeEncodeError:
        return None
    return body if len(body) <= _MOST_BYTES else None


def entry_of(body: bytes) -> AuditEntry:
    """Read an entry.

    Raises: SwarmError (audit.malformed).
    """
    try:
        said: dict[str, Any] = from_json(body)
        return AuditEntry(**said)
    except (TypeError, ValueError) as e:
        raise SwarmError("audit.malformed", f"audit: expected an entry, got: {e}") from e
