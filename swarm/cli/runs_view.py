"""Looking at the runs of a store: nothing is written, and nobody is kept out.

It is read beside its owner, where it has one, and also from a folder that cannot be written
to. A run that counts as running while nobody has the store is interrupted: the next host to
open the store will say so in its journal.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from anyio import to_thread

from swarm.core.events import Event
from swarm.core.log import RunLog
from swarm.core.questions import Question, QuestionBook
from swarm.core.run import RunStatus
from swarm.errors import Refused
from swarm.host.parts import SystemClock
from swarm.ids import RunId
from swarm.ports.journal import RunRow
from swarm.stores.memory import MemoryJournal
from swarm.stores.sqlite.connection import Source
from swarm.stores.sqlite.owner import is_owned
from swarm.stores.sqlite.reader import Reader
from swarm.stores.sqlite.store import FILE

__all__ = ("View", "opened_view")

_PAGE = 1000
_OPEN = ("running", "waiting", "paused", "interrupted")


class View:
    """What can be seen of the runs of a store; `owned` tells whether a process has it open."""

    def __init__(self, reader: Reader, *, owned: bool) -> None:
        self.owned = owned
        self._reader = reader

    async def runs(
        self, status: Collection[str] | None = None, limit: int = _PAGE
    ) -> Sequence[RunRow]:
        """List runs, the latest first."""
        sought = status
        if status is not None and not self.owned:
            sought = {*status, "running"} if "interrupted" in status else {*status} - {"running"}
        rows = await to_thread.run_sync(self._reader.runs, sought, limit, None)
        return [row._replace(status=self.status(row.status)) for row in rows]

    def status(self, status: str) -> str:
        """Return how a run stands, which its journal tells only of a host that is alive."""
        return "interrupted" if status == "running" and not self.owned else status

    async def events(self, run_id: str, since: int = 0) -> Sequence[Event]:
        """Return the events that there are of a run, above *since*.

        Raises: Refused (run.unknown).
        """
        found: list[Event] = []
        while True:
            last = found[-1]["seq"] if found else since
            page = await to_thread.run_sync(self._reader.read, RunId(run_id), last, _PAGE)
            found += cast("Sequence[Event]", page)
            if len(page) < _PAGE:
                break
        if not found and since == 0:
            raise Refused("run.unknown", f"expected the id of a run, got {run_id!r}", run_id=run_id)
        return found

    async def questions(self, run_id: str | None = None) -> list[Question]:
        """Return what a run, and the runs within it, wait to be told; else what all do.

        Raises: Refused (run.unknown).
        """
        if run_id is not None:
            await self.events(run_id)
        family = None if run_id is None else {run_id}
        found: list[Question] = []
        # A child began after its parent, so one pass from the oldest finds them all.
        for row in reversed(await self.runs(_OPEN)):
            events = await self.events(row.run_id)
            if family is not None and row.run_id not in family:
                if _parent(events[0]) not in family:
                    continue
                family.add(row.run_id)
            status = cast("RunStatus", row.status)
            log = RunLog.of_past(row.run_id, MemoryJournal(), SystemClock(), status)
            found += QuestionBook.of_past(log, SystemClock(), events).open()
        return sorted(found, key=lambda question: question.asked_at)

    async def blob(self, digest: str) -> bytes:
        """Return bytes that the store keeps.

        Raises: Refused (blob.unknown); SwarmError (blob.damaged).
        """
        return await to_thread.run_sync(self._reader.blob, digest)


def _parent(first: Event) -> str | None:
    parent = first["parent"] if first["kind"] == "run.started" else None
    return None if parent is None else parent["run"]


@asynccontextmanager
async def opened_view(store: str) -> AsyncGenerator[View]:
    """Open a view on the runs of a store.

    Raises: Refused (store.foreign, store.newer, store.older).
    """
    # Asked before anything is read: whoever leaves meanwhile has written all of it down.
    owned = is_owned(Path(store))
    reader = Reader(Source(str(Path(store) / FILE)))
    try:
        await to_thread.run_sync(reader.admit)
        yield View(reader, owned=owned)
    finally:
        reader.close()
