"""The agent that every host has, for sleeping: waits as many seconds as its input says."""

from __future__ import annotations

from collections.abc import Iterable

from flowir.errors import WorkerFailure
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.delays import delay_fault
from swarm.ports.worker import Call, FieldProblem, Outcome, StepLink, Toolbox

__all__ = ("SleepFactory", "SleepWorker")


class SleepWorker:
    """Waits, over restarts too; the answer is null."""

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        """Do the attempt and return its outcome."""
        fault = delay_fault(call.input)
        if fault is not None:
            raise WorkerFailure("sleep.seconds", fault, True)
        await link.sleep(call.input)
        return Outcome(None)


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
