"""The agent that every host has, for sleeping: waits as many seconds as its input says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowir.errors import WorkerFailure, shorten
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.builders import SLEEP
from swarm.ports.worker import Call, FieldProblem, Outcome, StepLink, Toolbox

__all__ = ("SleepFactory", "SleepWorker")


class SleepWorker:
    """Waits, over restarts too; the answer is null."""

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        """Do the attempt and return its outcome."""
        await link.sleep(_seconds(call.input))
        return Outcome(None)


def _seconds(input: Any) -> float:
    if type(input) not in (int, float) or input < 0:
        raise WorkerFailure(
            "sleep.seconds",
            f"{SLEEP}: expected a number of seconds, zero or more, got {shorten(input)}",
            True,
        )
    return input


class SleepFactory:
    """Makes the built-in agent of kind `sleep`."""

    kind = "sleep"
    fields = frozenset[str]()
    required = frozenset[str]()

    def problems(self, agent: AgentSpec, tools: Toolbox) -> Iterable[FieldProblem]:
        """Find nothing: it has no settings."""
        return ()

    def build(self, agent: AgentSpec, tools: Toolbox) -> SleepWorker:
        """Make the worker."""
        return SleepWorker()
