"""Layers folded around a worker, once: what comes out is a worker again.

Layers are promised that `next` returns an Outcome whose values came through the strict
door, or raises WorkerFailure. So the worker's answer is admitted at the bottom, and held against
the agent's contract: a layer can ask again where an answer is not what was promised. What
else a layer of somebody's raises is a failure that names it. What comes out of the stack is
held against the contract again, by whoever asked: a layer is bound by it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from itertools import takewhile
from typing import Any, cast

from flowir.effects import tuple_of
from flowir.errors import WorkerFailure, shorten
from flowir.limits import Limits
from swarm.blueprint.contract import Contract
from swarm.core.answers import admitted, its_own, kept, worker_error
from swarm.ports.layer import Beginning, Layer, LayerCall, Next
from swarm.ports.worker import Call, Outcome, StepLink, Worker

__all__ = ("Stack",)


class Stack:
    """A worker inside its layers; *layers* are keys and layers, outermost first.

    Shape: with *own* layers, the host's, nothing is done twice: they raise what they promise
    to raise, and change no value in place. So an answer that they pass on is not admitted
    again; one that they change is. `begins` tells the layers that record the beginning of
    an attempt, where there are any.
    """

    __slots__ = ("_outermost", "begins")

    def __init__(
        self,
        layers: Iterable[tuple[str, Layer]],
        worker: Worker,
        limits: Limits,
        contract: Contract | None = None,
        *,
        own: bool = False,
    ) -> None:
        listed = list(layers)
        self.begins = _told(listed)
        way = _bottom(worker, limits, contract, own=own)
        for key, layer in reversed(listed):
            if not getattr(layer, "in_place", False):
                way = _apart(way)
            way = _within(layer, way) if own else _around(key, layer, way)
        self._outermost = way

    def __call__(self, call: Call, link: StepLink) -> Coroutine[Any, Any, Outcome]:
        """Do the attempt and return its outcome, awaited."""
        # `LayerCall.of`, written out: it is done for each step.
        made = tuple_of(LayerCall, call)
        made.link = link
        return self._outermost(made)


def _told(layers: Iterable[tuple[str, Layer]]) -> Callable[[str, str, int, str], None] | None:
    """Return what tells the outermost layers of a beginning: behind others they may not see it."""
    tell = [
        cast("Beginning", layer).begins
        for _, layer in takewhile(lambda named: hasattr(named[1], "begins"), layers)
    ]
    if not tell:
        return None

    def begins(run_id: str, key: str, attempt: int, digest: str) -> None:
        for one in tell:
            one(run_id, key, attempt, digest)

    return tell[0] if len(tell) == 1 else begins


def _bottom(worker: Worker, limits: Limits, contract: Contract | None, *, own: bool) -> Next:
    async def bottom(call: LayerCall) -> Outcome:
        try:
            outcome = await worker(call, call.link)
        except WorkerFailure:
            raise
        except BaseException as error:  # noqa: BLE001 - `its_own` raises what is not the worker's
            raised = its_own(error)
            raise worker_error(raised) from raised
        if contract is None:
            found = admitted(outcome, call.agent, limits)
        else:
            found = await kept(outcome, call.agent, limits, contract)
        # Layers of somebody's may keep it, and change it: what they pass on is no more kept.
        return found if own else Outcome(*found)

    return bottom


def _apart(next: Next) -> Next:
    """Let what is within know of no lane: there may be a scope, or a task, between."""

    def apart(call: LayerCall) -> Coroutine[Any, Any, Outcome]:
        return next(call.without_lane())

    return apart


def _within(layer: Layer, next: Next) -> Next:
    enter = layer.__call__

    def within(call: LayerCall) -> Coroutine[Any, Any, Outcome]:
        return enter(call, next)

    return within


def _around(key: str, layer: Layer, next: Next) -> Next:
    async def around(call: LayerCall) -> Outcome:
        try:
            outcome: Any = await layer(call, next)
        except WorkerFailure:
            raise
        except BaseException as error:  # noqa: BLE001 - `its_own` raises what is not the layer's
            raised = its_own(error)
            said = f"layer {key!r} around {call.agent!r}: {type(raised).__name__}: {raised}"
            raise WorkerFailure("layer.failed", said) from raised
        if not isinstance(outcome, Outcome):
            said = (
                f"layer {key!r} around {call.agent!r} returned {shorten(outcome)}, not an Outcome"
            )
            raise WorkerFailure("layer.failed", said, True)
        return outcome

    return around
