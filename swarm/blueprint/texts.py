"""Expressions written as text, where a document may have them.

In a JSON or YAML document the flow is in its wire form, but a string may stand in the
place of any expression; here it becomes one. What is not a flow stays as it is:
`flowir` says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowir.errors import Malformed, Problem, shorten
from flowir.limits import DEFAULT_LIMITS
from flowir.nodes import NODE_FIELDS, OP_FIELDS, QUANTIFIERS
from flowir.text import parse_expr
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_array, is_object

__all__ = ("PLACEHOLDER", "expand_texts", "expression_of", "words_of")

# Stands where an expression could not be read: of no type, and always there to be read,
# so that one mistake is reported once.
PLACEHOLDER: Mapping[str, Any] = {"op": "path", "at": "$"}


def expression_of(text: str, at: str, found: list[Problem], bound: Iterable[str] = ()) -> Any:
    """Read an expression's text; add what is wrong with it to *found*."""
    try:
        return parse_expr(text, bound=tuple(bound))
    except Malformed as e:
        within = e.problems[0].at if "\n" in text else f"column {e.values['column']}"
        found.extend(
            Problem(p.code, at, f"{p.message} at {within} of {shorten(text)}", p.hint)
            for p in e.problems
        )
        return dict(PLACEHOLDER)


def words_of(text: str) -> Any:
    """Read an error's message: an expression, or words that stand for themselves.

    >>> words_of("the letter is too long")
    {'op': 'lit', 'value': 'the letter is too long'}
    >>> words_of("ctx.reason")
    {'op': 'path', 'at': '$.reason'}
    """
    try:
        return parse_expr(text)
    except Malformed:
        return {"op": "lit", "value": text}


def expand_texts(flow: Any, at: str, found: list[Problem]) -> Any:
    """Return a copy of a wire flow with every text expression read.

    >>> expand_texts({"kind": "assign", "at": "$.n", "value": "ctx.a"}, "$.flow", [])["value"]
    {'op': 'path', 'at': '$.a'}
    """
    return _Expander(found).node(flow, at, 1)


class _Expander:
    """Walks a flow; what is nested deeper than it may be stays as it is."""

    def __init__(self, found: list[Problem]) -> None:
        self.found = found

    def node(self, node: Any, at: str, depth: int) -> Any:
        kind = node.get("kind") if is_object(node) else None
        if not isinstance(kind, str) or depth > DEFAULT_LIMITS.node_depth:
            return node
        fields = NODE_FIELDS.get("assign" if kind == "let" else kind, {})
        out: dict[str, Any] = {}
        for name, value in node.items():
            type_, place = fields[name].type if name in fields else "", inside(at, name)
            if type_ == "node":
                out[name] = self.node(value, place, depth + 1)
            elif type_ == "nodes" and is_array(value):
                children = enumerate(value)
                out[name] = [self.node(c, inside(place, i), depth + 1) for i, c in children]
            elif type_ in ("expr", "count_expr"):
                out[name] = self.expr(value, place, (), 1)
            else:
                out[name] = value
        return out

    def expr(self, expr: Any, at: str, bound: tuple[str, ...], depth: int) -> Any:
        if isinstance(expr, str):
            return expression_of(expr, at, self.found, bound)
        op = expr.get("op") if is_object(expr) else None
        if not isinstance(op, str) or op not in OP_FIELDS or depth > DEFAULT_LIMITS.expr_depth:
            return expr
        fields = OP_FIELDS[op]
        out: dict[str, Any] = {}
        for name, value in expr.items():
            type_, place = fields[name].type if name in fields else "", inside(at, name)
            names = _bound(expr, name, bound)
            if type_ == "expr":
                out[name] = self.expr(value, place, names, depth + 1)
            elif type_ == "exprs" and is_array(value):
                items = enumerate(value)
                out[name] = [self.expr(e, inside(place, i), names, depth + 1) for i, e in items]
            elif type_ == "fields" and is_object(value):
                items = value.items()
                out[name] = {k: self.expr(e, inside(place, k), names, depth + 1) for k, e in items}
            else:
                out[name] = value
        return out


def _bound(expr: Mapping[str, Any], name: str, outer: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names that a field of *expr* may use: a quantifier's body has two more."""
    bind = expr.get("bind")
    if expr["op"] in QUANTIFIERS and name == "body" and isinstance(bind, str):
        return (*outer, bind, f"{bind}_index")
    return outer
