"""Print a wire flow as the blueprint script that an author would have written.

Every form that the builders offer for an expression is used somewhere: text, plain
values, `flow.lit`, tables of expressions. Knows the surface's names, no runtime.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import flowir
from tests.spec.cases import is_array, is_object

__all__ = ("blueprint_script",)

JSON = Any
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = """
    and break do else elseif end false for function goto if in local nil not or repeat return
    then true until while
"""
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\0": "\\0"}

# kind -> the builder's fields: (wire name, author's name, how it is printed)
_FIELDS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "step": (
        ("ref", "agent", "plain"),
        ("in", "input", "expr"),
        ("out", "out", "target"),
        ("timeout_s", "timeout_s", "plain"),
        ("retry", "retry", "plain"),
    ),
    "branch": (
        ("cond", "when", "expr"),
        ("then", "run", "node"),
        ("else", "otherwise", "node"),
    ),
    "loop": (
        ("counter", "counter", "target"),
        ("cond", "when", "expr"),
        ("max", "max", "plain"),
        ("body", "run", "node"),
        ("exhausted_at", "exhausted_at", "target"),
    ),
    "fanout": (
        ("items", "over", "expr"),
        ("bind", "as", "target"),
        ("index", "index", "target"),
        ("body", "run", "node"),
        ("join", "join", "plain"),
        ("limit", "limit", "count"),
        ("quorum", "quorum", "count"),
        ("collect", "collect", "expr"),
        ("out", "out", "target"),
    ),
    "try": (
        ("body", "run", "node"),
        ("catch", "catch", "node"),
        ("err_at", "err_at", "target"),
        ("error_at", "error_at", "target"),
        ("on", "on", "plain"),
        ("finally", "finally", "node"),
        ("restore", "restore", "plain"),
    ),
    "assign": (("at", "at", "target"), ("value", "value", "expr")),
}


def blueprint_script(flow: JSON) -> str:
    """Print a script that returns a blueprint of *flow*; its agents are all functions."""
    agents = ", ".join(f"flow.fn {_string(ref)}" for ref in sorted(_refs(flow)))
    return (
        'local flow = require "flow"\n'
        "return flow.blueprint {\n"
        '  id = "case",\n'
        f"  agents = {{ {agents} }},\n"
        f"  flow = {_node(flow)},\n"
        "}\n"
    )


def _refs(node: JSON) -> set[str]:
    if node["kind"] == "step":
        return {node["ref"]}
    below: list[JSON] = [*node.get("children", ())]
    below += [node[name] for name in ("then", "else", "body", "catch", "finally") if name in node]
    return {ref for child in below for ref in _refs(child)}


def _node(node: JSON) -> str:
    kind = "assign" if node["kind"] == "let" else node["kind"]
    if kind == "seq":
        parts = [_node(child) for child in node["children"]]
    else:
        parts = [
            f"{author} = {_PRINTERS[form](node[wire])}"
            for wire, author, form in _FIELDS[kind]
            if wire in node
        ]
    if "id" in node:
        parts.append(f"id = {_string(node['id'])}")
    return f"flow.{kind} {{ {', '.join(parts)} }}"


def _target(target: JSON) -> str:
    return _string(target if isinstance(target, str) else target["at"])


def _count(count: JSON) -> str:
    return str(count) if isinstance(count, int) else _expr(count)


def _expr(expr: JSON) -> str:
    if expr["op"] == "lit":
        return _literal(expr["value"])
    if expr["op"] == "object" and expr["fields"]:
        return _table({name: _expr(part) for name, part in expr["fields"].items()})
    if expr["op"] == "array" and expr["items"]:
        return f"{{ {', '.join(_expr(part) for part in expr['items'])} }}"
    return _string(flowir.format_expr(expr))


def _literal(value: JSON) -> str:
    if value is None or isinstance(value, (bool, int, float)):
        return _value(value)
    return f"flow.lit({_value(value)})"


def _value(value: JSON) -> str:
    if value is None:
        return "flow.null"
    if isinstance(value, str):
        return _string(value)
    if is_array(value):
        return f"flow.array{{ {', '.join(_value(item) for item in value)} }}"
    if is_object(value):
        return _table({name: _value(item) for name, item in value.items()})
    return _number(value)


def _number(value: bool | float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value == -(1 << 63) and isinstance(value, int):
        return "math.mininteger"  # the literal would be a float
    assert math.isfinite(value)
    return repr(value)


def _table(members: dict[str, str]) -> str:
    printed = [f"{_key(name)} = {text}" for name, text in members.items()]
    return f"{{ {', '.join(printed)} }}"


def _key(name: str) -> str:
    plain = _NAME.fullmatch(name) and name not in _RESERVED.split()
    return name if plain else f"[{_string(name)}]"


def _string(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(letter, letter) for letter in text) + '"'


_PRINTERS: dict[str, Callable[[JSON], str]] = {
    "expr": _expr,
    "target": _target,
    "node": _node,
    "count": _count,
    "plain": _value,
}
