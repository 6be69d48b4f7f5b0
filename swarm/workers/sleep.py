"""The built-in agent `swarm.sleep`: waits as many seconds as its input says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowir.errors import WorkerFailure, shorten
from swarm.blueprint.agent import AgentSpec
from swarm.ports.clock import Clock
from swarm.ports.worker import Call, FieldProblem, Outcome, StepLink, Toolbox

__all__ = ("SleepFactory", "SleepWorker")


class SleepWorker:
    """Waits on the Clock port; the answer is null."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        """Do the attempt and return its outcome."""
        await self._clock.sleep(_seconds(call.input))
        return Outcome(None)


def _seconds(input: Any) -> float:
    if type(input) not in (int, float) or input < 0:
        raise WorkerFailure(
            "sleep.seconds",
            f"swarm.sleep: expected a number of seconds, zero or more, got {shorten(input)}",
            True,
        )
    return input


class SleepFactory:
    """Makes the built-in agent of kind `sleep`."""

    kind = "sleep"
    fields = frozenset[str]()
    required = frozenset[str]()

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def problems(self, agent: AgentSpec, tools: Toolbox) -> Iterable[FieldProblem]:
        """Find nothing: it has no settings."""
        return ()

    def build(self, agent: AgentSpec, tools: Toolbox) -> SleepWorker:
        """Make the worker."""
        return SleepWorker(self._clock)
