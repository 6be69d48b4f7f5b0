"""What to say about a word that is not one of those allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ("allowed", "near", "suggest")

_LISTED = 12
_LONGEST_WORD = 64  # looking for a near one is quadratic in its length


def near(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that *word* was probably meant to be.

    >>> near("revewer", ["writer", "reviewer"])
    'reviewer'
    """
    if len(word) > _LONGEST_WORD:
        return None
    found = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return found[0] if found else None


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
    meant = near(word, words)
    if meant is not None:
        return f"did you mean {meant!r}?"
    return f"known are {allowed(words)}" if words else None
