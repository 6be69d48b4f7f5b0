"""How many of something, in words: one run, and two runs."""

from __future__ import annotations

__all__ = ("amount",)


def amount(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun; *many* where that is more than an `s`.

    >>> amount(1, "entry", "entries"), amount(0, "run")
    ('1 entry', '0 runs')
    """
    return f"{count} {one if count == 1 else many or one + 's'}"
