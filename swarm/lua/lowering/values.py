"""What is known of a Lua value before the flow runs: its expression and its kind."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from flowir.records import dataclass
from swarm.lua.lowering import ops
from swarm.lua.lowering.ops import Op

__all__ = ("Kind", "Value", "constant", "join_kinds", "nothing", "shown_kind")

# `position` is an integer of at least 1; `never` is the kind of what is not known yet.
Kind: TypeAlias = Literal[
    "any",
    "nil",
    "boolean",
    "position",
    "integer",
    "number",
    "string",
    "list",
    "object",
    "never",
]
_NUMBERS: tuple[Kind, ...] = ("position", "integer", "number")


@dataclass(frozen=True, slots=True)
class Value:
    """A Lua value: the expression that gives it.

    Shape: `quiet` means that evaluating it cannot fail.
    """

    ir: Op
    kind: Kind = "any"
    quiet: bool = False

    @property
    def literal(self) -> list[Any]:
        """The value itself in a list, where it is known."""
        return ops.literal(self.ir)

    @property
    def small(self) -> bool:
        """Whether it may stand twice in an expression."""
        return ops.size(self.ir) <= _SMALL

    @property
    def is_number(self) -> bool:
        """Whether it is known to be a number."""
        return self.kind in _NUMBERS

    @property
    def is_truthy(self) -> bool:
        """Whether it is known to be neither nil nor false."""
        if self.literal:
            return self.literal[0] is not None and self.literal[0] is not False
        return self.kind not in ("any", "nil", "boolean", "never")


_SMALL = 4


def shown_kind(kind: Kind) -> str:
    """Name a kind in a sentence.

    >>> shown_kind("nil"), shown_kind("object"), shown_kind("list"), shown_kind("position")
    ('nil', 'a table', 'a list', 'a number')
    """
    if kind in _NUMBERS:
        return "a number"
    return {"nil": "nil", "object": "a table", "any": "a value"}.get(kind, f"a {kind}")


def constant(value: Any) -> Value:
    """Return a value that is known now."""
    return Value(ops.lit(value), _kind_of(value), quiet=True)


def nothing() -> Value:
    """Return nil."""
    return constant(None)


def _kind_of(value: Any) -> Kind:
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "position" if value >= 1 else "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "list" if isinstance(value, list) else "object"


def join_kinds(a: Kind, b: Kind) -> Kind:
    """Return the kind of what is one of two."""
    if a == b or b == "never":
        return a
    if a == "never":
        return b
    if a in _NUMBERS and b in _NUMBERS:
        return "number" if "number" in (a, b) else "integer"
    return "any"
