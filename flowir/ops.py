"""What each op of an expression does with its values (flow-ir.md §3).

The rules of the language stand here, one function an op; `flowir.exprs` only arranges
when they are called. A `Meter` is whoever pays: the machine, or a single evaluation.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol

from flowir.errors import FlowError, shorten
from flowir.limits import INT_MAX, INT_MIN, Limits
from flowir.values import described, measure, mismatch, same

__all__ = (
    "FUEL_UNIT",
    "Meter",
    "add",
    "call_extern",
    "concat",
    "contains",
    "div",
    "equal",
    "fail",
    "get",
    "gt",
    "gte",
    "idiv",
    "items_of",
    "length",
    "lt",
    "lte",
    "mod",
    "mul",
    "spend",
    "sub",
)

FUEL_UNIT = 64  # how much of a large value one unit of fuel walks


class Meter(Protocol):
    """Who runs an expression: fuel is spent on him, externs are his."""

    fuel: int
    externs: Mapping[str, Callable[..., Any]]
    limits: Limits


def spend(meter: Meter, fuel: int) -> None:
    """Take *fuel* from the run.

    Raises: FlowError fuel.exhausted.
    """
    meter.fuel -= fuel
    if meter.fuel < 0:
        raise FlowError("fuel.exhausted", "the run has used up its fuel")


# ---- equality, order -----------------------------------------------------------------


def equal(meter: Meter, a: Any, b: Any) -> bool:
    """Compare by §1 equality; large values cost fuel by their size."""
    kind = type(a)
    if (kind is dict or kind is list) and type(b) is kind:
        if a is b:
            return True
        _pay_for(meter, a, b)
    return same(a, b)


def _pay_for(meter: Meter, *values: Any) -> None:
    """Charge for walking *values* whole, and refuse one that would never end."""
    size = sum(measure(value)[0] for value in values)
    if size > 2 * meter.limits.value_size:
        raise too_large(meter.limits)
    if size >= FUEL_UNIT:
        spend(meter, size // FUEL_UNIT)


def too_large(limits: Limits) -> FlowError:
    """Build the error of a value that has outgrown the limit."""
    return FlowError("value.too_large", f"expected a value of at most {limits.value_size} bytes")


def _is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def _order(name: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def ordered(a: Any, b: Any) -> bool:
        if (_is_number(a) and _is_number(b)) or (type(a) is str and type(b) is str):
            return compare(a, b)
        raise FlowError(
            "type.mismatch",
            f"{name}: expected two numbers or two strings, got {described(a)} and {described(b)}",
        )

    return ordered


lt = _order("<", operator.lt)
lte = _order("<=", operator.le)
gt = _order(">", operator.gt)
gte = _order(">=", operator.ge)


# ---- arithmetic ----------------------------------------------------------------------


def _two_numbers(name: str, a: Any, b: Any) -> None:
    for value in (a, b):
        if not _is_number(value):
            raise mismatch(name, "a number", value)


def _fit(name: str, number: Any) -> Any:
    if type(number) is int:
        if INT_MIN <= number <= INT_MAX:
            return number
    elif math.isfinite(number):
        return number
    raise FlowError("arith.overflow", f"{name}: the result is beyond the range of numbers")


def _arithmetic(name: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def computed(a: Any, b: Any) -> Any:
        _two_numbers(name, a, b)
        if type(a) is int and type(b) is int:
            return _fit(name, compute(a, b))
        return _fit(name, compute(float(a), float(b)))

    return computed


add = _arithmetic("+", operator.add)
sub = _arithmetic("-", operator.sub)
mul = _arithmetic("*", operator.mul)


def _divided(name: str, a: Any, b: Any) -> None:
    _two_numbers(name, a, b)
    if b == 0:
        raise FlowError("arith.zero_division", f"{name}: division by zero")


def div(a: Any, b: Any) -> float:
    """Divide as floats."""
    _divided("/", a, b)
    return _fit("/", float(a) / float(b))  # type: ignore[no-any-return]


def mod(a: Any, b: Any) -> Any:
    """Take the floored remainder, which has the sign of *b*."""
    _divided("%", a, b)
    if type(a) is int and type(b) is int:
        return a % b
    return _fit("%", float(a) % float(b))


def idiv(a: Any, b: Any) -> Any:
    """Divide and floor; two integers stay an integer."""
    _divided("//", a, b)
    if type(a) is int and type(b) is int:
        return _fit("//", a // b)
    return _fit("//", float(a) // float(b))


# ---- parts ---------------------------------------------------------------------------


def length(value: Any) -> int:
    """Count items, code points, or keys."""
    if type(value) in (str, list, dict):
        return len(value)
    raise mismatch("#", "an array, a string or an object", value)


def contains(meter: Meter, needle: Any, haystack: Any) -> bool:
    """Look for *needle* among the items of *haystack* by §1 equality."""
    if type(haystack) is not list:
        raise mismatch("contains", "an array", haystack)
    if len(haystack) >= FUEL_UNIT:
        spend(meter, len(haystack) // FUEL_UNIT)
    return any(equal(meter, needle, item) for item in haystack)


def get(of: Any, key: Any) -> Any:
    """Take the member named, or the item counted, by *key*."""
    if type(key) is str:
        if type(of) is dict:
            if key in of:
                return of[key]
            raise FlowError("path.missing", f"expected a member {shorten(key)} of {shorten(of)}")
        raise mismatch("get", f"an object for the key {shorten(key)}", of)
    if type(key) is int:
        if type(of) is list:
            if -len(of) <= key < len(of):
                return of[key]
            raise FlowError(
                "path.missing", f"expected an item [{key}] of an array of {len(of)} items"
            )
        raise mismatch("get", f"an array for the index {key}", of)
    raise mismatch("get", "a string or an integer as key", key)


def items_of(meter: Meter, name: str, value: Any, cost: int) -> list[Any]:
    """Return the items a quantifier runs over, having charged its body for each."""
    if type(value) is not list:
        raise mismatch(name, "an array", value)
    spend(meter, cost * len(value))
    return value


def concat(meter: Meter, parts: tuple[Any, ...]) -> str:
    """Join strings; numbers and booleans are rendered as JSON."""
    texts = [part if type(part) is str else _rendered(part) for part in parts]
    size = sum(map(len, texts))
    if size > meter.limits.value_size:
        raise too_large(meter.limits)
    if size >= FUEL_UNIT:
        spend(meter, size // FUEL_UNIT)
    return "".join(texts)


def _rendered(part: Any) -> str:
    if _is_number(part) or type(part) is bool:
        return json.dumps(part)
    raise mismatch("..", "a string, a number or a boolean", part)


# ---- calls out of the expression -----------------------------------------------------


def call_extern(meter: Meter, name: str, args: tuple[Any, ...]) -> Any:
    """Call a pure function of the host; large arguments and results cost fuel."""
    function = meter.externs.get(name)
    if function is None:
        raise FlowError("extern.unknown", f"expected a registered extern, got {shorten(name)}")
    pay_extern(meter, args)
    result = function(*args)
    pay_extern(meter, (result,))
    return result


def pay_extern(meter: Meter, values: tuple[Any, ...]) -> None:
    """Charge an extern by the members of what it reads or makes."""
    size = 0
    for value in values:
        if type(value) in (str, list, dict):
            size += len(value)
    if size >= FUEL_UNIT:
        spend(meter, size // FUEL_UNIT)


def fail(code: str, message: Any, data: Any, cause_code: Any) -> NoReturn:
    """Raise the author's error, or one that was caught once more: then it has a cause."""
    if type(message) is not str:
        raise mismatch("fail", "a string as message", message)
    if cause_code is not None and type(cause_code) is not str:
        raise mismatch("fail", "a string or null as cause_code", cause_code)
    raise FlowError(code, message, data=data, cause_code=cause_code)
