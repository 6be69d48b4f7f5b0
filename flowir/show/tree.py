"""A flow as a tree of lines, for terminals."""

from __future__ import annotations

from collections.abc import Mapping

from flowir.nodes import Flow
from flowir.show.outline import Item, outline

__all__ = ("tree",)


def tree(flow: Flow, *, implicit: bool = False, lines: Mapping[str, str] | None = None) -> str:
    """Draw a flow as an indented tree, one node a line.

    >>> from flowir.wire import load
    >>> step = {"kind": "step", "ref": "writer", "in": {"op": "lit", "value": None}}
    >>> print(tree(load({"kind": "seq", "children": [step]})), end="")
    seq
    └── step writer

    Shape: *lines* maps the place of a node to a word about it (where its author wrote
    it), which is put behind its line.
    """
    drawn: list[str] = []
    for item in outline(flow, implicit=implicit):
        drawn.append(_line(item, "", lines or {}))
        _branches(item, "", lines or {}, drawn)
    return "".join(f"{line}\n" for line in drawn)


def _branches(item: Item, indent: str, lines: Mapping[str, str], drawn: list[str]) -> None:
    below = [
        ("" if part.role == "body" else f"{part.role}: ", child)
        for part in item.parts
        for child in part.items
    ]
    for i, (role, child) in enumerate(below):
        last = i == len(below) - 1
        drawn.append(indent + ("└── " if last else "├── ") + _line(child, role, lines))
        _branches(child, indent + ("    " if last else "│   "), lines, drawn)


def _line(item: Item, role: str, lines: Mapping[str, str]) -> str:
    titled = f"{item.kind} {item.title}" if item.kind in _KINDS_BY_NAME else item.title
    text = role + " · ".join((titled.rstrip(), *item.notes))
    where = lines.get(item.place)
    return f"{text}  ({where})" if where else text


# The title of the other kinds, `sleep` and `fail`, says it already.
_KINDS_BY_NAME = frozenset({"step", "seq", "branch", "loop", "fanout", "try", "assign"})
