"""What changed between two versions, seen three ways: source, document, flow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from difflib import SequenceMatcher, unified_diff
from typing import Any

from flowir.errors import shorten
from flowir.records import dataclass
from swarm.blueprint.canonical import canonical_bytes
from swarm.blueprint.patches import difference
from swarm.blueprint.power import powers
from swarm.blueprint.shapes import is_array, is_object

__all__ = ("Difference", "FlowDifference", "compare")


@dataclass(frozen=True, slots=True)
class FlowDifference:
    """What became of the nodes, the agents and what they may do; each a readable line."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """Shape: `source` is a unified diff, `document` RFC 6902 operations."""

    source: str
    document: tuple[Mapping[str, Any], ...]
    flow: FlowDifference = field(default_factory=FlowDifference)


def compare(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    old_files: Mapping[str, bytes],
    new_files: Mapping[str, bytes],
) -> Difference:
    """Compare two canonical documents, and the files beside them."""
    return Difference(
        "".join(_sources(old_files, new_files)),
        tuple(difference(old, new)),
        _flows(old, new),
    )


def _sources(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> Iterator[str]:
    for path in sorted({*old, *new}):
        before, after = old.get(path), new.get(path)
        if before == after:
            continue
        try:
            texts = [[] if one is None else _lines(one) for one in (before, after)]
        except UnicodeDecodeError:
            yield f"Binary file {path} differs\n"
            continue
        names = ["/dev/null" if one is None else path for one in (before, after)]
        yield from unified_diff(texts[0], texts[1], names[0], names[1])


def _lines(body: bytes) -> list[str]:
    lines = body.decode().splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return lines


@dataclass(frozen=True, slots=True)
class _Node:
    """A node without those below it; `said` is all that it says itself."""

    place: str
    title: str
    id: str | None
    said: bytes


def _flows(old: Mapping[str, Any], new: Mapping[str, Any]) -> FlowDifference:
    before, after = list(_nodes(old["flow"], "$")), list(_nodes(new["flow"], "$"))
    gone, come = _apart(before, after)
    changed = [
        (one, next(other for other in come if other.id == one.id))
        for one in gone
        if one.id is not None and any(other.id == one.id for other in come)
    ]
    moved = _moved(gone, come)
    told = {id(node) for pair in (*changed, *moved) for node in pair}
    had, has = powers(old), powers(new)
    return FlowDifference(
        added=tuple(_line(node) for node in come if id(node) not in told),
        removed=tuple(_line(node) for node in gone if id(node) not in told),
        moved=tuple(f"{one.title}: {one.place} -> {other.place}" for one, other in moved),
        changed=tuple(f"{other.title} at {other.place}" for _, other in changed),
        agents=tuple(_agents(old, new)),
        gained=tuple(sorted(has - had)),
        lost=tuple(sorted(had - has)),
    )


def _apart(before: list[_Node], after: list[_Node]) -> tuple[list[_Node], list[_Node]]:
    """Return the nodes that only one of the flows has, in their order."""
    matcher = SequenceMatcher(
        None, [one.said for one in before], [one.said for one in after], autojunk=False
    )
    gone: list[_Node] = []
    come: list[_Node] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "equal":
            gone += before[i1:i2]
            come += after[j1:j2]
    return gone, come


def _moved(gone: list[_Node], come: list[_Node]) -> list[tuple[_Node, _Node]]:
    """Pair what went with what came, where both say the same."""
    left: dict[bytes, list[_Node]] = {}
    for node in come:
        left.setdefault(node.said, []).append(node)
    return [(node, left[node.said].pop(0)) for node in gone if left.get(node.said)]


def _line(node: _Node) -> str:
    return f"{node.title} at {node.place}"


def _nodes(node: Mapping[str, Any], place: str) -> Iterator[_Node]:
    below = dict(_below(node, place))
    names = {name for name, value in node.items() if _is_below(name, value)}
    own = {name: value for name, value in node.items() if name not in names}
    yield _Node(place, _title(node), node.get("id"), canonical_bytes(own))
    for at, child in below.items():
        yield from _nodes(child, at)


def _is_below(name: str, value: Any) -> bool:
    return name == "children" or (is_object(value) and "kind" in value)


def _below(node: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, value in node.items():
        if name == "children" and is_array(value):
            for i, child in enumerate(value):
                yield f"{place}.children[{i}]", child
        elif _is_below(name, value):
            yield f"{place}.{name}", value


def _title(node: Mapping[str, Any]) -> str:
    named = f" {node['id']!r}" if "id" in node else ""
    return f"{node['kind']}{named}" + (f" of {node['ref']!r}" if node["kind"] == "step" else "")


def _agents(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before = {agent["name"]: agent for agent in old.get("agents", ())}
    after = {agent["name"]: agent for agent in new.get("agents", ())}
    for name in sorted({*before, *after}):
        if name not in before:
            yield f"{name}: new, of kind {after[name]['kind']}"
        elif name not in after:
            yield f"{name}: gone"
        else:
            for setting in sorted({*before[name], *after[name]}):
                had, has = before[name].get(setting), after[name].get(setting)
                if had != has:
                    yield f"{name}: {setting}: {shorten(had)} -> {shorten(has)}"
