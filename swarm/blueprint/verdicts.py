"""Verdicts: the closed set of words that an agent may answer with.

A verdict is a string answer, or the `verdict` member of an answer that is an object.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from flowir.errors import Problem, shorten
from swarm.blueprint.fitting import Fitter
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_array, is_object
from swarm.blueprint.words import near

__all__ = ("one_of_words", "verdict_problems", "word_fault")

_LONGEST = 64
_MOST = 64


def one_of_words(words: Collection[str]) -> str:
    """List verdicts for a sentence.

    >>> one_of_words(["PASS", "BLOCKED"])
    "'BLOCKED' or 'PASS'"
    """
    *most, last = map(repr, sorted(words))
    return f"{', '.join(most)} or {last}" if most else last


def word_fault(got: Any, words: Collection[str], whose: str = ",") -> tuple[str, str | None]:
    """Say that something is none of an agent's verdicts: the sentence, and the hint."""
    meant = _meant(got, words) if isinstance(got, str) else None
    return f"expected {one_of_words(words)}{whose} got {shorten(got)}", meant


def _meant(got: str, words: Collection[str]) -> str | None:
    """Return the hint for a wrong word; letters that only look right are written out."""
    likes = {_look(word): word for word in words}
    word = likes.get(_look(got)) or near(got, words)
    if word is None:
        return None
    odd = "" if got.isascii() or not word.isascii() else f" what was written is {got!a}"
    return f"did you mean {word!r}?{odd}"


def verdict_problems(settings: Mapping[str, Any], at: str) -> Iterator[Problem]:
    """Find what is wrong with the words of the agent at *at*, and who could never say them."""
    words = settings.get("verdict")
    if not is_array(words) or not all(isinstance(word, str) and word for word in words):
        return  # the model says so
    place = inside(at, "verdict")
    if len(words) > _MOST:
        sentence = f"expected at most {_MOST} words, got {len(words)}"
        yield Problem("verdict.words", place, sentence)
        return
    found = list(_word_problems(words, place))
    yield from found or _impossible(words, settings.get("output_schema"), place)


def _word_problems(words: Sequence[str], place: str) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for i, word in enumerate(words):
        here = inside(place, i)
        if len(word) > _LONGEST or word != word.strip() or not word.isprintable():
            sentence = f"expected a word of at most {_LONGEST} characters that can be seen"
            yield Problem("verdict.words", here, f"{sentence}, got {shorten(ascii(word)[1:-1])}")
            continue
        if _mixes_alphabets(word):
            sentence = f"expected letters of one alphabet, got {word!a}"
            yield Problem("verdict.words", here, sentence)
        other = seen.setdefault(_look(word), word)
        if word in words[:i]:
            yield Problem("verdict.words", here, f"expected each word once, got {word!r} again")
        elif other != word:
            sentence = f"expected words that nobody confuses, got {word!r} beside {other!r}"
            yield Problem("verdict.words", here, sentence)


def _impossible(words: Sequence[str], schema: Any, place: str) -> Iterator[Problem]:
    """Find words that the agent's own schema would refuse, where that is plain to see."""
    types = schema.get("type", "object") if is_object(schema) else None
    if types is None or "object" in (types if is_array(types) else [types]):
        members = schema.get("properties") if is_object(schema) and types == "object" else None
        rule = members.get("verdict") if is_object(members) else None
    else:
        rule = schema
    if rule is None or (is_object(rule) and "$ref" in rule):
        return
    try:
        fitter = Fitter(rule)
        refused = [word for word in words if fitter.misfit(word) is not None]
    except Exception:  # noqa: BLE001 - a schema with problems, which are told elsewhere
        return
    if refused:
        sentence = f"expected words that 'output_schema' lets pass, got {refused[0]!r}"
        yield Problem("verdict.words", place, sentence)


def _look(word: str) -> str:
    """Return what a word has in common with those that differ in case or width alone."""
    return unicodedata.normalize("NFKC", word).casefold()


def _mixes_alphabets(word: str) -> bool:
    """Tell whether some letters are Latin and others are not: `P` has a Cyrillic double."""
    letters = {unicodedata.name(char, "?").partition(" ")[0] for char in word if char.isalpha()}
    return len(letters) > 1 and "LATIN" in letters
