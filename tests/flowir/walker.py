"""A second evaluator of expressions, as plain as it can be: the judge of the fast one.

It walks the tree, copies nothing, and is written from the table of ops in flow-ir.md §3.
Only the externs themselves are not written again.
"""

from __future__ import annotations

import json
import math
from typing import Any

from flowir.errors import FlowError
from flowir.externs import STANDARD_EXTERNS

__all__ = ("Walker", "plain_depth", "plain_same", "plain_size")

JSON = Any
_QUANTIFIERS = ("map", "filter", "any", "every")
_SCALAR = 8


def plain_size(value: JSON) -> int:
    """Count as flow-ir.md §1 does, every part each time it appears."""
    if isinstance(value, str):
        return len(value) + 2
    if isinstance(value, list):
        return 2 + sum(1 + plain_size(item) for item in value)
    if isinstance(value, dict):
        return 2 + sum(len(key) + 4 + plain_size(item) for key, item in value.items())
    return _SCALAR


def plain_depth(value: JSON) -> int:
    """Count the containers on the longest way down."""
    if not isinstance(value, (list, dict)):
        return 0
    members = value if isinstance(value, list) else value.values()
    return 1 + max(map(plain_depth, members), default=0)


def plain_same(a: JSON, b: JSON) -> bool:
    """Compare by §1 equality."""
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(plain_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(plain_same(a[k], b[k]) for k in a)
    return bool(a == b)


def _kind(value: JSON) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "string", list: "array", dict: "object"}.get(type(value), "null")


def _fails(code: str, data: JSON = None) -> FlowError:
    return FlowError(code, code, data=data)


class Walker:
    """Evaluates on one context, and counts what it costs in `paid`."""

    def __init__(self, ctx: JSON) -> None:
        self.ctx = ctx
        self.paid = 0

    def value(self, expr: JSON) -> JSON:
        self.paid += self._cost(expr)
        return self._walk(expr, {})

    def _cost(self, expr: JSON) -> int:
        total = 0
        todo = [expr]
        while todo:
            here = todo.pop()
            total += 1
            for name, field in here.items():
                if here["op"] == "lit" or (name == "body" and here["op"] in _QUANTIFIERS):
                    continue
                parts: list[JSON] = [field]
                if name in ("args", "items"):
                    parts = field
                elif name == "fields":
                    parts = list(field.values())
                todo += [part for part in parts if isinstance(part, dict)]
        return total

    def _pay(self, size: int) -> None:
        self.paid += size // 64

    def _truth(self, expr: JSON, env: dict[str, JSON]) -> bool:
        found = self._walk(expr, env)
        return found is not None and found is not False

    def _walk(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        op = expr["op"]
        if op in ("eq", "ne", "lt", "lte", "gt", "gte", "add", "sub", "mul", "div", "mod", "idiv"):
            lhs = self._walk(expr["lhs"], env)
            rhs = self._walk(expr["rhs"], env)
            return self._two(op, lhs, rhs)
        if op in _QUANTIFIERS:
            return self._quantify(op, expr, env)
        return getattr(self, f"_{op}")(expr, env)

    def _two(self, op: str, a: JSON, b: JSON) -> JSON:
        if op in ("eq", "ne"):
            return self._equal(a, b) is (op == "eq")
        if op in ("lt", "lte", "gt", "gte"):
            if _kind(a) != _kind(b) or _kind(a) not in ("number", "string"):
                raise _fails("type.mismatch")
            return {"lt": a < b, "lte": a <= b, "gt": a > b, "gte": a >= b}[op]
        if _kind(a) != "number" or _kind(b) != "number":
            raise _fails("type.mismatch")
        return self._calculate(op, a, b)

    def _calculate(self, op: str, a: JSON, b: JSON) -> JSON:
        if op in ("div", "mod", "idiv") and b == 0:
            raise _fails("arith.zero_division")
        if op == "div" or isinstance(a, float) or isinstance(b, float):
            a, b = float(a), float(b)
        found = {
            "add": lambda: a + b,
            "sub": lambda: a - b,
            "mul": lambda: a * b,
            "div": lambda: a / b,
            "mod": lambda: a % b,
            "idiv": lambda: a // b,
        }[op]()
        fits = math.isfinite(found) if isinstance(found, float) else -(2**63) <= found < 2**63
        if not fits:
            raise _fails("arith.overflow")
        return found

    def _equal(self, a: JSON, b: JSON) -> bool:
        if isinstance(a, (list, dict)) and type(a) is type(b) and a is not b:
            self._pay(plain_size(a) + plain_size(b))
        return plain_same(a, b)

    def _path(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        at: str = expr["at"]
        root, rest = self.ctx, at[1:]
        if at.startswith("@"):
            name = at[1:].replace("[", ".").split(".")[0]
            root, rest = env[name], at[1 + len(name) :]
        while rest:
            segment, rest = _segment(rest)
            kind = _kind(root)
            if isinstance(segment, str):
                if kind != "object" or segment not in root:
                    raise _fails("path.missing")
            elif kind != "array" or not -len(root) <= segment < len(root):
                raise _fails("path.missing")
            root = root[segment]
        return root

    def _lit(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        return expr["value"]

    def _not(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        return not self._truth(expr["arg"], env)

    def _and(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        return all(self._truth(arg, env) for arg in expr["args"])

    def _or(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        return any(self._truth(arg, env) for arg in expr["args"])

    def _exists(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        try:
            return self._walk(expr["arg"], env) is not None
        except FlowError as error:
            if error.code != "path.missing":
                raise
            return False

    def _default(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        found = None
        try:
            found = self._walk(expr["arg"], env)
        except FlowError as error:
            if error.code != "path.missing":
                raise
        return self._walk(expr["fallback"], env) if found is None else found

    def _if(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        return self._walk(expr["then" if self._truth(expr["cond"], env) else "else"], env)

    def _len(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        found = self._walk(expr["arg"], env)
        if not isinstance(found, (str, list, dict)):
            raise _fails("type.mismatch")
        return len(found)

    def _in(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        needle = self._walk(expr["needle"], env)
        haystack = self._walk(expr["haystack"], env)
        if not isinstance(haystack, list):
            raise _fails("type.mismatch")
        self._pay(len(haystack))
        return any(self._equal(needle, item) for item in haystack)

    def _get(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        of = self._walk(expr["of"], env)
        key = self._walk(expr["key"], env)
        whole = type(key) is int
        if (_kind(key), _kind(of)) != ("string", "object") and not (whole and _kind(of) == "array"):
            raise _fails("type.mismatch")
        try:
            return of[key]
        except LookupError:
            raise _fails("path.missing") from None

    def _object(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        return {name: self._walk(part, env) for name, part in expr["fields"].items()}

    def _array(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        return [self._walk(part, env) for part in expr["items"]]

    def _concat(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        parts = [self._walk(part, env) for part in expr["args"]]
        if any(_kind(part) in ("null", "array", "object") for part in parts):
            raise _fails("type.mismatch")
        text = "".join(part if isinstance(part, str) else json.dumps(part) for part in parts)
        self._pay(len(text))
        return text

    def _call_extern(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        args = [self._walk(part, env) for part in expr["args"]]
        if expr["ref"] not in STANDARD_EXTERNS:
            raise _fails("extern.unknown")
        self._pay(sum(len(arg) for arg in args if isinstance(arg, (str, list, dict))))
        found = STANDARD_EXTERNS[expr["ref"]](*args)
        self._pay(len(found) if isinstance(found, (str, list, dict)) else 0)
        return found

    def _fail(self, expr: JSON, env: dict[str, JSON]) -> JSON:
        message = self._walk(expr["message"], env)
        data = self._walk(expr["data"], env) if "data" in expr else None
        cause = self._walk(expr["cause_code"], env) if "cause_code" in expr else None
        if not isinstance(message, str) or not isinstance(cause, str | None):
            raise _fails("type.mismatch")
        raise _fails(expr["code"], data)

    def _quantify(self, op: str, expr: JSON, env: dict[str, JSON]) -> JSON:
        items = self._walk(expr["over"], env)
        if not isinstance(items, list):
            raise _fails("type.mismatch")
        self.paid += self._cost(expr["body"]) * len(items)
        out: list[JSON] = []
        for index, item in enumerate(items):
            inner = {**env, expr["bind"]: item, f"{expr['bind']}_index": index}
            if op == "map":
                out.append(self._walk(expr["body"], inner))
                continue
            holds = self._truth(expr["body"], inner)
            if op == "filter":
                out += [item] if holds else []
            elif holds is (op == "any"):
                return holds
        return out if op in ("map", "filter") else op == "every"


def _segment(rest: str) -> tuple[str | int, str]:
    """Take the first segment off a canonical path."""
    if rest.startswith("."):
        end = next((i for i, c in enumerate(rest[1:], 1) if c in ".["), len(rest))
        return rest[1:end], rest[end:]
    found, end = json.JSONDecoder().raw_decode(rest[1:])
    return found, rest[end + 2 :]
