"""The pure functions that expressions may call by name (flow-ir.md §3, externs).

`STANDARD_EXTERNS` is what every host has; `registry` lays a host's own over it.
No clock, no chance, no I/O. Knows nothing of expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from flowir.door import admit
from flowir.errors import FlowError, Malformed, ProtocolError, shorten
from flowir.externs.extern import Extern, Function
from flowir.externs.jsontext import JSON_EXTERNS
from flowir.externs.lists import LIST_EXTERNS
from flowir.externs.numbers import MATH_EXTERNS
from flowir.externs.objects import OBJECT_EXTERNS
from flowir.externs.strings import STRING_EXTERNS
from flowir.records import dataclass

__all__ = ("STANDARD_EXTERNS", "Extern", "registry")

_FAMILIES = (*JSON_EXTERNS, *STRING_EXTERNS, *MATH_EXTERNS, *LIST_EXTERNS, *OBJECT_EXTERNS)

STANDARD_EXTERNS: Mapping[str, Extern] = MappingProxyType(
    {extern.name: extern for extern in _FAMILIES}
)


def registry(extra: Mapping[str, Callable[..., Any]] | None = None) -> Mapping[str, Extern]:
    """Lay a host's own externs over the standard ones.

    >>> registry({"tax.of": lambda net: net // 5})["tax.of"](100)
    20

    Shape: a plain callable takes any number of arguments; an `Extern` says how many, so
    that `check` can. Each gets private copies, and its answer passes the door.
    Raises: ProtocolError, for a name that is no name or an extern that is no function.
    An extern raises FlowError as it is; any other exception, and an answer that is no
    JSON, become FlowError extern.failed.
    """
    if not extra:
        return STANDARD_EXTERNS
    merged = dict(STANDARD_EXTERNS)
    for name, function in extra.items():
        merged[name] = _own(name, function)
    return MappingProxyType(merged)


def _own(name: object, function: object) -> Extern:
    if not isinstance(name, str) or not name:
        raise ProtocolError(f"externs: expected a name that is not empty, got {shorten(name)}")
    if function is STANDARD_EXTERNS.get(name):
        return STANDARD_EXTERNS[name]
    if isinstance(function, Extern):
        guarded = _Guarded(name, function.function)
        return Extern(name, guarded, function.min_args, function.max_args)
    if not callable(function):
        raise ProtocolError(f"externs: expected {name!r} to be a function, got {shorten(function)}")
    return Extern(name, _Guarded(name, function), 0, None)


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A host's own function, which can neither see nor break what the machine holds."""

    name: str
    function: Function

    def __call__(self, *args: Any) -> Any:
        private = [admit(arg) for arg in args]
        try:
            value = self.function(*private)
        except FlowError as e:
            e.data = self._admit(e.data, "the data of its error")
            raise
        except Exception as e:
            raise self._failed(f"{type(e).__name__}: {e}") from e
        return self._admit(value, "its answer")

    def _admit(self, value: Any, what: str) -> Any:
        try:
            return admit(value)
        except Malformed as e:
            raise self._failed(f"{what} is no JSON: {e}") from e

    def _failed(self, why: str) -> FlowError:
        return FlowError("extern.failed", f"{self.name}: {why}", extern=self.name)
