"""Nodes as documents hold them, read into `flowir.nodes`.

Reads by the table `flowir.nodes.NODE_FIELDS`; every problem is taken down, none raised.
Nodes are read from the outside in, off a stack of what still waits, and built from the
inside out: a document nested 5,000 deep costs no Python frames.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

from flowir import nodes
from flowir.errors import is_code_pattern
from flowir.limits import INT_MAX, Limits
from flowir.nodes import JOINS, NODE_FIELDS, Expr, Node, Retry
from flowir.path import Path
from flowir.report import Report, nearest, one_of, type_of
from flowir.wire_exprs import ExprReader

__all__ = ("KINDS", "NULL_IS_ABSENT", "RETRY_FIELDS", "SPELLINGS", "NodeReader")

KINDS: dict[str, type[Any]] = {kind: getattr(nodes, kind.title()) for kind in NODE_FIELDS}
# Kinds that are read and never written: flow.ir 0.3 says `let` where 0.2 said `assign`.
SPELLINGS = {"let": "assign"}
# flow.ir writes its one optional field as null where it has no value.
NULL_IS_ABSENT = ("err_at",)

_ID = re.compile(r"[A-Za-z0-9_.-]{1,63}")
_COMMON = {"id": nodes.FieldSpec("id", False), "implicit": nodes.FieldSpec("bool", False)}
_UNBOUND: frozenset[str] = frozenset()

# What each field of a retry policy must be: words, and the test of a number.
RETRY_FIELDS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "max_attempts": ("an integer of 1 or more", lambda n: isinstance(n, int) and n >= 1),
    "delay_s": ("a number of seconds, 0 or more", lambda n: n >= 0),
    "factor": ("a number above 0", lambda n: n > 0),
    "max_delay_s": ("a number of seconds, 0 or more", lambda n: n >= 0),
    "jitter": ("a number from 0 to 1", lambda n: 0 <= n <= 1),
}
_RETRY_NAMES = (*RETRY_FIELDS, "on")

_Holder = Any  # a node's fields, or the list of a seq's children
_Waiting = tuple[Any, str, int, _Holder, Any]


class NodeReader:
    """Reads the nodes of one document."""

    __slots__ = ("_built", "_exprs", "_ids", "_limits", "_read", "_report", "_waiting")

    def __init__(self, report: Report, limits: Limits) -> None:
        self._report = report
        self._limits = limits
        self._exprs = ExprReader(report, limits)
        self._ids: dict[str, str] = {}
        self._waiting: list[_Waiting] = []
        self._built: list[tuple[type[Any], dict[str, Any], _Holder, Any]] = []
        self._read: dict[str, Callable[[Any, str], Any]] = {
            "name": self._exprs.name,
            "expr": lambda value, at: self._exprs.read(value, at, _UNBOUND),
            "target": self._target,
            "count": self._count,
            "positive": self._positive,
            "retry": self._retry,
            "join": self._join,
            "codes": self._codes,
            "bool": self._bool,
            "count_expr": self._count_expr,
            "id": self._id,
        }

    def read(self, document: Any, at: str = "$") -> Node | None:
        """Return the node that a document is, or None if the report has a problem."""
        root: list[Any] = [None]
        self._waiting.append((document, at, 1, root, 0))
        visited = 0
        while self._waiting:
            value, at, depth, holder, slot = self._waiting.pop()
            visited += 1
            if visited > self._limits.nodes:
                self._too_many(at)
            self._node(value, at, depth, holder, slot)
        if self._report.problems:
            return None
        for kind, fields, holder, slot in reversed(self._built):
            if kind is nodes.Seq:
                fields["children"] = tuple(fields["children"])
            holder[slot] = kind(**fields)
        return root[0]

    def _node(self, value: Any, at: str, depth: int, holder: _Holder, slot: Any) -> None:
        type_ = type_of(value)
        if type_ is not dict:
            hint = 'several nodes are {"kind": "seq", "children": […]}'
            self._report.expected(
                at, "a node, an object with 'kind'", value, hint if type_ is list else None
            )
            return
        kind = value.get("kind")
        plan = _PLANS.get(kind) if type(kind) is str else None
        if plan is None:
            self._unknown_kind(value, at)
        elif depth > self._limits.node_depth:
            self._report.too_deep(at, "nodes", self._limits.node_depth, value)
        else:
            fields = self._fields(value, at, depth, plan)
            self._built.append((plan.kind, fields, holder, slot))

    def _fields(self, value: dict[Any, Any], at: str, depth: int, plan: _Plan) -> dict[str, Any]:
        out: dict[str, Any] = {}
        first_inside = len(self._waiting)
        missing = plan.required
        for name, field in value.items():
            if name == "kind":
                continue
            known = plan.fields.get(name)
            if known is None:
                self._report.unknown_field(at, plan.owner, name, tuple(plan.fields))
                continue
            type_, attr, required = known
            missing -= required
            place = f"{at}.{name}"
            if type_ == "node":
                self._waiting.append((field, place, depth + 1, out, attr))
            elif type_ == "nodes":
                self._children(field, place, depth, out)
            elif field is not None or name not in NULL_IS_ABSENT:
                out[attr] = self._read[type_](field, place)
        if missing:
            self._missing(value, at, plan)
        if plan.kind is nodes.Fanout:
            self._quorum(value, at)
        self._waiting[first_inside:] = self._waiting[first_inside:][::-1]
        return out

    def _children(self, field: Any, at: str, depth: int, out: dict[str, Any]) -> None:
        type_ = type_of(field)
        if type_ is not list:
            self._report.expected(at, "a list of nodes", field)
            return
        if len(self._waiting) + len(field) > self._limits.nodes:
            self._too_many(at)
        children: list[Any] = [None] * len(field)
        out["children"] = children
        for i, child in enumerate(field):
            self._waiting.append((child, f"{at}[{i}]", depth + 1, children, i))

    def _too_many(self, at: str) -> NoReturn:
        self._report.stop(at, f"expected at most {self._limits.nodes} nodes, got more")

    def _unknown_kind(self, value: dict[Any, Any], at: str) -> None:
        if "kind" not in value:
            self._report.missing_field(at, "a node", "kind")
        else:
            kind = value["kind"]
            hint = nearest(kind, _PLANS) if type(kind) is str else None
            self._report.expected(f"{at}.kind", one_of(NODE_FIELDS), kind, hint)

    def _missing(self, value: dict[Any, Any], at: str, plan: _Plan) -> None:
        for name, (_, _, required) in plan.fields.items():
            if required and name not in value:
                self._report.missing_field(at, plan.owner, name)

    def _quorum(self, value: dict[Any, Any], at: str) -> None:
        join = value.get("join")
        if join == "quorum" and "quorum" not in value:
            self._report.missing_field(at, "fanout", "quorum", " with join 'quorum'")
        elif join in JOINS and join != "quorum" and "quorum" in value:
            self._report.add(f"{at}.quorum", f"expected no quorum with join {join!r}, got one")

    def _id(self, value: Any, at: str) -> Any:
        if type(value) is not str or not _ID.fullmatch(value):
            hint = "1 to 63 letters, digits, '_', '-' and '.'"
            self._report.expected(at, "an id", value, hint)
        elif value in self._ids:
            hint = f"{self._ids[value]} has it too"
            self._report.expected(at, "an id that no other node has", value, hint)
        else:
            self._ids[value] = at.removesuffix(".id")
        return value

    def _target(self, value: Any, at: str) -> Path | None:
        type_ = type_of(value)
        if type_ is dict:
            if value.get("op") != "path" or value.keys() != {"op", "at"}:
                hint = "computed places can't be written"
                self._report.expected(at, "a path to write to", value, hint)
                return None
            value, at = value["at"], f"{at}.at"
        if type(value) is str and value.startswith("@"):
            hint = "variables are read only"
            self._report.expected(at, "a path to write to, in the context", value, hint)
            return None
        return self._exprs.path(value, at)

    def _count(self, value: Any, at: str) -> Any:
        most = self._limits.iterations
        if type(value) is not int or value < 0:
            self._report.expected(at, "an integer of 0 or more", value)
        elif value > most:
            self._report.expected(at, f"at most {most} iterations", value)
        return value

    def _count_expr(self, value: Any, at: str) -> int | Expr:
        if type(value) is dict:
            return self._exprs.read(value, at, _UNBOUND)
        if type(value) is not int or not 1 <= value <= INT_MAX:
            self._report.expected(at, "an integer of 1 or more, or an expression for one", value)
        return value

    def _positive(self, value: Any, at: str) -> Any:
        if not _is_number(value) or value <= 0:
            self._report.expected(at, "a number of seconds above 0", value)
        return value

    def _bool(self, value: Any, at: str) -> Any:
        if type(value) is not bool:
            self._report.expected(at, "true or false", value)
        return value

    def _join(self, value: Any, at: str) -> Any:
        if value not in JOINS:
            self._report.unknown_word(at, value, JOINS)
        return value

    def _codes(self, value: Any, at: str) -> tuple[str, ...]:
        type_ = type_of(value)
        if type_ is not list:
            hint = f"write [{value!r}]" if type_ is str and len(value) < 40 else None
            self._report.expected(at, "a list of error codes", value, hint)
            return ()
        return tuple(self._code(code, f"{at}[{i}]") for i, code in enumerate(value))

    def _code(self, value: Any, at: str) -> str:
        code = self._exprs.name(value, at)
        if type(code) is str and code and not is_code_pattern(code):
            stem = code.partition("*")[0].rstrip(".")
            hint = f"write '{stem}.*'" if stem else "without 'on' it is any code"
            self._report.expected(at, "a code, or 'prefix.*'", code, hint)
        return code

    def _retry(self, value: Any, at: str) -> Retry | None:
        type_ = type_of(value)
        if type_ is not dict:
            hint = 'write {"max_attempts": 3}'
            self._report.expected(at, "a retry policy, an object", value, hint)
            return None
        out: dict[str, Any] = {}
        for name, field in value.items():
            if name in RETRY_FIELDS:
                words, admits = RETRY_FIELDS[name]
                if not _is_number(field) or not admits(field):
                    self._report.expected(f"{at}.{name}", words, field)
                out[name] = field
            elif name == "on":
                out["on"] = self._codes(field, f"{at}.on")
            else:
                self._report.unknown_field(at, "retry", name, _RETRY_NAMES)
        return Retry(**out)


class _Plan:
    """How one kind is read: its class, and the type and attribute of each field."""

    __slots__ = ("fields", "kind", "owner", "required")

    def __init__(self, kind: str) -> None:
        table = NODE_FIELDS[kind] | _COMMON
        self.kind = KINDS[kind]
        self.owner = kind
        self.fields = {
            name: (spec.type, spec.attr or name, spec.required) for name, spec in table.items()
        }
        self.required = sum(spec.required for spec in table.values())


_PLANS = {kind: _Plan(SPELLINGS.get(kind, kind)) for kind in (*NODE_FIELDS, *SPELLINGS)}


def _is_number(value: Any) -> bool:
    if type(value) is int:
        return abs(value) <= INT_MAX
    return type(value) is float and math.isfinite(value)
