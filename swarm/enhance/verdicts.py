"""Verdicts: what each axis says of one change, and when they are enough.

A verdict speaks of one base and one result. Enough is: each axis that must be there is
there, once, about this very change, and passes; whatever else there is counts for nothing,
and nothing is not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from flowir.records import dataclass
from swarm.blueprint.canonical import canonical_bytes
from swarm.blueprint.shapes import is_object
from swarm.enhance.bounds import cost_of, dearer, raised
from swarm.enhance.changes import protected
from swarm.enhance.guards import weakened
from swarm.enhance.objections import Objection
from swarm.enhance.powers import widened
from swarm.enhance.reading import Document, agents_of, located

__all__ = ("AXES", "Change", "Verdict", "judged", "missing", "read_verdict")


@dataclass(frozen=True, slots=True)
class Change:
    """One change, as all axes see it.

    Shape: `base` and `result` are digests; `baseline` is the document that a person
    approved last, `head` the one that is changed, `document` what would become of it.
    """

    base: str
    result: str
    baseline: Document
    head: Document
    document: Document


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one axis says."""

    axis: str
    base: str
    result: str
    passed: bool
    evidence: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "axis": self.axis,
            "base": self.base,
            "result": self.result,
            "pass": self.passed,
            "evidence": list(self.evidence),
        }


def _objecting(find: Callable[[Change, float], Iterator[Objection]]) -> Any:
    def judge(change: Change, factor: float) -> tuple[bool, tuple[str, ...]]:
        found = tuple(dict.fromkeys(str(one) for one in find(change, factor)))
        return not found, found

    return judge


def _schema(change: Change, factor: float) -> Iterator[Objection]:
    yield from protected(change.head, change.document)


def _noop(change: Change, factor: float) -> Iterator[Objection]:
    same = canonical_bytes(change.head) == canonical_bytes(change.document)
    if same or change.base == change.result:
        yield Objection("enhance.noop", "nothing is changed")


def _references(change: Change, factor: float) -> Iterator[Objection]:
    known = agents_of(change.document)
    for one in located(change.document):
        ref = one.node.get("ref")
        if one.node["kind"] == "step" and ref not in known and ref != "swarm.sleep":
            yield Objection("enhance.unknown_agent", f"{one.place} asks {ref!r}, who is not there")


def _power(change: Change, factor: float) -> Iterator[Objection]:
    yield from widened(change.baseline, change.document)


def _guards(change: Change, factor: float) -> Iterator[Objection]:
    yield from weakened(change.baseline, change.document)


def _limits(change: Change, factor: float) -> Iterator[Objection]:
    yield from raised(change.baseline, change.document)


def _cost(change: Change, factor: float) -> Iterator[Objection]:
    yield from dearer(change.baseline, change.document, factor)


# The axes that documents alone decide; `compiles`, `replay` and `cases` need a host.
_PURE: Final[Mapping[str, Any]] = {
    "schema": _objecting(_schema),
    "noop": _objecting(_noop),
    "references": _objecting(_references),
    "power": _objecting(_power),
    "guards": _objecting(_guards),
    "limits": _objecting(_limits),
    "cost": _objecting(_cost),
}
AXES: Final = ("schema", "compiles", "noop", "references", "power", "guards", "limits", "cost",
               "replay", "cases")  # fmt: skip


def judged(axis: str, change: Change, factor: float) -> Verdict | None:
    """Judge a change along one axis, if documents alone decide it."""
    judge = _PURE.get(axis)
    if judge is None:
        return None
    passed, evidence = judge(change, factor)
    if axis == "cost" and passed:
        costs = cost_of(change.baseline), cost_of(change.document)
        evidence = (f"at most {costs[0]:g} steps before, {costs[1]:g} now",)
    return Verdict(axis, change.base, change.result, passed, evidence)


def read_verdict(wire: Any) -> Verdict | None:
    """Read a verdict; None, where it is none."""
    if not is_object(wire) or wire.keys() != {"axis", "base", "result", "pass", "evidence"}:
        return None
    texts, evidence = (wire["axis"], wire["base"], wire["result"]), wire["evidence"]
    if not all(isinstance(text, str) for text in texts) or not isinstance(evidence, list | tuple):
        return None
    if wire["pass"] is not True and wire["pass"] is not False:
        return None
    return Verdict(*texts, wire["pass"], tuple(map(str, evidence)))


def missing(
    verdicts: Sequence[Any], base: str, result: str, required: Sequence[str] = AXES
) -> tuple[str, ...]:
    """Return the axes that say nothing about this change, or say it more than once.

    >>> missing([], "b", "r", ["power"])
    ('power',)
    """
    about = [
        one.axis
        for one in map(read_verdict, verdicts)
        if one is not None and (one.base, one.result) == (base, result)
    ]
    return tuple(axis for axis in required if about.count(axis) != 1)
