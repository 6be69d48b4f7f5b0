"""A host behind its API, in process, and a small world in it to ask about."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI

from swarm.core.capability.verbs import VERBS
from swarm.host.enhance import Enhancer
from swarm.host.host import Host
from swarm.workers.context import StepContext
from tests.swarm import improving as i

__all__ = ("ALL_VERBS", "ASKS", "HELLO", "World", "web", "world")

# The default table keeps duties apart; some tests want one role that may do everything.
ALL_VERBS = {"admin": tuple(VERBS)}

HELLO: dict[str, Any] = {
    "swarm": 1,
    "id": "hello",
    "agents": [{"name": "page", "kind": "function", "function": "page", "output": "ref"}],
    "flow": {"kind": "step", "ref": "page", "in": "'hello'", "out": "ctx.said"},
}
ASKS: dict[str, Any] = {
    "swarm": 1,
    "id": "asks",
    "agents": [{"name": "human", "kind": "human", "prompt": "sure?"}],
    "flow": {"kind": "step", "ref": "human", "in": "null", "out": "ctx.answer"},
}


# Its last agent is told something else by each proposal: a senior is asked.
IMPROVED: dict[str, Any] = {**i.DOCUMENT, "id": "improved", "layers": []}


def improving(host: Host) -> Enhancer:
    """Let the blueprints of a host be improved, before it is opened."""

    def propose(asked: dict[str, Any]) -> Any:
        told = asked["issue"]["intent"]
        return i.patching(lambda d: d["agents"][4].__setitem__("instructions", told))(asked)

    return Enhancer(host, i.OPEN, proposer=propose)


@dataclass(frozen=True, slots=True)
class World:
    """A host with a blueprint `hello` of two versions, a run of it, and one that asks."""

    host: Host
    app: FastAPI
    run: str
    asking: str

    def client(self, token: str | None = None, peer: str = "192.0.2.1") -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=self.app, client=(peer, 4000))
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return httpx2.AsyncClient(transport=transport, base_url="http://swarm", headers=headers)

    def as_role(self, role: str, **order: Any) -> httpx2.AsyncClient:
        return self.client(self.host.tokens.mint("ada", role, **order))


@asynccontextmanager
async def web(
    store: Path | None = None, *, improved: bool = False, **settings: Any
) -> AsyncGenerator[Host]:
    """Open a host that has what the world's blueprints need."""
    settings.setdefault("scripts", "inline")
    host = Host.in_memory(**settings) if store is None else Host(store, **settings)

    @host.function("page")
    async def page(input: str, context: StepContext) -> str:
        await context.part("note", {"of": input})
        return f"0123456789 {input}"

    if improved:
        improving(host)
    async with host:
        if improved:
            await i.registered(host, IMPROVED)
        yield host


@asynccontextmanager
async def world(store: Path | None = None, **settings: Any) -> AsyncGenerator[World]:
    async with web(store, **settings) as host:
        await host.blueprints.register(HELLO, author="ada")
        await host.blueprints.register({**HELLO, "description": "the second"}, author="ada")
        await host.blueprints.register(ASKS, author="ada")
        run = await host.start("hello")
        await run.wait()
        asking = await host.start("asks")
        async for event in asking.events():
            if event["kind"] == "run.waiting":
                break
        yield World(host, host.asgi(), run.id, asking.id)
