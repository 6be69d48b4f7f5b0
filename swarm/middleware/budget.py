"""`budget`: what an agent, a blueprint or the host may use, over all runs.

It counts as the budget of a run does, on an account of the same kind: what an attempt takes
at most is held back before it begins, and settled with what it did use. The counts begin
with the host, and where there is a window, with each window.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import Field

from flowir.errors import WorkerFailure
from swarm.blueprint.budget import Budget
from swarm.core.accounts import Account
from swarm.core.terms import most_of
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.worker import CostlyFailure, FieldProblem, Outcome, Usage

__all__ = ("BUDGET", "BudgetLayer", "BudgetParams")

_NOTHING: Final = Usage()


class BudgetParams(LayerParams):
    """At least one limit, and what it counts.

    Shape: `attempts` counts each try; `scope` is what counts together. Units: `cost` in the
    host's one currency; `window_s`: the counts begin anew so many seconds after they began.
    """

    attempts: Annotated[int, Field(ge=0)] | None = None
    tokens: Annotated[int, Field(ge=0)] | None = None
    cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    window_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    scope: Literal["agent", "blueprint", "host"] = "agent"


class _Window:
    """What layers of one scope share: the account of the window that goes on."""

    def __init__(self, params: BudgetParams) -> None:
        self._budget = Budget(attempts=params.attempts, tokens=params.tokens, cost=params.cost)
        self.window_s = params.window_s
        self.account = Account(self._budget)
        self._began_s: float | None = None

    def of_now(self, now_s: float, window_s: float) -> Account:
        """Return the account of the window that goes on now."""
        if self._began_s is None:
            self._began_s = now_s
        elif now_s - self._began_s >= window_s:
            # What goes on is settled with the account that it was held back of.
            self.account, self._began_s = Account(self._budget), now_s
        return self.account


class BudgetLayer:
    """Counts what one agent's work uses, and refuses what is too much."""

    in_place: Final = True

    def __init__(self, params: BudgetParams, site: Site) -> None:
        self._clock = site.host.clock
        self._window = site.shared("budget", params.scope, params, lambda: _Window(params))
        self._most = most = most_of(site.agent.settings)
        self._holds = bool(most.tokens or most.cost)
        self._of = {"agent": site.agent.name, "blueprint": site.blueprint}.get(params.scope, "host")

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on, if there is enough left for it."""
        window, most = self._window, self._most
        account, window_s = window.account, window.window_s
        if window_s is not None:
            account = window.of_now(self._clock.monotonic(), window_s)
        account.spent.attempts += 1
        refused = account.lacking(most)
        if refused is not None:
            data = refused.data
            raise _spent(self._of, data["of"], data["limit"], data["used"])
        if self._holds:
            account.hold(most.tokens, most.cost)
        used = _NOTHING
        try:
            outcome = await next(call)
            used = outcome.usage
        except CostlyFailure as failure:
            used = failure.usage
            raise
        finally:
            if self._holds:
                account.hold(-most.tokens, -most.cost)
            if used.tokens or used.cost:
                account.count(0, 0, used.tokens, used.cost)
        return outcome


def _spent(whose: str, of: str, limit: float, used: float) -> WorkerFailure:
    said = f"the budget of {whose!r}: expected at most {limit:g} of {of!r}, got {used:g}"
    return WorkerFailure("budget.spent", said, True, {"of": of, "limit": limit, "used": used})


def _problems(params: BudgetParams, site: Site) -> Iterable[FieldProblem]:
    if params.attempts is None and params.tokens is None and params.cost is None:
        said = "expected a field 'attempts', 'tokens' or 'cost', got none"
        yield FieldProblem("layer.field_missing", "", said)


BUDGET = LayerFactory("budget", 80, BudgetParams, BudgetLayer, again="adds", problems=_problems)
