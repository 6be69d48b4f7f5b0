"""Things of other distributions, found by name: entry points of one group.

They are loaded when their name is first asked for, and one that cannot be loaded harms
nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

__all__ = ("Plugins",)

_T = TypeVar("_T")


class Plugins(Generic[_T]):
    """What was registered, and the entry points of *group* (None: none) behind it.

    *named* tells the name that a thing has itself, which must be that of its entry point;
    an entry point may be the class of a thing, too.
    """

    def __init__(self, group: str | None, named: Callable[[_T], str]) -> None:
        self._group = group
        self._named = named
        self._known: dict[str, _T] = {}
        self._points: dict[str, EntryPoint] | None = None
        self._failures: dict[str, str] = {}

    def add(self, thing: _T) -> bool:
        """Register a thing, which hides an entry point; False: its name is taken."""
        name = self._named(thing)
        if name in self._known:
            return False
        self._known[name] = thing
        return True

    def get(self, name: str) -> _T | None:
        """Return the thing of a name, or None; `failure` tells if it could not be loaded."""
        found = self._known.get(name)
        if found is None and name in self._found():
            found = self._load(name)
        return found

    def failure(self, name: str) -> str | None:
        """Return why the entry point of a name could not be loaded."""
        return self._failures.get(name)

    def names(self) -> tuple[str, ...]:
        """Return the names there are, sorted, without loading any."""
        return tuple(sorted({*self._known, *self._found()}))

    def _found(self) -> dict[str, EntryPoint]:
        if self._points is None:
            group = self._group
            found = () if group is None else entry_points(group=group)
            self._points = {point.name: point for point in found}
        return self._points

    def _load(self, name: str) -> _T | None:
        point = self._found()[name]
        try:
            loaded: Any = point.load()
            thing: _T = loaded() if isinstance(loaded, type) else loaded
            own = self._named(thing)
            if own != name:
                raise TypeError(f"its name is {own!r}")
        except Exception as e:  # noqa: BLE001  # a stranger's code may raise anything
            self._failures[name] = f"{point.value}: {type(e).__name__}: {e}"
            del self._found()[name]
            return None
        self._known[name] = thing
        return thing
