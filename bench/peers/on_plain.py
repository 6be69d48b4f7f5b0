"""The floor: an awaited function, and one commit of one row for each step.

No framework does less and has the same done: what others add is what they are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw

from .meter import Works, contend, payload

SETTINGS = {
    "memory": "nothing is kept",
    "normal": "one row and one commit a step; SQLite in WAL, synchronous=NORMAL",
    "full": "one row and one commit a step; SQLite in WAL, synchronous=FULL",
}


async def bump(n: int) -> int:
    return n + 1


async def double(n: int) -> int:
    return 2 * n


class Table:
    """Where a durable loop writes what its step said."""

    def __init__(self, file: Path, synchronous: str) -> None:
        self._connection = apsw.Connection(str(file))
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute(f"pragma synchronous = {synchronous}")
        self._connection.execute("create table step (number integer primary key, body blob)")

    def keep(self, value: Any) -> None:
        self._connection.execute("insert into step (body) values (?)", (json.dumps(value),))

    def close(self) -> None:
        self._connection.close()


@asynccontextmanager
async def opened(mode: str, folder: Path) -> AsyncGenerator[Works]:
    table = None if mode == "memory" else Table(folder / "plain.db", mode)

    async def steps(n: int, most: int) -> int:
        while n < most:
            n = await bump(n)
            if table is not None:
                table.keep(n)
        return n

    async def chain(size: int) -> int:
        return await steps(0, size)

    async def fan(size: int) -> list[int]:
        found = await asyncio.gather(*(double(n) for n in range(size)))
        if table is not None:
            for value in found:
                table.keep(value)
        return found

    async def runs(size: int) -> list[int]:
        return await asyncio.gather(*(steps(0, 5) for _ in range(size)))

    async def carried(size: int) -> list[int]:
        context: dict[str, Any] = {"n": 0, "payload": payload()}
        context["n"] = await steps(context["n"], size)
        return [context["n"], len(context["payload"])]

    yield {"W1": chain, "W2": fan, "W3": runs, "W4": carried}
    if table is not None:
        table.close()


if __name__ == "__main__":
    contend(opened, settings=SETTINGS, packages=("apsw",))
