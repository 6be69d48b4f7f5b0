"""The seven nodes as frozen data, and the one table of their fields.

`NODE_FIELDS` and `OP_FIELDS` are the only place that says which fields a node or an
op has and of what type; loading, dumping, checking, the JSON Schema, the printer and
the walkers all read them. A node here is well formed: `flowir.wire` refuses the rest.

An expression stays what it is on the wire, a dict tagged `op`, checked and never
changed afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any, Literal, TypeAlias, assert_never

from flowir.limits import DEFAULT_LIMITS, Limits
from flowir.path import Path, format_path
from flowir.records import dataclass

__all__ = (
    "COMPARISONS",
    "JOINS",
    "NODE_FIELDS",
    "OP_FIELDS",
    "QUANTIFIERS",
    "Assign",
    "Branch",
    "Expr",
    "Fanout",
    "FieldSpec",
    "Flow",
    "Join",
    "Loop",
    "Node",
    "Retry",
    "Seq",
    "Step",
    "Try",
    "children",
    "subexpressions",
)

JSON: TypeAlias = Any
Expr: TypeAlias = Mapping[str, Any]
Join: TypeAlias = Literal["all", "any", "race", "all_settled", "quorum"]
JOINS: tuple[Join, ...] = ("all", "any", "race", "all_settled", "quorum")


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a node or an op: the type of what stands there, and whether it must.

    `attr` is the dataclass attribute where the wire name is a reserved word.
    """

    type: str
    required: bool = True
    attr: str | None = None


_need = FieldSpec


def _may(type_: str) -> FieldSpec:
    return FieldSpec(type_, required=False)


# Types of node fields: name, expr, target (a place to write), node, nodes, count (0 or
# more), positive (seconds above 0), retry, join, codes, bool, count_expr (an integer of
# 1 or more, or an expression for one).
NODE_FIELDS: dict[str, dict[str, FieldSpec]] = {
    "step": {
        "ref": _need("name"),
        "in": _need("expr", attr="in_"),
        "out": _may("target"),
        "timeout_s": _may("positive"),
        "retry": _may("retry"),
    },
    "seq": {"children": _need("nodes")},
    "branch": {
        "cond": _need("expr"),
        "then": _need("node"),
        "else": FieldSpec("node", required=False, attr="else_"),
    },
    "loop": {
        "counter": _need("target"),
        "cond": _need("expr"),
        "body": _need("node"),
        "max": _need("count"),
        "exhausted_at": _may("target"),
    },
    "fanout": {
        "items": _need("expr"),
        "bind": _need("target"),
        "body": _need("node"),
        "join": _need("join"),
        "out": _need("target"),
        "collect": _may("expr"),
        "index": _may("target"),
        "limit": _may("count_expr"),
        "quorum": _may("count_expr"),
    },
    "try": {
        "body": _need("node"),
        "catch": _need("node"),
        "err_at": _may("target"),
        "error_at": _may("target"),
        "on": _may("codes"),
        "finally": FieldSpec("node", required=False, attr="finally_"),
        "restore": _may("bool"),
    },
    "assign": {"at": _need("target"), "value": _need("expr")},
}

# Types of op fields: expr, exprs (a list), fields (name -> expr), path, json, name (not
# empty), var (a bound name).
_two = {"lhs": _need("expr"), "rhs": _need("expr")}
_arg = {"arg": _need("expr")}
_args = {"args": _need("exprs")}
_over = {"over": _need("expr"), "bind": _need("var"), "body": _need("expr")}

COMPARISONS = ("eq", "ne", "lt", "lte", "gt", "gte")
QUANTIFIERS = ("map", "filter", "any", "every")

OP_FIELDS: dict[str, dict[str, FieldSpec]] = {
    "path": {"at": _need("path")},
    "lit": {"value": _need("json")},
    **dict.fromkeys(COMPARISONS, _two),
    "not": _arg,
    "and": _args,
    "or": _args,
    "exists": _arg,
    **dict.fromkeys(("add", "sub", "mul", "div", "mod", "idiv"), _two),
    "len": _arg,
    "in": {"needle": _need("expr"), "haystack": _need("expr")},
    "call_extern": {"ref": _need("name"), "args": _need("exprs")},
    "object": {"fields": _need("fields")},
    "array": {"items": _need("exprs")},
    "default": {"arg": _need("expr"), "fallback": _need("expr")},
    "if": {"cond": _need("expr"), "then": _need("expr"), "else": _need("expr")},
    "get": {"of": _need("expr"), "key": _need("expr")},
    "concat": _args,
    **dict.fromkeys(QUANTIFIERS, _over),
    "fail": {
        "code": _need("name"),
        "message": _need("expr"),
        "data": _may("expr"),
        "cause_code": _may("expr"),
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a failed step is asked for again: a policy, acted out by the driver."""

    max_attempts: int = 3
    delay_s: float = 0.1
    factor: float = 2
    max_delay_s: float = 60
    jitter: float = 0.25
    on: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    id: str | None = None
    implicit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(_Named):
    """Ask the host to dispatch `ref`, and write the answer to `out`."""

    ref: str
    in_: Expr
    out: Path | None = None
    timeout_s: float | None = None
    retry: Retry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seq(_Named):
    """One child after the other."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch(_Named):
    """`then` or `else`, by a boolean."""

    cond: Expr
    then: Node
    else_: Node | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop(_Named):
    """`body` while `cond` holds, at most `max` times."""

    counter: Path
    cond: Expr
    body: Node
    max: int
    exhausted_at: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fanout(_Named):
    """`body` once for each item, side by side, joined by `join`."""

    items: Expr
    bind: Path
    body: Node
    join: Join
    out: Path
    collect: Expr | None = None
    index: Path | None = None
    limit: int | Expr | None = None
    quorum: int | Expr | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Try(_Named):
    """`body`; on an admitted error `catch`; in any case `finally`."""

    body: Node
    catch: Node
    err_at: Path | None = None
    error_at: Path | None = None
    on: tuple[str, ...] | None = None
    finally_: Node | None = None
    restore: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign(_Named):
    """Evaluate and write."""

    at: Path
    value: Expr


Node: TypeAlias = Step | Seq | Branch | Loop | Fanout | Try | Assign


@dataclass(frozen=True, slots=True)
class Flow:
    """A well-formed flow: what `flowir.load` returns and a machine runs."""

    root: Node
    limits: Limits = DEFAULT_LIMITS
    # What `flowir.program` made of it, at first use.
    program: Any = field(default=None, compare=False, repr=False)


def children(node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the nodes directly inside *node*, each with the rest of its place.

    >>> [rest for rest, _ in children(Seq(children=(Seq(children=()),)))]
    ['.children[0]']
    """
    match node:
        case Seq():
            for i, child in enumerate(node.children):
                yield f".children[{i}]", child
        case Branch():
            yield ".then", node.then
            if node.else_ is not None:
                yield ".else", node.else_
        case Loop() | Fanout():
            yield ".body", node.body
        case Try():
            yield ".body", node.body
            yield ".catch", node.catch
            if node.finally_ is not None:
                yield ".finally", node.finally_
        case Step() | Assign():
            pass
        case _:
            assert_never(node)


def places_of(flow: Flow) -> dict[str, str]:
    """Return the place of each node that has an id.

    >>> places_of(Flow(Seq(children=(Seq(children=(), id="a"),), id="all")))
    {'all': '$', 'a': '$.children[0]'}
    """
    found: dict[str, str] = {}
    todo: list[tuple[str, Node]] = [("$", flow.root)]
    while todo:
        place, node = todo.pop()
        if node.id is not None:
            found[node.id] = place
        todo += ((place + rest, child) for rest, child in children(node))
    return found


def subexpressions(expr: Expr) -> Iterator[tuple[str, Expr]]:
    """Yield the expressions directly inside *expr*, each with the rest of its place."""
    for name, spec in OP_FIELDS[expr["op"]].items():
        if name not in expr:
            continue
        value = expr[name]
        if spec.type == "expr":
            yield f".{name}", value
        elif spec.type == "exprs":
            for i, item in enumerate(value):
                yield f".{name}[{i}]", item
        elif spec.type == "fields":
            for key, item in value.items():
                yield f".{name}{format_path(Path((key,)))[1:]}", item
