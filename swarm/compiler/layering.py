"""Which layers there are, and which stand around which agent of a blueprint, in what order.

The host registers its own; other distributions add theirs as entry points of the group
`swarm.layers` (name = key, value = a `LayerFactory`). Planning builds nothing: it finds
every problem, and `swarm.compiler.stack` folds what was planned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError

from flowir.errors import Problem
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.layers import LayerAsk, LayerUse, asks_of
from swarm.blueprint.places import inside
from swarm.blueprint.sentences import problems_of
from swarm.blueprint.shapes import is_object
from swarm.blueprint.words import near, suggest
from swarm.compiler.blame import LineFinding
from swarm.compiler.plugins import Plugins
from swarm.errors import Refused
from swarm.ports.layer import LayerFactory, LayerHost, Site
from swarm.ports.worker import FieldProblem, Toolbox

__all__ = ("GROUP", "LayerPlan", "Layering", "Placed", "plan_layers")

GROUP = "swarm.layers"
_HOST = "host.layers"
# Agents of these kinds wait for people, for time or for runs; they do not work.
_WAITING: Final = frozenset({"flow", "human", "sleep"})


class Layering:
    """Layer factories by key, what they lean on, and what the host puts around every agent."""

    def __init__(
        self,
        host: LayerHost,
        factories: Sequence[LayerFactory[Any]] = (),
        base: Sequence[Any] = (),
        *,
        plugins: bool = True,
    ) -> None:
        self.host = host
        self._plugins = Plugins[LayerFactory[Any]](
            GROUP if plugins else None, lambda factory: factory.key
        )
        # The host's own layers, which keep what layers promise.
        self.own = frozenset(factory.key for factory in factories)
        for factory in factories:
            self.register(factory)
        self.base: tuple[LayerAsk, ...] = ()
        self.surround(base)

    def surround(self, layers: Sequence[Any]) -> None:
        """Let these stand around every agent of the blueprints that are compiled from now on.

        Raises: Refused (layer.malformed).
        """
        asks = list(asks_of(list(layers), _HOST, "host"))
        _refuse(problem for problem in asks if isinstance(problem, Problem))
        self.base = tuple(ask for ask in asks if isinstance(ask, LayerAsk))

    def register(self, factory: LayerFactory[Any]) -> None:
        """Add a layer; it hides an entry point of the same key.

        Raises: Refused (layer.taken).
        """
        if not self._plugins.add(factory):
            said = f"expected a new key of a layer, got {factory.key!r} again"
            raise Refused("layer.taken", said, key=factory.key)

    def get(self, key: str) -> LayerFactory[Any] | None:
        """Return the factory of a key, or None."""
        return self._plugins.get(key)

    def failure(self, key: str) -> str | None:
        """Return why the entry point of a key could not be loaded."""
        return self._plugins.failure(key)

    def keys(self) -> tuple[str, ...]:
        """Return the keys there are, sorted, without loading any."""
        return self._plugins.names()


class Placed(NamedTuple):
    """One layer that is to stand around one agent."""

    factory: LayerFactory[Any]
    params: BaseModel
    site: Site
    ask: LayerAsk
    is_own: bool

    def use(self) -> LayerUse:
        """Return it as people read it: with the parameters that were given."""
        return LayerUse(self.factory.key, self.factory.shelf, self.ask.origin, self.ask.params)


@dataclass
class LayerPlan:
    """The layers of each agent, outermost first, the problems, and whom they may call."""

    placed: dict[str, tuple[Placed, ...]] = field(default_factory=dict[str, tuple[Placed, ...]])
    problems: list[Problem] = field(default_factory=list[Problem])
    called: set[str] = field(default_factory=set[str])

    def is_changed(self, agent: str) -> bool:
        """Tell whether a stranger's layer may hand another input to an agent's worker."""
        return not all(placed.is_own for placed in self.placed.get(agent, ()))


def plan_layers(
    document: Any, declared: Mapping[str, AgentSpec], layering: Layering | None, toolbox: Toolbox
) -> LayerPlan:
    """Decide which layers stand around the agents that are *declared*, by their places.

    Raises: Refused (layer.*), where what the host itself asks for is wrong.
    """
    planner = _Planner(document, declared, layering, toolbox)
    planner.run()
    return planner.plan


class _Planner:
    def __init__(
        self,
        document: Any,
        declared: Mapping[str, AgentSpec],
        layering: Layering | None,
        toolbox: Toolbox,
    ) -> None:
        self.plan = LayerPlan()
        self._document = document if is_object(document) else {}
        self._id = str(self._document.get("id", ""))
        self._declared = declared
        self._agents = {spec.name: spec for spec in declared.values()}
        self._layering = layering
        self._toolbox = toolbox
        self._params: dict[str, tuple[LayerFactory[Any], BaseModel] | None] = {}

    def run(self) -> None:
        own = self._asks(self._document.get("layers", []), "$.layers", "blueprint")
        for ask in own:
            self._check_agents(ask)
        base = () if self._layering is None else self._layering.base
        for at, spec in self._declared.items():
            mine = self._asks(spec.settings.get("layers", []), inside(at, "layers"), "agent")
            asks = [ask for ask in (*base, *own, *mine) if self._meant(ask, spec)]
            self.plan.placed[spec.name] = self._ordered(self._placed(asks, spec))
        for ask in (*base, *own):
            # What stands around nobody is judged as well.
            self._resolved(ask)
        found = list(dict.fromkeys(self.plan.problems))
        _refuse(problem for problem in found if problem.at.startswith(_HOST))
        self.plan.problems = found

    def _asks(self, layers: Any, at: str, origin: str) -> list[LayerAsk]:
        found = list(asks_of(layers, at, origin)) if isinstance(layers, list) else []
        self.plan.problems += [problem for problem in found if isinstance(problem, Problem)]
        return [ask for ask in found if isinstance(ask, LayerAsk)]

    def _check_agents(self, ask: LayerAsk) -> None:
        for name in sorted((ask.agents or frozenset()) - self._agents.keys()):
            sentence = f"expected an agent of this blueprint, got {name!r}"
            hint = suggest(name, self._agents)
            self.plan.problems.append(
                Problem("layer.agent", inside(ask.at, "agents"), sentence, hint)
            )

    def _meant(self, ask: LayerAsk, spec: AgentSpec) -> bool:
        if ask.blueprints is not None and self._id not in ask.blueprints:
            return False
        return ask.agents is None or spec.name in ask.agents

    def _placed(self, asks: Sequence[LayerAsk], spec: AgentSpec) -> Iterator[Placed]:
        for ask in asks:
            resolved = self._resolved(ask)
            if resolved is None or self._passes_over(resolved[0], ask, spec):
                continue
            assert self._layering is not None  # noqa: S101 - a factory came from it
            factory, params = resolved
            site = Site(
                self._id,
                spec,
                self._agents,
                self._toolbox,
                self._layering.host,
                ask.origin == "host",
            )
            self._judge(factory, params, site, ask)
            yield Placed(factory, params, site, ask, factory.key in self._layering.own)

    def _passes_over(self, factory: LayerFactory[Any], ask: LayerAsk, spec: AgentSpec) -> bool:
        named = ask.agents is not None or ask.origin == "agent"
        return factory.for_work and spec.kind in _WAITING and not named

    def _resolved(self, ask: LayerAsk) -> tuple[LayerFactory[Any], BaseModel] | None:
        if ask.at not in self._params:
            self._params[ask.at] = self._resolve(ask)
        return self._params[ask.at]

    def _resolve(self, ask: LayerAsk) -> tuple[LayerFactory[Any], BaseModel] | None:
        layering = self._layering
        factory = None if layering is None else layering.get(ask.key)
        if factory is None:
            if not ask.optional:
                self.plan.problems.append(_unknown(ask, layering))
            return None
        try:
            return factory, factory.params.model_validate(dict(ask.params))
        except ValidationError as e:
            self.plan.problems += _misfits(e, factory.params, ask)
            return None

    def _judge(
        self, factory: LayerFactory[Any], params: BaseModel, site: Site, ask: LayerAsk
    ) -> None:
        try:
            for problem in factory.problems(params, site):
                self.plan.problems.append(_located(problem, ask))
            self.plan.called |= set(factory.calls(params, site)) - {site.agent.name}
        except Exception as e:  # noqa: BLE001  # a stranger's layer may raise anything
            sentence = f"layer {ask.key!r} failed: {type(e).__name__}: {e}"
            self.plan.problems.append(Problem("layer.broken", ask.at, sentence))

    def _ordered(self, placed: Iterable[Placed]) -> tuple[Placed, ...]:
        """Put layers in order; of those that do not add up, the nearest to the agent stays."""
        kept: list[Placed] = []
        for one in placed:
            if one.factory.again == "replaces":
                same = [other for other in kept if other.factory.key == one.factory.key]
                if any(other.ask.origin == one.ask.origin for other in same):
                    sentence = f"expected layer {one.factory.key!r} once, got it again"
                    at = one.ask.at
                    self.plan.problems.append(Problem("layer.twice", at, sentence))
                kept = [other for other in kept if other not in same]
            kept.append(one)
        return tuple(sorted(kept, key=lambda one: one.factory.shelf))


def _unknown(ask: LayerAsk, layering: Layering | None) -> Problem:
    why = None if layering is None else layering.failure(ask.key)
    if why is not None:
        return Problem("layer.broken", ask.at, f"layer {ask.key!r} cannot be loaded: {why}")
    keys = () if layering is None else layering.keys()
    hint = suggest(ask.key, keys)
    return Problem("layer.unknown", ask.at, f"expected the key of a layer, got {ask.key!r}", hint)


def _misfits(error: ValidationError, params: type[BaseModel], ask: LayerAsk) -> list[Problem]:
    """Say what is wrong with parameters; a misspelt one is not missing as well."""
    found = problems_of(error, {ask.at: params}, at=ask.at, of="layer")
    known = params.model_fields
    meant = {near(name, known) for name in ask.params if name not in known}
    missing = {f"expected a field {name!r}, got none" for name in meant}
    return [problem for problem in found if problem.message not in missing]


def _located(problem: FieldProblem, ask: LayerAsk) -> Problem:
    at = inside(ask.at, problem.field) if problem.field else ask.at
    text = ask.params.get(problem.field)
    told = (problem.code, at, problem.message, problem.hint)
    if problem.line is not None and isinstance(text, str):
        return LineFinding(*told, text, problem.line)
    return Problem(*told)


def _refuse(problems: Iterable[Problem]) -> None:
    """Refuse what the host asks for itself, if anything is wrong with it."""
    for problem in problems:
        raise Refused(problem.code, str(problem), at=problem.at)
