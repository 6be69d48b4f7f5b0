"""`limit`: how much goes on at a time, and how much begins in a second.

Whoever has to wait is served in turns: runs one after the other, and within a run who came
first. So ten thousand lanes of one run delay another's step by one place.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from typing import Annotated, Final, Literal

from pydantic import Field

from swarm.core.gates import Gates, Ticket
from swarm.ids import RunId
from swarm.ports.clock import Clock
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.worker import FieldProblem, Outcome

__all__ = ("LIMIT", "LimitLayer", "LimitParams")

_PLACES, _PACE = "places", "pace"


class LimitParams(LayerParams):
    """At least one limit, and what it counts.

    Shape: `scope` is what counts together: an agent, a blueprint's agents, or all of the
    host. `burst` may begin at once after a rest. Units: `rate_per_s` beginnings a second.
    """

    concurrency: Annotated[int, Field(ge=1)] | None = None
    rate_per_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    scope: Literal["agent", "blueprint", "host"] = "agent"


class _Queue:
    """What layers of one scope share: the gates, and when the next one may begin."""

    def __init__(self) -> None:
        self.gates = Gates()
        self.next_s = float("-inf")
        self.waiting = 0

    def may_begin(self, now_s: float, spacing_s: float, burst: int) -> bool:
        """Let one more begin now, if its time has come."""
        due_s = self.next_s
        if due_s > now_s:
            return False
        rested_s = now_s - spacing_s * (burst - 1)
        self.next_s = (due_s if due_s > rested_s else rested_s) + spacing_s
        return True

    async def pace(self, clock: Clock, spacing_s: float, burst: int) -> None:
        """Wait until one more may begin."""
        while not self.may_begin(now_s := clock.monotonic(), spacing_s, burst):
            await clock.sleep(self.next_s - now_s)


class _Place:
    """A place in a queue, which who works in it may leave to tasks that outlive the work."""

    __slots__ = ("held", "queue")

    def __init__(self, queue: _Queue) -> None:
        self.queue = queue
        self.held = True


# The places that this task goes on with, or the one that it was born in: an agent that asks
# another one goes on with its own place. To wait for a second one could be for ever.
_INSIDE: ContextVar[tuple[_Place, ...]] = ContextVar("swarm_limit_inside", default=())


class LimitLayer:
    """Lets one agent's work in by turns."""

    in_place: Final = True

    def __init__(self, params: LimitParams, site: Site) -> None:
        self._clock = site.host.clock
        self._queue = site.shared("limit", params.scope, params, _Queue)
        self._most = params.concurrency
        self._now = site.host.clock.monotonic
        self._spacing_s = None if params.rate_per_s is None else 1 / params.rate_per_s
        self._burst = params.burst

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on when it is its turn."""
        queue, spacing_s = self._queue, self._spacing_s
        if spacing_s is not None:
            now_s = self._now()
            if queue.waiting or not queue.may_begin(now_s, spacing_s, self._burst):
                await self._paced(RunId(call.run_id), spacing_s)
        inside, most = _INSIDE.get(), self._most
        if most is None or any(place.queue is queue and place.held for place in inside):
            return await next(call)
        gates = queue.gates
        place = _Place(queue)
        token = _INSIDE.set((*inside, place))
        ticket: Ticket | None = None
        try:
            if not gates.slip_in(_PLACES, most):
                ticket = Ticket(RunId(call.run_id), ((_PLACES, most),))
                await gates.wait(ticket)
            return await next(call)
        finally:
            # A run that was started within would go on with it for as long as it lives.
            place.held = False
            _INSIDE.reset(token)
            if ticket is None:
                gates.slip_out(_PLACES)
            else:
                gates.leave(ticket)

    async def _paced(self, run: RunId, spacing_s: float) -> None:
        """Wait for the next beginning; one waits at a time, the others by their turns."""
        queue = self._queue
        ticket = Ticket(run, ((_PACE, 1),))
        queue.waiting += 1
        try:
            await queue.gates.wait(ticket)
            await queue.pace(self._clock, spacing_s, self._burst)
        finally:
            queue.waiting -= 1
            queue.gates.leave(ticket)


def _problems(params: LimitParams, site: Site) -> Iterable[FieldProblem]:
    if params.concurrency is None and params.rate_per_s is None:
        said = "expected a field 'concurrency' or 'rate_per_s', got none"
        yield FieldProblem("layer.field_missing", "", said)


LIMIT = LayerFactory(
    "limit", 85, LimitParams, LimitLayer, again="adds", problems=_problems, for_work=True
)
