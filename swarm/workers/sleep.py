"""The agent that every host has, for sleeping: waits as many seconds as its input says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowir.errors import Problem, WorkerFailure, shorten
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.builders import SLEEP
from swarm.ports.worker import Call, FieldProblem, Outcome, StepLink, Toolbox

__all__ = ("SleepFactory", "SleepWorker")


class SleepWorker:
    """Waits, over restarts too; the answer is null."""

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        """Do the attempt and return its outcome."""
        fault = _fault(call.input)
        if fault is not None:
            raise WorkerFailure("sleep.seconds", f"{SLEEP}: {fault}", True)
        await link.sleep(call.input)
        return Outcome(None)


def _fault(given: Any) -> str | None:
    if type(given) in (int, float) and given >= 0:
        return None
    return f"expected a number of seconds, zero or more, got {shorten(given)}"


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

    def misfit(self, agent: AgentSpec, given: Any, purse: list[int]) -> Problem | None:
        """Return why *given* is no delay, if it is none."""
        fault = _fault(given)
        return None if fault is None else Problem("sleep.seconds", "$", fault)
