"""Expressions as documents hold them, read into private canonical copies.

Reads by the table `flowir.nodes.OP_FIELDS`; every problem is taken down, none raised.
Knows nothing of nodes, and nothing of what an expression means.
"""

from __future__ import annotations

import re
from typing import Any

from flowir.door import admit_measured
from flowir.errors import FlowError, Malformed
from flowir.limits import Limits
from flowir.nodes import OP_FIELDS, Expr
from flowir.path import Path, format_path, parse_path
from flowir.report import Report, member, nearest, type_of

__all__ = ("MEASURE_PER_BYTE", "ExprReader")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The least an expression takes of a document, {"op":"or","args":[]}; the most that
# `measure` counts for a byte of JSON. A Python object is refused for its size only where
# the same document as text is too large beyond doubt.
_OP_BYTES = 21
MEASURE_PER_BYTE = 5
_LARGEST_PLAIN = 1 << 53

Bound = frozenset[str]
_Fields = tuple[tuple[str, str, bool], ...]

_OPS: dict[str, tuple[_Fields, int]] = {
    op: (
        tuple((name, spec.type, spec.required) for name, spec in fields.items()),
        sum(spec.required for spec in fields.values()),
    )
    for op, fields in OP_FIELDS.items()
}


class ExprReader:
    """Reads the expressions of one document."""

    __slots__ = ("_bytes_left", "_depth", "_limits", "_paths", "_report")

    def __init__(self, report: Report, limits: Limits) -> None:
        self._report = report
        self._limits = limits
        self._depth = limits.expr_depth
        self._bytes_left = limits.document_bytes
        self._paths: dict[str, tuple[Path, str] | None] = {}

    def read(self, value: Any, at: str, bound: Bound, depth: int = 1) -> Expr:
        """Return the canonical copy of an expression.

        Shape: an empty dict where it is malformed; the reason is in the report.
        """
        type_ = type_of(value)
        if type_ is not dict:
            return self._not_an_expression(value, at)
        op = value.get("op")
        found = _OPS.get(op) if type(op) is str else None
        if found is None:
            return self._unknown_op(value, at)
        if depth > self._depth:
            self._report.too_deep(at, "expressions", self._depth, value)
            return {}
        self._spend(_OP_BYTES, at)
        fields, required = found
        out: dict[str, Any] = {"op": op}
        for name, kind, needed in fields:
            if name in value:
                field = value[name]
                if kind == "expr":
                    out[name] = self.read(field, f"{at}.{name}", bound, depth + 1)
                elif kind == "var":
                    out[name] = field
                    bound = self._bind(field, f"{at}.{name}", bound)  # `over` stands before it
                else:
                    out[name] = self._other(kind, field, f"{at}.{name}", bound, depth)
                required -= needed
        if required or len(out) != len(value):
            self._wrong_fields(value, at, op, fields)
        return out

    def path(self, text: Any, at: str, bound: Bound = frozenset()) -> Path | None:
        """Return a path, or None where it is malformed."""
        found = self._parse(text, at)
        if found is None:
            return None
        root = found[0].root
        if root is not None and root not in bound:
            hint = nearest(root, bound) or "a quantifier binds @name and @name_index in its body"
            self._report.expected(at, "a bound variable", f"@{root}", hint)
            return None
        return found[0]

    def _parse(self, text: Any, at: str) -> tuple[Path, str] | None:
        if type(text) is not str:
            self._report.expected(at, "a path, a string", text, 'write "$.name"')
            return None
        found = self._paths.get(text)
        if found is None:
            try:
                path = parse_path(text, at=at)
                found = path, format_path(path)
                found[1].encode()
            except Malformed as e:
                self._report.problems.extend(e.problems)
                return None
            except UnicodeEncodeError:
                self._report.expected(at, "a path", text, "it has a lone surrogate")
                return None
            self._paths[text] = found
        return found

    def _other(self, kind: str, field: Any, at: str, bound: Bound, depth: int) -> Any:
        if kind == "path":
            path = self.path(field, at, bound)
            return field if path is None else self._paths[field][1]  # type: ignore[index]
        if kind == "json":
            return self._literal(field, at)
        if kind == "exprs":
            return self._list(field, at, bound, depth)
        if kind == "fields":
            return self._members(field, at, bound, depth)
        return self.name(field, at)

    def _list(self, field: Any, at: str, bound: Bound, depth: int) -> list[Expr]:
        type_ = type_of(field)
        if type_ is not list:
            self._report.expected(at, "a list of expressions", field)
            return []
        return [self.read(e, f"{at}[{i}]", bound, depth + 1) for i, e in enumerate(field)]

    def _members(self, field: Any, at: str, bound: Bound, depth: int) -> dict[str, Expr]:
        out: dict[str, Expr] = {}
        type_ = type_of(field)
        if type_ is not dict:
            self._report.expected(at, "an object of expressions", field)
            return out
        for key, e in field.items():
            if type(key) is str and _is_text(key):
                out[key] = self.read(e, at + member(key), bound, depth + 1)
            else:
                self._report.expected(at, "string keys", key)
        return out

    def _literal(self, value: Any, at: str) -> Any:
        kind = type_of(value)
        if (
            value is None
            or kind is bool
            or (kind is str and value.isascii())
            or (kind is int and -_LARGEST_PLAIN < value < _LARGEST_PLAIN)
        ):
            return value
        try:
            copy, size, _ = admit_measured(value, limits=self._limits, at=at)
        except Malformed as e:
            self._report.problems.extend(e.problems)
        except FlowError as e:
            self._report.add(at, e.message)
        else:
            self._spend(size // MEASURE_PER_BYTE, at)
            return copy
        return None

    def name(self, value: Any, at: str) -> str:
        """Return a name: any text that is not empty."""
        if type(value) is not str or not value or not _is_text(value):
            self._report.expected(at, "a name, a string that is not empty", value)
        return value

    def _bind(self, name: Any, at: str, bound: Bound) -> Bound:
        if type(name) is not str or not _NAME.fullmatch(name):
            hint = "letters, digits and _, no digit first"
            self._report.expected(at, "a variable's name", name, hint)
            return bound
        return bound | {name, f"{name}_index"}  # hides what is called so around it

    def _not_an_expression(self, value: Any, at: str) -> Expr:
        hint = None
        if type(value) is str:
            hint = 'a path is {"op": "path", "at": "$.name"}, a text {"op": "lit", "value": "…"}'
        elif value is None or type(value) in (bool, int, float, list):
            hint = 'a literal is {"op": "lit", "value": …}'
        self._report.expected(at, "an expression, an object with 'op'", value, hint)
        return {}

    def _unknown_op(self, value: dict[Any, Any], at: str) -> Expr:
        if "op" not in value:
            hint = 'an object is {"op": "object", "fields": {…}}'
            self._report.missing_field(at, "an expression", "op", hint=hint)
        else:
            op = value["op"]
            hint = (nearest(op, _OPS) if type(op) is str else None) or f"ops: {', '.join(_OPS)}"
            self._report.expected(f"{at}.op", "an op", op, hint)
        return {}

    def _spend(self, size: int, at: str) -> None:
        self._bytes_left -= size
        if self._bytes_left < 0:
            self._report.stop(
                at, f"expected a document of at most {self._limits.document_bytes} bytes, got more"
            )

    def _wrong_fields(self, value: dict[Any, Any], at: str, op: str, fields: _Fields) -> None:
        owner = f"'{op}'"
        for name, _, needed in fields:
            if needed and name not in value:
                self._report.missing_field(at, owner, name)
        known = [name for name, _, _ in fields]
        for name in value:
            if name != "op" and name not in known:
                self._report.unknown_field(at, owner, name, known)


def _is_text(text: str) -> bool:
    """Tell whether a string has no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
