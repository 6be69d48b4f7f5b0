"""The meter of a run: what it has used of its budget, and of the budget's slices.

Before an attempt begins it is counted, and what its agent says one attempt takes at most
is held back; when it has ended, what it did use is counted instead. An attempt for which
nothing is left fails with `budget.exhausted`, without its worker being asked. What a run
has used is a reading of its journal: a resume goes on with the same count.

A run within a run uses its own budget and, with every attempt, what its parent's attempt
is on the account of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flowir.effects import Failure
from flowir.nodes import Flow
from swarm.blueprint.budget import Budget
from swarm.core.accounts import Account, Accounts, Slices, Spent
from swarm.ports.worker import Usage

__all__ = ("Meter",)

_UNLIMITED: Final = Budget()
_NOTHING: Final = Spent()


class Meter:
    """Counts what one run uses, and what the runs above it do by that.

    `limited`: its own budget limits something; else the time is nobody's concern.
    """

    def __init__(self, budget: Budget | None = None, flow: Flow | None = None) -> None:
        if budget is None:
            budget = _UNLIMITED
        self.budget = budget
        self._own = Account(None if budget is _UNLIMITED else budget)
        self._slices: Slices | None = None
        if flow is not None and (self.budget.agents or self.budget.nodes):
            self._slices = Slices(self.budget, flow)
        self.limited = bool(self._own.limits) or self._slices is not None
        self._all: Accounts = (self._own,)
        # Whether an attempt may be refused, or has to be held against something.
        self.checks = self.limited
        self._children: dict[str, Spent] | None = None

    @property
    def spent(self) -> Spent:
        """What the run has used, the runs within it included."""
        return self._own.spent

    def join(self, above: Accounts, counted: Spent = _NOTHING) -> None:
        """Count for the accounts of a parent's attempt too, and what was used before.

        Shape: *counted* is what of it is on those accounts already.
        """
        self._all = (self._own, *above)
        self.checks = self.limited or any(account.limits for account in above)
        more = _beyond(self.spent, counted)
        for account in above:
            account.count(*more)

    def counted(self, child: str) -> Spent:
        """Return what the past of this run says that a run within it has used."""
        return _NOTHING if self._children is None else self._children.get(child, _NOTHING)

    def accounts(self, agent: str, key: str) -> Accounts:
        """Return what an attempt of *agent* at the step *key* is on, the narrowest first."""
        return self._all if self._slices is None else self._slices.of(agent, key) + self._all

    # -- before and after an attempt ---------------------------------------------------

    def reserve(
        self, accounts: Accounts, attempt: int, most: Usage, wall_s: float
    ) -> Failure | None:
        """Count an attempt that begins, and hold back the *most* that it may use.

        Shape: the failure it ends with at once, where too little is left.
        """
        self.count(accounts, attempt)
        if not self.checks:
            return None
        return self.hold(accounts, most) or self._late(most, accounts, wall_s)

    def count(self, accounts: Accounts, attempt: int) -> None:
        """Count an attempt that begins; nothing is held against anything."""
        for account in accounts:
            spent = account.spent
            spent.attempts += 1
            if attempt == 1:
                spent.steps += 1

    def hold(self, accounts: Accounts, most: Usage) -> Failure | None:
        """Hold back what somebody may use; return why not, where too little is left."""
        for account in accounts:
            failure = account.lacking(most)
            if failure is not None:
                return failure
        self._hold(accounts, most.tokens, most.cost)
        return None

    def settle(self, accounts: Accounts, most: Usage, used: Usage) -> None:
        """Count what an attempt used, instead of what was held back for it."""
        if self.checks:
            self._hold(accounts, -most.tokens, -most.cost)
        if used.tokens or used.cost:
            for account in accounts:
                account.count(0, 0, used.tokens, used.cost)

    def _late(self, most: Usage, accounts: Accounts, wall_s: float) -> Failure | None:
        """Refuse an attempt for which no time is left; that of the runs above is theirs."""
        failure = self._own.above("wall_s", wall_s, 0)
        if failure is not None:
            self._hold(accounts, -most.tokens, -most.cost)
        return failure

    def _hold(self, accounts: Accounts, tokens: int, cost: float) -> None:
        if tokens or cost:
            for account in accounts:
                account.hold(tokens, cost)

    # -- the past ----------------------------------------------------------------------

    def recall(self, row: Mapping[str, Any]) -> None:
        """Take in a row of the run's past."""
        match row["kind"]:
            case "step.started":
                self._count(row["step"], row, int(row["attempt"] == 1), 1)
            case "step.interrupted":
                # It is made again, and counted then.
                self._count(row["step"], row, -int(row["attempt"] == 1), -1)
            case "step.finished" | "step.failed":
                self._count(row["step"], row, 0, 0, row["tokens"], row["cost"])
            case "step.called":
                self._count(row["agent"], row, 0, 0, row["tokens"], row["cost"])
            case "child.ended":
                # An attempt that is made again finds the child that it had, and tells its
                # end again.
                spent, child = Spent(**row["spent"]), row["child"]
                self._count(row["step"], row, *_beyond(spent, self.counted(child)))
                if self._children is None:
                    self._children = {}
                self._children[child] = spent
            case "budget.warning":
                for account in self._sliced():
                    if account.slice == row["slice"]:
                        account.warned(row["of"])
            case _:
                pass

    def _count(self, agent: str, row: Mapping[str, Any], *amounts: Any) -> None:
        for account in self.accounts(agent, row["key"]):
            account.count(*amounts)

    # -- limits ------------------------------------------------------------------------

    def wall_left_s(self, wall_s: float) -> float | None:
        """Return how long the run may go on, having gone on for *wall_s*."""
        limit = self.budget.wall_s
        return None if limit is None else max(limit - wall_s, 0.0)

    def fuel(self, limit: int) -> int:
        """Return how much fuel a machine may use that would otherwise have *limit*."""
        return limit if self.budget.fuel is None else min(limit, self.budget.fuel)

    def warnings(self, wall_s: float, fuel_left: int) -> list[dict[str, Any]]:
        """Return the rows of the warnings that are due now; each comes once in a run."""
        fuel = (self.budget.fuel or 0) - fuel_left
        return [row for account in self._sliced() for row in account.warnings(wall_s, fuel)]

    def exhausted(self, name: str, used: float) -> Failure:
        """Make the failure of an attempt that one limit of the run does not allow."""
        return self._own.exhausted(name, used)

    def _sliced(self) -> Accounts:
        return (self._own, *(() if self._slices is None else self._slices.all()))


def _beyond(spent: Spent, counted: Spent) -> tuple[int, int, int, float]:
    """Return what of *spent* is not among what was *counted*."""
    return (
        spent.steps - counted.steps,
        spent.attempts - counted.attempts,
        spent.tokens - counted.tokens,
        spent.cost - counted.cost,
    )
