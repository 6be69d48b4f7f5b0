"""The `object.` externs. Keys are sorted by code point wherever their order shows."""

from __future__ import annotations

from typing import Any

from flowir.externs.extern import OBJECT, STRING, admit_size, standard
from flowir.values import measure

__all__ = ("OBJECT_EXTERNS",)


@standard("object.keys", ("o", OBJECT))
def _keys(o: dict[str, Any]) -> list[str]:
    return sorted(o)


@standard("object.values", ("o", OBJECT))
def _values(o: dict[str, Any]) -> list[Any]:
    return [o[key] for key in sorted(o)]


@standard("object.merge", ("a", OBJECT), variadic=True)
def _merge(*objects: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for o in objects:
        merged.update(o)
    # Built first: the members are shared, so it is no wider than what it was made of.
    admit_size("object.merge", measure(merged)[0])
    return merged


@standard("object.without", ("o", OBJECT), ("key", STRING))
def _without(o: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: member for name, member in o.items() if name != key}


OBJECT_EXTERNS = (_keys, _values, _merge, _without)
