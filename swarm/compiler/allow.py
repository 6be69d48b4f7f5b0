"""Problems that an author may allow: by a comment on the line, or in the document.

    -- allow: agent.unused          (Lua; `# allow: …` in YAML), on the line or above it
    "allow": {"$.agents[1]": ["agent.unused"]}                  in a document

What a comment allows is written into the document: a run that is resumed meets the same
problem without the comment. Only what cannot do harm by itself may be allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from flowir.errors import Problem as Finding
from flowir.errors import shorten
from swarm.blueprint.places import enclosing, inside
from swarm.blueprint.shapes import is_array, is_object
from swarm.blueprint.words import allowed, near
from swarm.errors import Place, Problem

__all__ = ("ALLOWABLE", "Allowances", "allow_problems")

ALLOWABLE = frozenset(
    {
        *("agent.input", "agent.unused", "node.unreachable", "path.unwritten", "process.input"),
        *("run.input", "text.or_value", "verdict.unhandled"),
    }
)
_COMMENT = re.compile(r"(?:--|#)\s*allow:\s*([a-z_.]+(?:\s*,\s*[a-z_.]+)*)")
_ALONE = ("--", "#")


def allow_problems(value: Any) -> Iterator[Finding]:
    """Find what is wrong with the field `allow` of a document."""
    if not is_object(value):
        sentence = f"expected lists of codes by place, got {shorten(value)}"
        yield Finding("blueprint.allow", "$.allow", sentence)
        return
    for place, codes in value.items():
        at = inside("$.allow", place)
        for code in codes if is_array(codes) else [codes]:
            if not isinstance(code, str) or code not in ALLOWABLE:
                sentence = f"expected a code that may be allowed, got {shorten(code)}"
                meant = near(code, ALLOWABLE) if isinstance(code, str) else None
                hint = f"did you mean {meant!r}?" if meant else f"those are {allowed(ALLOWABLE)}"
                yield Finding("blueprint.allow", at, sentence, hint)


class Allowances:
    """What the author of one document allows."""

    def __init__(self, document: Mapping[str, Any], sources: Mapping[str, str]) -> None:
        given = document.get("allow")
        self._sources = sources
        self._lines: dict[str, list[str]] = {}
        self._places: dict[str, set[str]] = {}
        for place, codes in given.items() if is_object(given) else ():
            self._places[place] = set(map(str, codes)) if is_array(codes) else set()

    def left(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return the problems that are not allowed, those that may be with how to."""
        return [
            replace(problem, silence=f"allow: {problem.code}")
            if problem.code in ALLOWABLE
            else problem
            for problem in problems
            if problem.code not in ALLOWABLE or not self._allows(problem)
        ]

    def to_wire(self) -> dict[str, list[str]]:
        """Return all that is allowed, as the document has it."""
        return {place: sorted(codes) for place, codes in sorted(self._places.items()) if codes}

    def _allows(self, problem: Problem) -> bool:
        here: str | None = problem.at
        while here is not None:
            if problem.code in self._places.get(here, ()):
                return True
            here = enclosing(here)
        if problem.code not in self._commented(problem.where):
            return False
        self._places.setdefault(problem.at, set()).add(problem.code)
        return True

    def _commented(self, where: Place) -> set[str]:
        """Return the codes that a comment on a line allows, or one on the line above it."""
        if where.line is None or where.file not in self._sources or where.file.endswith(".json"):
            return set()
        lines = self._lines.get(where.file)
        if lines is None:
            lines = self._lines[where.file] = self._sources[where.file].split("\n")
        near_by = lines[where.line - 1 : where.line]
        above = lines[where.line - 2 : where.line - 1] if where.line > 1 else []
        near_by += [line for line in above if line.lstrip().startswith(_ALONE)]
        found = [word for line in near_by for word in _COMMENT.findall(line)]
        return {code.strip() for codes in found for code in codes.split(",")}
