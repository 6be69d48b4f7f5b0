"""`long_hold`: a step that an operator holds for hours, and whether he still does.

The host tells the other side that it waits, again and again, and hears whether the order is
held. An operator may go and come back; one who stays away too long has lost the step.
"""

from __future__ import annotations

import logging
from typing import Annotated, Final

import anyio
from pydantic import Field

from flowir.errors import WorkerFailure
from swarm.middleware.consult import Deadline, Seat
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.operators import OperatorLink
from swarm.ports.worker import Outcome

__all__ = ("LONG_HOLD", "LongHoldLayer", "LongHoldParams")

_LOGGER = logging.getLogger(__name__)
_Beat = Annotated[float, Field(ge=0.1, allow_inf_nan=False)]


class LongHoldParams(LayerParams):
    """Whose sign of life is waited for, and how long.

    Units: seconds between two beats (`beat_s`), that nobody may hold the order in a row
    (`lost_s`), that it may be held in all (`hold_s`; none given: as long as it takes).
    """

    to: Seat
    beat_s: _Beat = 30.0
    lost_s: Deadline = 3600.0
    hold_s: Deadline | None = None


class LongHoldLayer:
    """Watches over what an operator holds of one agent's work."""

    in_place: Final = True

    def __init__(self, params: LongHoldParams, site: Site) -> None:
        self._params = params
        self._host = site.host

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on, as long as somebody holds it.

        Without operators there is nobody to watch: a question of the run waits by itself.
        """
        with self._host.clock.deadline(self._params.hold_s):
            if self._host.operators is None:
                return await next(call)
            return await self._watched(call, next, self._host.operators)
        said = f"{call.agent!r}: expected it within {self._params.hold_s:g} s, it is still held"
        raise WorkerFailure("long_hold.expired", said)

    async def _watched(self, call: LayerCall, next: Next, operators: OperatorLink) -> Outcome:
        ends: list[Outcome | WorkerFailure] = []
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                ends.append(await self._lost(call, operators))
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            try:
                ends.append(await next(call))
            except WorkerFailure as failure:
                ends.append(failure)
            tasks.cancel_scope.cancel()
        # Whoever was first has the word.
        if isinstance(ends[0], WorkerFailure):
            raise ends[0]
        return ends[0]

    async def _lost(self, call: LayerCall, operators: OperatorLink) -> WorkerFailure:
        """Return when nobody has held the order for too long."""
        params, clock = self._params, self._host.clock
        gone_s: float | None = None
        while True:
            await clock.sleep(params.beat_s)
            if await _is_held(operators, params.to, call.idempotency_key):
                if gone_s is not None:
                    await call.link.progress(f"long_hold: {params.to} is attached again")
                gone_s = None
                continue
            now_s = clock.monotonic()
            if gone_s is None:
                gone_s = now_s
                await call.link.progress(f"long_hold: {params.to} is detached")
            elif now_s - gone_s >= params.lost_s:
                said = f"{call.agent!r}: nobody in seat {params.to!r} holds it any more"
                return WorkerFailure("long_hold.lost", said)


async def _is_held(operators: OperatorLink, seat: str, key: str) -> bool:
    try:
        return await operators.beat(seat, key)
    except Exception as error:  # noqa: BLE001 - a link that is down is no sign of life
        _LOGGER.warning("order %s: no beat: %s", key, error)
        return False


LONG_HOLD = LayerFactory("long_hold", 95, LongHoldParams, LongHoldLayer)
