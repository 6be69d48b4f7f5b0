"""What is known of the values in a context: which of them are verdicts, and of whom.

Knowledge errs to one side. `None` is anything; `Words` is certainly one of a few values;
`Answer` is what an agent with verdicts answered: a word, or an object that has one. A place
that nothing has written yet is absent: reading it fails, or finds what a run was given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from flowir.path import Segment
from flowir.records import dataclass

__all__ = (
    "ABSENT",
    "Absent",
    "Answer",
    "Each",
    "Fields",
    "Known",
    "State",
    "Words",
    "join",
    "member",
)

Way: TypeAlias = tuple[Segment, ...]
# A word as it is kept in sets: `True` and `1` are two.
Word: TypeAlias = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Words:
    """One of these values; *agents* are those whose verdicts are among them."""

    words: frozenset[Word]
    agents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent answered: one of its words, or an object whose `verdict` is one."""

    verdict: Words


@dataclass(frozen=True, slots=True)
class Each:
    """An array of which every item is known alike."""

    item: Known


@dataclass(frozen=True, slots=True)
class Fields:
    """An object of which some members are known."""

    members: tuple[tuple[str, Known], ...]


class Absent:
    """Nothing has been written there."""


ABSENT = Absent()
Known: TypeAlias = "Words | Answer | Each | Fields | Absent | None"


def join(one: Known, other: Known) -> Known:
    """Return what is known of a value that is one of two."""
    if isinstance(one, Absent) or one == other:
        return other
    if isinstance(other, Absent):
        return one
    if isinstance(one, Answer) and isinstance(other, Answer):
        return Answer(_together(one.verdict, other.verdict))
    # An answer that is an object is equal to no word: of what it may be equal to, this is all.
    words = [_as_words(known) for known in (one, other)]
    if words[0] is not None and words[1] is not None:
        return _together(words[0], words[1])
    if isinstance(one, Each) and isinstance(other, Each):
        return Each(join(one.item, other.item))
    if isinstance(one, Fields) and isinstance(other, Fields):
        left, right = dict(one.members), dict(other.members)
        both = [(name, join(left[name], right[name])) for name in left if name in right]
        return Fields(tuple(both))
    return None


def _as_words(known: Known) -> Words | None:
    if isinstance(known, Answer):
        return known.verdict
    return known if isinstance(known, Words) else None


def _together(one: Words, other: Words) -> Words:
    return Words(one.words | other.words, one.agents | other.agents)


def member(known: Known, segment: Segment) -> Known:
    """Return what is known of a member or an item."""
    if isinstance(known, Answer):
        return known.verdict if segment == "verdict" else None
    if isinstance(known, Each):
        return known.item if isinstance(segment, int) else None
    if isinstance(known, Fields) and isinstance(segment, str):
        return dict(known.members).get(segment)
    return ABSENT if isinstance(known, Absent) else None


class State:
    """What is known of a context at one point of a flow; copied where the flow parts."""

    __slots__ = ("_places",)

    def __init__(self, places: Mapping[Way, Known] | None = None) -> None:
        self._places: dict[Way, Known] = dict(places or {})

    def copy(self) -> State:
        """Return a state that may go its own way."""
        return State(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def become(self, other: State) -> None:
        """Know what another state does."""
        self._places = dict(other._places)

    def forget(self) -> None:
        """Know of every place only that something may have been written there."""
        self._places = dict.fromkeys(self._places)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self._places == other._places

    __hash__ = None  # type: ignore[assignment]

    def read(self, way: Way) -> Known:
        """Return what is known of a place."""
        for depth in range(len(way), -1, -1):
            known = self._places.get(way[:depth], ABSENT)
            if not isinstance(known, Absent):
                for segment in way[depth:]:
                    known = member(known, segment)
                if depth == len(way) or not isinstance(known, Absent):
                    return known
        below = {w[len(way)]: w for w in self._places if len(w) > len(way) and w[: len(way)] == way}
        members = [(name, self.read((*way, name))) for name in below if isinstance(name, str)]
        return Fields(tuple(sorted(members, key=lambda one: one[0]))) if members else ABSENT

    def write(self, way: Way, known: Known) -> None:
        """Note what is written at a place; into an array, nothing stays known of that."""
        for depth, segment in enumerate(way):
            if isinstance(segment, int):
                way, known = way[:depth], None
                break
        for other in [w for w in self._places if w[: len(way)] == way]:
            del self._places[other]
        # What encloses the place is not what it was.
        for depth in range(len(way)):
            above = self._places.get(way[:depth], ABSENT)
            if isinstance(above, (Answer, Words, Each)):
                self._places[way[:depth]] = None
        if isinstance(known, Fields):
            for name, inner in known.members:
                self.write((*way, name), inner)
        elif not isinstance(known, Absent):
            self._places[way] = known

    def merged(self, other: State) -> State:
        """Return what is known where two ways come together."""
        mine, others = self._places, other._places
        ways = [way for way, known in mine.items() if others.get(way, ABSENT) is not known]
        ways += [way for way in others if way not in mine]
        return State({**mine, **{way: join(self.read(way), other.read(way)) for way in ways}})

    def without(self, name: str) -> Iterator[tuple[str, Known]]:
        """Yield what is known of the context's members but one."""
        names = {way[0] for way in self._places if way and isinstance(way[0], str)} - {name}
        for kept in sorted(map(str, names)):
            yield kept, self.read((kept,))
