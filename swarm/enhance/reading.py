"""What the gates read of a canonical document: agents, nodes with what encloses them, paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from flowir.records import dataclass
from swarm.blueprint.canonical import canonical_bytes
from swarm.blueprint.shapes import is_array, is_object

__all__ = (
    "Document",
    "Located",
    "agents_of",
    "below",
    "encloses",
    "located",
    "overlap",
    "paths_in",
    "said",
    "target",
)

Document: TypeAlias = Mapping[str, Any]

_NODES: Final = ("then", "else", "body", "catch", "finally")
# How often or how long, which the gate for limits looks at; and names that mean nothing.
_BOUNDS: Final = ("max", "limit", "quorum", "timeout_s", "retry", "id", "implicit")
_LEFT_OUT: Final = frozenset((*_NODES, *_BOUNDS, "children"))


@dataclass(frozen=True, slots=True)
class Located:
    """A node, its place, and what stands around it, outermost first.

    Shape: `within` says of each enclosing node in which part of it this is and what decides
    whether that part is done; seqs decide nothing, and are left out.
    """

    place: str
    node: Mapping[str, Any]
    within: tuple[bytes, ...]


def agents_of(document: Document) -> dict[str, Mapping[str, Any]]:
    """Return the agents of a document by name."""
    return {agent["name"]: agent for agent in document.get("agents", ())}


def located(document: Document) -> Iterator[Located]:
    """Yield every node, each before those within it."""
    yield from _located(document["flow"], "$", ())


def _located(node: Mapping[str, Any], place: str, within: tuple[bytes, ...]) -> Iterator[Located]:
    yield Located(place, node, within)
    for part, child in below(node):
        inner = within
        if node["kind"] != "seq":
            inner = (*within, encloses(node, part))
        yield from _located(child, f"{place}.{part}", inner)


def below(node: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the nodes directly within one, with the names of their parts."""
    for i, child in enumerate(node.get("children", ())):
        yield f"children[{i}]", child
    for name in _NODES:
        if name in node:
            yield name, node[name]


def encloses(node: Mapping[str, Any], part: str) -> bytes:
    """Say in which part of *node* something stands, and what decides whether that is done."""
    return canonical_bytes([part, _own(node)])


def said(node: Mapping[str, Any]) -> bytes:
    """Return what a node says itself, without bounds and without the nodes within it."""
    return canonical_bytes(_own(node))


def _own(node: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in node.items() if name not in _LEFT_OUT}


def target(value: Any) -> str | None:
    """Return the path that a node writes to, as text."""
    if isinstance(value, str):
        return value
    return value.get("at") if is_object(value) else None


def paths_in(value: Any) -> Iterator[str]:
    """Yield the paths that an expression reads."""
    if is_object(value):
        if value.get("op") == "lit":
            return
        if value.get("op") == "path":
            yield value["at"]
            return
        for item in value.values():
            yield from paths_in(item)
    elif is_array(value):
        for item in value:
            yield from paths_in(item)


def overlap(one: str, other: str) -> bool:
    """Tell whether a write to one path can change what is read at the other.

    >>> overlap("$.verdict", "$.verdict.score"), overlap("$.a", "$.ab")
    (True, False)
    """
    short, long = sorted((one, other), key=len)
    return long == short or (long.startswith(short) and long[len(short)] in ".[")
