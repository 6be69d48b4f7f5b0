"""The flows and contexts that are measured, in wire form."""

from __future__ import annotations

from typing import Any

__all__ = (
    "MARK",
    "append",
    "assign",
    "beneath",
    "lanes",
    "lit",
    "marked",
    "narrow",
    "path",
    "repeat",
    "seq",
    "step",
    "wide",
)

MARK = "bench.mark"
_KEYS = 10_000


def lit(value: Any) -> dict[str, Any]:
    return {"op": "lit", "value": value}


def path(at: str) -> dict[str, Any]:
    return {"op": "path", "at": at}


def step(at: str = "$.n", out: str = "$.n", ref: str = "work") -> dict[str, Any]:
    return {"kind": "step", "ref": ref, "in": path(at), "out": out}


def assign(at: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "assign", "at": at, "value": value}


def append(at: str) -> dict[str, Any]:
    """Build the assign that appends 1 to the list at *at* by writing it back."""
    grown = {"op": "call_extern", "ref": "list.concat", "args": [path(at), lit([1])]}
    return assign(at, grown)


def seq(*children: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "seq", "children": list(children)}


def repeat(times: int, body: dict[str, Any]) -> dict[str, Any]:
    cond = {"op": "lt", "lhs": path("$.i"), "rhs": lit(times)}
    return {"kind": "loop", "counter": "$.i", "cond": cond, "body": body, "max": times}


def beneath(levels: int, node: dict[str, Any]) -> dict[str, Any]:
    """Put *node* below *levels* nodes, seqs and branches in turn."""
    for level in range(levels):
        node = {"kind": "branch", "cond": lit(True), "then": node} if level % 2 else seq(node)
    return node


def marked(node: dict[str, Any]) -> dict[str, Any]:
    """Put *node* between two steps at which the clock is read."""
    mark = {"kind": "step", "ref": MARK, "in": lit(None)}
    return seq(mark, node, mark)


def lanes(bind: str, count: int) -> dict[str, Any]:
    """Build a fanout of *count* lanes, all of them in flight, each with one step."""
    return {
        "kind": "fanout",
        "items": path("$.items"),
        "bind": bind,
        "body": {"kind": "step", "ref": "work", "in": path(bind), "out": "$.answer"},
        "join": "all",
        "limit": count,
        "collect": path("$.answer"),
        "out": "$.out",
    }


def narrow() -> dict[str, Any]:
    """Build a small context."""
    return {"n": 0, "name": "Ada", "tags": ["a", "b"], "done": False}


def wide() -> dict[str, Any]:
    """Build a context of 1 MB: 10,000 keys below one object."""
    members = {f"key{i}": "x" * 86 for i in range(_KEYS)}
    return {**narrow(), "wide": members}
