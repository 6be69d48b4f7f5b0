"""What stands between the host and a worker: layers, one around the other.

A layer sees every attempt of the agents it is put around. It may change what goes in, look
at what comes out, ask again, answer itself, or refuse; the rest is `next`'s affair.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, Protocol, TypeAlias, TypeVar
from weakref import WeakValueDictionary

from anyio import CancelScope
from pydantic import BaseModel, ConfigDict

from flowir.effects import tuple_of
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.ports.audit import AuditLog
from swarm.ports.clock import Clock
from swarm.ports.operators import OperatorLink
from swarm.ports.questions import Ask
from swarm.ports.worker import Call, FieldProblem, Holding, Outcome, StepLink, Toolbox

__all__ = (
    "Beginning",
    "DeadlineTable",
    "Layer",
    "LayerCall",
    "LayerFactory",
    "LayerHost",
    "LayerParams",
    "Next",
    "PassingLink",
    "Site",
    "shown",
)

_P = TypeVar("_P", bound=BaseModel)
_T = TypeVar("_T")


class LayerCall(Call):
    """One attempt on its way to the worker, and what may be used meanwhile.

    Shape: `input` is JSON; change it by handing `with_input(…)` to `next`, not in place.
    """

    link: StepLink

    @classmethod
    def of(cls, call: Call, link: StepLink) -> LayerCall:
        """Return *call* with its link."""
        made = tuple_of(cls, call)
        made.link = link
        return made

    def with_input(self, input: Any) -> LayerCall:
        """Return the same attempt with another input."""
        return LayerCall.of(super().with_input(input), self.link)

    def with_link(self, link: StepLink) -> LayerCall:
        """Return the same attempt with another link."""
        # `of`, written out: it is done for each step.
        made = tuple_of(LayerCall, self)
        made.link = link
        return made

    def without_lane(self) -> LayerCall:
        """Return the same attempt for somebody who has to use a scope of his own."""
        return self if self.lane is None else LayerCall.of(self._replace(lane=None), self.link)


# What is left of the way: an Outcome, or a flowir.WorkerFailure and nothing else.
Next: TypeAlias = Callable[[LayerCall], Coroutine[Any, Any, Outcome]]


class Layer(Protocol):
    """Stands around a worker, or around another layer.

    `next(call)` returns an Outcome or raises flowir.WorkerFailure, and nothing else; so
    does a layer. It may be awaited several times, or not at all. Cancellation passes
    through: what a layer must put in order then, it does in `finally`, without waiting.
    A layer that awaits `next` in the task that awaits the layer, and outside of any cancel
    scope or task group of its own, says so by an attribute `in_place = True`: layers within
    may then use the lane of the attempt (`call.lane`), where they otherwise have none.
    """

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry *call* on, and return what came of it."""
        ...


class Beginning(Layer, Protocol):
    """A layer that has something to record of an attempt before its worker is asked.

    Where only such layers stand around it, it is told when the attempt is written down as
    begun, so that what it records lasts with that, at no commit of its own; `call.begun`
    then is true. Where it stands elsewhere, or the call is another agent's, it is not told.
    """

    def begins(self, run_id: str, key: str, attempt: int, digest: str) -> None:
        """Note that an attempt begins, on an input of this digest.

        Raises: flowir.WorkerFailure, and the attempt fails so without a call.
        """
        ...


class LayerParams(BaseModel):
    """Parameters of a layer: a class of these says which there are."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


# Scopes that are kept although none of their layers is there any more.
_KEPT: Final = 4096


class DeadlineTable(Protocol):
    """Who cancels scopes when their time has come (`swarm.core.deadlines`)."""

    @property
    def watched(self) -> bool:
        """Whether anybody does so now."""
        ...

    def note(self, seconds: float, scope: CancelScope) -> tuple[dict[int, Any], int]:
        """Cancel *scope* in so many seconds, unless this is struck out (`del row[number]`).

        What is not in its row any more was cancelled.
        """
        ...


@dataclass
class LayerHost:
    """What layers may lean on: filled by the host, and by what it opens."""

    clock: Clock
    audit: AuditLog | None = None
    operators: OperatorLink | None = None
    deadlines: DeadlineTable | None = None
    _kept: OrderedDict[Hashable, Any] = field(
        default_factory=OrderedDict[Hashable, Any], repr=False
    )
    _alive: WeakValueDictionary[Hashable, Any] = field(
        default_factory=WeakValueDictionary[Hashable, Any], repr=False
    )

    def shared(self, scope: Hashable, make: Callable[[], _T]) -> _T:
        """Return what layers of one *scope* have in common, made by the first of them.

        A blueprint that is loaded again, or brought back with a run, meets the counts that
        there are. They last as long as the host, but for those of thousands of blueprints
        that nobody has any more.
        """
        found = self._alive.get(scope)
        if found is None:
            found = self._alive[scope] = make()
        self._kept[scope] = found
        self._kept.move_to_end(scope)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found


@dataclass(frozen=True, slots=True)
class Site:
    """Where a layer stands: around which agent of which blueprint, in which host.

    `trusted`: the host asked for it, not the blueprint.
    """

    blueprint: str
    agent: AgentSpec
    agents: Mapping[str, AgentSpec]
    toolbox: Toolbox
    host: LayerHost
    trusted: bool = False

    def shared(self, key: str, scope: str, params: BaseModel, make: Callable[[], _T]) -> _T:
        """Return what the layers of one *scope* have in common.

        Shape: *scope* is `agent`, `blueprint` or `host`. Layers with other parameters have
        nothing in common.
        """
        where = {"agent": (self.blueprint, self.agent.name), "blueprint": (self.blueprint,)}
        at = (key, where.get(scope, ()), params.model_dump_json())
        return self.host.shared(at, make)


def _nothing(params: Any, site: Any) -> tuple[()]:
    return ()


@dataclass(frozen=True, slots=True)
class LayerFactory(Generic[_P]):
    """Makes layers of one kind; a registry finds it by `key`.

    Shape: `shelf` is its place in the order, the lowest outermost; equal ones stand as they
    were asked for. `again` says what becomes of the host's layer where the blueprint asks
    for one of the same key: both stand (`adds`), or the blueprint's alone (`replaces`).
    `calls` names agents that the layer may call itself. `for_work`: it is not put around
    agents that only wait (kinds flow, human and sleep), unless those ask for it by name.
    """

    key: str
    shelf: int
    params: type[_P]
    build: Callable[[_P, Site], Layer]
    again: Literal["adds", "replaces"] = "replaces"
    problems: Callable[[_P, Site], Iterable[FieldProblem]] = _nothing
    calls: Callable[[_P, Site], Collection[str]] = _nothing
    for_work: bool = False


class PassingLink:
    """A link that passes everything on; a layer overrides what it wants to see."""

    __slots__ = ("link",)

    def __init__(self, link: StepLink) -> None:
        self.link = link

    @property
    def cancelled(self) -> bool:
        """Whether the host has given this attempt up."""
        return self.link.cancelled

    async def progress(self, text: str) -> None:
        """Tell the run's watchers how far this attempt is."""
        await self.link.progress(text)

    async def part(self, name: str, value: Any) -> Mapping[str, Any]:
        """Hand over a named artifact beside the answer; return the reference to it."""
        return await self.link.part(name, value)

    async def read(self, reference: Any) -> Any:
        """Return what a reference stands for."""
        return await self.link.read(reference)

    async def call(self, agent: str, input: Any) -> Any:
        """Let another agent of this blueprint do something."""
        return await self.link.call(agent, input)

    async def ask(self, ask: Ask) -> Any:
        """Ask a person."""
        return await self.link.ask(ask)

    async def run(self, blueprint: CompiledBlueprint, input: Any) -> Any:
        """Run another blueprint as a child of this run."""
        return await self.link.run(blueprint, input)

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""
        await self.link.sleep(seconds)

    def held(self) -> Holding:
        """Wait for people without holding a place."""
        return self.link.held()

    def shown(self, value: Any) -> Any:
        """Return what of *value* may be shown to people who are asked about the work."""
        return value


def shown(link: StepLink, value: Any) -> Any:
    """Return what may be shown of *value*, as all layers around whoever has *link* say."""
    while isinstance(link, PassingLink):
        value, link = link.shown(value), link.link
    return value
