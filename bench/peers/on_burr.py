"""Burr: one action that leads to itself until the count is reached; `MapStates` for the fanout.

The kept modes use Burr's own SQLite persisters: the blocking one where a run is alone (it
is the faster), the asynchronous one where runs go on together. As they come they write
with SQLite's defaults, a rollback journal and `synchronous=FULL`; for the other modes they
are handed a connection that was told otherwise.
"""

# pyright: basic, reportMissingImports=false
# What it imports is in an environment of its own.

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiosqlite
from burr.core import ApplicationBuilder, GraphBuilder, State, action, default, when
from burr.core.parallelism import MapStates
from burr.core.persistence import SQLitePersister
from burr.integrations.persisters.b_aiosqlite import AsyncSQLitePersister

from .meter import Works, contend, payload

SETTINGS = {
    "memory": "no persister",
    "normal": "SQLitePersister on a connection in WAL, synchronous=NORMAL",
    "default": "SQLitePersister as it comes: rollback journal, synchronous=FULL",
    "full": "SQLitePersister on a connection in WAL, synchronous=FULL",
}
_NAMES = count()


@action(reads=["n"], writes=["n", "more"])
def bump(state: State) -> State:
    n = state["n"] + 1
    return state.update(n=n, more=n < state["most"])


@action(reads=["n"], writes=["n", "more"])
async def abump(state: State) -> State:
    n = state["n"] + 1
    return state.update(n=n, more=n < state["most"])


@action(reads=[], writes=[])
def end(state: State) -> State:
    return state


@action(reads=["item"], writes=["twice"])
async def double(state: State) -> State:
    return state.update(twice=2 * state["item"])


class Doubles(MapStates):
    """The fanout; its items are kept by *persister*, where there is one."""

    def __init__(self, persister: Any) -> None:
        super().__init__()
        self._persister = persister

    def action(self, state: State, inputs: dict[str, Any]) -> Any:
        return double

    def states(self, state: State, context: Any, inputs: dict[str, Any]) -> Any:
        for item in state["items"]:
            yield state.update(item=item)

    async def reduce(self, state: State, states: Any) -> State:
        return state.update(found=[one["twice"] async for one in states])

    def is_async(self) -> bool:
        return True

    def state_persister(self, **kwargs: Any) -> Any:
        return self._persister

    def state_initializer(self, **kwargs: Any) -> None:
        return None

    @property
    def reads(self) -> list[str]:
        return ["items"]

    @property
    def writes(self) -> list[str]:
        return ["found"]


def _graph(step: Any) -> Any:
    turns = ("bump", "bump", when(more=True)), ("bump", "end", default)
    return GraphBuilder().with_actions(bump=step, end=end).with_transitions(*turns).build()


async def _persisters(mode: str, file: str) -> tuple[Any, Any]:
    """Return the blocking persister and the asynchronous one."""
    if mode == "memory":
        return None, None
    blocking, waiting = sqlite3.connect(file), await aiosqlite.connect(file)
    if mode != "default":
        blocking.execute("pragma journal_mode = wal")
        blocking.execute(f"pragma synchronous = {mode}")
        await waiting.execute(f"pragma synchronous = {mode}")
    alone = SQLitePersister(file, connection=blocking)
    together = AsyncSQLitePersister(waiting)
    alone.initialize()
    await together.initialize()
    return alone, together


@asynccontextmanager
async def opened(mode: str, folder: Path) -> AsyncGenerator[Works]:
    alone, together = await _persisters(mode, str(folder / "burr.db"))
    graph, agraph = _graph(bump), _graph(abump)

    def builder(shape: Any, persister: Any, **state: Any) -> Any:
        made = ApplicationBuilder().with_graph(shape).with_entrypoint("bump")
        made = made.with_state(more=True, **state).with_identifiers(app_id=f"a{next(_NAMES)}")
        return made if persister is None else made.with_state_persister(persister)

    def blocking(**state: Any) -> Any:
        return builder(graph, alone, **state).build().run(halt_after=["end"])[2]

    async def chain(size: int) -> int:
        return blocking(n=0, most=size)["n"]

    async def one() -> int:
        app = await builder(agraph, together, n=0, most=5).abuild()
        return (await app.arun(halt_after=["end"]))[2]["n"]

    async def fan(size: int) -> list[int]:
        made = ApplicationBuilder().with_actions(fan=Doubles(together), end=end)
        made = made.with_transitions(("fan", "end", default)).with_entrypoint("fan")
        made = made.with_state(items=list(range(size)))
        made = made.with_identifiers(app_id=f"a{next(_NAMES)}")
        made = made if together is None else made.with_state_persister(together)
        return (await (await made.abuild()).arun(halt_after=["end"]))[2]["found"]

    async def runs(size: int) -> list[int]:
        return await asyncio.gather(*(one() for _ in range(size)))

    async def carried(size: int) -> list[int]:
        state = blocking(n=0, most=size, payload=payload())
        return [state["n"], len(state["payload"])]

    try:
        yield {"W1": chain, "W2": fan, "W3": runs, "W4": carried}
    finally:  # its thread would keep the process alive
        if together is not None:
            await together.close()
            alone.connection.close()


if __name__ == "__main__":
    contend(opened, settings=SETTINGS, packages=("apache-burr",))
