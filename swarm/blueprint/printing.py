"""Print a canonical document as the script that an author would have written with builders.

What is printed, loaded again, gives the same document: that is what it is for. A document
that a program changed gets its source this way, so that people go on reading Lua.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import flowir
from swarm.blueprint.builders import BUILDERS, AuthorField
from swarm.blueprint.frozen import thawed
from swarm.blueprint.shapes import is_array, is_object

__all__ = ("blueprint_script",)

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED: Final = re.compile(
    "and|break|do|else|elseif|end|false|for|function|goto|if|in|local|nil|not|or|repeat|return"
    "|then|true|until|while"
)
_ESCAPED: Final = re.compile(r'[\x00-\x1f\x7f"\\]')
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
_WIDTH: Final = 96
_MIN_INTEGER: Final = -(1 << 63)
# The builder of each kind of agent, and the setting that it gives of itself.
_AGENTS: Final = {
    "lua": "lua",
    "process": "process",
    "function": "fn",
    "operator": "operator",
    "human": "ask",
    "flow": "sub",
}
_NODES: Final = {
    name: builder for name, builder in BUILDERS.items() if name not in ("sleep", "fail")
}


def blueprint_script(document: Mapping[str, Any], *, heading: str = "") -> str:
    """Print *document*, which is canonical; *heading* becomes a comment above it.

    >>> print(blueprint_script({"swarm": 1, "id": "hi", "agents": [],
    ...     "flow": {"kind": "assign", "at": {"op": "path", "at": "$.n"},
    ...              "value": {"op": "lit", "value": 1}}}))
    local flow = require "flow"
    <BLANKLINE>
    return flow.blueprint {
      id = "hi",
      agents = {},
      flow = flow.assign { at = "ctx.n", value = 1 },
    }
    <BLANKLINE>
    """
    document = thawed(document)
    comment = "".join(f"-- {line}\n" for line in heading.splitlines())
    members: dict[str, Any] = {}
    for name, value in document.items():
        if name == "agents":
            members[name] = _Listed([_agent(agent) for agent in value])
        elif name == "flow":
            members[name] = _node(value)
        elif name != "swarm":
            members[name] = _data(value)
    first = {"id": members.pop("id"), **members}
    flow = first.pop("flow")
    whole = _Called("flow.blueprint", {**first, "flow": flow})
    return f'{comment}local flow = require "flow"\n\nreturn {_text(whole, 0)}\n'


class _Called:
    """A call of a builder with one table: `before` stands between the two."""

    def __init__(self, name: str, members: Mapping[str, Any], items: Iterable[Any] = ()) -> None:
        self.name = name
        self.members = members
        self.items = list(items)


class _Listed:
    """A table that is a list."""

    def __init__(self, items: Iterable[Any], before: str = "") -> None:
        self.items = list(items)
        self.before = before


# -- what stands for what --------------------------------------------------------------------


def _agent(agent: Mapping[str, Any]) -> Any:
    settings = {name: _data(value) for name, value in agent.items() if name not in ("name", "kind")}
    builder = _AGENTS.get(agent["kind"])
    if builder is None:
        return _Called(
            f"flow.agent {_string(agent['name'])}", {"kind": _data(agent["kind"]), **settings}
        )
    return _Called(f"flow.{builder} {_string(agent['name'])}", settings)


def _node(node: Mapping[str, Any]) -> Any:
    name = node["kind"]
    builder = _NODES[name]
    members = {
        author: _field(node[spec.wire], spec)
        for author, spec in builder.fields.items()
        if spec.wire in node
    }
    children = [_node(child) for child in node.get("children", ())]
    return _Called(f"flow.{name}", members, children)


def _field(value: Any, spec: AuthorField) -> Any:
    match spec.type:
        case "node":
            return _node(value)
        case "target":
            return _string(_target(value))
        case "expr" | "words":
            return _expr(value)
        case "count":
            return _data(value) if isinstance(value, int) else _expr(value)
        case _:
            return _data(value)


def _target(target: Any) -> str:
    return flowir.format_expr(target if is_object(target) else {"op": "path", "at": target})


def _expr(expr: Mapping[str, Any]) -> Any:
    """Print what may stand for itself as it is, tables as tables, all else as text."""
    op = expr["op"]
    if op == "lit" and isinstance(expr["value"], (bool, int, float)):
        return _data(expr["value"])
    if op == "object" and expr["fields"] and not _is_marked(expr["fields"]):
        return {name: _expr(part) for name, part in expr["fields"].items()}
    if op == "array" and expr["items"]:
        return _Listed([_expr(part) for part in expr["items"]])
    return _string(flowir.format_expr(expr))


def _is_marked(members: Iterable[str]) -> bool:
    """Tell whether a table of these would be taken for what a builder makes."""
    return any(name.startswith("__") for name in members)


def _data(value: Any) -> Any:
    if value is None:
        return "flow.null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if is_array(value):
        return _Listed([_data(item) for item in value], "flow.array " if not value else "")
    if is_object(value):
        return {name: _data(item) for name, item in value.items()}
    if type(value) is int and value == _MIN_INTEGER:
        return "math.mininteger"  # its digits alone are a float
    return repr(value)


# -- how it looks ----------------------------------------------------------------------------


def _text(value: Any, depth: int) -> str:
    """Print on one line what fits there, else a member a line."""
    if isinstance(value, str):
        return value
    if isinstance(value, _Called):
        return f"{value.name} {_table(value.members, value.items, depth)}"
    if isinstance(value, _Listed):
        return value.before + _table({}, value.items, depth)
    return _table(value, [], depth)


def _table(members: Mapping[str, Any], items: list[Any], depth: int) -> str:
    pairs = [(f"{_key(name)} = ", value) for name, value in members.items()]
    rows = [*pairs, *(("", item) for item in items)]
    if not rows:
        return "{}"
    short = [head + _text(value, depth + 1) for head, value in rows]
    line = f"{{ {', '.join(short)} }}"
    if depth and "\n" not in line and len(line) + 2 * depth <= _WIDTH - 20:
        return line
    pad = "  " * (depth + 1)
    return "{\n" + "".join(f"{pad}{row},\n" for row in short) + "  " * depth + "}"


def _key(name: str) -> str:
    plain = _NAME.fullmatch(name) and not _RESERVED.fullmatch(name)
    return name if plain else f"[{_string(name)}]"


def _string(text: str) -> str:
    """Print a string: of several lines in long brackets, where nothing would be changed."""
    if "\n" in text and not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text):
        level = next(n for n in range(len(text) + 2) if f"]{'=' * n}" not in text)
        bars = "=" * level
        # A line break right behind the bracket does not count.
        return f"[{bars}[\n{text}]{bars}]"
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def _escape(found: re.Match[str]) -> str:
    letter = found[0]
    return _ESCAPES.get(letter) or f"\\x{ord(letter):02x}"
