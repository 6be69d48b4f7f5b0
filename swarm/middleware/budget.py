"""`budget`: what an agent, a blueprint or the host may use, over all runs.

It counts as the budget of a run does, with the same meter: what an attempt takes at most is
held back before it begins, and settled with what it did use. The counts begin with the
host, and where there is a window, with each window.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from flowir.errors import WorkerFailure
from swarm.blueprint.budget import Budget
from swarm.core.meter import Meter
from swarm.core.terms import most_of
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.worker import CostlyFailure, FieldProblem, Outcome, Usage

__all__ = ("BUDGET", "BudgetLayer", "BudgetParams")

_NOTHING = Usage()


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


class _Account:
    """What layers of one scope share: the meter of the window that goes on."""

    def __init__(self, params: BudgetParams) -> None:
        self._budget = Budget(attempts=params.attempts, tokens=params.tokens, cost=params.cost)
        self._window_s = params.window_s
        self._meter = Meter(self._budget)
        self._began_s: float | None = None

    def meter(self, now_s: float) -> Meter:
        if self._began_s is None:
            self._began_s = now_s
        elif self._window_s is not None and now_s - self._began_s >= self._window_s:
            # What goes on is settled with the meter that it was reserved of.
            self._meter, self._began_s = Meter(self._budget), now_s
        return self._meter


class BudgetLayer:
    """Counts what one agent's work uses, and refuses what is too much."""

    def __init__(self, params: BudgetParams, site: Site) -> None:
        self._clock = site.host.clock
        self._account = site.shared("budget", params.scope, params, lambda: _Account(params))
        self._most = most_of(site.agent.settings)
        self._of = {"agent": site.agent.name, "blueprint": site.blueprint}.get(params.scope, "host")

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on, if there is enough left for it."""
        meter = self._account.meter(self._clock.monotonic())
        accounts = meter.accounts(call.agent, call.key)
        refused = meter.reserve(accounts, call.attempt, self._most, 0.0)
        if refused is not None:
            data = refused.data
            raise _spent(self._of, data["of"], data["limit"], data["used"])
        used = _NOTHING
        try:
            outcome = await next(call)
            used = outcome.usage
        except CostlyFailure as failure:
            used = failure.usage
            raise
        finally:
            meter.settle(accounts, self._most, used)
        return outcome


def _spent(whose: str, of: str, limit: float, used: float) -> WorkerFailure:
    said = f"the budget of {whose!r}: expected at most {limit:g} of {of!r}, got {used:g}"
    return WorkerFailure("budget.spent", said, True, {"of": of, "limit": limit, "used": used})


def _problems(params: BudgetParams, site: Site) -> Iterable[FieldProblem]:
    if params.attempts is None and params.tokens is None and params.cost is None:
        said = "expected a field 'attempts', 'tokens' or 'cost', got none"
        yield FieldProblem("layer.field_missing", "", said)


BUDGET = LayerFactory("budget", 80, BudgetParams, BudgetLayer, again="adds", problems=_problems)
