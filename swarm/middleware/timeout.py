"""`timeout`: stops work that takes too long, each try on its own."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from flowir.errors import WorkerFailure
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.worker import Outcome

__all__ = ("TIMEOUT", "TimeoutLayer", "TimeoutParams")


class TimeoutParams(LayerParams):
    """Units: `seconds` of the Clock port."""

    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class TimeoutLayer:
    """Gives one agent's work so many seconds."""

    in_place: Final = True

    def __init__(self, params: TimeoutParams, site: Site) -> None:
        self._seconds = params.seconds
        self._host = site.host

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on, until the time is over."""
        table, lane = self._host.deadlines, call.lane
        if lane is None or lane.taken or table is None or not table.watched:
            return await self._apart(call, next)
        lane.taken = True
        row, number = table.note(self._seconds, lane.scope)
        try:
            outcome = await next(call)
        except BaseException as error:
            lane.taken = False
            if row.pop(number, None) is not None or not lane.renew(error):
                raise
        else:
            lane.taken = False
            if row.pop(number, None) is None:
                # It came in the moment in which it was to be cut off.
                lane.renew(None)
            return outcome
        raise self._late(call)

    async def _apart(self, call: LayerCall, next: Next) -> Outcome:
        """Do so in a scope of its own."""
        with self._host.clock.deadline(self._seconds):
            return await next(call)
        # Reached only where the deadline cut the work off.
        raise self._late(call)

    def _late(self, call: LayerCall) -> WorkerFailure:
        said = f"{call.agent!r}: no answer within {self._seconds:g} s"
        return WorkerFailure("step.timeout", said)


TIMEOUT = LayerFactory("timeout", 90, TimeoutParams, TimeoutLayer, again="adds", for_work=True)
