"""The rules of `check` that look at one node or one expression at a time.

Each says one thing that loading can't: a name that nobody registered, a word of Lua
that means something else here, a node that no run arrives at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, cast

from flowir.certain import Certainty, constant, is_boolean, never_boolean
from flowir.errors import Problem, shorten
from flowir.externs import STANDARD_EXTERNS, Extern
from flowir.nodes import NODE_FIELDS, OP_FIELDS, Branch, Expr, Flow, Node, Step, children
from flowir.path import format_path, parse_path
from flowir.report import member, nearest
from flowir.wire_nodes import KINDS

__all__ = ("Rules",)

Externs = Mapping[str, Callable[..., Any]] | Collection[str]

_KIND_OF = {cls: kind for kind, cls in KINDS.items()}
# Where an operand is asked for its truth only, so that `or` means what Lua means by it.
_CONDITIONS = frozenset(
    {("not", "arg"), ("if", "cond"), ("filter", "body"), ("any", "body"), ("every", "body")}
)
# Where an operand is whatever the expression around it is.
_AS_ABOVE = frozenset({("and", "args"), ("or", "args"), ("if", "then"), ("if", "else")})


class Rules:
    """The rules, and what they know of the host: its externs and the steps it has."""

    def __init__(self, externs: Externs | None, refs: Collection[str] | None) -> None:
        self._arity = _arities(externs)
        self._refs = refs
        self._certainty = Certainty()

    def problems(self, flow: Flow) -> Iterator[Problem]:
        """Yield what the rules find, in no particular order."""
        todo: list[tuple[str, Node]] = [("$", flow.root)]
        while todo:
            at, node = todo.pop()
            yield from self._node(node, at)
            todo.extend((at + rest, child) for rest, child in children(node))

    def _node(self, node: Node, at: str) -> Iterator[Problem]:
        if isinstance(node, Step) and self._refs is not None and node.ref not in self._refs:
            message = f"expected the name of something that does steps, got {shorten(node.ref)}"
            yield Problem("ref.unknown", f"{at}.ref", message, nearest(node.ref, self._refs))
        if isinstance(node, Branch) and never_boolean(node.cond):
            got = "".join(f", got {shorten(value)}" for value in constant(node.cond))
            message = f"expected a boolean{got or ', got an expression that never is one'}"
            yield Problem("cond.not_boolean", f"{at}.cond", message, "compare: ctx.n ~= 0")
        for rest, child, why in self._certainty.unreachable(node):
            if not child.implicit:
                message = f"expected a node that can be reached, got one that never runs: {why}"
                yield Problem("node.unreachable", at + rest, message)
        for name, spec in NODE_FIELDS[_KIND_OF[type(node)]].items():
            value: Any = getattr(node, spec.attr or name)
            if spec.type in ("expr", "count_expr") and type(value) not in (int, type(None)):
                yield from self._expr(value, f"{at}.{name}", name == "cond")

    def _expr(self, expr: Expr, at: str, as_condition: bool) -> Iterator[Problem]:
        """Yield the problems of *expr*, which is asked for its truth or for its value."""
        op = expr["op"]
        if op == "call_extern":
            yield from self._call(expr, at)
        elif op in ("and", "or") and not as_condition and _surprises(expr):
            as_condition = True  # the operands are told by this one
            message = f"expected a value, got the boolean that '{op}' gives"
            yield Problem("text.or_value", at, message, _instead(expr))
        for name, spec in OP_FIELDS[op].items():
            inside = (op, name) in _CONDITIONS or (as_condition and (op, name) in _AS_ABOVE)
            for rest, inner in _parts(spec.type, expr.get(name)):
                yield from self._expr(inner, f"{at}.{name}{rest}", inside)

    def _call(self, expr: Expr, at: str) -> Iterator[Problem]:
        name, count = expr["ref"], len(expr["args"])
        if name not in self._arity:
            message = f"expected the name of an extern, got {shorten(name)}"
            yield Problem("extern.unknown", f"{at}.ref", message, nearest(name, self._arity))
            return
        least, most = self._arity[name]
        if count < least or (most is not None and count > most):
            message = f"expected {_counted(least, most)} for {name}, got {count}"
            yield Problem("extern.arity", f"{at}.args", message)


def _arities(externs: Externs | None) -> dict[str, tuple[int, int | None]]:
    known = {name: (e.min_args, e.max_args) for name, e in STANDARD_EXTERNS.items()}
    functions: Mapping[str, Any] = {}
    if isinstance(externs, Mapping):
        functions = cast("Mapping[str, Any]", externs)
    for name in externs or ():
        own = functions.get(name)
        takes = (own.min_args, own.max_args) if isinstance(own, Extern) else (0, None)
        known[name] = takes
    return known


def _counted(least: int, most: int | None) -> str:
    if most is None:
        words = f"at least {least}"
    else:
        words = str(least) if least == most else f"{least} to {most}"
    return f"{words} argument{'' if words.endswith('1') else 's'}"


def _parts(type_: str, field: Any) -> Iterator[tuple[str, Expr]]:
    if field is None:
        return
    if type_ == "expr":
        yield "", field
    elif type_ == "exprs":
        for i, inner in enumerate(field):
            yield f"[{i}]", inner
    elif type_ == "fields":
        for key, inner in field.items():
            yield member(key), inner


def _surprises(expr: Expr) -> bool:
    """Tell whether an author who knows Lua may expect one of the operands.

    Of `and`, only what can't be a boolean tells: `ctx.ready and ctx.open` is often meant
    as it is. `or` is where defaults are written. Over one operand both ask for its truth.
    """
    if len(expr["args"]) == 1:
        return False
    if expr["op"] == "or":
        return not all(map(is_boolean, expr["args"]))
    return any(map(never_boolean, expr["args"]))


def _instead(expr: Expr) -> str:
    """Return what to write instead: `default(a, b)`, or `iif(c, a, b)`."""
    args = expr["args"]
    if expr["op"] == "and":
        return "iif(condition, value, other)"
    if len(args) == 2 and args[0]["op"] == "and" and len(args[0]["args"]) == 2:
        return f"iif({', '.join(map(_shown, (*args[0]['args'], args[1])))})"
    if len(args) == 2:
        return f"default({_shown(args[0])}, {_shown(args[1])})"
    return "default(value, fallback)"


def _shown(expr: Expr) -> str:
    match expr["op"]:
        case "path":
            path = parse_path(expr["at"])
            return format_path(path, "ctx") if path.root is None else "…"
        case "lit" if type(expr["value"]) not in (dict, list):
            return shorten(expr["value"])
        case _:
            return "…"
