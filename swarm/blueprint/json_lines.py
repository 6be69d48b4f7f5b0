"""Where in a JSON text each value stands.

Python's parser forgets lines, so one pass over the tokens finds them. It judges
nothing: the strict door does, and this tells the line of what the door refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import field

from flowir.door import parse_json
from flowir.errors import FlowError
from flowir.records import dataclass
from swarm.blueprint.places import inside

__all__ = ("line_of_fault", "lines_of")

_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|\n|[^\s{}\[\],:"]+', re.DOTALL)

_TOLD = re.compile(r"\(line (\d+), column \d+\)\Z")


@dataclass(slots=True)
class _Open:
    """A container being read: an object's key so far, or an array's next index."""

    at: str
    step: str | int
    keys: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, slots=True)
class _Seen:
    """A key or a value, its line, and whether that key was there before."""

    at: str
    line: int
    word: str
    again: bool = False


def lines_of(text: str) -> dict[str, int]:
    r"""Map the place of every value to its line (of its key, where it has one).

    >>> lines_of('{"a": [1,\n2]}')
    {'$': 1, '$.a': 1, '$.a[0]': 1, '$.a[1]': 2}

    Shape: *text* is JSON that the strict door admits.
    """
    lines: dict[str, int] = {}
    for seen in _scan(text):
        lines.setdefault(seen.at, seen.line)
    return lines


def line_of_fault(text: str, refusal: str) -> int | None:
    """Find the line of what makes *text* no strict JSON, if one line can be named.

    Shape: *refusal* is what the door said of the whole. What is too much for it is not
    read once more here.
    """
    told = _TOLD.search(refusal)
    if told is not None:
        return int(told[1])
    if "at most" in refusal or "too deep" in refusal:
        return None
    for seen in _scan(text):
        if seen.again or not _admitted(seen.word):
            return seen.line
    return None


def _admitted(word: str) -> bool:
    if word in ("{", "["):
        return True
    try:
        parse_json(word)
    except FlowError:
        return False
    return True


def _scan(text: str) -> Iterator[_Seen]:
    """Yield keys and values in their order; the text is JSON, strict or not."""
    line, stack, wants_key = 1, list[_Open](), False
    for found in _WORD.finditer(text):
        word = found[0]
        if word == "\n":
            line += 1
        elif word == ",":
            wants_key = _next(stack[-1])
        elif word == ":":
            wants_key = False
        elif word in ("}", "]"):
            stack.pop()
            wants_key = False
        elif wants_key:
            here, key = stack[-1], json.loads(word)
            yield _Seen(inside(here.at, key), line, word, key in here.keys)
            here.step = key
            here.keys.add(key)
        else:
            at = inside(stack[-1].at, stack[-1].step) if stack else "$"
            yield _Seen(at, line, word)
            if word in ("{", "["):
                stack.append(_Open(at, "" if word == "{" else 0))
                wants_key = word == "{"


def _next(here: _Open) -> bool:
    """Step to an array's next item; tell whether a key must come instead."""
    if isinstance(here.step, str):
        return True
    here.step += 1
    return False
