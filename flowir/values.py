"""Values: what may stand in a context, how two of them compare (flow-ir.md §1).

Knows nothing of paths or expressions. Values may share parts, so whatever walks one
whole remembers the containers it has met: sixty doublings make 2^60 leaves in sixty
containers.
"""

from __future__ import annotations

from typing import Any

from flowir.errors import FlowError, shorten

__all__ = ("described", "kind_of", "measure", "mismatch", "private_copy", "same", "truth", "weigh")

_SCALAR_SIZE = 8
_KINDS = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def kind_of(value: Any) -> str:
    """Name the JSON type of *value*, for messages."""
    return _KINDS.get(type(value), type(value).__name__)


def described(value: Any) -> str:
    """Show a value with its JSON type, for messages.

    >>> described("PASS"), described(None)
    ("string 'PASS'", 'null')
    """
    return "null" if value is None else f"{kind_of(value)} {shorten(value)}"


def truth(value: Any) -> bool:
    """Tell whether *value* is true: only `null` and `false` are not."""
    return value is not None and value is not False


def same(a: Any, b: Any) -> bool:
    """Tell whether two values are equal, deeply and by value.

    >>> same({"n": [5]}, {"n": [5.0]}), same(True, 1)
    (True, False)
    """
    kind_a, kind_b = type(a), type(b)
    if kind_a is kind_b:
        if a is b:
            return True
        if kind_a is dict:
            return len(a) == len(b) and all(k in b and same(v, b[k]) for k, v in a.items())
        if kind_a is list:
            return len(a) == len(b) and all(map(same, a, b))
        return bool(a == b)
    if kind_a is bool or kind_b is bool:
        return False
    return bool(a == b)  # int with float, exactly; any other mixture is false


def measure(value: Any) -> tuple[int, int]:
    """Return the logical size and the depth of *value*.

    Shape: size counts shared parts each time they appear, near enough the bytes of the
    value's JSON: a string its code points and 2, another scalar 8, a container 2 and for
    each member 1 (and its key and 3). Depth is 0 for a scalar.
    Cost: linear in distinct containers.
    """
    return _Scale(None).weigh(value)


def weigh(value: Any, containers: int) -> tuple[int, int] | None:
    """Measure *value* if it has no more than *containers* distinct ones, else give up."""
    try:
        return _Scale(containers).weigh(value)
    except _TooManyError:
        return None


class _TooManyError(Exception):
    """The value has more containers than the caller wants to pay for."""


class _Scale:
    __slots__ = ("known", "left")

    def __init__(self, left: int | None) -> None:
        self.known: dict[int, tuple[int, int]] = {}
        self.left = left

    def weigh(self, value: Any) -> tuple[int, int]:
        kind = type(value)
        if kind is str:
            return len(value) + 2, 0
        if kind is not dict and kind is not list:
            return _SCALAR_SIZE, 0
        found = self.known.get(id(value))
        if found is None:
            if self.left is not None:
                self.left -= 1 + (len(value) >> 4)
                if self.left < 0:
                    raise _TooManyError
            found = self.known[id(value)] = self._container(value)
        return found

    def _container(self, value: Any) -> tuple[int, int]:
        if type(value) is dict:
            size = 2 + 4 * len(value) + sum(map(len, value))
            members = value.values()
        else:
            size = 2 + len(value)
            members = value
        depth = 0
        for member in members:
            kind = type(member)
            if kind is str:
                size += len(member) + 2
            elif kind is dict or kind is list:
                inner, below = self.weigh(member)
                size += inner
                if below > depth:
                    depth = below
            else:
                size += _SCALAR_SIZE
        return size, depth + 1


def private_copy(value: Any) -> Any:
    """Copy *value* whole, so that nobody who changes the copy changes the original.

    Shape: parts that *value* shares are copied each time: its logical size must have
    been bounded before.
    """
    kind = type(value)
    if kind is dict:
        return {k: v if type(v) in _FLAT else private_copy(v) for k, v in value.items()}
    if kind is list:
        return [v if type(v) in _FLAT else private_copy(v) for v in value]
    return value


_FLAT = frozenset({str, int, float, bool, type(None)})


def mismatch(what: str, expected: str, got: Any) -> FlowError:
    """Build the error of a value of the wrong type: *what* wanted *expected*."""
    return FlowError("type.mismatch", f"{what}: expected {expected}, got {described(got)}")
