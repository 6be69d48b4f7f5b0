"""Agents of kind `flow`: another blueprint does the step, as a run within the run.

The compiler has put the other blueprint's document and digest into the agent's settings:
a parent is pinned to what it was compiled with, whatever becomes of the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from flowir.errors import Problem
from flowir.values import measure
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.canonical import digest_of
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.fitting import Fitter
from swarm.blueprint.inputs import with_defaults
from swarm.compiler.compile import compile_document
from swarm.compiler.registry import Registry
from swarm.errors import BlueprintInvalid
from swarm.ports.worker import Call, FieldProblem, Outcome, StepLink, Toolbox

__all__ = ("FlowFactory", "FlowWorker")

# Bytes of a value and of its schema that are walked in a microsecond, to put defaults in.
_FILLED: Final = 16


class FlowWorker:
    """Runs one blueprint for each attempt, on the step's input."""

    def __init__(self, blueprint: CompiledBlueprint) -> None:
        self._blueprint = blueprint

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        """Do the attempt and return its outcome: the final context."""
        return Outcome(await link.run(self._blueprint, call.input))


class FlowFactory:
    """Makes the workers of agents of kind `flow`; their own agents are of *registry*."""

    kind = "flow"
    fields = frozenset({"blueprint", "document", "digest"})
    required = frozenset({"blueprint"})

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def problems(self, agent: AgentSpec, tools: Toolbox) -> Iterable[FieldProblem]:
        """Find a blueprint that is not there, or that this host cannot run."""
        document = agent.settings.get("document")
        if document is None:
            # Whoever could not resolve it has said so.
            return
        if agent.settings.get("digest") != digest_of(document):
            said = "expected the digest of 'document', got another"
            yield FieldProblem("flow.digest", "digest", said)
            return
        try:
            self._compiled(agent, tools)
        except BlueprintInvalid as error:
            for problem in error.problems:
                said = f"{problem.at}: {problem.code}: {problem.message}"
                yield FieldProblem("flow.invalid", "blueprint", said, problem.hint)

    def build(self, agent: AgentSpec, tools: Toolbox) -> FlowWorker:
        """Make the worker of an agent without problems."""
        return FlowWorker(self._compiled(agent, tools))

    def misfit(self, agent: AgentSpec, given: Any, purse: list[int]) -> Problem | None:
        """Return why *given* cannot become the first context of the other blueprint's run."""
        inputs = agent.settings["document"].get("inputs")
        if inputs is None:
            return None
        purse[0] -= (measure(inputs)[0] + measure(given)[0]) // _FILLED
        whole = with_defaults(inputs, {} if given is None else given)
        found = Fitter(inputs).misfit(whole, purse=purse)
        return None if found is None else replace(found, code="run.input")

    def _compiled(self, agent: AgentSpec, tools: Toolbox) -> CompiledBlueprint:
        folder = None if tools.folder is None else tools.folder / agent.settings["blueprint"]
        parent = None if folder is None else Path(folder).parent
        return compile_document(
            agent.settings["document"],
            registry=self._registry,
            tools=replace(tools, folder=parent),
            file=agent.settings["blueprint"],
        )
