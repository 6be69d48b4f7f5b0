"""What an extern is, and how one of the standard ones checks its arguments.

A standard extern is declared by its signature; the checks, and the sentences about
wrong arguments, follow from that. Knows none of the externs themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from flowir.errors import FlowError
from flowir.limits import DEFAULT_LIMITS
from flowir.records import dataclass
from flowir.values import mismatch

__all__ = (
    "ANY",
    "ARRAY",
    "INTEGER",
    "NUMBER",
    "OBJECT",
    "STRING",
    "Extern",
    "Function",
    "Parameter",
    "admit_size",
    "standard",
)

Function: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Extern:
    """A pure function that expressions call by name.

    Shape: `function` takes JSON values, changes none of them, and returns one;
    `max_args` is None where any number may follow.
    Raises: FlowError type.mismatch from `function`, for a wrong argument.
    """

    name: str
    function: Function
    min_args: int
    max_args: int | None

    def __call__(self, *args: Any) -> Any:
        """Apply the function."""
        return self.function(*args)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What an argument must be; `types` None admits every value.

    Types are compared exactly, because a bool of Python is an int and no number here.
    """

    words: str
    types: frozenset[type] | None


ANY = _Kind("a value", None)
ARRAY = _Kind("an array", frozenset({list}))
INTEGER = _Kind("an integer", frozenset({int}))
NUMBER = _Kind("a number", frozenset({int, float}))
OBJECT = _Kind("an object", frozenset({dict}))
STRING = _Kind("a string", frozenset({str}))

Parameter: TypeAlias = tuple[str, _Kind]


def standard(
    name: str, *parameters: Parameter, variadic: bool = False
) -> Callable[[Function], Extern]:
    """Declare a standard extern; with *variadic* the last parameter stands once or more.

    >>> @standard("string.shout", ("s", STRING))
    ... def shout(s: str) -> str:
    ...     return s + "!"
    >>> shout("hi")
    'hi!'
    """
    count = len(parameters)
    kinds = tuple(kind.types for _, kind in parameters)

    def declare(function: Function) -> Extern:
        def checked(*args: Any) -> Any:
            if len(args) != count and (not variadic or len(args) < count):
                raise _wrong_count(name, count, variadic, len(args))
            for i, arg in enumerate(args):
                types = kinds[i if i < count else -1]
                if types is not None and type(arg) not in types:
                    raise _wrong_kind(name, parameters, variadic, i, arg)
            return function(*args)

        return Extern(name, checked, count, None if variadic else count)

    return declare


def _wrong_count(name: str, count: int, variadic: bool, got: int) -> FlowError:
    plural = "" if count == 1 else "s"
    wanted = f"at least {count}" if variadic else str(count)
    return FlowError("type.mismatch", f"{name}: expected {wanted} argument{plural}, got {got}")


def _wrong_kind(
    name: str, parameters: tuple[Parameter, ...], variadic: bool, position: int, got: Any
) -> FlowError:
    label, kind = parameters[min(position, len(parameters) - 1)]
    which = f"argument {position + 1}" if variadic else repr(label)
    return mismatch(name, f"{kind.words} for {which}", got)


def admit_size(name: str, size: int) -> None:
    """Refuse a result of *size*, as `flowir.values.measure` counts, before it is built.

    Raises: FlowError value.too_large.
    """
    limit = DEFAULT_LIMITS.value_size
    if size > limit:
        raise FlowError(
            "value.too_large",
            f"{name}: expected a result of at most {limit} bytes, got one of {size}",
            size=size,
            limit=limit,
        )
