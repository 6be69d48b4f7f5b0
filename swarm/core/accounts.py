"""Accounts: what one budget, or a slice of it, allows, and what was used of it.

A run has an account of its own, and one for each slice that its budget gives to an agent
or to a part of the flow. An attempt is on the account of its agent, of every part that it
stands in, of its run, and of all that the attempt is on of which its run is the doing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from flowir.effects import Failure
from flowir.nodes import Flow, places_of
from flowir.records import dataclass
from swarm.blueprint.budget import Budget, Slice
from swarm.ports.worker import Usage

__all__ = ("Account", "Accounts", "Slices", "Spent")

_WORDS: Final = {
    "steps": "steps",
    "attempts": "attempts",
    "tokens": "tokens",
    "cost": "of cost",
    "wall_s": "seconds",
    "fuel": "of fuel",
}
_NONE: Final[frozenset[str]] = frozenset()
_NO_LIMITS: Final[Mapping[str, Any]] = MappingProxyType[str, Any]({})
# `#2` and `@0` in a key are the turns on the way; without them it is a place.
_TURNS: Final = re.compile(r"[#@]\d+")


@dataclass(slots=True)
class Spent:
    """What was used so far."""

    steps: int = 0
    attempts: int = 0
    tokens: int = 0
    cost: float = 0.0


class Account:
    """One account; `slice` is where the budget has it (`agents.writer`), None for a run's own.

    `spent` is what has been used; attempts that go on are counted, their tokens and cost
    are held back until they are known.
    """

    __slots__ = ("_held_cost", "_held_tokens", "_warned", "limits", "slice", "spent", "warn_at")

    def __init__(self, limits: Budget | Slice | None = None, slice: str | None = None) -> None:
        self.slice = slice
        self.spent = Spent()
        self.limits: Mapping[str, Any] = _NO_LIMITS
        if limits is not None:
            named = {name: getattr(limits, name, None) for name in _WORDS}
            self.limits = {name: limit for name, limit in named.items() if limit is not None}
        self.warn_at = 1.0 if limits is None else limits.warn_at
        self._held_tokens = 0
        self._held_cost = 0.0
        self._warned: frozenset[str] = _NONE

    def count(self, steps: int, attempts: int, tokens: int = 0, cost: float = 0.0) -> None:
        """Count what was used."""
        spent = self.spent
        spent.steps += steps
        spent.attempts += attempts
        spent.tokens += tokens
        spent.cost += cost

    def hold(self, tokens: int, cost: float) -> None:
        """Hold back what an attempt may use, or let go of it."""
        self._held_tokens += tokens
        self._held_cost += cost

    def lacking(self, most: Usage) -> Failure | None:
        """Return how an attempt fails that may use *most*, where too little is left."""
        if not self.limits:
            return None
        spent = self.spent
        # Where nobody knows how much it will take, something must be left.
        for name, limit in self.limits.items():
            used: float
            known: float = 1
            if name == "tokens":
                known = most.tokens
                used = spent.tokens + self._held_tokens + known
            elif name == "cost":
                known = most.cost
                used = spent.cost + self._held_cost + known
            elif name == "steps":
                used = spent.steps
            elif name == "attempts":
                used = spent.attempts
            else:
                continue
            if used > limit or (used == limit and not known):
                return self.exhausted(name, used)
        return None

    def above(self, name: str, used: float, known: float = 1) -> Failure | None:
        """Return the failure of an attempt that one limit does not allow, if it does not."""
        limit = self.limits.get(name)
        if limit is None or used < limit or (used == limit and known):
            return None
        return self.exhausted(name, used)

    def exhausted(self, name: str, used: float) -> Failure:
        """Make the failure of an attempt that one limit does not allow."""
        limit = self.limits[name]
        whose = f"{_named(self.slice)} in a run" if self.slice else "in a run"
        said = f"expected at most {limit:g} {_WORDS[name]} {whose}, got {used:g}"
        about = {"of": name, "slice": self.slice, "limit": limit, "used": used}
        return Failure("budget.exhausted", said, True, about)

    def warned(self, name: str) -> None:
        """Note that a warning was given."""
        self._warned |= {name}

    def warnings(self, wall_s: float, fuel: float) -> Iterator[dict[str, Any]]:
        """Yield the rows of the warnings that are due now; each comes once in a run."""
        used = {**asdict(self.spent), "wall_s": wall_s, "fuel": fuel}
        for name, limit in self.limits.items():
            if name not in self._warned and used[name] >= limit * self.warn_at:
                self._warned |= {name}
                about = {"of": name, "slice": self.slice, "used": used[name], "limit": limit}
                yield {"kind": "budget.warning", **about}


Accounts: TypeAlias = tuple[Account, ...]


class Slices:
    """The accounts of a budget's slices, found by agent and by the key of a step."""

    def __init__(self, budget: Budget, flow: Flow) -> None:
        self.agents = {
            name: Account(limits, f"agents.{name}") for name, limits in budget.agents.items()
        }
        places = places_of(flow) if budget.nodes else {}
        self.nodes = {
            places[name]: Account(limits, f"nodes.{name}")
            for name, limits in budget.nodes.items()
            if name in places
        }
        self._known: dict[tuple[str, str], Accounts] = {}

    def of(self, agent: str, key: str) -> Accounts:
        """Return what an attempt is on, the narrowest first."""
        at = (agent, _TURNS.sub("", key))
        found = self._known.get(at)
        if found is None:
            found = self._known[at] = tuple(self._find(*at))
        return found

    def all(self) -> Accounts:
        """Return all of them."""
        return (*self.agents.values(), *self.nodes.values())

    def _find(self, agent: str, place: str) -> Iterator[Account]:
        if agent in self.agents:
            yield self.agents[agent]
        for part in sorted(self.nodes, key=len, reverse=True):
            if place == part or place.startswith(f"{part}."):
                yield self.nodes[part]


def _named(slice: str) -> str:
    what, name = slice.split(".", 1)
    return f"for {what[:-1]} {name!r}"
