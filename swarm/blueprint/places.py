"""Places in a document (`$.flow.children[0]`) and the author's lines behind them.

A place is text; the map of places holds the lines that are known, and the nearest
enclosing one answers for all that lies inside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowir.path import Path, format_path

__all__ = ("enclosing", "inside", "nearest")


def inside(at: str, segment: str | int) -> str:
    """Return the place of a member or an item of what stands at *at*.

    >>> inside("$.agents[0]", "a b")
    '$.agents[0]["a b"]'
    """
    return at + format_path(Path((segment,)))[1:]


def enclosing(at: str) -> str | None:
    """Return the place around *at*, or None for the outermost."""
    cut = max(at.rfind("."), at.rfind("["))
    return at[:cut] if cut > 0 else None


def nearest(places: Mapping[str, Any], at: str) -> str | None:
    """Return the innermost place around *at* (or *at* itself) that the map has."""
    here: str | None = at
    while here is not None and here not in places:
        here = enclosing(here)
    return here
