"""Random values, paths, expressions and flows, all well formed.

Every op, node kind and optional field is drawn, and each spelling a document may use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

import flowir.wire
from flowir.limits import INT_MAX, INT_MIN
from flowir.nodes import COMPARISONS, JOINS, QUANTIFIERS, Flow
from flowir.path import Path, format_path

__all__ = ("documents", "exprs", "flows", "json_values", "keys", "path_texts", "targets")

JSON = Any
Draw = Callable[[st.SearchStrategy[Any]], Any]
Bound = frozenset[str]
NONE: Bound = frozenset()

_TWO = (*COMPARISONS, "add", "sub", "mul", "div", "mod", "idiv")
_ONE = ("not", "exists", "len")
_MANY = ("and", "or", "concat")
_LEAVES = ("path", "lit")
_SPECIAL_OPS = ("in", "call_extern", "object", "array", "default", "if", "get", "fail")
_OPS = (*_LEAVES, *_TWO, *_ONE, *_MANY, *QUANTIFIERS, *_SPECIAL_OPS)

_EXTERNS = ("json.encode", "string.upper", "string.join", "math.max", "list.range", "object.merge")
# Some hide each other, or are words of the written form.
_VARIABLES = ("item", "row", "r", "r_index", "_x", "Each_1", "end", "ctx", "list", "map", "null")
_MEMBERS = ("a", "b", "n", "items", "draft", "verdict", "files")

keys = st.sampled_from(_MEMBERS) | st.text(max_size=4)
_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.integers(INT_MIN, INT_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
json_values: st.SearchStrategy[JSON] = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)

_segments = st.lists(
    st.sampled_from(_MEMBERS) | st.text(min_size=1, max_size=4) | st.integers(-3, 4), max_size=3
)


def path_texts(bound: Bound = NONE) -> st.SearchStrategy[str]:
    """Paths into the context, and below the variables that are bound, canonical."""
    roots = st.sampled_from((None, *sorted(bound)))
    return st.builds(Path, _segments.map(tuple), roots).map(format_path)


@st.composite
def exprs(draw: Draw, bound: Bound = NONE, depth: int = 3) -> JSON:
    """Draw an expression as `load_expr` returns it, at most *depth* levels above leaves."""
    op = draw(st.sampled_from(_OPS if depth else _LEAVES))
    inner = exprs(bound, max(depth - 1, 0))
    some = st.lists(inner, max_size=3)
    if op in _TWO:
        fields = {"lhs": draw(inner), "rhs": draw(inner)}
    elif op in _ONE:
        fields = {"arg": draw(inner)}
    elif op in _MANY:
        fields = {"args": draw(some)}
    elif op in QUANTIFIERS:
        fields = _quantifier(draw, bound, depth, inner)
    else:
        fields = _SPECIAL[op](draw, bound, inner, some)
    return {"op": op, **fields}


def _quantifier(draw: Draw, bound: Bound, depth: int, inner: Any) -> dict[str, JSON]:
    name = draw(st.sampled_from(_VARIABLES))
    names = bound | {name, f"{name}_index"}
    return {"over": draw(inner), "bind": name, "body": draw(exprs(names, depth - 1))}


def _fail(draw: Draw, bound: Bound, inner: Any, some: Any) -> dict[str, JSON]:
    code = draw(st.sampled_from(("author.stop", "x")) | st.text(min_size=1, max_size=4))
    fields = {"code": code, "message": draw(inner)}
    more = draw(st.sampled_from(((), ("data",), ("data", "cause_code"))))
    return fields | {name: draw(inner) for name in more}


_SPECIAL: dict[str, Callable[[Draw, Bound, Any, Any], dict[str, JSON]]] = {
    "path": lambda draw, bound, inner, some: {"at": draw(path_texts(bound))},
    "lit": lambda draw, bound, inner, some: {"value": draw(json_values)},
    "in": lambda draw, bound, inner, some: {"needle": draw(inner), "haystack": draw(inner)},
    "call_extern": lambda draw, bound, inner, some: {
        "ref": draw(st.sampled_from(_EXTERNS)),
        "args": draw(some),
    },
    "object": lambda draw, bound, inner, some: {
        "fields": draw(st.dictionaries(keys, inner, max_size=3))
    },
    "array": lambda draw, bound, inner, some: {"items": draw(some)},
    "default": lambda draw, bound, inner, some: {"arg": draw(inner), "fallback": draw(inner)},
    "if": lambda draw, bound, inner, some: {
        "cond": draw(inner),
        "then": draw(inner),
        "else": draw(inner),
    },
    "get": lambda draw, bound, inner, some: {"of": draw(inner), "key": draw(inner)},
    "fail": _fail,
}


@st.composite
def targets(draw: Draw) -> JSON:
    """Draw a write target in either spelling, from either root."""
    text = format_path(Path(tuple(draw(_segments))), draw(st.sampled_from(("$", "ctx"))))
    return draw(st.sampled_from((text, {"op": "path", "at": text})))


_expr = exprs(depth=2)
_codes = st.lists(
    st.sampled_from(("step.failed", "path.*", "worker.error"))
    | st.text(min_size=1, max_size=5).filter(lambda text: "*" not in text),
    max_size=3,
)
_seconds = st.integers(0, 90) | st.floats(0, 1e6)
_retries = st.fixed_dictionaries(
    {},
    optional={
        "max_attempts": st.integers(1, 5),
        "delay_s": _seconds,
        "factor": st.integers(1, 3) | st.floats(0.1, 10),
        "max_delay_s": _seconds,
        "jitter": st.floats(0, 1) | st.integers(0, 1),
        "on": _codes,
    },
)
_counts = st.integers(1, 9) | _expr
_refs = st.sampled_from(("writer", "reviewer", "swarm.sleep")) | st.text(min_size=1, max_size=5)


def _fields(kind: str, node: st.SearchStrategy[JSON]) -> st.SearchStrategy[dict[str, JSON]]:
    common = {"implicit": st.booleans(), "id": st.just("")}
    need, may = _NODES[kind](node)
    need = {"kind": st.just(kind), **need}
    return st.fixed_dictionaries(need, optional={**may, **common})


_Table = dict[str, st.SearchStrategy[Any]]
_NODES: dict[str, Callable[[st.SearchStrategy[JSON]], tuple[_Table, _Table]]] = {
    "step": lambda node: (
        {"ref": _refs, "in": _expr},
        {"out": targets(), "timeout_s": st.integers(1, 9) | st.floats(0.1, 99), "retry": _retries},
    ),
    "seq": lambda node: ({"children": st.lists(node, max_size=4)}, {}),
    "branch": lambda node: ({"cond": _expr, "then": node}, {"else": node}),
    "loop": lambda node: (
        {"counter": targets(), "cond": _expr, "body": node, "max": st.integers(0, 5)},
        {"exhausted_at": targets()},
    ),
    "fanout": lambda node: (
        {
            "items": _expr,
            "bind": targets(),
            "body": node,
            "join": st.sampled_from(JOINS),
            "out": targets(),
        },
        {"collect": _expr, "index": targets(), "limit": _counts, "quorum": _counts},
    ),
    "try": lambda node: (
        {"body": node, "catch": node},
        {
            "err_at": targets() | st.none(),
            "error_at": targets(),
            "on": _codes,
            "finally": node,
            "restore": st.booleans(),
        },
    ),
    "assign": lambda node: ({"at": targets(), "value": _expr}, {}),
    "let": lambda node: ({"at": targets(), "value": _expr}, {}),
}


def _nodes(kinds: tuple[str, ...], node: st.SearchStrategy[JSON]) -> st.SearchStrategy[JSON]:
    return st.one_of(*(_fields(kind, node) for kind in kinds))


_leaves = _nodes(("step", "assign", "let"), st.nothing())
_trees = st.recursive(_leaves, lambda node: _nodes(tuple(_NODES), node), max_leaves=6)


@st.composite
def documents(draw: Draw) -> JSON:
    """Draw the document of a flow, with unique ids."""
    document = draw(_trees)
    _settle(document, [0])
    return document


def _settle(node: dict[str, JSON], count: list[int]) -> None:
    """Number the ids; give `quorum` to the join that needs it, and to no other."""
    if "id" in node:
        count[0] += 1
        node["id"] = f"node-{count[0]}"
    if node.get("join") == "quorum":
        node.setdefault("quorum", 1)
    else:
        node.pop("quorum", None)
    for name in ("then", "else", "body", "catch", "finally"):
        if name in node:
            _settle(node[name], count)
    for child in node.get("children", ()):
        _settle(child, count)


def flows() -> st.SearchStrategy[Flow]:
    """Flows as `load` returns them."""
    return documents().map(flowir.wire.load)
