"""Expressions in fewer words, for a picture: what only guards a read is left out.

A picture says what is asked, not what happens where there is nothing: `default(ctx.a, nil)`
is shown as `ctx.a`, and `iif(ctx.a, ctx.a, 0)` as `ctx.a or 0`.
"""

from __future__ import annotations

from typing import Any

from flowir.errors import Malformed
from flowir.nodes import OP_FIELDS
from flowir.path import Path, format_path, parse_path

__all__ = ("plainly",)

_EMPTY: dict[str, Any] = {"op": "lit", "value": {}}


def plainly(expr: Any) -> dict[str, Any]:
    """Return a shorter expression of the same meaning where everything is there.

    >>> nothing = {"op": "lit", "value": None}
    >>> plainly({"op": "default", "arg": {"op": "path", "at": "$.a"}, "fallback": nothing})
    {'op': 'path', 'at': '$.a'}
    """
    here = {name: _inside(expr, name, value) for name, value in expr.items()}
    match here:
        case {"op": "default", "arg": arg, "fallback": {"op": "lit", "value": None | False}}:
            return arg
        case {"op": "and", "args": [only]}:
            return only
        case {"op": "get", "of": {"op": "path", "at": at}, "key": {"op": "lit", "value": key}}:
            return _element(here, at, key)
        case {"op": "if", "cond": {"op": "eq", "rhs": rhs, "lhs": lhs}, "else": otherwise} if (
            rhs == _EMPTY and lhs == otherwise
        ):
            return otherwise
        case {"op": "if", "cond": cond, "then": then, "else": otherwise} if cond == then:
            return {"op": "or", "args": [then, otherwise]}
        case {"op": "if", "cond": cond, "then": then, "else": otherwise} if cond == otherwise:
            return {"op": "and", "args": [cond, then]}
        case _:
            return here


def _inside(expr: Any, name: str, value: Any) -> Any:
    spec = OP_FIELDS[expr["op"]].get(name)
    match spec.type if spec else None:
        case "expr":
            return plainly(value)
        case "exprs":
            return [plainly(one) for one in value]
        case "fields":
            return {key: plainly(one) for key, one in value.items()}
        case _:
            return value


def _element(here: dict[str, Any], at: str, key: Any) -> dict[str, Any]:
    """Return a member of a path as a longer path, where a path can say so."""
    if type(key) not in (str, int):
        return here
    path = parse_path(at)
    longer = format_path(Path((*path.segments, key), path.root))
    try:
        parse_path(longer)
    except Malformed:  # an empty name, or an index of more digits than paths have
        return here
    return {"op": "path", "at": longer}
