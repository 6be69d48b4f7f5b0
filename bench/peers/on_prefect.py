"""Prefect: tasks of a flow, told to a server that it starts for itself (ephemeral mode).

Its server keeps SQLite in WAL with `synchronous=NORMAL` and has no setting for that. States
go there in the background; a task's result is kept, in a file of its own, where it is asked
for.
"""

# pyright: basic, reportMissingImports=false
# What it imports is in an environment of its own.

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from .meter import Works, contend, payload

SETTINGS = {
    "normal": "ephemeral server (WAL, synchronous=NORMAL), results of tasks kept",
    "default": "ephemeral server (WAL, synchronous=NORMAL), results not kept",
}


@asynccontextmanager
async def opened(mode: str, folder: Path) -> AsyncGenerator[Works]:
    os.environ["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "true"
    os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "120"
    from prefect import flow, task
    from prefect.server.api.server import SubprocessASGIServer

    kept = True if mode == "normal" else None

    @task(persist_result=kept)
    async def bump(n: int) -> int:
        return n + 1

    @task(persist_result=kept)
    async def double(n: int) -> int:
        return 2 * n

    @flow(persist_result=kept)
    async def chain_flow(most: int, heavy: bool = False) -> list[int]:
        context: dict[str, Any] = {"n": 0, "payload": payload() if heavy else {}}
        while context["n"] < most:
            context["n"] = await bump(context["n"])
        return [context["n"], len(context["payload"])]

    @flow(persist_result=kept)
    async def fan_flow(items: list[int]) -> list[int]:
        return list(await asyncio.gather(*(double(item) for item in items)))

    async def chain(size: int) -> int:
        return (await chain_flow(size))[0]

    async def fan(size: int) -> list[int]:
        return await fan_flow(list(range(size)))

    async def runs(size: int) -> list[int]:
        ends = await asyncio.gather(*(chain_flow(5) for _ in range(size)))
        return [end[0] for end in ends]

    async def carried(size: int) -> list[int]:
        return await chain_flow(size, heavy=True)

    server = SubprocessASGIServer()
    await asyncio.to_thread(server.start)
    try:
        yield {"W1": chain, "W2": fan, "W3": runs, "W4": carried}
    finally:
        await asyncio.to_thread(server.stop)


if __name__ == "__main__":
    contend(opened, settings=SETTINGS, packages=("prefect",))
