"""What to say about a word that is not one of those allowed."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from flowir.report import near

__all__ = ("allowed", "meant", "near", "suggest")

_LISTED = 12


def allowed(known: Iterable[str]) -> str:
    """List words for a sentence, the first dozen of them.

    >>> allowed(["text", "json"])
    "'json', 'text'"
    """
    words = sorted(known)
    more = ", …" if len(words) > _LISTED else ""
    return ", ".join(map(repr, words[:_LISTED])) + more


# What other tools call a setting.
_ELSEWHERE = {
    "cmd": "argv",
    "command": "argv",
    "question": "prompt",
    "script": "source",
    "system": "instructions",
}


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return the hint for a wrong word: the near one, else those there are.

    >>> suggest("cmd", ["argv", "cwd"])
    "did you mean 'argv'?"
    """
    words = list(known)
    likely = meant(word, words)
    if likely is not None:
        return f"did you mean {likely!r}?"
    return f"known are {allowed(words)}" if words else None


def meant(word: str, known: Collection[str]) -> str | None:
    """Return the word that *word* was probably meant to be: another tool's, or a near one."""
    elsewhere = _ELSEWHERE.get(word)
    return elsewhere if elsewhere in known else near(word, known)
