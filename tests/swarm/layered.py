"""A host on parts in memory, to see what layers do to a run: one way to load, run and look."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from swarm import Host
from swarm.core.run import RunOutcome
from swarm.host.run import Run
from swarm.ports.operators import OperatorLink
from swarm.testing import CountedIds, FakeClock, MemoryAudit, MemoryJournal, Parts

Work = Callable[[Any], Awaitable[Any]]


def step(agent: str, out: str = "$.out", input: str = "ctx.given", **more: Any) -> dict[str, Any]:
    return {"kind": "step", "ref": agent, "in": input, "out": out, **more}


def seq(*children: Any) -> dict[str, Any]:
    return {"kind": "seq", "children": list(children)}


def lanes(agent: str, number: int) -> dict[str, Any]:
    """Make a fanout whose lanes ask *agent* at once."""
    return {
        "kind": "fanout",
        "items": {"op": "lit", "value": list(range(number))},
        "bind": "$.i",
        "body": step(agent, "$.x", "ctx.i"),
        "join": "all_settled",
        "out": "$.out",
        "collect": "ctx.x",
    }


def document(
    agents: Mapping[str, Mapping[str, Any]], flow: Any, layers: Any = None, **more: Any
) -> dict[str, Any]:
    listed = [
        {"name": name, "kind": "function", "function": name, **settings}
        if "kind" not in settings
        else {"name": name, **settings}
        for name, settings in agents.items()
    ]
    asked = {} if layers is None else {"layers": layers}
    return {"swarm": 1, "id": "layered", "agents": listed, "flow": flow, **asked, **more}


@dataclass
class Bench:
    """A host's parts, and what an agent called `work` does unless a test says otherwise."""

    clock: FakeClock = field(default_factory=lambda: FakeClock(jumps=True))
    audit: Any = field(default_factory=MemoryAudit)
    base: Sequence[Any] = ()
    operators: OperatorLink | None = None
    functions: dict[str, Work] = field(default_factory=dict[str, Work])
    texts: list[str] = field(default_factory=list[str])
    kinds: list[str] = field(default_factory=list[str])
    events: list[Any] = field(default_factory=list[Any])
    parts: list[Any] = field(default_factory=list[Any])

    def host(self) -> Host:
        parts = Parts(MemoryJournal(), self.clock, CountedIds(), audit=self.audit)
        host = Host(parts, layers=self.base, operators=self.operators, scripts="inline")
        for name, function in self.functions.items():
            host.function(name)(function)
        return host

    async def run(
        self,
        layers: Any = None,
        *,
        flow: Any = None,
        input: Any = 1,
        agents: Mapping[str, Mapping[str, Any]] | None = None,
        **more: Any,
    ) -> RunOutcome:
        """Run `work`, or another flow, to its end; note what was told meanwhile."""
        async with self.host() as host:
            named = agents if agents is not None else {name: {} for name in self.functions}
            made = document(named, flow or step("work"), layers, **more)
            run = await host.start(await host.load(made), {"given": input})
            outcome = await run.wait()
            await self.look(run)
        return outcome

    async def look(self, run: Run) -> None:
        async for event in run.events():
            self.events.append(event)
            self.kinds.append(event["kind"])
            if event["kind"] == "step.progress":
                self.texts.append(event["text"])
            elif event["kind"] == "step.part":
                self.parts.append(await run.output(event["value"]))


class Flaky:
    """Fails so many times, and then answers with its input."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.left = failures
        self.error = error or ConnectionError("away")
        self.asked = 0

    async def __call__(self, value: object) -> object:
        self.asked += 1
        if self.left > 0:
            self.left -= 1
            raise self.error
        return value


@asynccontextmanager
async def durable(
    folder: Path, operators: OperatorLink | None = None, **functions: Work
) -> AsyncGenerator[Host]:
    """Open a host over a folder; runs go on when they are told to."""
    host = Host(folder, operators=operators, resume="manual")
    for name, function in functions.items():
        host.function(name)(function)
    async with host:
        yield host


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what other tasks of this loop bring about."""
    with anyio.fail_after(20):
        while not holds():  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.002)
