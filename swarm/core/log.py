"""One run's part of the journal: its events are numbered, recorded, and then shown.

Whoever watches reads the journal from where he is, and waits here for more. So history
and the present are one stream without a gap, a watcher's pace is his own business, and
nothing is kept for him.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import anyio

from swarm.core.events import RUN_ENDS, Event
from swarm.core.run import ENDED, RunStatus, next_status
from swarm.ids import RunId
from swarm.ports.clock import Clock
from swarm.ports.journal import Journal

__all__ = ("EventStream", "RunLog")


class RunLog:
    """Appends a run's events, commits them, and wakes who watches.

    `status` is what the committed events say.
    """

    def __init__(self, run_id: RunId, journal: Journal, clock: Clock) -> None:
        self.run_id = run_id
        self.status: RunStatus = "pending"
        self._journal = journal
        self._clock = clock
        self._seq = 0
        self._ahead: RunStatus = "pending"
        self._shown = 0
        self._news: anyio.Event | None = None

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Number *rows* and put them into the journal, unseen until the next commit."""
        now = self._clock.wall()
        for row in rows:
            self._seq += 1
            row["seq"] = self._seq
            row["run"] = self.run_id
            row["time_s"] = now
            if row["kind"].startswith("run."):
                self._ahead = next_status(self._ahead, row["kind"])
        self._journal.append(self.run_id, rows)

    @property
    def unsaved(self) -> bool:
        """Whether something was appended and not yet committed."""
        return self._seq > self._shown

    async def commit(self) -> None:
        """Make everything appended so far last, then show it."""
        seq, status = self._seq, self._ahead
        await self._journal.commit()
        if seq > self._shown:
            self._shown, self.status = seq, status
            if self._news is not None:
                self._news.set()
                self._news = None

    async def read(self, since: int) -> Sequence[Event]:
        """Return committed events with `seq` above *since*, as soon as there are any.

        Shape: none, where the run has ended before that.
        """
        while self._shown <= since:
            if self.status in ENDED:
                return ()
            if self._news is None:
                self._news = anyio.Event()
            await self._news.wait()
        return cast("Sequence[Event]", await self._journal.read(self.run_id, since))


class EventStream:
    """The events of a run from one place on: those that were, then those to come.

    Ends behind the event that ends the run. A class and not a generator, so that a
    watcher may stop anywhere without having to close it.
    """

    def __init__(self, log: RunLog, since: int = 0) -> None:
        self._log = log
        self._since = since
        self._ahead: deque[Event] = deque()
        self._over = False

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        if self._over:
            raise StopAsyncIteration
        if not self._ahead:
            self._ahead.extend(await self._log.read(self._since))
        if not self._ahead:
            raise StopAsyncIteration
        event = self._ahead.popleft()
        self._since = event["seq"]
        self._over = event["kind"] in RUN_ENDS
        return event
