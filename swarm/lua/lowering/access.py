"""Access paths: a variable and the keys behind it, as far as they are known.

A field of the context is a key behind the context, and so is one whose name is computed;
every local has a place of its own in the corner, and is a variable.
"""

from __future__ import annotations

from typing import TypeAlias

from flowir.path import parse_path
from swarm.lua.lowering.work import CORNER

__all__ = (
    "ANY",
    "ANY_FIELD",
    "DEEP",
    "WHOLE",
    "Access",
    "access_of",
    "begins",
    "is_temp",
    "shown",
    "variable",
)

Access: TypeAlias = tuple[str, ...]

ANY = "*"  # some key, not known which
WHOLE: Access = ("$",)
ANY_FIELD = "$.*"  # the variable that some field of the context is
DEEP = 5  # longer access paths are cut: they then stand for all that is below


def access_of(at: str) -> Access:
    """Return the access path of a place."""
    names = tuple(ANY if isinstance(one, int) else one for one in parse_path(at).segments)
    if names and names[0] == CORNER:
        return (f"{CORNER}.{names[1]}", *names[2:]) if len(names) > 1 else (CORNER,)
    return (*WHOLE, *names)


def variable(access: Access) -> str:
    """Return what is assigned as one: a local, or a field of the context.

    >>> variable(("$", "draft", "title")), variable(("__.item", "title")), variable(("$",))
    ('$.draft', '__.item', '$')
    """
    return ".".join(access[:2]) if access[:1] == WHOLE else access[0]


def begins(a: Access, b: Access) -> bool:
    """Tell whether *a* may be *b*, or be above it."""
    return len(a) <= len(b) and all(x == y or ANY in (x, y) for x, y in zip(a, b, strict=False))


def is_temp(access: Access) -> bool:
    """Tell whether an access path begins with a value that lives for a statement only."""
    name = access[0].removeprefix(f"{CORNER}._")
    return name != access[0] and name.isdigit()


def shown(access: Access) -> str:
    """Write an access path as its author knows it.

    >>> shown(("$", "draft", "*")), shown(("__.item", "title"))
    ('ctx.draft[…]', 'item.title')
    """
    base = "ctx" if access[:1] == WHOLE else access[0].removeprefix(f"{CORNER}.").lstrip("=")
    return base + "".join("[…]" if key == ANY else f".{key}" for key in access[1:])
