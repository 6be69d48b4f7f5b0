"""`retry`: asks again where it fails, within the attempt that the flow counts.

The flow's own `retry` counts attempts in the journal; this one belongs to whoever runs the
host, and tells the run's watchers what it does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import Field

from flowir.errors import WorkerFailure
from swarm.middleware.codes import Codes, matches
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.worker import CostlyFailure, FieldProblem, Outcome, Usage

__all__ = ("RETRY", "RetryLayer", "RetryParams")

_NOTHING = Usage()
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class RetryParams(LayerParams):
    """How often, after how long, and for which codes (none given: all that may pass).

    Shape: `on` and `never` hold codes, or `prefix.*`. Units: `delay_s` before the second
    try, times `factor` for each further one, `max_delay_s` at most.
    """

    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    delay_s: _Seconds = 0.5
    factor: Annotated[float, Field(ge=1, le=100)] = 2.0
    max_delay_s: _Seconds = 60.0
    on: Codes = ()
    never: Codes = ()


class RetryLayer:
    """Tries one agent's work several times."""

    in_place: Final = True

    def __init__(self, params: RetryParams, site: Site) -> None:
        self._params = params
        self._clock = site.host.clock

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on, again where that may help."""
        try:
            return await next(call)
        except WorkerFailure as failure:
            return await self._again(call, next, failure)

    async def _again(self, call: LayerCall, next: Next, failure: WorkerFailure) -> Outcome:
        most, delay_s, used = self._params.max_attempts, self._params.delay_s, _NOTHING
        for number in range(2, most + 1):
            if not self._may_pass(failure):
                break
            if isinstance(failure, CostlyFailure):
                used = used.plus(failure.usage)
            said = f"{failure.code}: {failure.message}"
            await call.link.progress(f"retry: try {number} of {most} in {delay_s:g} s — {said}")
            await self._clock.sleep(delay_s)
            delay_s = min(delay_s * self._params.factor, self._params.max_delay_s)
            try:
                outcome = await next(call)
            except WorkerFailure as another:
                failure = another
            else:
                return Outcome(outcome.value, outcome.parts, used.plus(outcome.usage))
        raise failure if used == _NOTHING else CostlyFailure.of(failure, used)

    def _may_pass(self, failure: WorkerFailure) -> bool:
        if failure.permanent or matches(failure.code, self._params.never):
            return False
        return not self._params.on or matches(failure.code, self._params.on)


def _problems(params: RetryParams, site: Site) -> Iterable[FieldProblem]:
    if params.delay_s > params.max_delay_s:
        said = f"expected at most 'max_delay_s' ({params.max_delay_s:g}), got {params.delay_s:g}"
        yield FieldProblem("layer.field_wrong", "delay_s", said)


RETRY = LayerFactory("retry", 70, RetryParams, RetryLayer, problems=_problems)
