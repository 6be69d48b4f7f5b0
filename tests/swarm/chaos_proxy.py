"""A line between an operator and a host that loses, delays, doubles and shuffles messages."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from swarm.operators.frames import PROTOCOL

__all__ = ("Chaos", "proxied")


class Chaos:
    """What becomes of messages, by chance. Shape: `done` counts what was done to them."""

    def __init__(self, seed: int, *, rate: float = 0.35) -> None:
        self.done: Counter[str] = Counter()
        self.quiet = False
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._rate = rate

    def choose(self) -> str:
        if self.quiet or self._random.random() > self._rate:
            return "pass"
        act = self._random.choice(("cut", "delay", "double", "shuffle", "lose"))
        self.done[act] += 1
        return act

    def delay_s(self) -> float:
        return self._random.uniform(0, 0.01)


@asynccontextmanager
async def proxied(target: str, chaos: Chaos) -> AsyncGenerator[str]:
    """Stand before the host at *target*; gives the address to connect to."""

    async def through(near: ServerConnection) -> None:
        token = near.request.headers.get("Authorization", "") if near.request else ""
        with suppress(ConnectionClosed, InvalidHandshake, OSError):
            async with connect(
                target,
                subprotocols=[Subprotocol(PROTOCOL)],
                additional_headers={"Authorization": token},
                compression=None,
                proxy=None,
                close_timeout=0.1,
            ) as far:
                await _carry(near, far, chaos)

    async with serve(
        through, "127.0.0.1", 0, subprotocols=[Subprotocol(PROTOCOL)], compression=None,
        close_timeout=0.1,
    ) as server:  # fmt: skip
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/operators"


async def _carry(near: Any, far: Any, chaos: Chaos) -> None:
    async with anyio.create_task_group() as both:

        async def one_way(source: Any, sink: Any) -> None:
            with suppress(ConnectionClosed):
                await _pass_on(source, sink, chaos)
            both.cancel_scope.cancel()

        both.start_soon(one_way, near, far)
        both.start_soon(one_way, far, near)
    # As a machine that is switched off: nobody says goodbye.
    for end in (near, far):
        end.transport.abort()


async def _pass_on(source: Any, sink: Any, chaos: Chaos) -> None:
    """Pass messages on until one is cut; the handshake of the protocol is left alone."""
    kept: list[Any] = []
    async for message in source:
        if '"hello"' in message or '"welcome"' in message:
            await sink.send(message)
            continue
        act = chaos.choose()
        if act == "cut":
            return
        if act == "shuffle":
            kept.append(message)
            continue
        if act == "delay":
            await anyio.sleep(chaos.delay_s())
        if act != "lose":
            await sink.send(message)
        if act == "double":
            await sink.send(message)
        while kept:
            await sink.send(kept.pop())
