"""What builders found wrong, as it travels on what they made.

A builder goes on without what is wrong, so that one run of a script finds every mistake;
`lua_stdlib/flow/fields.lua` writes the marks that are read here. A script may have made
the marks itself: what is not of their form is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowir.errors import Problem
from flowir.records import dataclass
from swarm.blueprint.shapes import is_array, is_object

__all__ = ("LOST", "MARKS", "STRAYS", "Fault", "Told", "faults_of", "lost_by", "strays_of")

_PROBLEMS, LOST, _STRAYS = "__problems", "__lost", "__strays"
MARKS = frozenset({_PROBLEMS, LOST, _STRAYS})
# The place of what is not part of the document.
STRAYS = "$.strays"


@dataclass(frozen=True, slots=True)
class Told(Problem):
    """A problem whose sentence begins with the builder's name, and its field in the source."""

    by: str = ""
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One mark: who found what, and the field or list item (from one) that was taken out.

    Shape: `kind` is "unknown", "missing", "wrong" or "builder", for a builder's own name;
    `meant` is the field as which a misspelt one was read.
    """

    by: str
    kind: str
    message: str
    hint: str | None
    field: str | None
    meant: str | None
    item: int | None


def faults_of(authored: Any) -> Iterator[Fault]:
    """Yield what a builder found wrong with what it was given."""
    for mark in _listed(authored, _PROBLEMS):
        by, kind, message = (_text(mark, name) for name in ("by", "kind", "message"))
        if by is not None and kind is not None and message is not None:
            hint, field, meant = (_text(mark, name) for name in ("hint", "field", "meant"))
            item = mark.get("item")
            yield Fault(by, kind, message, hint, field, meant, item if type(item) is int else None)


def lost_by(authored: Any) -> list[Any]:
    """Return the nodes and agents that stood where they may not, and were taken out."""
    return _listed(authored, LOST)


def strays_of(authored: Any) -> list[Any]:
    """Return what has mistakes and is not part of the blueprint, without its fields."""
    return _listed(authored, _STRAYS)


def _listed(authored: Any, mark: str) -> list[Any]:
    found = authored.get(mark) if is_object(authored) else None
    return [item for item in found if is_object(item)] if is_array(found) else []


def _text(mark: dict[str, Any], name: str) -> str | None:
    value = mark.get(name)
    return value if isinstance(value, str) else None
