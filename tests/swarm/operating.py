"""A host with operators on a real port, for tests: uvicorn in this process, and clients."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from anyio.abc import TaskGroup

from swarm import Host
from swarm.operators import Backoff, Bounds, Endpoint, Operator, Operators, connect
from swarm.operators.wire import options

__all__ = ("FAST", "House", "free_port", "house", "serving", "step", "until")

# Nobody waits for whom a test has cut off.
FAST = Backoff(first_s=0.02, most_s=0.1)
BOUNDS = Bounds(per_address=1000, rate=1_000_000, burst=1_000_000, redeliver_s=0.3, tick_s=0.05)

logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


class House:
    """A host, its operators, and the port that they come in by."""

    def __init__(self, host: Host, operators: Operators, endpoint: Endpoint, port: int) -> None:
        self.host = host
        self.operators = operators
        self.endpoint = endpoint
        self.port = port

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/operators"

    def token(self, subject: str = "ada", role: str = "operator", **order: Any) -> str:
        return self.host.tokens.mint(subject, role, **order)

    def operator(self, name: str = "ada", url: str | None = None, **settings: Any) -> Operator:
        settings.setdefault("seats", ["reviewer"])
        settings.setdefault("token", self.token(name))
        bounds = Bounds(redeliver_s=0.3, tick_s=0.05)
        return connect(url or self.url, name=name, backoff=FAST, bounds=bounds, **settings)

    async def load(self, agent: Mapping[str, Any] | None = None, input: str = "$.given") -> Any:
        return await self.host.load(step(agent, input))

    async def ask(self, input: Any = 1, agent: Mapping[str, Any] | None = None) -> Any:
        run = await self.host.start(await self.load(agent), {"given": input})
        with anyio.fail_after(60):
            return (await run.result())["out"]


def step(agent: Mapping[str, Any] | None = None, input: str = "$.given") -> dict[str, Any]:
    """Write a blueprint of one step, done by an operator."""
    one = {"name": "reviewer", "kind": "operator", **(agent or {})}
    flow = {"kind": "step", "ref": "reviewer", "in": input, "out": "$.out"}
    return {"swarm": 1, "id": "asking", "agents": [one], "flow": flow}


@asynccontextmanager
async def serving(app: Any, port: int = 0, bounds: Bounds = BOUNDS) -> AsyncGenerator[int]:
    """Serve an ASGI application on a port of this machine."""
    settings: dict[str, Any] = {**options(bounds), "log_config": None, "log_level": "critical"}
    config = uvicorn.Config(app, host="127.0.0.1", port=port, lifespan="off", **settings)
    server = uvicorn.Server(config)
    caught: list[Exception] = []
    async with anyio.create_task_group() as tasks:
        await _begun(server, tasks)
        try:
            yield server.servers[0].sockets[0].getsockname()[1]
        except Exception as error:  # noqa: BLE001 - it is raised again, without a group around it
            caught.append(error)
        finally:
            server.should_exit = True
            server.force_exit = True
    if caught:
        raise caught[0]


async def _begun(server: uvicorn.Server, tasks: TaskGroup) -> None:
    # `serve` would install signal handlers, which are the test runner's.
    tasks.start_soon(server._serve)  # pyright: ignore[reportPrivateUsage]
    await until(lambda: server.started)


@asynccontextmanager
async def house(
    store: Path | None = None,
    *,
    port: int = 0,
    bounds: Bounds = BOUNDS,
    operators: Operators | None = None,
    around: Callable[[Endpoint], Any] = lambda endpoint: endpoint,
    **settings: Any,
) -> AsyncGenerator[House]:
    """Open a host to operators."""
    mine = operators or Operators(bounds)
    host = (
        Host.in_memory(operators=mine, scripts="inline", **settings)
        if store is None
        else Host(store, operators=mine, scripts="inline", **settings)
    )
    async with host:
        endpoint = Endpoint(mine, lambda: host.tokens.guard)
        async with serving(around(endpoint), port, bounds) as got:
            yield House(host, mine, endpoint, got)


def free_port() -> int:
    """Return a port of this machine that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def until(holds: Callable[[], bool], most_s: float = 20) -> None:
    """Wait for what other tasks of this loop bring about."""
    with anyio.fail_after(most_s):
        while not holds():  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.005)
