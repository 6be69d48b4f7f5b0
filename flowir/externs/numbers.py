"""The `math.` externs. Integers are of 64 bit: what does not fit is `arith.overflow`."""

from __future__ import annotations

import math

from flowir.errors import FlowError, shorten
from flowir.externs.extern import NUMBER, standard
from flowir.limits import INT_MAX, INT_MIN

__all__ = ("MATH_EXTERNS", "fitting")

Number = int | float


def fitting(name: str, value: Number) -> Number:
    """Return *value* if it is an integer of 64 bit or a finite float.

    Raises: FlowError arith.overflow.
    """
    if type(value) is int:
        if INT_MIN <= value <= INT_MAX:
            return value
        got = shorten(value)
    elif math.isfinite(value):
        return value
    else:
        got = "one beyond every float"
    raise FlowError("arith.overflow", f"{name}: expected a number within 64 bit, got {got}")


# Equal numbers (5 and 5.0): the first one is the answer.
@standard("math.min", ("a", NUMBER), variadic=True)
def _min(*numbers: Number) -> Number:
    return min(numbers)


@standard("math.max", ("a", NUMBER), variadic=True)
def _max(*numbers: Number) -> Number:
    return max(numbers)


@standard("math.abs", ("x", NUMBER))
def _abs(x: Number) -> Number:
    return fitting("math.abs", abs(x))


@standard("math.floor", ("x", NUMBER))
def _floor(x: Number) -> Number:
    return fitting("math.floor", math.floor(x))


@standard("math.ceil", ("x", NUMBER))
def _ceil(x: Number) -> Number:
    return fitting("math.ceil", math.ceil(x))


@standard("math.round", ("x", NUMBER))
def _round(x: Number) -> Number:
    return fitting("math.round", round(x))  # half to even, to an integer


MATH_EXTERNS = (_min, _max, _abs, _floor, _ceil, _round)
