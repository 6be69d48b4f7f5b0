"""LangGraph: one node that leads to itself until the count is reached; `Send` for the fanout.

The kept modes use its SQLite savers: the blocking one where a run is alone (it is the
faster), the asynchronous one where runs go on together. Both set WAL themselves and leave
`synchronous=FULL` as SQLite has it; what it does by default is to write while the next step
runs (`durability="async"`).
"""

# pyright: basic, reportMissingImports=false
# What it imports is in an environment of its own.

from __future__ import annotations

import asyncio
import operator
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import aiosqlite
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from .meter import Works, contend, payload

SETTINGS = {
    "memory": "no checkpointer",
    "saver": "InMemorySaver",
    "normal": "SqliteSaver (WAL) with synchronous=NORMAL, durability='async'",
    "default": "SqliteSaver as it comes: WAL, synchronous=FULL, durability='async'",
    "full": "SqliteSaver (WAL) with synchronous=FULL, durability='sync'",
}
_NAMES = count()


class Count(TypedDict):
    n: int
    most: int
    payload: NotRequired[dict[str, str]]


class Fan(TypedDict):
    items: list[int]
    item: int
    found: Annotated[list[int], operator.add]


def bump(state: Count) -> dict[str, int]:
    return {"n": state["n"] + 1}


async def abump(state: Count) -> dict[str, int]:
    return {"n": state["n"] + 1}


async def double(state: Fan) -> dict[str, list[int]]:
    return {"found": [2 * state["item"]]}


def _more(state: Count) -> str:
    return "bump" if state["n"] < state["most"] else END


def _spread(state: Fan) -> list[Send]:
    return [Send("double", {"item": item}) for item in state["items"]]


def _chain(node: Any, saver: Any) -> Any:
    graph = StateGraph(Count)
    graph.add_node("bump", node)
    graph.add_edge(START, "bump")
    graph.add_conditional_edges("bump", _more, ["bump", END])
    return graph.compile(checkpointer=saver)


def _fan(saver: Any) -> Any:
    graph = StateGraph(Fan)
    graph.add_node("double", double)
    graph.add_conditional_edges(START, _spread, ["double"])
    graph.add_edge("double", END)
    return graph.compile(checkpointer=saver)


async def _savers(mode: str, file: str) -> tuple[Any, Any]:
    """Return the blocking saver and the asynchronous one."""
    if mode == "memory":
        return None, None
    if mode == "saver":
        return (saver := InMemorySaver()), saver
    blocking, waiting = (
        sqlite3.connect(file, check_same_thread=False),
        await aiosqlite.connect(file),
    )
    if mode != "default":
        blocking.execute(f"pragma synchronous = {mode}")
        await waiting.execute(f"pragma synchronous = {mode}")
    alone, together = SqliteSaver(blocking), AsyncSqliteSaver(waiting)
    alone.setup()
    await together.setup()
    return alone, together


@asynccontextmanager
async def opened(mode: str, folder: Path) -> AsyncGenerator[Works]:
    alone, together = await _savers(mode, str(folder / "langgraph.db"))
    chained, achained = _chain(bump, alone), _chain(abump, together)
    fanned = _fan(together)
    how: dict[str, Any] = {"durability": "sync"} if mode == "full" else {}

    def named(size: int) -> dict[str, Any]:
        return {
            "recursion_limit": size + 10,
            "configurable": {"thread_id": f"t{next(_NAMES)}"},
        }

    async def chain(size: int) -> int:
        return chained.invoke({"n": 0, "most": size}, named(size), **how)["n"]

    async def one() -> int:
        return (await achained.ainvoke({"n": 0, "most": 5}, named(5), **how))["n"]

    async def fan(size: int) -> list[int]:
        end = await fanned.ainvoke({"items": list(range(size))}, named(size), **how)
        return end["found"]

    async def runs(size: int) -> list[int]:
        return await asyncio.gather(*(one() for _ in range(size)))

    async def carried(size: int) -> list[int]:
        first = {"n": 0, "most": size, "payload": payload()}
        end = chained.invoke(first, named(size), **how)
        return [end["n"], len(end["payload"])]

    try:
        yield {"W1": chain, "W2": fan, "W3": runs, "W4": carried}
    finally:  # its thread would keep the process alive
        if isinstance(together, AsyncSqliteSaver):
            await together.conn.close()
            alone.conn.close()


if __name__ == "__main__":
    contend(opened, settings=SETTINGS, packages=("langgraph", "langgraph-checkpoint-sqlite"))
