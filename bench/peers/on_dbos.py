"""DBOS: steps of a workflow; the fanout gathers steps of one workflow.

It keeps the results of steps, and no context: what a run carries is an argument, kept once.
As it comes it writes with SQLite's defaults, a rollback journal and `synchronous=FULL`; for
the other modes each connection is told otherwise.
"""

# pyright: basic, reportMissingImports=false
# What it imports is in an environment of its own.

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from dbos import DBOS

from .meter import Works, contend, payload

SETTINGS = {
    "normal": "SQLite in WAL, synchronous=NORMAL, on every connection",
    "default": "SQLite as it comes: rollback journal, synchronous=FULL",
    "full": "SQLite in WAL, synchronous=FULL, on every connection",
}


@DBOS.step()
async def bump(n: int) -> int:
    return n + 1


@DBOS.step()
async def double(n: int) -> int:
    return 2 * n


@DBOS.workflow()
async def chain_flow(context: dict[str, Any], most: int) -> list[int]:
    n = context["n"]
    while n < most:
        n = await bump(n)
    return [n, len(context.get("payload", ()))]


@DBOS.workflow()
async def fan_flow(items: list[int]) -> list[int]:
    return list(await asyncio.gather(*(double(item) for item in items)))


def _told(mode: str) -> None:
    def tell(connection: Any, record: Any) -> None:
        connection.execute("pragma journal_mode = wal")
        connection.execute(f"pragma synchronous = {mode}")

    if mode != "default":
        sqlalchemy.event.listen(sqlalchemy.Engine, "connect", tell)


@asynccontextmanager
async def opened(mode: str, folder: Path) -> AsyncGenerator[Works]:
    _told(mode)
    url = f"sqlite:///{folder / 'dbos.db'}"
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})
    DBOS.launch()

    async def chain(size: int) -> int:
        return (await chain_flow({"n": 0}, size))[0]

    async def fan(size: int) -> list[int]:
        return await fan_flow(list(range(size)))

    async def one() -> int:
        handle = await DBOS.start_workflow_async(chain_flow, {"n": 0}, 5)
        return (await handle.get_result())[0]

    async def runs(size: int) -> list[int]:
        return await asyncio.gather(*(one() for _ in range(size)))

    async def carried(size: int) -> list[int]:
        return await chain_flow({"n": 0, "payload": payload()}, size)

    try:
        yield {"W1": chain, "W2": fan, "W3": runs, "W4": carried}
    finally:
        await asyncio.to_thread(DBOS.destroy)


if __name__ == "__main__":
    contend(opened, settings=SETTINGS, packages=("dbos",))
