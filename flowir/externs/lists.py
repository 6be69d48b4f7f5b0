"""The `list.` externs. Lists count from zero; a result shares its items with the arguments."""

from __future__ import annotations

from typing import Any

from flowir.externs.extern import ARRAY, INTEGER, admit_size, standard
from flowir.externs.numbers import Number, fitting
from flowir.values import kind_of, measure, mismatch

__all__ = ("LIST_EXTERNS",)

_NUMBERS = frozenset({int, float})
_SCALARS = frozenset({int, float, str, type(None)})


@standard("list.sum", ("l", ARRAY))
def _sum(items: list[Any]) -> Number:
    """Add from left to right, as `add` does; only the result has to fit.

    Not the built-in `sum`: from Python 3.12 on it compensates rounding, and the same
    flow must give the same result under every version.
    """
    total: Number = 0
    for i, item in enumerate(items):
        if type(item) not in _NUMBERS:
            raise mismatch("list.sum", f"a number for 'l'[{i}]", item)
        total += item
    return fitting("list.sum", total)


@standard("list.sort", ("l", ARRAY))
def _sort(items: list[Any]) -> list[Any]:
    """Sort numbers by value, strings by code point; equal ones keep their order."""
    if items:
        words, wanted = ("a string", {str}) if type(items[0]) is str else ("a number", _NUMBERS)
        for i, item in enumerate(items):
            if type(item) not in wanted:
                expected = f"{words} for 'l'[{i}] (all numbers or all strings)"
                raise mismatch("list.sort", expected, item)
    return sorted(items)


# As in paths, a negative bound counts from the end; bounds beyond the ends mean the ends.
@standard("list.slice", ("l", ARRAY), ("from", INTEGER), ("to", INTEGER))
def _slice(items: list[Any], start: int, stop: int) -> list[Any]:
    return items[start:stop]


@standard("list.concat", ("a", ARRAY), variadic=True)
def _concat(*lists: list[Any]) -> list[Any]:
    admit_size("list.concat", 2 + sum(measure(items)[0] - 2 for items in lists))
    joined = lists[0].copy()
    for items in lists[1:]:
        joined += items
    return joined


@standard("list.range", ("from", INTEGER), ("to", INTEGER))
def _range(start: int, stop: int) -> list[int]:
    numbers = range(start, stop)
    # By subtraction: len() of a range refuses what is beyond the platform's index.
    count = max(stop - start, 0)
    one = measure([0])[0] - measure([])[0]
    admit_size("list.range", 2 + one * count)
    return list(numbers)


@standard("list.reverse", ("l", ARRAY))
def _reverse(items: list[Any]) -> list[Any]:
    return items[::-1]


@standard("list.unique", ("l", ARRAY))
def _unique(items: list[Any]) -> list[Any]:
    """Keep the first of equal items (`flowir.values.same`), in order."""
    classes = _Classes()
    first: dict[int, Any] = {}
    for item in items:
        first.setdefault(classes.number(item), item)
    return list(first.values())


class _Classes:
    """Numbers values so that equal ones, and no others, share a number.

    A container is known by the numbers of its members: no key is larger than its
    container is wide, and a shared part is visited once.
    """

    __slots__ = ("classes", "met")

    def __init__(self) -> None:
        self.classes: dict[Any, int] = {}
        self.met: dict[int, int] = {}

    def number(self, value: Any) -> int:
        if value is True or value is False:
            return self._of(("boolean", value))  # for Python, True equals 1
        if type(value) in _SCALARS:
            return self._of(value)
        found = self.met.get(id(value))
        if found is None:
            key = self._array(value) if kind_of(value) == "array" else self._object(value)
            found = self.met[id(value)] = self._of(key)
        return found

    def _array(self, items: list[Any]) -> tuple[Any, ...]:
        return ("array", *map(self.number, items))

    def _object(self, members: dict[str, Any]) -> frozenset[tuple[str, int]]:
        return frozenset((key, self.number(member)) for key, member in members.items())

    def _of(self, key: Any) -> int:
        return self.classes.setdefault(key, len(self.classes))


LIST_EXTERNS = (_sum, _sort, _slice, _concat, _range, _reverse, _unique)
