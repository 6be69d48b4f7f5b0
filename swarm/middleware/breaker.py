"""`breaker`: an agent that fails again and again is left alone for a while.

closed      it is asked; so many failures in a row open it
open        it is not asked, but its fallback, if it has one; after a while it is tried
half open   one attempt at a time is let through; so many answers close it, and a
            failure opens it again
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated, Final

from pydantic import Field

from flowir.errors import WorkerFailure
from swarm.blueprint.words import suggest
from swarm.middleware.codes import Codes, matches
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.worker import FieldProblem, Outcome

__all__ = ("BREAKER", "BreakerLayer", "BreakerParams")


class BreakerParams(LayerParams):
    """When it opens, for how long, and who is asked meanwhile.

    Shape: `failures` in a row open it; `successes` in a row close it; `on` and `never` list
    the codes that count (none given: all); `fallback` names another agent. Units: it is open
    for `open_s` seconds.
    """

    failures: Annotated[int, Field(ge=1)] = 5
    open_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
    successes: Annotated[int, Field(ge=1)] = 2
    on: Codes = ()
    never: Codes = ()
    fallback: str | None = None


class _Circuit:
    """What the layers around one agent share, in all runs."""

    def __init__(self, params: BreakerParams) -> None:
        self._params = params
        self._failures = 0
        self._successes = 0
        self._open_until_s: float | None = None
        self._trying = False

    def enter(self, now_s: float) -> bool:
        """Tell whether one may be let through; a trial is to be left again."""
        if self._open_until_s is None:
            return True
        if now_s < self._open_until_s or self._trying:
            return False
        self._trying = True
        return True

    def left_s(self, now_s: float) -> float:
        """Return how long it stays open."""
        return max((self._open_until_s or now_s) - now_s, 0.0)

    @property
    def is_open(self) -> bool:
        """Whether it is open: who is let through then is on trial."""
        return self._open_until_s is not None

    def answered(self, *, on_trial: bool) -> None:
        """Note an answer; one that was asked for before it opened says nothing now."""
        if on_trial == self.is_open:
            self._failures = 0
            self._successes += 1
            if on_trial and self._successes >= self._params.successes:
                self._open_until_s = None

    def failed(self, now_s: float, *, on_trial: bool) -> None:
        """Note a failure."""
        if on_trial == self.is_open:
            self._failures += 1
            self._successes = 0
            if on_trial or self._failures >= self._params.failures:
                self._open_until_s = now_s + self._params.open_s

    def leave(self) -> None:
        """End a trial, however it ended."""
        self._trying = False


class BreakerLayer:
    """Watches over one agent."""

    in_place: Final = True

    def __init__(self, params: BreakerParams, site: Site) -> None:
        self._params = params
        self._clock = site.host.clock
        self._circuit = site.shared("breaker", "agent", params, lambda: _Circuit(params))

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on, unless the agent is left alone."""
        circuit = self._circuit
        now_s = self._clock.monotonic()
        if not circuit.enter(now_s):
            return await self._instead(call, circuit.left_s(now_s))
        trial = circuit.is_open
        try:
            outcome = await next(call)
        except WorkerFailure as failure:
            if self._counts(failure):
                circuit.failed(self._clock.monotonic(), on_trial=trial)
            raise
        finally:
            if trial:
                circuit.leave()
        circuit.answered(on_trial=trial)
        return outcome

    async def _instead(self, call: LayerCall, left_s: float) -> Outcome:
        fallback = self._params.fallback
        if fallback is not None:
            await call.link.progress(
                f"breaker: {call.agent!r} is left alone, {fallback!r} is asked"
            )
            return Outcome(await call.link.call(fallback, call.input))
        said = f"{call.agent!r} failed too often: it is left alone for {left_s:g} s"
        raise WorkerFailure("breaker.open", said, data={"left_s": left_s})

    def _counts(self, failure: WorkerFailure) -> bool:
        if matches(failure.code, self._params.never):
            return False
        return not self._params.on or matches(failure.code, self._params.on)


def _problems(params: BreakerParams, site: Site) -> Iterable[FieldProblem]:
    name = params.fallback
    if name is not None and (name not in site.agents or name == site.agent.name):
        said = f"expected another agent of this blueprint, got {name!r}"
        others = site.agents.keys() - {site.agent.name}
        yield FieldProblem("layer.field_wrong", "fallback", said, suggest(name, others))


def _calls(params: BreakerParams, site: Site) -> Collection[str]:
    return () if params.fallback is None else (params.fallback,)


BREAKER = LayerFactory("breaker", 75, BreakerParams, BreakerLayer, problems=_problems, calls=_calls)
