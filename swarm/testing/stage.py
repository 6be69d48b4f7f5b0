"""A blueprint compiled for tests: its agents are whoever the cast of the moment says.

The blueprint is compiled as a host would, with the contracts of its agents and its own
layers; only the workers in their midst are others. Nothing of its project is imported, no
program is started, and nobody is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from flowir.trace import traced
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.fitting import mismatch
from swarm.blueprint.frozen import thawed
from swarm.blueprint.shapes import is_object
from swarm.compiler.compile import compile_document
from swarm.compiler.layering import Layering
from swarm.compiler.load import Source, load_blueprint
from swarm.compiler.registry import Registry
from swarm.errors import ScriptFailed
from swarm.middleware.shipped import SHIPPED
from swarm.ports.layer import LayerHost
from swarm.ports.scripts import HostFunction, Script, ScriptLimits, ScriptRunner
from swarm.ports.worker import Call, FieldProblem, Outcome, StepLink, Toolbox, Worker, WorkerFactory
from swarm.testing.cast import Cast
from swarm.testing.clock import FakeClock
from swarm.workers.any_function import AnyFunction
from swarm.workers.flow import FlowFactory
from swarm.workers.function import FunctionFactory
from swarm.workers.human import HumanFactory, question_of
from swarm.workers.lua import LuaFactory
from swarm.workers.operator import OperatorFactory
from swarm.workers.process.factory import ProcessFactory
from swarm.workers.process.house import ProcessHouse
from swarm.workers.sleep import SleepFactory

__all__ = ("BUILT_IN_KINDS", "REAL_KINDS", "Stage", "agents_within")

# Agents of these kinds can do their steps themselves: nothing of them is outside.
REAL_KINDS: Final = frozenset({"flow", "lua", "sleep"})
# What is a part of the language always does.
BUILT_IN_KINDS: Final = frozenset({"sleep"})
_LIMITS = ScriptLimits()


class Stage:
    """Compiles one blueprint, and hands it out for one run after the other.

    `trace` is what the machines of its runs came by. One run goes on at a time.
    """

    def __init__(self, blueprint: CompiledBlueprint, tools: Toolbox) -> None:
        self._tools = tools
        self._flow, self.trace = traced(blueprint.flow)
        self.blueprint = replace(blueprint, flow=self._flow)
        self._moment = _Moment()
        self._plain = not any(blueprint.layers.values())
        self._kept: CompiledBlueprint | None = None

    @classmethod
    async def open(
        cls,
        source: Source,
        scripts: ScriptRunner,
        includes: Mapping[str, Path] | None = None,
    ) -> Stage:
        """Compile a blueprint.

        Raises: BlueprintInvalid, with every problem.
        """
        tools = Toolbox(scripts, AnyFunction(), Path.cwd(), includes or {})
        registry = _registry(_Moment(), FakeClock())
        return cls(await load_blueprint(source, registry=registry, tools=tools), tools)

    def set_for(self, cast: Cast, clock: FakeClock) -> CompiledBlueprint:
        """Return the blueprint for one run: layers begin anew, agents are of *cast*."""
        self._moment.cast, self._moment.clock = cast, clock
        if self._kept is None or not self._plain:
            self._kept = self._compiled(clock)
        return self._kept

    def _compiled(self, clock: FakeClock) -> CompiledBlueprint:
        old = self.blueprint
        tools = replace(
            self._tools, folder=old.folder, scripts=_Clocked(self._tools.scripts, self._moment)
        )
        made = compile_document(
            thawed(old.document),
            old.places,
            registry=_registry(self._moment, clock),
            tools=tools,
            sources=old.sources,
            file=next(iter(old.sources), "<document>"),
        )
        return replace(made, flow=self._flow)


class _Moment:
    """Who plays now, and by which clock."""

    def __init__(self) -> None:
        self.cast: Cast | None = None
        self.clock: FakeClock | None = None


class _Scripted:
    """A factory whose workers are played; what it is asked before is the real one's to say."""

    def __init__(self, real: WorkerFactory, moment: _Moment) -> None:
        self.kind = real.kind
        self.fields = real.fields
        self.required = real.required
        self._real = real
        self._moment = moment

    def problems(self, agent: AgentSpec, tools: Toolbox) -> Iterable[FieldProblem]:
        return self._real.problems(agent, tools)

    def build(self, agent: AgentSpec, tools: Toolbox) -> Worker:
        moment = self._moment
        real = self._real.build(agent, tools) if self.kind in REAL_KINDS else None
        asks = self.kind == HumanFactory.kind

        async def played(call: Call, link: StepLink) -> Outcome:
            cast = moment.cast
            assert cast is not None  # noqa: S101 - a stage hands nothing out before it is set
            misfit = _misfit(agent, call) if asks else None
            return await cast.play(call, link, real, misfit)

        return played


def _misfit(agent: AgentSpec, call: Call) -> Callable[[Any], str | None]:
    """Return what says why a person's answer would not have been taken."""
    schema = question_of(agent, call.input).schema
    return lambda value: None if schema is None else mismatch(schema, value)


class _Registry(Registry):
    """Every kind there is, played."""

    def __init__(self, moment: _Moment, layers: Layering) -> None:
        super().__init__(
            (
                FunctionFactory(),
                LuaFactory(),
                ProcessFactory(ProcessHouse(None)),
                SleepFactory(),
                HumanFactory(),
            ),
            layers=layers,
        )
        self._moment = moment
        self.register(FlowFactory(self))
        # Played as the others are: there is no way to anybody, and no token is minted.
        self.register(OperatorFactory(lambda: None, lambda call: ""))

    def get(self, kind: str) -> WorkerFactory | None:
        found = super().get(kind)
        if found is None or kind in BUILT_IN_KINDS:
            return found
        return _Scripted(found, self._moment)


def _registry(moment: _Moment, clock: FakeClock) -> Registry:
    return _Registry(moment, Layering(LayerHost(clock), SHIPPED))


class _Clocked:
    """Scripts during which the clock of the moment stands still."""

    def __init__(self, scripts: ScriptRunner, moment: _Moment) -> None:
        self._scripts = scripts
        self._moment = moment

    def syntax_error(self, script: Script) -> ScriptFailed | None:
        return self._scripts.syntax_error(script)

    async def run(
        self,
        script: Script,
        input: Any,
        *,
        host: Mapping[str, HostFunction] | None = None,
        facts: Mapping[str, Any] | None = None,
        limits: ScriptLimits = _LIMITS,
    ) -> Any:
        clock = self._moment.clock
        assert clock is not None  # noqa: S101 - set before anything runs
        given = {name: _resting(clock, function) for name, function in (host or {}).items()}
        with clock.working():
            return await self._scripts.run(script, input, host=given, facts=facts, limits=limits)

    async def author(
        self,
        script: Script,
        *,
        folder: Path | None,
        limits: ScriptLimits = _LIMITS,
        required: Callable[[str], None] | None = None,
    ) -> Any:
        return await self._scripts.author(script, folder=folder, limits=limits, required=required)


def _resting(clock: FakeClock, function: HostFunction) -> HostFunction:
    async def resting(*arguments: Any) -> Any:
        with clock.resting():
            return await function(*arguments)

    return resting


def agents_within(document: Any) -> dict[str, str]:
    """Return the kinds of a document's agents by name, those of blueprints within it too."""
    found: dict[str, str] = {}
    for agent in document.get("agents", ()) if is_object(document) else ():
        found[agent["name"]] = agent["kind"]
        if is_object(agent.get("document")):
            found = agents_within(agent["document"]) | found
    return found
