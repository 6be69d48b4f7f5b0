"""JSON that nobody can change: what a compiled blueprint shows of itself.

Frozen objects and arrays are dicts and lists, so they are read, compared and encoded as
such; whatever would change one raises.
"""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ("FrozenArray", "FrozenObject", "frozen", "thawed")


def _refuse(self: Any, *args: Any, **named: Any) -> NoReturn:
    raise TypeError("a compiled blueprint cannot be changed: change a copy, thawed(…)")


class FrozenObject(dict[str, Any]):
    """An object that stays as it is; a deep copy of it is an ordinary dict."""

    __slots__ = ()

    __setitem__ = __delitem__ = __ior__ = _refuse  # type: ignore[assignment]
    clear = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        return thawed(self)

    def __reduce__(self) -> Any:
        return frozen, (thawed(self),)


class FrozenArray(list[Any]):
    """An array that stays as it is; a deep copy of it is an ordinary list."""

    __slots__ = ()

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse  # type: ignore[assignment]
    append = clear = extend = insert = pop = remove = _refuse  # type: ignore[assignment]
    reverse = sort = _refuse  # type: ignore[assignment]

    def __deepcopy__(self, memo: Any) -> list[Any]:
        return thawed(self)

    def __reduce__(self) -> Any:
        return frozen, (thawed(self),)


def frozen(value: Any) -> Any:
    """Return a copy of JSON that nobody can change, at any depth.

    >>> frozen({"tags": ["a"]})["tags"].append("b")
    Traceback (most recent call last):
    TypeError: a compiled blueprint cannot be changed: change a copy, thawed(…)
    """
    if isinstance(value, dict):
        members: dict[str, Any] = value
        return FrozenObject({name: frozen(member) for name, member in members.items()})
    if isinstance(value, list):
        items: list[Any] = value
        return FrozenArray([frozen(item) for item in items])
    return value


def thawed(value: Any) -> Any:
    """Return a copy of frozen JSON that is one's own; what is not frozen is copied too.

    >>> thawed(frozen({"tags": ["a"]}))
    {'tags': ['a']}
    """
    if isinstance(value, dict):
        members: dict[str, Any] = value
        return {name: thawed(member) for name, member in members.items()}
    if isinstance(value, list):
        items: list[Any] = value
        return [thawed(item) for item in items]
    return value
