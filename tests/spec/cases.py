"""The cases of the specification, as data, and the values that JSON cannot write.

A file of `cases/` is one chapter: a list of cases. A case:

    name        a sentence, unique                 rule     where docs/flow-ir.md says it
    flow        a wire flow, or expr (a wire expression), parse (a written expression)
                or document (JSON text)
    ctx         the first context (default {})     fuel     its limit
    externs     names from `EXTERNS`               answers  worker -> script, see `script.py`
    turns       what the machine is told, one by one, and the effects of each
    effects     what it asks for and cancels when the longest waiting is always answered first
    expect      value | value_at | fails | one_of | malformed | malformed_text | invalid | parsed
    blocking    the one answer of `one_of` that the blocking driver must give
    note        the reading taken where the specification allows several
    lua         why the case cannot be written with the builders

Expected values are written by hand from the specification. Knows no driver.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

__all__ = ("CASES", "EXTERNS", "JSON", "Case", "is_array", "is_object", "make")

JSON = Any
_FOLDER = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Case:
    """One case of a chapter; `raw` is what the file says."""

    chapter: str
    raw: dict[str, JSON]

    @property
    def name(self) -> str:
        return self.raw["name"]

    @property
    def expect(self) -> dict[str, JSON]:
        return self.raw["expect"]

    @cached_property
    def flow(self) -> JSON:
        """The wire flow: an expression is assigned to the whole context."""
        if "document" in self.raw:
            return make(self.raw["document"])
        if "expr" in self.raw:
            return {"kind": "assign", "at": "$", "value": make(self.raw["expr"])}
        return make(self.raw["flow"])

    @property
    def ctx(self) -> JSON:
        """A new first context, each time."""
        return make(self.raw.get("ctx", {}))

    @property
    def externs(self) -> dict[str, Callable[..., JSON]]:
        return {name: EXTERNS[name] for name in self.raw.get("externs", ())}

    @property
    def loads(self) -> bool:
        """Whether the flow is well formed: the fault, if any, is elsewhere."""
        return "parse" not in self.raw and (
            "malformed" not in self.expect or self.raw.get("where") == "ctx"
        )

    @property
    def runs(self) -> bool:
        return self.loads and not (self.expect.keys() <= {"invalid"} or "turns" in self.raw)


def is_object(value: JSON) -> TypeGuard[dict[str, JSON]]:
    """Tell whether a value of JSON is an object."""
    return isinstance(value, dict)


def is_array(value: JSON) -> TypeGuard[list[JSON]]:
    """Tell whether a value of JSON is an array."""
    return isinstance(value, list)


def make(value: JSON) -> JSON:
    """Copy *value*, with each `{"$make": name, …}` replaced by what it describes."""
    if is_object(value):
        if "$make" in value:
            arguments = {key: make(item) for key, item in value.items() if key != "$make"}
            return _MAKERS[value["$make"]](**arguments)
        return {key: make(item) for key, item in value.items()}
    if is_array(value):
        return [make(item) for item in value]
    return value


def _cycle() -> JSON:
    cycle: list[JSON] = []
    cycle.append(cycle)
    return cycle


def _negations(n: int) -> JSON:
    """An expression of *n* levels: negations around a literal that is true in the end."""
    expr: JSON = {"op": "lit", "value": n % 2 == 1}
    for _ in range(n - 1):
        expr = {"op": "not", "arg": expr}
    return expr


def _nested(n: int, wrap: str, leaf: JSON) -> JSON:
    """*n* nodes of kind *wrap*, one inside the other, around *leaf*."""
    true = {"op": "lit", "value": True}
    layers: dict[str, Callable[[JSON], JSON]] = {
        "seq": lambda node: {"kind": "seq", "children": [node]},
        "branch": lambda node: {"kind": "branch", "cond": true, "then": node},
        "loop": lambda node: {
            "kind": "loop", "counter": "$.i", "cond": true, "body": node, "max": 1
        },
        "try": lambda node: {
            "kind": "try", "body": node, "catch": {"kind": "seq", "children": []}
        },
        "fanout": lambda node: {
            "kind": "fanout",
            "items": {"op": "lit", "value": [0]},
            "bind": "$.x",
            "body": node,
            "join": "all",
            "out": "$.r",
            "collect": {"op": "lit", "value": 1},
        },
    }  # fmt: skip
    for _ in range(n):
        leaf = layers[wrap](leaf)
    return leaf


def _padded_document(n: int) -> str:
    head, tail = '{"kind":"seq","children":[', "]}"
    return head + " " * (n - len(head) - len(tail)) + tail


def _wide(n: int) -> JSON:
    empty: JSON = {"kind": "seq", "children": []}
    return {"kind": "seq", "children": [dict(empty) for _ in range(n - 1)]}


def _range(n: int) -> list[int]:
    return list(range(n))


def _repeat(text: str) -> Callable[..., str]:
    def repeated(n: int) -> str:
        return text * n

    return repeated


_MAKERS: dict[str, Callable[..., JSON]] = {
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "tuple": lambda: (1, 2),
    "set": lambda: {1, 2},
    "bytes": lambda: b"x",
    "int_key": lambda: {1: 2},
    "cycle": _cycle,
    "string": _repeat("x"),
    "range": _range,
    "nest_not": _negations,
    "nest": _nested,
    "brackets": _repeat("["),
    "padded_document": _padded_document,
    "wide": _wide,
}


def _double(n: int) -> int:
    return 2 * n


def _spoil(items: list[JSON]) -> JSON:
    items.clear()
    return 0


# Functions that a host registers beside the standard ones.
EXTERNS: dict[str, Callable[..., JSON]] = {
    "test.double": _double,
    "test.spoil": _spoil,
    "test.nan": lambda: float("nan"),
}


def _read() -> tuple[Case, ...]:
    files = sorted(_FOLDER.glob("*.json"))
    chapters = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
    return tuple(Case(chapter, raw) for chapter, found in chapters.items() for raw in found)


CASES = _read()
