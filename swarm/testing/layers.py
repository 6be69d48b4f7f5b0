"""What the author of a layer needs: a layer as it would stand, and something to call through.

>>> from swarm.middleware.retry import RETRY
>>> from swarm.testing import ScriptedWorker
>>> layer = built_layer(RETRY, {"max_attempts": 2}, clock=FakeClock(jumps=True))
>>> worker = ScriptedWorker([ConnectionError("away"), "done"])
>>> async def main() -> Any:
...     return (await call_through(layer, worker, input=1)).value
>>> anyio.run(main)
'done'
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio

from flowir.errors import WorkerFailure
from flowir.limits import DEFAULT_LIMITS
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.compiler.stack import Stack
from swarm.core.outputs import keep, read
from swarm.lua.runner import InlineScripts
from swarm.ports.audit import AuditLog
from swarm.ports.layer import Layer, LayerFactory, LayerHost, Site
from swarm.ports.operators import OperatorLink
from swarm.ports.questions import Ask
from swarm.ports.worker import Call, Outcome, StepLink, Toolbox, Worker
from swarm.stores.audit import MemoryAudit
from swarm.testing.agents import worker_of
from swarm.testing.clock import FakeClock

__all__ = ("RecordedLink", "built_layer", "call_through")


class RecordedLink:
    """A link that notes what is said, and answers as written down.

    Shape: `texts` of progress, `parts`, `calls` as (agent, input), `asks`; *agents* are
    functions of the input, *answers* are for questions, in their order.
    """

    def __init__(
        self,
        agents: Mapping[str, Callable[[Any], Any]] | None = None,
        answers: Iterable[Any] = (),
    ) -> None:
        self.cancelled = False
        self.texts: list[str] = []
        self.parts: dict[str, Any] = {}
        self.calls: list[tuple[str, Any]] = []
        self.asks: list[Ask] = []
        self.slept_s: list[float] = []
        self._bodies: dict[str, bytes] = {}
        self._agents = agents or {}
        self._answers = deque(answers)

    async def progress(self, text: str) -> None:
        """Note a text."""
        self.texts.append(text)

    async def part(self, name: str, value: Any) -> Mapping[str, Any]:
        """Note a part; the reference that comes back can be read here."""
        self.parts[name] = value
        kept = keep(value, DEFAULT_LIMITS)
        self._bodies[kept.reference.digest] = kept.body
        return kept.reference.to_wire()

    async def read(self, reference: Any) -> Any:
        """Return a part that was noted."""

        async def get(digest: str) -> bytes:
            return self._bodies[digest]

        return await read(get, reference, "recorded")

    async def call(self, agent: str, input: Any) -> Any:
        """Answer as the agent's function does."""
        self.calls.append((agent, input))
        return self._agents[agent](input)

    async def ask(self, ask: Ask) -> Any:
        """Give the next answer; without one, wait for ever."""
        self.asks.append(ask)
        if not self._answers:
            await anyio.sleep_forever()
        return self._answers.popleft()

    async def run(self, blueprint: CompiledBlueprint, input: Any) -> Any:
        """Refuse: nobody carries runs here."""
        raise WorkerFailure("flow.host", f"no host for {blueprint.id!r}", True)

    async def sleep(self, seconds: float) -> None:
        """Note the seconds."""
        self.slept_s.append(seconds)

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        """Wait without a place."""
        yield


def built_layer(
    factory: LayerFactory[Any],
    params: Mapping[str, Any] | None = None,
    *,
    agent: str = "worker",
    agents: Mapping[str, Mapping[str, Any]] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    clock: FakeClock | None = None,
    audit: AuditLog | None = None,
    operators: OperatorLink | None = None,
    trusted: bool = True,
) -> Layer:
    """Build a layer as it would stand around *agent*; *agents* are settings by name.

    Raises: AssertionError, with the first problem of its parameters; ValidationError.
    """
    given = {agent: {}, **(agents or {})}
    specs = {name: AgentSpec(name, "scripted", settings) for name, settings in given.items()}
    host = LayerHost(clock or FakeClock(), audit or MemoryAudit(), operators)
    toolbox = Toolbox(InlineScripts(), functions or {})
    site = Site("tested", specs[agent], specs, toolbox, host, trusted)
    chosen = factory.params.model_validate(params or {})
    for problem in factory.problems(chosen, site):
        raise AssertionError(f"{problem.field}: {problem.message}")
    return factory.build(chosen, site)


async def call_through(
    layer: Layer,
    worker: Worker | Iterable[Any] | Callable[[Any], Any],
    call: Call | None = None,
    *,
    input: Any = None,
    link: StepLink | None = None,
) -> Outcome:
    """Call a worker, or a script of one, through a layer, as a host does.

    Raises: flowir.WorkerFailure, as a host would see it.
    """
    stack = Stack([("tested", layer)], worker_of(worker), DEFAULT_LIMITS)
    return await stack(call or Call("r_1", "$", "worker", input), link or RecordedLink())
