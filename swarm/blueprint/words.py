"""What to say about a word that is not one of those allowed."""

from __future__ import annotations

from collections.abc import Iterable

from flowir.report import near, nearest

__all__ = ("allowed", "near", "suggest")

_LISTED = 12


def allowed(known: Iterable[str]) -> str:
    """List words for a sentence, the first dozen of them.

    >>> allowed(["text", "json"])
    "'json', 'text'"
    """
    words = sorted(known)
    more = ", …" if len(words) > _LISTED else ""
    return ", ".join(map(repr, words[:_LISTED])) + more


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return the hint for a wrong word: the near one, else those there are."""
    words = list(known)
    return nearest(word, words) or (f"known are {allowed(words)}" if words else None)
