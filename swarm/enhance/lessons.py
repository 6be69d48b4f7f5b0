"""Lessons: why changes were refused or taken back, for whoever proposes the next one.

    kept       with each rejection and each rollback, by the first sentences of its reasons
    shown      to every proposer after that, the freshest first, so many at a time
    helping    as long as who was shown it is not refused for the same
    dropped    once it was shown that often in vain, or is of another time

All of it is a reading of the issues before, oldest first: nothing else is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from flowir.records import dataclass
from swarm.enhance.proposals import cleaned

__all__ = ("Issued", "lessons")

# Of one issue, and in all.
_OF_ISSUE: Final = 2
_SHOWN: Final = 5
# Refused for the same so often, one after the other, although it was shown: it does not help.
_IN_VAIN: Final = 2
# Issues after which a lesson that nobody renewed is of another time.
_AGE: Final = 30
_LONG: Final = 300


class Issued(NamedTuple):
    """An issue that has ended: what its proposer was shown, and what became of it."""

    shown: Sequence[str]
    refused: bool
    reasons: Sequence[str]


@dataclass(slots=True)
class _Lesson:
    """One lesson on its way through the issues."""

    text: str
    since: int
    in_vain: int = 0


def lessons(past: Iterable[Issued]) -> list[str]:
    """Return what the next proposer is shown, the freshest first.

    >>> issue = Issued((), True, ["enhance.noop: nothing is changed"])
    >>> lessons([issue])
    ['enhance.noop: nothing is changed']
    >>> again = Issued(lessons([issue]), True, issue.reasons)
    >>> lessons([issue, again, again])
    []
    """
    kept: dict[str, _Lesson] = {}
    now = 0
    for now, issue in enumerate(past, 1):
        told = [cleaned(reason)[:_LONG] for reason in issue.reasons] if issue.refused else []
        for text in issue.shown:
            if text in kept:
                _heed(kept[text], told)
        for text in told[:_OF_ISSUE]:
            known = kept.setdefault(text, _Lesson(text, now))
            known.since = now
    held = [one for one in kept.values() if one.in_vain < _IN_VAIN and now - one.since < _AGE]
    held.sort(key=lambda one: -one.since)
    return [one.text for one in held[:_SHOWN]]


def _heed(lesson: _Lesson, told: Sequence[str]) -> None:
    """Note whether a lesson that was shown was learnt: who is refused for the same did not."""
    same = any(_code(text) == _code(lesson.text) for text in told)
    lesson.in_vain = lesson.in_vain + 1 if same else 0


def _code(text: str) -> str:
    return text.partition(":")[0]
