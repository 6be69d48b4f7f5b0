"""Where two JSON values differ first, and how an author's tables compare with JSON.

A Lua table cannot say whether it is an empty list or an empty object: where an author
expects `{}`, both will do.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from flowir.errors import shorten
from swarm.blueprint.places import inside

__all__ = ("ABSENT", "Difference", "first_difference", "holds")

_SHOWN = 60


# What stands where there is no member, or no item.
ABSENT: Final = object()


class Difference(NamedTuple):
    """A place, what was expected there, and what there is."""

    at: str
    expected: Any
    got: Any

    def __str__(self) -> str:
        return f"{self.at}: expected {_shown(self.expected)}, got {_shown(self.got)}"


def first_difference(expected: Any, got: Any, at: str = "$") -> Difference | None:
    """Return where *got* is not what was expected, or None.

    >>> str(first_difference({"a": [1, 2]}, {"a": [1, 3]}, "ctx"))
    'ctx.a[1]: expected 2, got 3'
    """
    if _is_empty(expected) and _is_empty(got):
        return None
    if isinstance(expected, dict) and isinstance(got, dict):
        for name in (*expected, *(name for name in got if name not in expected)):
            one, other = expected.get(name, ABSENT), got.get(name, ABSENT)
            found = first_difference(one, other, inside(at, name))
            if found is not None:
                return found
        return None
    if isinstance(expected, list) and isinstance(got, list):
        for i in range(max(len(expected), len(got))):
            one = expected[i] if i < len(expected) else ABSENT
            other = got[i] if i < len(got) else ABSENT
            found = first_difference(one, other, inside(at, i))
            if found is not None:
                return found
        return None
    return None if _same(expected, got) else Difference(at, expected, got)


def holds(part: Any, whole: Any) -> bool:
    """Tell whether *whole* has *part* in it: objects may have more members, nothing else.

    >>> holds({"page": {"name": "a"}}, {"page": {"name": "a", "size": 3}, "n": 1})
    True
    """
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and holds(one, whole[name]) for name, one in part.items())
    if isinstance(part, list) and isinstance(whole, list) and len(part) == len(whole):
        return all(holds(one, other) for one, other in zip(part, whole, strict=True))
    return (_is_empty(part) and _is_empty(whole)) or _same(part, whole)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _is_empty(value: Any) -> bool:
    return isinstance(value, (dict, list)) and not value


def _shown(value: Any) -> str:
    return "nothing" if value is ABSENT else shorten(value, _SHOWN)
