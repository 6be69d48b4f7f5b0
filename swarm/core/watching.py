"""Which of a run's events somebody wants to see: by kind, and by place.

A place is the id of a node, its place in the flow (`$.children[1].body`), or the key of a
step or of what is around it (`$.children[1].body#2`): everything below counts, and only
events that have a key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any, Final, get_args, get_type_hints

from flowir.errors import shorten
from swarm.blueprint.shapes import is_array, is_object
from swarm.blueprint.words import suggest
from swarm.core import events
from swarm.errors import Refused

__all__ = ("Wanted",)

_COUNTERS: Final = re.compile(r"[#@][0-9]+")


class Wanted:
    """A choice among the events of one run.

    Shape: *kinds* are exact (`step.failed`) or a family (`step.*`); None means all. A node's
    id is known once `learn` was handed the run's first event.
    """

    def __init__(self, kinds: Collection[str] | None = None, at: str | None = None) -> None:
        """Check what is asked for.

        Raises: Refused (events.kind).
        """
        self._kinds = None if kinds is None else _chosen(kinds)
        self._at = at

    @property
    def needs_flow(self) -> bool:
        """Whether the place is a node's id, which the run's document has to explain."""
        return self._at is not None and not self._at.startswith("$")

    def learn(self, started: Mapping[str, Any]) -> None:
        """Find the node of an id in the document that the run is pinned to.

        Raises: Refused (events.at), where the flow has no node of that id.
        """
        places = dict(_ids(started["document"]["flow"], "$"))
        place = places.get(self._at or "")
        if place is None:
            hint = suggest(self._at or "", places)
            said = f"expected the id of a node, a place or a key, got {shorten(self._at)}"
            raise Refused("events.at", f"{said} — {hint}" if hint else said, at=self._at)
        self._at = place

    def takes(self, event: Mapping[str, Any]) -> bool:
        """Tell whether an event is wanted."""
        if self._kinds is not None and event["kind"] not in self._kinds:
            return False
        return self._at is None or _is_below(event.get("key"), self._at)


def _is_below(key: Any, at: str) -> bool:
    if not isinstance(key, str):
        return False
    if not _COUNTERS.search(at):
        key = _COUNTERS.sub("", key)
    return key.startswith(at) and (len(key) == len(at) or key[len(at)] in ".#@[")


def _chosen(kinds: Collection[str]) -> frozenset[str]:
    """Return the kinds that are named, a family by its members."""
    given = [kinds] if isinstance(kinds, str) else kinds
    known = _known()
    chosen: set[str] = set()
    for kind in given:
        family = kind.removesuffix("*") if kind.endswith(".*") else None
        found = {one for one in known if one == kind or (family and one.startswith(family))}
        if not found:
            hint = suggest(kind, known) or "families are written 'step.*'"
            sentence = f"expected the kind of an event, got {shorten(kind)} — {hint}"
            raise Refused("events.kind", sentence, kind=kind)
        chosen |= found
    return frozenset(chosen)


@cache
def _known() -> frozenset[str]:
    """Return every kind that an event may have, from the types."""
    rows = (getattr(events, name) for name in events.__all__ if name[0].isupper())
    hints = (get_type_hints(row) for row in rows if isinstance(row, type))
    return frozenset(kind for hint in hints if "kind" in hint for kind in get_args(hint["kind"]))


def _ids(node: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    if "id" in node:
        yield node["id"], place
    for name, value in node.items():
        if name == "children" and is_array(value):
            for i, child in enumerate(value):
                yield from _ids(child, f"{place}.children[{i}]")
        elif is_object(value) and "kind" in value:
            yield from _ids(value, f"{place}.{name}")
