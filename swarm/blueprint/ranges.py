"""Ranges of labels, as npm writes them: `^1.2`, `~1.2.3`, `>=1 <3`, `1.x || 3.x`.

The only module that knows `semantic_version`. Labels have no pre-release part, so a range
is a union of half-open intervals, which an index can search.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from semantic_version import NpmSpec  # pyright: ignore[reportMissingTypeStubs] - it ships none

from flowir.errors import shorten
from swarm.errors import Refused

__all__ = ("Interval", "Label", "format_label", "parse_label", "parse_range")

Label: TypeAlias = tuple[int, int, int]
# From the first (included) to the second (excluded; None: without an end).
Interval: TypeAlias = tuple[Label, Label | None]

_LABEL = re.compile(r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")
_LENGTH = 100
_FIRST: Label = (0, 0, 0)


def parse_label(text: str) -> Label:
    """Read a label: three numbers, no more.

    Raises: Refused (version.label).
    """
    found = _LABEL.fullmatch(text)
    if found is None:
        sentence = f"label: expected three numbers such as 1.2.3, got {shorten(text)}"
        raise Refused("version.label", sentence, label=text)
    return int(found[1]), int(found[2]), int(found[3])


def format_label(label: Label) -> str:
    """Write a label.

    >>> format_label((1, 2, 3))
    '1.2.3'
    """
    return ".".join(map(str, label))


def parse_range(text: str) -> tuple[Interval, ...] | None:
    """Read a range, or return None where *text* is none.

    >>> parse_range("^1.2 || >3")
    (((1, 2, 0), (2, 0, 0)), ((4, 0, 0), None))
    """
    if not text.strip() or len(text) > _LENGTH:
        return None
    try:
        met = [found for one in _parts(NpmSpec(text).clause, "AnyOf") if (found := _met(one))]
    except ValueError:
        return None
    # The clause is a set, in an order that differs from process to process.
    return tuple(sorted(met, key=lambda one: (one[0], one[1] is None, one[1] or _FIRST)))


def _parts(clause: Any, kind: str) -> list[Any]:
    return list(clause.clauses) if type(clause).__name__ == kind else [clause]


def _met(clause: Any) -> Interval | None:
    """Return where all parts of a clause hold, if anywhere."""
    low, high = _FIRST, None
    for part in _parts(clause, "AllOf"):
        if type(part).__name__ != "Range":
            return None
        least, end = _bounds(part)
        low = max(low, least)
        high = end if high is None or (end is not None and end < high) else high
    return None if high is not None and high <= low else (low, high)


def _bounds(part: Any) -> Interval:
    target = part.target
    label: Label = (target.major, target.minor or 0, target.patch or 0)
    behind: Label = (label[0], label[1], label[2] + 1)
    # A pre-release stands just before its label, and no label stands between them.
    if target.prerelease:
        behind = label
    match part.operator:
        case ">=":
            return label, None
        case ">":
            return behind, None
        case "<":
            return _FIRST, label
        case "<=":
            return _FIRST, behind
        case "==":
            return (label, behind)
        case _:
            raise ValueError(part.operator)
