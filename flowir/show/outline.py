"""What a picture of a flow shows: its nodes without the implicit ones, and their words.

Every picture is drawn from an outline. Knows nothing of any way to draw.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, assert_never

from flowir.nodes import Assign, Branch, Expr, Fanout, Flow, Loop, Node, Seq, Step, Try, children
from flowir.path import Path, format_path
from flowir.records import dataclass
from flowir.show.wording import plainly
from flowir.text import format_expr

__all__ = ("Item", "Part", "outline")

_LONGEST = 60
# The one ref that hosts answer themselves: a pause.
_SLEEP = "swarm.sleep"
# What XML and terminals can not take as it is, and what turns the direction of a line.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffe\uffff]+")


@dataclass(frozen=True, slots=True)
class Part:
    """Items one after the other; `role` is then, else, body, catch or finally."""

    role: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A node as it is shown.

    Shape: `kind` is the node's, or `sleep` or `fail` for these two special uses;
    `title` and `notes` are plain text of one line, cut where they are long.
    """

    place: str
    kind: str
    title: str
    notes: tuple[str, ...]
    parts: tuple[Part, ...] = ()

    def part(self, role: str) -> tuple[Item, ...]:
        """Return the items of one part, none where there is no such part."""
        for part in self.parts:
            if part.role == role:
                return part.items
        return ()


def outline(flow: Flow, *, implicit: bool = False) -> tuple[Item, ...]:
    """Outline a flow: its root, or what stands in its place where that is implicit.

    An implicit node gives way to what it holds, unless that lies in more than one part
    (then its fork is something the author wrote, and is shown).
    """
    return _outlined(flow.root, "$", hide=not implicit)


def _outlined(node: Node, place: str, *, hide: bool) -> tuple[Item, ...]:
    parts: dict[str, list[Item]] = {}
    for rest, child in children(node):
        role = "body" if isinstance(node, Seq) else rest[1:]
        parts.setdefault(role, []).extend(_outlined(child, place + rest, hide=hide))
    if hide and node.implicit:
        filled = [items for items in parts.values() if items]
        if len(filled) <= 1:
            return tuple(filled[0]) if filled else ()
    kind, title, notes = _words(node)
    if node.id is not None:
        notes = (f"#{node.id}", *notes)
    shown = tuple(Part(role, tuple(items)) for role, items in parts.items())
    return (Item(place, kind, title, notes, shown),)


def _words(node: Node) -> tuple[str, str, tuple[str, ...]]:
    """Return kind, title and notes of a node."""
    match node:
        case Step():
            return _step_words(node)
        case Seq():
            return "seq", "", ()
        case Branch():
            return "branch", _expr(node.cond), ()
        case Loop():
            return "loop", _expr(node.cond), (f"at most {node.max}",)
        case Fanout():
            return "fanout", f"{_path(node.bind)} in {_expr(node.items)}", _fanout_notes(node)
        case Try():
            return "try", "", _try_notes(node)
        case Assign():
            if node.value["op"] == "fail":
                return "fail", _expr(node.value), ()
            return "assign", _clean(f"{_path(node.at)} = {_expr(node.value)}"), ()
        case _:
            assert_never(node)


def _step_words(node: Step) -> tuple[str, str, tuple[str, ...]]:
    notes: list[str] = []
    if node.out is not None:
        notes.append(f"→ {_path(node.out)}")
    if node.retry is not None:
        notes.append(f"up to {node.retry.max_attempts} attempts")
    if node.timeout_s is not None:
        notes.append(f"within {node.timeout_s:g} s")
    if node.ref == _SLEEP:
        return "sleep", f"sleep {_expr(node.in_)} s", tuple(notes)
    return "step", _clean(node.ref), tuple(notes)


def _fanout_notes(node: Fanout) -> tuple[str, ...]:
    quorum = "" if node.quorum is None else f" of {_count(node.quorum)}"
    limit = () if node.limit is None else (f"limit {_count(node.limit)}",)
    return (f"join {node.join}{quorum}", *limit, f"→ {_path(node.out)}")


def _try_notes(node: Try) -> tuple[str, ...]:
    on = () if node.on is None else (_clean(f"on {', '.join(node.on)}"),)
    return on if node.restore else (*on, "keeps writes")


def _count(count: int | Expr) -> str:
    return _expr(count) if isinstance(count, Mapping) else str(count)


def _path(path: Path) -> str:
    return _clean(format_path(path, "ctx"))


def _expr(expr: Mapping[str, Any]) -> str:
    return _clean(format_expr(plainly(expr)))


def _clean(text: str) -> str:
    """Make one printable line of *text*, cut where it is long."""
    line = _UNPRINTABLE.sub(" ", text)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
