"""Those who sit in one seat: the freest is found without looking at everybody.

Two heaps hold who has a hand free, by how much he has and by when he was last given an
order. What changed since it was put there is dropped when it comes to the top: whoever
changes somebody says so (`note`), and nothing is searched for.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection
from typing import TypeAlias

from swarm.operators.cases import Member

__all__ = ("Crowd",)

# By what is chosen, the last of them when he sat down: who came first goes first.
_Rank: TypeAlias = tuple[int, ...]
# A heap of this many more than there are people is made anew.
_SLACK = 16


class Crowd:
    """Who sits in a seat, in the order in which they sat down."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._members: dict[int, Member] = {}
        self._next = 0
        self._heaps: dict[Callable[[Crowd, Member], _Rank], list[_Rank]] = {
            Crowd._by_load: [],
            Crowd._by_turn: [],
        }

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, member: Member) -> bool:
        return member.id in self._numbers

    @property
    def members(self) -> Collection[Member]:
        """Everybody, who sat down first first."""
        return self._members.values()

    def seat(self, member: Member) -> None:
        """Let somebody sit down, unless he sits here."""
        if member not in self:
            self._next += 1
            self._numbers[member.id] = self._next
            self._members[self._next] = member
            self.note(member)

    def unseat(self, member: Member) -> None:
        """Let somebody go, if he sits here."""
        number = self._numbers.pop(member.id, None)
        if number is not None:
            del self._members[number]

    def note(self, member: Member) -> None:
        """Hear that somebody got an order, is rid of one, or is back."""
        if member not in self or not member.is_free:
            return
        for rank, heap in self._heaps.items():
            heapq.heappush(heap, rank(self, member))
            if len(heap) > 2 * len(self) + _SLACK:
                heap[:] = [rank(self, one) for one in self.members if one.is_free]
                heapq.heapify(heap)

    def freest(self, can: Callable[[Member], bool]) -> Member | None:
        """Return who has least to do of those who can; of equals who waited longest."""
        return self._first(Crowd._by_load, can)

    def next(self, can: Callable[[Member], bool]) -> Member | None:
        """Return whose turn it is of those who can and have a hand free."""
        return self._first(Crowd._by_turn, can)

    def _by_load(self, member: Member) -> _Rank:
        return len(member.orders), member.turn, self._numbers[member.id]

    def _by_turn(self, member: Member) -> _Rank:
        return member.turn, self._numbers[member.id]

    def _first(
        self, rank: Callable[[Crowd, Member], _Rank], can: Callable[[Member], bool]
    ) -> Member | None:
        heap, passed = self._heaps[rank], list[_Rank]()
        found = None
        while heap and found is None:
            member = self._members.get(heap[0][-1])
            if member is None or not member.is_free or rank(self, member) != heap[0]:
                heapq.heappop(heap)
            elif can(member):
                found = member
            else:
                passed.append(heapq.heappop(heap))
        for one in passed:
            heapq.heappush(heap, one)
        return found
