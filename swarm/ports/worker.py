"""What the host needs of whoever does a step, and what it offers him meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Container, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from anyio import CancelScope

from flowir.errors import Problem, WorkerFailure
from flowir.records import dataclass
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.ports.questions import Ask
from swarm.ports.scripts import ScriptRunner

__all__ = (
    "Call",
    "CostlyFailure",
    "FieldProblem",
    "Holding",
    "JudgingFactory",
    "KeptOutcome",
    "Lane",
    "Outcome",
    "StepLink",
    "Toolbox",
    "Usage",
    "Worker",
    "WorkerFactory",
)


class Lane(Protocol):
    """What an attempt is stopped through: a scope of the task that makes it.

    A layer that wants to stop what is within it may use that scope in place of one of its
    own, as `call.lane` says: it takes the lane, cancels `scope` or not, gives the lane back,
    and goes on with `renew` where the scope was cancelled.
    Shape: `taken` while a layer does so, whoever sets it.
    """

    scope: CancelScope
    taken: bool

    def renew(self, error: BaseException | None) -> bool:
        """Go on in a new scope, behind what the old one was cancelled for.

        Shape: *error* is what came out of that; whether it was the cancellation, and of that
        part alone: if not, it is to be raised.
        """
        ...


# Named tuples, where frozen dataclasses would read the same: there is one for each step, at
# a sixth of the cost.
class Call(NamedTuple):
    """One attempt of one step, as a worker sees it.

    Shape: `input` is a private copy; `spec` is the agent as its blueprint has it; `digest`
    is that of the input, where it is known (`swarm.blueprint.canonical.digest_of`); `begun`
    tells that layers which record the beginning have done so, in the transaction of it;
    `lane` is what the attempt is stopped through, for layers (None: use a scope of your own).
    Units: `attempt` counts from 1, `timeout_s` in seconds of the Clock port (None: no limit).
    """

    run_id: str
    key: str
    agent: str
    input: Any
    attempt: int = 1
    node_id: str | None = None
    timeout_s: float | None = None
    spec: AgentSpec | None = None
    digest: str | None = None
    begun: bool = False
    lane: Lane | None = None

    def with_input(self, input: Any) -> Call:
        """Return the same attempt with another input."""
        return self._replace(input=input, digest=None)

    @property
    def idempotency_key(self) -> str:
        """The name of this attempt for the outside world: `run/step-key/attempt`."""
        return f"{self.run_id}/{self.key}/{self.attempt}"


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt used: model tokens and money (in the host's one currency)."""

    tokens: int = 0
    cost: float = 0.0

    def plus(self, other: Usage) -> Usage:
        """Return what both used together."""
        return Usage(self.tokens + other.tokens, self.cost + other.cost)


_NO_PARTS: Final[Mapping[str, Any]] = MappingProxyType[str, Any]({})
_NO_USAGE: Final = Usage()


class Outcome(NamedTuple):
    """A worker's answer: the value, named artifacts beside it, and what it used.

    Shape: JSON; parts, and the value of an agent that declares `output = "ref"`, may be
    bytes too.
    """

    value: Any
    parts: Mapping[str, Any] = _NO_PARTS
    usage: Usage = _NO_USAGE


class KeptOutcome(Outcome):
    """An outcome that passed the door and kept its agent's promises, and is held by nobody else.

    Made by whoever checked it; what is done to it makes another Outcome, to be checked anew.
    Shape: `size` and `depth` are what the door measured, where the value is JSON.
    """

    size: int
    depth: int


Holding: TypeAlias = AbstractAsyncContextManager[None]


class CostlyFailure(WorkerFailure):
    """A failure that cost something, such as an answer that is not what the agent promised."""

    def __init__(
        self, code: str, message: str, permanent: bool, data: Any, *, usage: Usage
    ) -> None:
        super().__init__(code, message, permanent, data)
        self.usage = usage

    @classmethod
    def of(cls, failure: WorkerFailure, usage: Usage) -> CostlyFailure:
        """Return a failure that cost *usage* besides."""
        own = failure.usage if isinstance(failure, CostlyFailure) else Usage()
        said = (failure.code, failure.message, failure.permanent, failure.data)
        return cls(*said, usage=own.plus(usage))


class StepLink(Protocol):
    """What a worker may use while it works."""

    @property
    def cancelled(self) -> bool:
        """Whether the host has given this attempt up (its answer will be refused)."""
        ...

    async def progress(self, text: str) -> None:
        """Tell the run's watchers how far this attempt is."""
        ...

    async def part(self, name: str, value: Any) -> Mapping[str, Any]:
        """Hand over a named artifact beside the answer; the last of a name counts.

        Shape: *value* is text, bytes or JSON; the reference to it, which an answer may hold.
        """
        ...

    async def read(self, reference: Any) -> Any:
        """Return what a reference (`{"$ref": "sha256:…", …}`) stands for: str, bytes or JSON.

        Raises: flowir.WorkerFailure (output.reference, output.unknown, output.damaged).
        """
        ...

    async def call(self, agent: str, input: Any) -> Any:
        """Let another agent of this blueprint do something, and return its answer.

        Raises: flowir.WorkerFailure, with that agent's code.
        """
        ...

    async def ask(self, ask: Ask) -> Any:
        """Ask a person, and return the answer; the question outlives the host.

        After a restart the attempt is made again, and asks again: the same question is
        not put twice, and an answer that was given meanwhile is there at once.
        Raises: flowir.WorkerFailure (question.malformed, question.expired).
        """
        ...

    async def run(self, blueprint: CompiledBlueprint, input: Any) -> Any:
        """Run another blueprint as a child of this run, and return its final context.

        After a restart the attempt finds the child that it had.
        Raises: flowir.WorkerFailure, with the code of the child's error.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* of the Clock port pass, never less, over restarts too."""
        ...

    def held(self) -> Holding:
        """While inside, the attempt waits for people who are asked elsewhere.

        It holds no place that others could have, and a run that only waits is `waiting`.
        """
        ...


class Worker(Protocol):
    """Does one attempt.

    Raises: flowir.WorkerFailure for a failed step; any other exception is a failure
    with code `worker.error`. Cancellation must reach what the worker started.
    """

    # An `async def`, or what hands on one of another: a coroutine less for each step.
    def __call__(self, call: Call, link: StepLink) -> Coroutine[Any, Any, Outcome]:
        """Do the attempt and return its outcome, awaited."""
        ...


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """A wrong setting of an agent: which field, what is wrong, what to write instead.

    `line`, from one, is where inside a setting that is a text of several lines.
    """

    code: str
    field: str
    message: str
    hint: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What factories may lean on: filled by the host, once.

    Shape: `includes` are further folders by name, from which blueprints may take texts;
    `secrets` are the names there are, None where nobody knows yet.
    """

    scripts: ScriptRunner
    functions: Mapping[str, Callable[..., Any]]
    folder: Path | None = None
    includes: Mapping[str, Path] = field(default_factory=dict[str, Path])
    secrets: Container[str] | None = None


class WorkerFactory(Protocol):
    """Makes workers of one kind; a registry finds it by `kind`.

    `fields` names the settings an agent of this kind may have, beside the ones every
    agent may have; `required` those it must.
    """

    kind: str
    fields: frozenset[str]
    required: frozenset[str]

    def problems(self, agent: AgentSpec, tools: Toolbox) -> Iterable[FieldProblem]:
        """Find everything wrong with *agent* before anything runs."""
        ...

    def build(self, agent: AgentSpec, tools: Toolbox) -> Worker:
        """Make the worker of an agent without problems."""
        ...


class JudgingFactory(WorkerFactory, Protocol):
    """A factory whose workers refuse some inputs for good, and which knows them before a run."""

    def misfit(self, agent: AgentSpec, given: Any, purse: list[int]) -> Problem | None:
        """Return why *agent*, with which nothing is wrong, will refuse *given*, if that is certain.

        Shape: the problem's place is one of *given* (`$`, `$.n`), which may hold
        `swarm.blueprint.fitting.UNKNOWN`: what only a run will tell. *purse*: how much work is
        left for all inputs of the flow, in about microseconds, to be taken from.
        """
        ...
