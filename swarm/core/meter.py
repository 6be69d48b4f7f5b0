"""The meter of a run: what it has used of its budget.

Before an attempt begins it is counted, and what its agent says one attempt takes at most
is held back; when it has ended, what it did use is counted instead. An attempt for which
nothing is left fails with `budget.exhausted`, without its worker being asked. What a run
has used is a reading of its journal: a resume goes on with the same count.

A run within a run uses its own budget and, with every attempt, its parent's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from flowir.effects import Failure
from swarm.blueprint.budget import Budget
from swarm.ports.worker import Usage

__all__ = ("Meter", "Spent")

_UNLIMITED: Final = Budget()
_WORDS: Final = {
    "steps": "steps",
    "attempts": "attempts",
    "wall_s": "seconds",
    "tokens": "tokens",
    "cost": "of cost",
    "fuel": "of fuel",
}


@dataclass(slots=True)
class Spent:
    """What was used so far."""

    steps: int = 0
    attempts: int = 0
    tokens: int = 0
    cost: float = 0.0


class Meter:
    """Counts what one run uses, and what the runs above it do by that.

    `spent` is what has been used; attempts that go on are counted, their tokens and cost
    are not yet.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = _UNLIMITED if budget is None else budget
        self.spent = Spent()
        limits = {name: getattr(budget, name) for name in _WORDS} if budget else {}
        self._limits = {name: limit for name, limit in limits.items() if limit is not None}
        self._parent: Meter | None = None
        self._held_tokens = 0
        self._held_cost = 0.0
        self._warned: set[str] = set()

    @property
    def limited(self) -> bool:
        """Whether the run's own budget limits anything; else the time is nobody's concern."""
        return bool(self._limits)

    def join(self, parent: Meter) -> None:
        """Count for *parent* too, from here on, and what was used before."""
        self._parent = parent
        spent = self.spent
        parent.count(spent.steps, spent.attempts, spent.tokens, spent.cost)

    def reserve(self, attempt: int, most: Usage, wall_s: float) -> Failure | None:
        """Count an attempt that begins, and hold back the *most* that it may use.

        Shape: the failure it ends with at once, where too little is left.
        """
        self.count(int(attempt == 1), 1)
        failure = self._lacking(most, wall_s)
        if failure is None and (most.tokens or most.cost):
            self._hold(most.tokens, most.cost)
        return failure

    def settle(self, most: Usage, used: Usage) -> None:
        """Count what an attempt used, instead of what was held back for it."""
        if most.tokens or most.cost:
            self._hold(-most.tokens, -most.cost)
        if used.tokens or used.cost:
            self.count(0, 0, used.tokens, used.cost)

    def count(self, steps: int, attempts: int, tokens: int = 0, cost: float = 0.0) -> None:
        """Count what was used, here and above."""
        spent = self.spent
        spent.steps += steps
        spent.attempts += attempts
        spent.tokens += tokens
        spent.cost += cost
        if self._parent is not None:
            self._parent.count(steps, attempts, tokens, cost)

    def recall(self, row: Mapping[str, Any]) -> None:
        """Take in a row of the run's past."""
        match row["kind"]:
            case "step.started":
                self.count(int(row["attempt"] == 1), 1)
            case "step.interrupted":
                # It is made again, and counted then.
                self.count(-int(row["attempt"] == 1), -1)
            case "step.finished" | "step.called":
                self.count(0, 0, row["tokens"], row["cost"])
            case "child.ended":
                self.count(**row["spent"])
            case "budget.warning":
                self._warned.add(row["of"])
            case _:
                pass

    def wall_left_s(self, wall_s: float) -> float | None:
        """Return how long the run may go on, having gone on for *wall_s*."""
        limit = self.budget.wall_s
        return None if limit is None else max(limit - wall_s, 0.0)

    def fuel(self, limit: int) -> int:
        """Return how much fuel a machine may use that would otherwise have *limit*."""
        return limit if self.budget.fuel is None else min(limit, self.budget.fuel)

    def warnings(self, wall_s: float, fuel_left: int) -> list[dict[str, Any]]:
        """Return the rows of the warnings that are due now; each comes once in a run."""
        if not self._limits:
            return []
        fuel = (self.budget.fuel or 0) - fuel_left
        used = {**asdict(self.spent), "wall_s": wall_s, "fuel": fuel}
        due = {
            name: limit
            for name, limit in self._limits.items()
            if name not in self._warned and used[name] >= limit * self.budget.warn_at
        }
        self._warned.update(due)
        return [
            {"kind": "budget.warning", "of": name, "used": used[name], "limit": limit}
            for name, limit in due.items()
        ]

    def exhausted(self, name: str, used: float) -> Failure:
        """Make the failure of an attempt that one limit does not allow."""
        limit = self._limits[name]
        said = f"expected at most {limit:g} {_WORDS[name]} in a run, got {used:g}"
        return Failure("budget.exhausted", said, True, {"of": name, "limit": limit, "used": used})

    def _lacking(self, most: Usage, wall_s: float) -> Failure | None:
        if self._limits:
            spent = self.spent
            used: dict[str, float] = {
                "steps": spent.steps,
                "attempts": spent.attempts,
                "tokens": spent.tokens + self._held_tokens + most.tokens,
                "cost": spent.cost + self._held_cost + most.cost,
                "wall_s": wall_s,
            }
            # Where nobody knows how much it will take, something must be left.
            unknown = {"tokens": not most.tokens, "cost": not most.cost, "wall_s": True}
            for name, amount in used.items():
                limit = self._limits.get(name)
                if limit is None or amount < limit:
                    continue
                if amount > limit or unknown.get(name):
                    return self.exhausted(name, amount)
        # The time of the run above is its own affair: it stops this run as a whole.
        return None if self._parent is None else self._parent._lacking(most, -1.0)

    def _hold(self, tokens: int, cost: float) -> None:
        self._held_tokens += tokens
        self._held_cost += cost
        if self._parent is not None:
            self._parent._hold(tokens, cost)
