"""Looking at the runs of a store, also while another process has it open.

A command that only looks takes the store where it is free: runs whose host died are then
seen as interrupted. Where it is not, it reads beside its owner.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, cast

from anyio import to_thread

from swarm.cli.stores import opened_store
from swarm.core.events import Event
from swarm.errors import Refused
from swarm.host.host import Host
from swarm.ids import RunId
from swarm.ports.journal import RunRow
from swarm.stores.sqlite.connection import Source
from swarm.stores.sqlite.reader import Reader
from swarm.stores.sqlite.store import FILE

__all__ = ("View", "opened_view")


class View(Protocol):
    """What can be seen of the runs of a store."""

    async def runs(self, status: Collection[str] | None, limit: int) -> Sequence[RunRow]:
        """List runs, the latest first."""
        ...

    async def events(self, run_id: str, since: int) -> Sequence[Event]:
        """Return the events that there are of a run, above *since*."""
        ...


@asynccontextmanager
async def opened_view(store: str) -> AsyncGenerator[View]:
    """Open a view on the runs of a store."""
    try:
        async with opened_store(store) as host:
            yield _Owned(host)
    except Refused as refused:
        if refused.code != "store.locked":
            raise
        reader = Reader(Source(str(Path(store) / FILE)))
        try:
            yield _Beside(reader)
        finally:
            reader.close()


class _Owned:
    """A view through a host of our own."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def runs(self, status: Collection[str] | None, limit: int) -> Sequence[RunRow]:
        """List runs, the latest first."""
        return [run.summary for run in await self._host.runs(cast("None", status), limit=limit)]

    async def events(self, run_id: str, since: int) -> Sequence[Event]:
        """Return the events that there are of a run, above *since*."""
        run = await self._host.run(run_id)
        return [event async for event in run.events(since)]


class _Beside:
    """A view beside the process that owns the store."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def runs(self, status: Collection[str] | None, limit: int) -> Sequence[RunRow]:
        """List runs, the latest first."""
        return await to_thread.run_sync(self._reader.runs, status, limit, None)

    async def events(self, run_id: str, since: int) -> Sequence[Event]:
        """Return the events that there are of a run, above *since*."""
        rows = await to_thread.run_sync(self._reader.read, RunId(run_id), since, 1_000_000)
        if not rows and since == 0:
            raise Refused("run.unknown", f"expected the id of a run, got {run_id!r}", run_id=run_id)
        return cast("Sequence[Event]", rows)
