"""Which nodes and ways of a blueprint its tests came by, on the author's lines.

Nodes that the author did not write (`implicit`) do not count. A comment on the line, or on
one above it, says that what was never taken is meant: `-- allow: case.untaken`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from flowir.nodes import Node
from flowir.records import dataclass
from flowir.trace import Trace, nodes_of, ways_of
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.errors import Place

__all__ = ("Coverage", "Untaken")

_ALLOWED = re.compile(r"(?:--|#)\s*allow:[\sa-z_.,]*\bcase\.untaken\b")
_ALONE = ("--", "#")
_SAID = {
    "then": "is never true",
    "else": "is never false",
    "turn": "never makes a turn",
    "end": "never comes to its end",
    "well": "never goes well",
    "caught": "never fails",
}


@dataclass(frozen=True, slots=True)
class Untaken:
    """A node that was never entered, or a way that was never taken."""

    where: Place | None
    at: str
    kind: str
    way: str | None

    def __str__(self) -> str:
        said = "is never entered" if self.way is None else _SAID[self.way]
        return f"{self.where or self.at}: case.untaken: this {self.kind} {said}"


class Coverage:
    """Adds up what the runs of one blueprint came by."""

    def __init__(self, blueprint: CompiledBlueprint) -> None:
        self._blueprint = blueprint
        self._seen = Trace()
        self._nodes = [(at, node) for at, node in nodes_of(blueprint.flow) if not node.implicit]

    def add(self, trace: Trace) -> None:
        """Count a run."""
        self._seen.add(trace)

    def join(self, other: Coverage) -> None:
        """Count the runs of other tests of the same blueprint."""
        self._seen.add(other._seen)

    @property
    def nodes(self) -> tuple[int, int]:
        """How many nodes were entered, and how many there are, those that are allowed aside."""
        return self._share([(at, node, None) for at, node in self._nodes])

    @property
    def ways(self) -> tuple[int, int]:
        """How many ways were taken, and how many there are."""
        return self._share([(at, node, way) for at, node in self._nodes for way in ways_of(node)])

    @property
    def uncounted(self) -> tuple[str, ...]:
        """The agents that are blueprints themselves: what is within them their own tests count."""
        agents = self._blueprint.document["agents"]
        return tuple(agent["name"] for agent in agents if agent["kind"] == "flow")

    @property
    def percent(self) -> float:
        """The share of nodes and ways together."""
        got, all_ = (sum(pair) for pair in zip(self.nodes, self.ways, strict=True))
        return 100.0 * got / all_ if all_ else 100.0

    def untaken(self) -> list[Untaken]:
        """Return what is missing, by line; the ways through a missing node are not told."""
        found: list[Untaken] = []
        for at, node in self._nodes:
            where = self._blueprint.place_of(at)
            kind = type(node).__name__.lower()
            if not self._seen.nodes[at]:
                found += [] if self._allowed(where) else [Untaken(where, at, kind, None)]
                continue
            for way in self._missing_ways(at, node):
                found += [] if self._allowed(where) else [Untaken(where, at, kind, way)]
        return sorted(found, key=_order)

    def lines(self) -> dict[str, dict[int, int]]:
        """Return how often each line of each file was entered that has nodes."""
        found: dict[str, Counter[int]] = {}
        for at, _ in self._nodes:
            where = self._blueprint.place_of(at)
            if where is not None and where.line is not None:
                lines = found.setdefault(where.file, Counter())
                lines[where.line] = max(lines[where.line], self._seen.nodes[at])
        return {file: dict(sorted(lines.items())) for file, lines in found.items()}

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        nodes, ways = self.nodes, self.ways
        return {
            "nodes": {"covered": nodes[0], "all": nodes[1]},
            "ways": {"covered": ways[0], "all": ways[1]},
            "percent": round(self.percent, 1),
            "uncounted": list(self.uncounted),
            "untaken": [
                {
                    "path": None if one.where is None else one.where.file,
                    "line": None if one.where is None else one.where.line,
                    "at": one.at,
                    "kind": one.kind,
                    "way": one.way,
                }
                for one in self.untaken()
            ],
            "lines": self.lines(),
        }

    def _missing_ways(self, at: str, node: Node) -> Iterator[str]:
        yield from (way for way in ways_of(node) if not self._seen.ways[at, way])

    def _share(self, items: list[tuple[str, Node, str | None]]) -> tuple[int, int]:
        got = all_ = 0
        for at, _, way in items:
            taken = self._seen.nodes[at] if way is None else self._seen.ways[at, way]
            if taken:
                got += 1
            elif self._allowed(self._blueprint.place_of(at)):
                continue
            all_ += 1
        return got, all_

    def _allowed(self, where: Place | None) -> bool:
        if where is None or where.line is None:
            return False
        lines = self._blueprint.sources.get(where.file, "").split("\n")
        near = lines[where.line - 1 : where.line]
        above = lines[where.line - 2 : where.line - 1] if where.line > 1 else []
        near += [line for line in above if line.lstrip().startswith(_ALONE)]
        return any(_ALLOWED.search(line) for line in near)


def _order(one: Untaken) -> tuple[str, int, str]:
    where = one.where
    return ("", 0, one.at) if where is None else (where.file, where.line or 0, one.at)
