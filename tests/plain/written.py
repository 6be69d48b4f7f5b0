"""The written functions, by construct: those that are lowered, and those that are refused.

`constructs.lua`, `differences.lua` (by the name of the difference that they show) and
`refused.lua` hold sections, each behind a line `--@ construct`. A
function begins with `function(ctx)` and ends where the next line begins another; lines
`--> context` before it are the contexts to run it on. In `refused.lua` words of the
refusal stand behind a bar: of a whole section, or of one function.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ("CONSTRUCTS", "DIFFERENCES", "REFUSALS", "Refusal", "Written")

_HERE = Path(__file__).parent
# Where a function says nothing else: with nothing there, and with something of each kind.
_CONTEXTS: tuple[dict[str, Any], ...] = (
    {},
    {"n": 3, "s": "abc", "b": True, "l": [1, 2, 3], "r": {"x": 1, "y": "q"}},
)


@dataclass(frozen=True)
class Written:
    """One function, and the contexts to run it on."""

    construct: str
    body: str
    contexts: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Refusal:
    """One function that is refused, and words of the reason or the hint."""

    construct: str
    body: str
    words: str


def _sections(name: str) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for line in (_HERE / name).read_text().splitlines():
        if line.startswith("--@ "):
            found.append((line[4:], []))
        else:
            found[-1][1].append(line)
    return found


def _functions(lines: list[str]) -> list[tuple[str, tuple[dict[str, Any], ...]]]:
    found: list[tuple[list[str], tuple[dict[str, Any], ...]]] = []
    contexts: list[dict[str, Any]] = []
    for line in lines:
        if line.startswith("--> "):
            contexts.append(json.loads(line[4:]))
        elif line.startswith("function(ctx)"):
            found.append(([line], tuple(contexts) or _CONTEXTS))
            contexts = []
        else:
            found[-1][0].append(line)
    return [("\n".join(text), given) for text, given in found]


def _written(name: str) -> list[Written]:
    return [
        Written(construct, body, contexts)
        for construct, lines in _sections(name)
        for body, contexts in _functions(lines)
    ]


def _refusals() -> list[Refusal]:
    found: list[Refusal] = []
    for heading, lines in _sections("refused.lua"):
        construct, _, words = (part.strip() for part in heading.rpartition("|"))
        for line in lines:
            body, _, own = line.partition(" | ")
            found.append(Refusal(construct, body, own.strip() or words))
    return found


CONSTRUCTS = _written("constructs.lua")
DIFFERENCES = _written("differences.lua")
REFUSALS = _refusals()
