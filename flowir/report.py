"""The problems of one document while it is read: collected, worded, put in order.

Knows how a place is written and how near two words are; knows nothing of flows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from typing import Any, NoReturn

from flowir.errors import Problem, shorten

__all__ = (
    "Report",
    "Stopped",
    "in_document_order",
    "member",
    "near",
    "nearest",
    "one_of",
    "type_of",
)

# The class of a value that may be anything. By `type` itself the type checker would narrow
# `Any` to a container of unknown things.
type_of: Callable[[Any], object] = type

# Looking for a near miss is quadratic in the length of the word, and a hostile document
# may hold 100,000 wrong words: these many are worth a hint.
_LONGEST_WORD = 64
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STEP = re.compile(r"""\.([^.\[\]…]+)|\[([0-9]+)\]|\[("(?:[^"\\]|\\.)*")\]""")
_MOST_HINTS = 200


def member(name: str) -> str:
    r"""Write the last step of a place: `.name`, or `["any key"]`.

    A key that is no text is escaped, a long one cut: places are printed.
    """
    if _NAME.fullmatch(name) and len(name) <= _LONGEST_WORD:
        return f".{name}"
    shown = name if len(name) <= _LONGEST_WORD else name[:_LONGEST_WORD] + "…"
    return f"[{json.dumps(shown, ensure_ascii=False)}]".encode("utf-8", "backslashreplace").decode()


def near(word: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed word that *word* was probably meant to be.

    >>> near("brnach", ("seq", "branch"))
    'branch'
    """
    if len(word) > _LONGEST_WORD:
        return None
    found = get_close_matches(word, list(allowed), 1)
    return found[0] if found else None


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """Return the hint "did you mean …?" if an allowed word is near *word*.

    >>> nearest("brnach", ("seq", "branch"))
    "did you mean 'branch'?"
    """
    found = near(word, allowed)
    return None if found is None else f"did you mean {found!r}?"


def one_of(words: Iterable[str]) -> str:
    """List words as a sentence needs them: `one of 'all', 'any'`."""
    return "one of " + ", ".join(repr(word) for word in words)


class Stopped(Exception):
    """The reading of a document was given up; the report says why."""


class Report:
    """The reasons, found so far, why a document is not well formed."""

    __slots__ = ("_looked_for_a_cycle", "problems")

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._looked_for_a_cycle = False

    def add(self, at: str, message: str, hint: str | None = None) -> None:
        """Take down one reason."""
        self.problems.append(Problem("malformed", at, message, hint))

    def expected(self, at: str, what: str, got: Any, hint: str | None = None) -> None:
        """Take down that *what* should stand at a place where *got* does."""
        self.add(at, f"expected {what}, got {shorten(got)}", hint)

    def unknown_word(self, at: str, got: Any, allowed: Collection[str]) -> None:
        """Take down that one of a few words should stand there."""
        self.expected(at, one_of(allowed), got, self._near(got, allowed))

    def unknown_field(self, at: str, owner: str, name: Any, allowed: Collection[str]) -> None:
        """Take down a field that *owner* ("step", "retry", …) does not have."""
        if type(name) is not str:
            self.add(at, f"expected string keys, got {shorten(name)}")
            return
        hint = self._near(name, allowed) or f"it has {', '.join(allowed)}"
        message = f"expected a field of {owner}, got {shorten(name)}"
        self.add(at + member(name), message, hint)

    def missing_field(
        self, at: str, owner: str, name: str, why: str = "", *, hint: str | None = None
    ) -> None:
        """Take down that *owner* lacks a field."""
        self.add(at, f"expected {owner} to have {name!r}{why}, got none", hint)

    def too_deep(self, at: str, what: str, limit: int, value: Any) -> None:
        """Take down that *value* lies too deep; a cycle ends the reading."""
        if not self._looked_for_a_cycle and _leads_to_itself(value):
            self.stop(at, "expected a tree, got a cycle")
        self._looked_for_a_cycle = True  # once: it costs as much as *value* is large
        self.add(at, f"expected at most {limit} levels of {what}, got more")

    def stop(self, at: str, message: str) -> NoReturn:
        """Take down a reason after which nothing that follows is worth reading."""
        self.add(at, message)
        raise Stopped

    def _near(self, got: Any, allowed: Collection[str]) -> str | None:
        if type(got) is not str or len(self.problems) >= _MOST_HINTS:
            return None
        return nearest(got, allowed)


def _leads_to_itself(value: Any) -> bool:
    todo: list[Any] = [value]
    seen = {id(value)}
    while todo:
        here = todo.pop()
        kind = type_of(here)
        for inner in here.values() if kind is dict else here if kind is list else ():
            if inner is value:
                return True
            if id(inner) not in seen:
                seen.add(id(inner))
                todo.append(inner)
    return False


def in_document_order(
    problems: Iterable[Problem], document: Any, at: str = "$"
) -> tuple[Problem, ...]:
    """Sort problems by where their places stand in *document*, top to bottom.

    Shape: *at* is the place of *document* itself, with which all the places begin.
    """
    return tuple(sorted(problems, key=_rank_in(document, at)))


def _rank_in(document: Any, at: str) -> Callable[[Problem], tuple[int, ...]]:
    places: dict[int, dict[Any, int]] = {}

    def position(here: Any, segment: str | int) -> tuple[int, Any]:
        kind = type_of(here)
        if kind is list and isinstance(segment, int) and segment < len(here):
            return segment, here[segment]
        if kind is dict and segment in here:
            if id(here) not in places:
                places[id(here)] = {name: i for i, name in enumerate(here)}
            return places[id(here)][segment], here[segment]
        return -1, None  # the place was cut short

    def rank(problem: Problem) -> tuple[int, ...]:
        here: Any = document
        steps: list[int] = []
        for name, index, quoted in _STEP.findall(problem.at, len(at)):
            step, here = position(here, name or (json.loads(quoted) if quoted else int(index)))
            steps.append(step)
        return tuple(steps)

    return rank
