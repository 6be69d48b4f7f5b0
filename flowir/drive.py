"""The blocking driver: carries a flow out in the calling thread, one step at a time."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Mapping
from typing import Any

from flowir.effects import Cancel, Dispatch, Effect, Failure, Outcome, Success
from flowir.errors import WorkerFailure
from flowir.machine import Machine
from flowir.nodes import Flow

__all__ = ("run",)

_LANE = re.compile(r"@([0-9]+)")


def run(
    flow: Flow | Mapping[str, Any] | str | bytes,
    ctx: Any,
    dispatch: Callable[[str, Any], Any],
    *,
    externs: Mapping[str, Callable[..., Any]] | None = None,
    fuel: int | None = None,
    sleep: Callable[[float], Any] | None = None,
) -> Any:
    """Run a flow to its end and return the final context.

    `dispatch(ref, input)` returns the answer of a step, or raises: WorkerFailure with a
    code of its own, any other exception is a failure `worker.error`. Lanes of a fanout
    run one after the other in item order. Delays before another attempt are waited for
    with `sleep(seconds)` where it is given; nothing times out.

    Raises: the FlowError that ended the run.
    """
    machine = Machine(flow, ctx, externs=externs, fuel=fuel)
    effects = machine.start()
    waiting = _Waiting()
    while True:
        if len(effects) == 1 and not waiting.heap and type(effects[0]) is Dispatch:
            step = effects[0]  # by far the most common: nothing to choose from
        else:
            waiting.take(effects)
            found = waiting.first()
            if found is None:
                return machine.result
            step = found
        if sleep is not None and step.delay_s:
            sleep(step.delay_s)
        effects = machine.resolve(step.key, _do(dispatch, step), step.attempt)


def _do(dispatch: Callable[[str, Any], Any], step: Dispatch) -> Outcome:
    try:
        return Success(dispatch(step.ref, step.input))
    except WorkerFailure as e:
        return Failure(e.code, e.message, e.permanent, e.data)
    except Exception as e:  # noqa: BLE001 - whatever a worker raises is a failed step
        return Failure("worker.error", str(e) or type(e).__name__)


class _Waiting:
    """Steps that were asked for, in the order of their lanes."""

    def __init__(self) -> None:
        self.heap: list[tuple[list[int], int, Dispatch]] = []
        self.count = 0
        self.gone: set[str] = set()  # cancelled, and left in the heap until they come up

    def take(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, Cancel):
                self.gone.add(effect.key)
                continue
            self.count += 1
            lanes = list(map(int, _LANE.findall(effect.key)))
            heapq.heappush(self.heap, (lanes, self.count, effect))

    def first(self) -> Dispatch | None:
        while self.heap:
            step = heapq.heappop(self.heap)[2]
            if step.key not in self.gone:
                return step
            self.gone.remove(step.key)
        return None
