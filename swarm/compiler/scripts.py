"""Where an agent's script stands in the file of the blueprint's author.

Lua gives the line of a call whose argument is a long string as the line on which that
string ends: `flow.lua "writer" [[ … ]]` is said to stand on the line of its `]]`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from swarm.blueprint.author import Lowered
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_array, is_object
from swarm.errors import Place

__all__ = ("agent_places", "first_line")

# The bracket before a text that begins on the line below it.
_OPENED = re.compile(r"\[=*\[\Z")


def first_line(source: str, text: str, line: int) -> int | None:
    r"""Return the line of *source* on which *text* begins, of several the one next to *line*.

    >>> first_line("local w = flow.lua 'w' [[\nreturn 1\n]]", "return 1\n", 3)
    2
    """
    starts: list[int] = []
    offset = source.find(text) if text else -1
    while offset >= 0:
        starts.append(source.count("\n", 0, offset) + 1)
        offset = source.find(text, offset + 1)
    height = text.count("\n")
    return min(starts, key=lambda start: _distance(start, start + height, line), default=None)


def agent_places(lowered: Lowered, sources: Mapping[str, str]) -> dict[str, Place]:
    """Return the places, with the agents that are scripts on the lines of their calls."""
    places = dict(lowered.places)
    agents: Any = (lowered.document or {}).get("agents")
    for i, agent in enumerate(agents if is_array(agents) else ()):
        at = inside("$.agents", i)
        text = agent.get("source") if is_object(agent) else None
        where = places.get(at)
        if isinstance(text, str) and where is not None and where.file in sources:
            places[at] = _call_of(sources[where.file], text, where)
    return places


def _call_of(source: str, text: str, where: Place) -> Place:
    """Return the line of the bracket that opens *text*, if *text* ends on *where*."""
    first = None if where.line is None else first_line(source, text, where.line)
    if first is None or first + text.count("\n") != where.line:
        return where
    above = source.split("\n")[first - 2] if first > 1 else ""
    return Place(where.file, first - 1 if _OPENED.search(above) else first)


def _distance(first: int, last: int, line: int) -> int:
    return max(first - line, line - last, 0)
