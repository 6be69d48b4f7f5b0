"""Expressions of the flow language, written down: one function a form.

Every function returns a fresh wire object; nothing here knows Lua.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from flowir.limits import INT_MAX
from flowir.path import Path, Segment, format_path

__all__ = (
    "BEYOND",
    "EMPTY_LIST",
    "EMPTY_OBJECT",
    "FALSE",
    "NULL",
    "TRUE",
    "Op",
    "all_of",
    "any_of",
    "arith",
    "array",
    "call",
    "compare",
    "concat",
    "default",
    "entry",
    "eq",
    "exists",
    "fail",
    "file",
    "get",
    "iif",
    "is_number",
    "is_text",
    "length",
    "listed",
    "lit",
    "literal",
    "mapped",
    "none_of",
    "not_",
    "obj",
    "path",
    "place",
    "size",
)

Op: TypeAlias = dict[str, Any]

# No list has an item here: reading it gives what a missing item gives.
BEYOND = INT_MAX
_BOOLEAN = frozenset({"not", "and", "or", "eq", "ne", "lt", "lte", "gt", "gte", "exists"})


def lit(value: Any) -> Op:
    """Write a value that stands for itself."""
    return {"op": "lit", "value": value}


NULL, TRUE, FALSE = lit(None), lit(True), lit(False)
EMPTY_LIST, EMPTY_OBJECT = lit([]), lit({})


def literal(ir: Op) -> list[Any]:
    """Return the value of a literal in a list, or an empty list."""
    return [ir["value"]] if ir["op"] == "lit" else []


def place(*segments: Segment) -> str:
    """Spell a path.

    >>> place("a", "b c", 0)
    '$.a["b c"][0]'
    """
    return format_path(Path(segments))


def path(at: str) -> Op:
    """Read a place, which must exist."""
    return {"op": "path", "at": at}


def default(arg: Op, fallback: Op) -> Op:
    """Take *fallback* where *arg* is null or missing."""
    return {"op": "default", "arg": arg, "fallback": fallback}


def exists(arg: Op) -> Op:
    """Tell whether there is anything, without the default that hides a missing place."""
    if arg["op"] == "default" and literal(arg["fallback"]) == [None]:
        arg = arg["arg"]
    return {"op": "exists", "arg": arg}


def get(of: Op, key: Op) -> Op:
    """Take an element; null where an object or a list has none, an error for anything else."""
    return default({"op": "get", "of": of, "key": key}, NULL)


def call(ref: str, *args: Op) -> Op:
    """Call an extern that every host has."""
    return {"op": "call_extern", "ref": ref, "args": list(args)}


def eq(lhs: Op, rhs: Op) -> Op:
    """Compare by value."""
    return {"op": "eq", "lhs": lhs, "rhs": rhs}


def compare(op: str, lhs: Op, rhs: Op) -> Op:
    """Compare by the op *op*."""
    return {"op": op, "lhs": lhs, "rhs": rhs}


arith = compare


def not_(arg: Op) -> Op:
    """Negate; a doubled negation of what is a boolean goes away."""
    if arg["op"] == "not" and arg["arg"]["op"] in _BOOLEAN:
        return arg["arg"]
    if arg["op"] == "and" and len(arg["args"]) == 1:
        arg = arg["args"][0]
    known = literal(arg)
    if known:
        return lit(known[0] is None or known[0] is False)
    return {"op": "not", "arg": arg}


def all_of(*args: Op) -> Op:
    """Tell whether all are true, as a boolean."""
    kept = [arg for arg in args if literal(arg) != [True]]
    if not kept:
        return TRUE
    if len(kept) == 1 and kept[0]["op"] in _BOOLEAN:
        return kept[0]
    return {"op": "and", "args": kept}


def any_of(*args: Op) -> Op:
    """Tell whether any is true, as a boolean."""
    if len(args) == 1:
        return all_of(args[0])
    return {"op": "or", "args": list(args)}


def none_of(places: list[str]) -> Op:
    """Tell whether no flag of *places* is set."""
    return not_(any_of(*[path(at) for at in places]))


def iif(cond: Op, then: Op, otherwise: Op) -> Op:
    """Take one of two."""
    return {"op": "if", "cond": cond, "then": then, "else": otherwise}


def obj(fields: dict[str, Op]) -> Op:
    """Build an object."""
    return {"op": "object", "fields": fields}


def array(items: list[Op]) -> Op:
    """Build a list."""
    return {"op": "array", "items": items}


def file(path: str) -> Op:
    """Stand for the text of a file; on the wire it is a reference, which `finish` writes."""
    return {"op": "file", "path": path}


def concat(args: list[Op]) -> Op:
    """Join texts."""
    return {"op": "concat", "args": args}


def length(arg: Op) -> Op:
    """Count."""
    return {"op": "len", "arg": arg}


def fail(code: str, message: Op, data: Op | None = None, cause_code: Op | None = None) -> Op:
    """Raise the author's error."""
    more = {"data": data, "cause_code": cause_code}
    known = {name: value for name, value in more.items() if value is not None}
    return {"op": "fail", "code": code, "message": message, **known}


def mapped(over: Op, bind: str, body: Op) -> Op:
    """Build a list from another."""
    return {"op": "map", "over": over, "bind": bind, "body": body}


def entry(key: Op, value: Op) -> Op:
    """Build an object of one member whose name is computed; the language has no op for it."""
    known = literal(key)
    if known and isinstance(known[0], str):
        return obj({known[0]: value})
    text = [lit("{"), call("json.encode", key), lit(":"), call("json.encode", value), lit("}")]
    return call("json.decode", concat(text))


def is_text(ir: Op) -> Op:
    """Tell whether a value is a string; the language has no op that asks for a type."""
    return call("string.starts_with", call("json.encode", ir), lit('"'))


def is_number(ir: Op) -> Op:
    """Tell whether a value is a number."""
    first = call("string.sub", call("json.encode", ir), lit(0), lit(1))
    return {"op": "in", "needle": first, "haystack": lit(list("-0123456789"))}


def listed(ir: Op) -> Op:
    """Take an object without members as the list that it may be meant as."""
    return iif(eq(ir, EMPTY_OBJECT), EMPTY_LIST, ir)


def size(ir: Op) -> int:
    """Count the ops of an expression."""
    count, left = 0, [ir]
    while left:
        one = left.pop()
        count += 1
        for name, inner in one.items():
            if name == "value":
                continue
            if isinstance(inner, dict):
                left += [inner] if "op" in inner else list(inner.values())
            elif isinstance(inner, list):
                left += inner
    return count
