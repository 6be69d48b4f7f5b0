"""Which line of whose file a problem is about, and how the problem names its place.

A document written as JSON or YAML knows the line of every place. The author's form
knows the line of each builder's call; the line of a field inside the call is found in
the source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from flowir.errors import Problem as Finding
from flowir.records import dataclass
from flowir.report import nearest as nearest_word
from flowir.syntax import Name
from swarm.blueprint.builders import BUILDERS
from swarm.blueprint.places import nearest
from swarm.blueprint.told import STRAYS, Told
from swarm.compiler.scripts import first_line
from swarm.errors import Place, Problem
from swarm.lua.syntax import bound_names, field_at, field_line

__all__ = ("Blame", "LineFinding", "PlacedFinding")

_NONE: Mapping[str, Any] = MappingProxyType({})
_NOWHERE = Place("")
# Fields that hold plain data, whose members have the author's own names.
_PLAIN = frozenset({"inputs", "layers", "limits", "retry"})
_NODE = re.compile(r"\$((?:\.[a-z]+(?:\[[0-9]+\])?)+)(?= has it too)")
# What a text is told that ends too early, as `flowir.text` says it.
_ENDED = "got the end of the text"
_FIELD = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class LineFinding(Finding):
    """A finding on one line, from one, of a text that an agent holds."""

    text: str = ""
    line: int = 1


@dataclass(frozen=True, slots=True)
class PlacedFinding(Finding):
    """A finding whose line is known: in a file that the document names."""

    where: Place = _NOWHERE


class Blame:
    """Turns findings, which have places in the document, into problems with lines.

    Shape: *places*, *builders* and *sources* as `compile_document` takes them; *agents*
    maps the places of agents to their names, *texts* those of texts to the files they came
    from, *listed* those of agents from files to the lines that name them.
    """

    def __init__(
        self,
        file: str,
        *,
        places: Mapping[str, Place],
        builders: Mapping[str, str],
        sources: Mapping[str, str],
        agents: Mapping[str, str],
        texts: Mapping[str, str] = _NONE,
        listed: Mapping[str, Place | None] = _NONE,
    ) -> None:
        self._file = file
        self._agents = agents
        self._places = places
        self._builders = builders
        self._sources = sources
        self._texts = texts
        self._listed = listed

    def problems(self, findings: Iterable[Finding]) -> list[Problem]:
        """Give every finding its line, and put them in the order of their lines."""
        found = [self.problem(finding) for finding in findings]
        return sorted(found, key=self._order)

    def _order(self, problem: Problem) -> tuple[bool, str, int]:
        file = problem.where.file
        return file != self._file, file, problem.where.line or 0

    def problem(self, finding: Finding) -> Problem:
        """Give one finding its line."""
        if isinstance(finding, Told):
            return self._told(finding)
        where = finding.where if isinstance(finding, PlacedFinding) else self.line_of(finding.at)
        if finding.code == "agent.unused":
            where = self._listed.get(finding.at) or where
        if isinstance(finding, LineFinding):
            return self._line_problem(finding, where)
        subject = self._subject(finding.at)
        message = f"{subject}: {finding.message}" if subject else finding.message
        return Problem(finding.code, message, where, finding.at, self._hint(finding))

    def _told(self, finding: Told) -> Problem:
        """Give its line to what a builder found, which knows its own name."""
        known = nearest(self._places, finding.at)
        where = Place(self._file) if known is None else self._places[known]
        line = None if known is None else self._field_line(known, finding.field)
        message = f"{finding.by}: {finding.message}"
        at = "" if finding.at.startswith(STRAYS) else finding.at
        found = where if line is None else Place(where.file, line)
        hint = finding.hint
        if known is not None and hint is None and finding.message.endswith(", got nil"):
            hint = self._undefined(known, finding.field)
        return Problem(finding.code, message, found, at, hint)

    def _undefined(self, known: str, field: str | None) -> str | None:
        """Name the variable that a field is, where no line of the script gives it a value."""
        where = self._places[known]
        source = self._sources.get(where.file)
        if source is None or where.line is None or field is None:
            return None
        found = field_at(source, where.line, field)
        if found is None or not isinstance(found.value, Name):
            return None
        name, bound = found.value.name, bound_names(source)
        if name in bound:
            return None
        meant = nearest_word(name, sorted(bound))
        return f"no line gives {name!r} a value" + (f", {meant}" if meant else "")

    def _hint(self, finding: Finding) -> str | None:
        """Name other nodes by their lines, as the author knows them; and what YAML left out."""
        if finding.hint is None and _ENDED in finding.message and self._is_cut(finding.at):
            return "behind a blank # begins a comment of YAML: write the text in quotes"
        if finding.hint is None or finding.code != "malformed":
            return finding.hint
        return _NODE.sub(self._named, finding.hint)

    def _is_cut(self, at: str) -> bool:
        """Tell whether a comment of YAML follows on the line of a text that ends too early."""
        where = self.line_of(at)
        source = self._sources.get(where.file, "")
        if where.line is None or not where.file.endswith((".yaml", ".yml")):
            return False
        return " #" in source.split("\n")[where.line - 1]

    def _named(self, found: re.Match[str]) -> str:
        place = self._places.get(f"$.flow{found[1]}")
        return found[0] if place is None or place.line is None else f"line {place.line}"

    def _line_problem(self, finding: LineFinding, where: Place) -> Problem:
        """Point into the author's file if the text stands there as it is."""
        first = self._first_line(finding)
        subject, _ = self._owner(finding.at)
        if finding.at in self._texts:
            where = Place(self._texts[finding.at], finding.line)
        elif first is None:
            subject = f"{subject} line {finding.line}"
        else:
            where = Place(where.file, first + finding.line - 1)
        message = f"{subject}: {finding.message}"
        return Problem(finding.code, message, where, finding.at, finding.hint)

    def _first_line(self, finding: LineFinding) -> int | None:
        """Return the line on which the author's script has the text."""
        known = nearest(self._places, finding.at)
        if known is None or known not in self._builders:
            return None
        call = self._places[known]
        source = self._sources.get(call.file)
        if call.line is None or source is None:
            return None
        return first_line(source, finding.text, call.line)

    def line_of(self, at: str) -> Place:
        """Return the author's line of a place in the document."""
        known = nearest(self._places, at)
        if known is None:
            return Place(self._file)
        where, line = self._places[known], self._field_line(known, self._field(known, at))
        return where if line is None else Place(where.file, line)

    def is_written(self, at: str) -> bool:
        """Tell whether the author wrote the field that should stand at *at*, of a builder."""
        known = nearest(self._places, at)
        return known is not None and self._field_line(known, self._field(known, at)) is not None

    def _field_line(self, known: str, name: str | None) -> int | None:
        """Return the line of a field, by the author's name, of what a builder made."""
        where = self._places[known]
        source = self._sources.get(where.file)
        if known not in self._builders or source is None or where.line is None or name is None:
            return None
        return field_line(source, where.line, name)

    def _field(self, known: str, at: str) -> str | None:
        """Return the author's name of the field of *known* in which *at* lies."""
        found = _FIELD.match(at, len(known))
        if found is None:
            return None
        builder = BUILDERS.get(self._builders.get(known, ""))
        return found[1] if builder is None else builder.author_name(found[1])

    def _subject(self, at: str) -> str:
        """Name the place in the author's words, for a sentence to begin with."""
        owner, within = self._owner(at)
        return f"{owner}: {within}" if owner and within else owner or ""

    def _owner(self, at: str) -> tuple[str | None, str]:
        """Return who owns a place, and the rest of the place as the owner's author names it."""
        agent = nearest(self._agents, at)
        if agent is not None:
            return f"agent {self._agents[agent]!r}", at[len(agent) + 1 :]
        known = nearest(self._places, at)
        builder = None if known is None else self._builders.get(known)
        if known is not None and builder is None and self._places[known].file.endswith(".lua"):
            return None, ""  # lowered from a function, whose author wrote no such place
        if known is None or builder is None:
            return (None if at == "$" else at), ""
        name = self._field(known, at) or ""
        within = at[len(known) + 1 :].partition(".")[2] if name in _PLAIN else ""
        return f"flow.{builder}", f"{name}.{within}" if within else name
