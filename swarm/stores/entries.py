"""Rows as they are kept: encoded, bounded, chained; large members apart.

Rows are encoded by pydantic_core: compact JSON in the order in which the members came,
exact integers, the shortest decimal that reads back as the same float. The order is kept
on purpose. A replay then meets the members of an answer as the live run did, and sorting
would cost seven times the encoding itself. No canonical spelling is needed, because
bytes are hashed as they are kept.

What a row mentions as a reference (`{"$ref": "sha256:…"}`), its run holds: so a rerun, a
child or a run that was started with a reference keeps what it can reach, by one rule.

A row that is large as a whole is kept without its large members: what stands for them is
one more member, `spilled`, with the digest and the size of each. The hash of the row
covers the digests, and so the blobs. A blueprint's document, which all of its runs have in
common, is kept apart whatever its size: it is encoded and hashed once, and not for each run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Protocol, TypeAlias

from pydantic_core import from_json, to_json

from flowir.limits import DEFAULT_LIMITS
from flowir.records import dataclass
from flowir.values import measure
from swarm.blueprint.shared import REFERENCE, Shared, mentions
from swarm.core.events import RUN_ENDS, STEP_ENDS
from swarm.core.run import ENDED, next_status
from swarm.errors import Bug, Refused, SwarmError
from swarm.ids import RunId
from swarm.ports.journal import Row, RunRow
from swarm.stores.chain import genesis

__all__ = (
    "DEFAULT_STORE_LIMITS",
    "Beside",
    "Entry",
    "Head",
    "StoreLimits",
    "decode",
    "digest",
    "extend",
    "follow",
    "has_ended",
    "live",
    "missing_blob",
    "whole_blob",
)

_SPILLED: Final = "spilled"
_NO_PARENT: Final[Mapping[str, Any]] = {"run": None}
_ENDS: Final = RUN_ENDS | STEP_ENDS

Fetch: TypeAlias = Callable[[str], bytes]


class Beside(Protocol):
    """Who keeps what stands beside the rows of a run."""

    def hold(self, head: Head, name: str) -> None:
        """Keep what is there of this digest for the run too: a row mentions it."""
        ...

    def share(self, head: Head, shared: Shared) -> None:
        """Keep for the run what it shares with others."""
        ...

    def spill(self, head: Head, body: bytes) -> str | None:
        """Keep the JSON of a large member, and return its digest; None: it stays in its row."""
        ...


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """How much a store takes.

    Units: `events` of a run (ends of what has begun are taken beyond it, so that a run
    can still end); `value_size` of one member of a row, in the measure of the language;
    `spill_bytes` of a member's JSON, above which it is kept apart.
    """

    events: int = 1_000_000
    value_size: int = DEFAULT_LIMITS.value_size
    spill_bytes: int = 64 * 1024


DEFAULT_STORE_LIMITS = StoreLimits()


# One row as it is kept: the number of its run, seq, hash and body. A bare tuple: the
# collector soon ceases to look at those, and there is one for each row.
Entry: TypeAlias = tuple[int, int, bytes, bytes]


class Head:
    """The end of a run's log, committed or not: what comes next hangs on it."""

    __slots__ = ("hash", "number", "run", "seq")

    def __init__(self, run: RunRow, number: int = 0, seq: int = 0, hash: bytes = b"") -> None:
        self.run = run
        self.number = number
        self.seq = seq
        self.hash = hash or genesis(run.run_id)


def extend(head: Head, rows: Sequence[Row], limits: StoreLimits, beside: Beside) -> list[Entry]:
    """Encode *rows* and chain them to *head*, all or none; the head moves on.

    Raises: Bug; SwarmError (journal.too_long, value.too_large).
    """
    seq, before, run, number = head.seq, head.hash, head.run, head.number
    most, large = limits.events, limits.spill_bytes
    entries: list[Entry] = []
    for row in rows:
        seq += 1
        if row["seq"] != seq:
            raise Bug(f"run {run.run_id}: expected row {seq}, got {row['seq']}")
        kind = row.get("kind", "")
        if seq > most and kind not in _ENDS:
            raise _too_long(run.run_id, most)
        if kind == "step.started":
            # Half of all rows, and there is no value in it.
            body = to_json(row)
        else:
            if kind == "run.started":
                row = _apart(head, row, beside)
            body = to_json(row)
            if REFERENCE in body:
                for name in mentions(body):
                    beside.hold(head, name)
            if kind.startswith("run."):
                run = follow(run, row)
        if len(body) > large:
            body = _large(head, row, body, limits, beside)
        # `chain.link`, written out: it is done for every row.
        before = sha256(b"ev.v1" + before + body).digest()
        entries.append((number, seq, before, body))
    head.seq, head.hash, head.run = seq, before, run
    return entries


def decode(body: bytes, fetch: Fetch) -> Row:
    """Return the row whose bytes these are, with what was kept apart in its place."""
    row = from_json(body)
    spilled: Mapping[str, Any] | None = row.pop(_SPILLED, None)
    if spilled is None:
        return row
    # Members come back in the order in which they were: null held their places.
    for name, where in spilled.items():
        row[name] = from_json(fetch(where["sha256"]))
    return row


def has_ended(run: RunRow) -> bool:
    """Tell whether nothing can follow in this run."""
    return run.status in ENDED


def follow(run: RunRow, row: Row) -> RunRow:
    """Return what is listed of the run after *row*."""
    kind: str = row.get("kind", "")
    run_id, before, name, digest, began_s, _, parent = run
    status = next_status(before, kind)  # pyright: ignore[reportArgumentType] - rows are texts
    if status == before:
        return run
    time_s = row.get("time_s")
    if kind == "run.started":
        name, digest, began_s = row.get("blueprint"), row.get("digest"), time_s
        parent = (row.get("parent") or _NO_PARENT)["run"]
    ended_s = time_s if status in ENDED else None
    return RunRow(run_id, status, name, digest, began_s, ended_s, parent)


def live(run_id: RunId, status: str) -> Refused:
    """Say that a run which has not ended is not to be removed."""
    return Refused(
        "run.live",
        f"run {run_id}: expected one that has ended, got one that is {status}",
        run_id=run_id,
        status=status,
    )


def _apart(head: Head, row: Row, beside: Beside) -> Row:
    """Return the first row of a run without the document that it shares with others."""
    document = row.get("document")
    if type(document) is not Shared:
        return row
    beside.share(head, document)
    for name in document.refers:
        beside.hold(head, name)
    spilled = {"document": {"sha256": document.digest, "size": len(document.body)}}
    return {**row, "document": None, _SPILLED: spilled}


def _large(head: Head, row: Row, body: bytes, limits: StoreLimits, beside: Beside) -> bytes:
    run_id = head.run.run_id
    spilled: dict[str, Any] = {**row.get(_SPILLED, {})}
    if spilled and row.get("kind") != "run.started":
        raise Bug(f"run {run_id}: a row with a member {_SPILLED!r}")
    if len(body) > limits.value_size:
        _measure(run_id, row, limits)
    kept: dict[str, Any] = dict(row)
    for name, member in row.items():
        text = to_json(member)
        if len(text) > limits.spill_bytes:
            digest = beside.spill(head, text)
            if digest is None:
                return body
            kept[name] = None
            spilled[name] = {"sha256": digest, "size": len(text)}
    return to_json({**kept, _SPILLED: spilled}) if spilled else body


def _measure(run_id: RunId, row: Row, limits: StoreLimits) -> None:
    for name, member in row.items():
        size, _ = measure(member)
        if size > limits.value_size:
            raise SwarmError(
                "value.too_large",
                f"run {run_id}, event {row['seq']}: expected '{name}' of at most "
                f"{limits.value_size} bytes, got {size} — hand over a reference",
                run_id=run_id,
                size=size,
            )


def _too_long(run_id: RunId, most: int) -> SwarmError:
    return SwarmError(
        "journal.too_long",
        f"run {run_id}: expected at most {most} events, got one more — split the work into runs",
        run_id=run_id,
        limit=most,
    )


def digest(body: bytes) -> str:
    """Return the name of a blob."""
    return sha256(body).hexdigest()


def whole_blob(name: str, body: bytes) -> bytes:
    """Return the bytes of a blob, if they are those that were kept.

    Raises: SwarmError (blob.damaged).
    """
    if digest(body) != name:
        said = f"blob {name}: expected bytes of this digest, got others"
        raise SwarmError("blob.damaged", said, digest=name)
    return body


def missing_blob(name: str) -> Refused:
    """Say that nothing of this name is kept."""
    said = f"blob {name}: expected one that is kept, got none"
    return Refused("blob.unknown", said, digest=name)
