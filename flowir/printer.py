"""Expressions printed in their written form, with no parentheses but those needed.

`flowir.text` parses what is printed here back to the same expression. An op that signs
would change is printed as a function: `get(ctx.a, "b")`, `call("odd name")`,
`map(ctx.list, "end", @end.x)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any, TypeAlias, cast

from flowir.errors import Malformed, Problem, shorten
from flowir.limits import DEFAULT_LIMITS
from flowir.nodes import QUANTIFIERS, Expr
from flowir.notation import (
    CHAINS,
    FORMS,
    KNOWN,
    LEVELS,
    LISTS,
    NAME,
    OPERATORS,
    PREFIXES,
    RESERVED,
    SPELLED_PATH,
    quote,
)
from flowir.path import Segment, format_path, parse_path
from flowir.records import dataclass

__all__ = ("format_expr",)

# How tightly a printed text binds: levels of signs, then these two.
_UNARY = LEVELS["not"]
_SIMPLE = _UNARY + 1  # a literal, a table: nothing may follow it directly
_SUFFIXED = _UNARY + 2  # a name, a call: ".name", "[key]" and "(…)" may follow
_LOOSEST = 0

JSON: TypeAlias = Any
_Printed: TypeAlias = tuple[str, int]

_DEPTH = DEFAULT_LIMITS.expr_depth


def format_expr(expr: Expr) -> str:
    """Print a well-formed expression as text.

    >>> format_expr({"op": "len", "arg": {"op": "path", "at": "$.files"}})
    '#ctx.files'

    Shape: one line; `parse_expr` gives *expr* back (a path in the canonical spelling).
    Variables that no quantifier of *expr* binds are printed as `@name`.
    Raises: Malformed for an op that is unknown, or nested beyond the limit.
    """
    return _text(expr, _Scope(), _LOOSEST)


@dataclass(frozen=True, slots=True)
class _Scope:
    """The variables around an expression: all, and those that have a local name.

    `used` takes down which local names were printed.
    """

    variables: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    depth: int = 1
    used: set[str] = field(default_factory=set[str])

    def deeper(self) -> _Scope:
        return _Scope(self.variables, self.names, self.depth + 1, self.used)

    def inside(self, bind: str, names: frozenset[str]) -> _Scope:
        new = frozenset((bind, f"{bind}_index"))
        return _Scope(self.variables | new, self.names - new | names, self.depth + 1, self.used)


def _text(expr: Expr, scope: _Scope, level: int) -> str:
    """Print where a text of at least *level* is due, in parentheses if need be."""
    op: str = expr.get("op", "")
    if op not in _PRINTERS:
        raise _malformed(f"expected a known op, got {shorten(op)}")
    if scope.depth > _DEPTH:
        raise _malformed(f"expected at most {_DEPTH} expressions inside each other, got more")
    text, own = _PRINTERS[op](expr, scope)
    return text if own >= level else f"({text})"


def _inner(expr: Expr, scope: _Scope, level: int = _LOOSEST) -> str:
    return _text(expr, scope.deeper(), level)


def _malformed(message: str) -> Malformed:
    return Malformed([Problem("malformed", "$", message)])


# ---- paths and elements


def _path(expr: Expr, scope: _Scope) -> _Printed:
    at: str = expr["at"]
    path = parse_path(at)
    canonical = format_path(path)
    if at != canonical and SPELLED_PATH.fullmatch(at):
        return at, _SUFFIXED
    if path.root is None:
        return "ctx" + "".join(map(_segment, path.segments)), _SUFFIXED
    if path.root not in scope.names:
        return canonical, _SUFFIXED
    scope.used.add(path.root)
    return path.root + "".join(map(_segment, path.segments)), _SUFFIXED


def _segment(segment: Segment) -> str:
    if isinstance(segment, int):
        return f"[{segment}]"
    return f".{segment}" if _is_plain(segment) else f"[{quote(segment)}]"


def _is_plain(name: str) -> bool:
    return NAME.fullmatch(name) is not None and name not in RESERVED


def _get(expr: Expr, scope: _Scope) -> _Printed:
    of, key = expr["of"], expr["key"]
    if of["op"] == "path" and key["op"] == "lit":  # with brackets it would be a longer path
        return _function("get", (of, key), scope)
    base = _inner(of, scope, _SUFFIXED)
    if key["op"] == "lit" and isinstance(key["value"], str):
        return base + _segment(key["value"]), _SUFFIXED
    return f"{base}[{_inner(key, scope)}]", _SUFFIXED


# ---- literals and tables


def _literal(expr: Expr, scope: _Scope) -> _Printed:
    value = expr["value"]
    if isinstance(value, (dict, list)):
        json = _json(value)
        return f"lit{json}" if json.startswith("{") else f"lit({json})", _SUFFIXED
    negative = isinstance(value, (int, float)) and repr(value).startswith("-")
    return _scalar(value), _UNARY if negative else _SIMPLE


_WORDS = {None: "nil", True: "true", False: "false"}


def _scalar(value: JSON) -> str:
    if isinstance(value, str):
        return quote(value)
    return _WORDS[value] if value is None or isinstance(value, bool) else repr(value)


def _json(value: JSON) -> str:
    match value:
        case list():
            return _listed([_json(item) for item in cast("list[JSON]", value)])
        case dict():
            members = cast("dict[str, JSON]", value)
            return _keyed({key: _json(item) for key, item in members.items()})
        case _:
            return _scalar(value)


def _listed(items: list[str]) -> str:
    return f"{{ {', '.join(items)} }}" if items else "array{}"


def _keyed(members: Mapping[str, str]) -> str:
    if not members:
        return "{}"
    fields = (f"{_key(key)} = {text}" for key, text in members.items())
    return f"{{ {', '.join(fields)} }}"


def _key(key: str) -> str:
    return key if _is_plain(key) else f"[{quote(key)}]"


def _array(expr: Expr, scope: _Scope) -> _Printed:
    text = _listed([_inner(item, scope) for item in expr["items"]])
    return text, _SIMPLE


def _object(expr: Expr, scope: _Scope) -> _Printed:
    fields = expr["fields"].items()
    return _keyed({key: _inner(item, scope) for key, item in fields}), _SIMPLE


# ---- signs


def _between(expr: Expr, scope: _Scope) -> _Printed:
    op, lhs, rhs = expr["op"], expr["lhs"], expr["rhs"]
    if op == "mul" and _is_minus_one(lhs) and not _is_number(rhs):
        operand = _inner(rhs, scope, _UNARY)
        return f"-({operand})" if operand.startswith("-") else f"-{operand}", _UNARY
    level = LEVELS[op]
    left, right = _inner(lhs, scope, level), _inner(rhs, scope, level + 1)
    return f"{left} {_SIGNS[op]} {right}", level


def _is_number(expr: Expr) -> bool:
    return expr["op"] == "lit" and type(expr["value"]) in (int, float)


def _is_minus_one(expr: Expr) -> bool:
    return expr["op"] == "lit" and type(expr["value"]) is int and expr["value"] == -1


def _before(expr: Expr, scope: _Scope) -> _Printed:
    sign = "not " if expr["op"] == "not" else "#"
    return sign + _inner(expr["arg"], scope, _UNARY), _UNARY


def _chain(expr: Expr, scope: _Scope) -> _Printed:
    op, args = expr["op"], expr["args"]
    if len(args) < 2:
        return _function(_LIST_NAMES[op], args, scope)
    level = LEVELS[op]
    return f" {_CHAIN_SIGNS[op]} ".join(_inner(arg, scope, level + 1) for arg in args), level


# ---- functions


def _function(name: str, arguments: Iterable[Expr], scope: _Scope) -> _Printed:
    return f"{name}({', '.join(_inner(argument, scope) for argument in arguments)})", _SUFFIXED


def _form(expr: Expr, scope: _Scope) -> _Printed:
    name, fields = _FORM_NAMES[expr["op"]]
    return _function(name, (expr[name] for name in fields), scope)


def _extern(expr: Expr, scope: _Scope) -> _Printed:
    ref, args = expr["ref"], expr["args"]
    if _is_callable(ref, scope):
        return _function(ref, args, scope)
    arguments = ", ".join([quote(ref), *(_inner(argument, scope) for argument in args)])
    return f"call({arguments})", _SUFFIXED


def _is_callable(ref: str, scope: _Scope) -> bool:
    """Tell whether a call by this name is read as a call of this extern."""
    first, dot, _ = ref.partition(".")
    free = first not in scope.names and first not in ("ctx", "null")
    return free and (bool(dot) or ref not in KNOWN) and all(map(_is_plain, ref.split(".")))


def _fail(expr: Expr, scope: _Scope) -> _Printed:
    parts = [quote(expr["code"]), _inner(expr["message"], scope)]
    data, cause_code = expr.get("data"), expr.get("cause_code")
    if cause_code is not None and (data is None or data == {"op": "lit", "value": None}):
        parts.append("nil" if data is None else "lit(nil)")
    elif data is not None:
        parts.append(_inner(data, scope))
    if cause_code is not None:
        parts.append(_inner(cause_code, scope))
    return f"fail({', '.join(parts)})", _SUFFIXED


def _quantifier(expr: Expr, scope: _Scope) -> _Printed:
    op, bind = expr["op"], expr["bind"]
    over = _inner(expr["over"], scope)
    index = f"{bind}_index"
    if not _is_free(bind, scope):
        body = _text(expr["body"], scope.inside(bind, frozenset()), _LOOSEST)
        return f"{op}({over}, {quote(bind)}, {body})", _SUFFIXED
    body = _text(expr["body"], scope.inside(bind, frozenset((bind, index))), _LOOSEST)
    parameters = f"{bind}, {index}" if index in scope.used else bind
    return f"{op}({over}, function({parameters}) return {body} end)", _SUFFIXED


def _is_free(bind: str, scope: _Scope) -> bool:
    """Tell whether a function may have this parameter: nothing around it is hidden."""
    hidden = {bind, f"{bind}_index"} & scope.variables
    return _is_plain(bind) and bind not in KNOWN and not hidden


_SIGNS = {op: sign for sign, op in OPERATORS.items()}
_CHAIN_SIGNS = {op: sign for sign, op in CHAINS.items()}
_LIST_NAMES = {op: name for name, op in LISTS.items()}
_FORM_NAMES = {op: (name, fields) for name, (op, fields) in FORMS.items()}

_PRINTERS: Mapping[str, Callable[[Expr, _Scope], _Printed]] = {
    "path": _path,
    "lit": _literal,
    "object": _object,
    "array": _array,
    "call_extern": _extern,
    "fail": _fail,
    **dict.fromkeys(OPERATORS.values(), _between),
    **dict.fromkeys(CHAINS.values(), _chain),
    **dict.fromkeys(PREFIXES.values(), _before),
    **dict.fromkeys(_FORM_NAMES, _form),
    **dict.fromkeys(QUANTIFIERS, _quantifier),
    "get": _get,
}
