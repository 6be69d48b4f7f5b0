"""`timeout`: stops work that takes too long, each try on its own."""

from __future__ import annotations

from typing import Annotated

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

    def __init__(self, params: TimeoutParams, site: Site) -> None:
        self._seconds = params.seconds
        self._host = site.host

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on, until the time is over."""
        table = self._host.deadlines
        if table is None or not table.watched:
            with self._host.clock.deadline(self._seconds):
                return await next(call)
        else:
            with table.scope() as scope:
                row, number = table.note(self._seconds, scope)
                try:
                    return await next(call)
                finally:
                    row.pop(number, None)
        # Reached only where the deadline cut the work off.
        said = f"{call.agent!r}: no answer within {self._seconds:g} s"
        raise WorkerFailure("step.timeout", said)


TIMEOUT = LayerFactory("timeout", 90, TimeoutParams, TimeoutLayer, again="adds", for_work=True)
