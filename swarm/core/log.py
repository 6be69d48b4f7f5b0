"""One run's part of the journal: its events are numbered, recorded, and then shown.

Whoever watches reads the journal from where he is, and waits here for more. So history
and the present are one stream without a gap, a watcher's pace is his own business, and
nothing is kept for him.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import anyio

from flowir.errors import FlowError
from swarm.core.acts import land
from swarm.core.events import RUN_ENDS, Event
from swarm.core.run import ENDED, RunStatus, next_status
from swarm.core.watching import Wanted
from swarm.errors import Refused, SwarmError
from swarm.ids import RunId
from swarm.ports.clock import Clock
from swarm.ports.journal import Journal

__all__ = ("EventStream", "RunLog")

_LOGGER = logging.getLogger(__name__)

# The share of its length at which a log says that it grows long.
_WARN_AT = 0.2
_NEVER = float("inf")
# How long to wait before a journal that could not write is asked again.
_AGAIN_S = 1.0


class RunLog:
    """Appends a run's events, commits them, and wakes who watches.

    `status` is what the committed events say; `live` whether somebody in this host
    carries the run on; `forgotten` whether its events were removed; `full` whether nothing
    may begin any more. What may wait for more events waits for the life of the run only.
    """

    def __init__(self, run_id: RunId, journal: Journal, clock: Clock) -> None:
        self.run_id = run_id
        self.status: RunStatus = "pending"
        self.live = True
        self.forgotten = False
        self._journal = journal
        self._clock = clock
        self._wall = clock.wall
        self._seq = 0
        self._ahead: RunStatus = "pending"
        self._shown = 0
        self.full = False
        # `_next_at`: at which event there is something to say, or it is full.
        self._most = self._warn_at = self._next_at = _NEVER
        # Appended, and not yet handed to the journal, which stands at `_kept`.
        self._rows: list[dict[str, Any]] = []
        self._kept: tuple[int, RunStatus] = (0, "pending")
        self._news: anyio.Event | None = None

    @classmethod
    def of_past(cls, run_id: RunId, journal: Journal, clock: Clock, status: RunStatus) -> RunLog:
        """Read the log of a run that nobody carries on; `go_on` lets it grow again."""
        log = cls(run_id, journal, clock)
        log.status, log.live = status, False
        return log

    def go_on(self, seq: int, status: RunStatus) -> None:
        """Append behind the event *seq*, which left the run in *status*."""
        self.live = True
        self._seq = self._shown = seq
        self.status = self._ahead = status
        self._rows, self._kept = [], (seq, status)

    def bound(self, most: int) -> None:
        """Say how many events the run may have, but for those that end it."""
        warn_at = most * _WARN_AT
        self._most, self._warn_at = most, _NEVER if self._seq >= warn_at else warn_at
        self.full = self._seq >= most
        self._next_at = min(self._warn_at, _NEVER if self.full else most)

    def rest(self) -> None:
        """Note that nobody carries the run on; who watches has seen all there is."""
        self.live = False
        self._wake()

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Number *rows*; the next commit puts them into the journal, and shows them."""
        now, seq, ahead, run_id = self._wall(), self._seq, self._ahead, self.run_id
        for row in rows:
            seq += 1
            row["seq"] = seq
            row["run"] = run_id
            row["time_s"] = now
            if row["kind"].startswith("run."):
                ahead = next_status(ahead, row["kind"])
        self._rows += rows
        self._seq, self._ahead = seq, ahead
        land(self.run_id)
        if seq >= self._next_at:
            self._look()

    def step(self, row: dict[str, Any]) -> None:
        """Append the row of an attempt that begins or ends: what `append` does, for one.

        It changes no state, and it is not the first row of an act: that begins, or goes on
        with, a run.
        """
        self._seq = row["seq"] = seq = self._seq + 1
        row["run"] = self.run_id
        row["time_s"] = self._wall()
        self._rows.append(row)
        if seq >= self._next_at:
            self._look()

    def _look(self) -> None:
        """Note that the log is full; say that it grows long, while something goes on."""
        self.full = self._seq >= self._most
        if self._seq >= self._warn_at and self._ahead in ("running", "waiting"):
            self._warn()
        self._next_at = min(self._warn_at, _NEVER if self.full else self._most)

    def _warn(self) -> None:
        self._warn_at = _NEVER
        used, most = self._seq, self._most
        _LOGGER.warning("run %s has %d events of the %d that it may have", self.run_id, used, most)
        about = {"of": "events", "slice": None, "used": used, "limit": most}
        self.append([{"kind": "budget.warning", **about}])

    def too_long(self) -> FlowError:
        """Say that the run has as many events as it may have."""
        return FlowError(
            "journal.too_long",
            f"expected a run of at most {self._most} events, got one more — split the work, or "
            "raise 'limits.events' of the blueprint",
        )

    def put(self, body: bytes) -> str:
        """Keep bytes for the run, seen with the rows of the next commit; return their digest."""
        return self._journal.blobs.put(self.run_id, body)

    async def blob(self, digest: str) -> bytes:
        """Return bytes that were kept, by this run or another.

        Raises: Refused (blob.unknown); SwarmError (blob.damaged).
        """
        return await self._journal.blobs.get(digest)

    @property
    def ahead(self) -> RunStatus:
        """What the events say with those that are not committed yet."""
        return self._ahead

    @property
    def shown(self) -> int:
        """The number of the last event that is committed."""
        return self._shown

    @property
    def unsaved(self) -> bool:
        """Whether something was appended and not yet committed."""
        return self._seq > self._shown

    def flush(self) -> None:
        """Hand what was appended to the journal, which encodes it.

        Raises: as `Journal.append`; what comes before the row that is refused is kept.
        """
        rows, self._rows = self._rows, []
        if not rows:
            return
        try:
            self._journal.append(self.run_id, rows)
        except SwarmError:
            self._salvage(rows)
        self._kept = (self._seq, self._ahead)

    def _salvage(self, rows: list[dict[str, Any]]) -> None:
        """Append one by one, up to the first that is refused: an answer is not to be lost."""
        seq, status = self._kept
        try:
            for row in rows:
                self._journal.append(self.run_id, [row])
                seq, status = row["seq"], next_status(status, row["kind"])
        except SwarmError:
            self._seq, self._ahead = self._kept = seq, status
            raise

    async def commit(self) -> None:
        """Make everything appended so far last, then show it.

        Where the journal cannot write just now this waits until it can: nothing is acted
        on meanwhile, and nothing is lost.
        Raises: SwarmError (journal.failed, journal.fenced), and as `flush`.
        """
        if self._rows:
            self.flush()
        seq, status = self._seq, self._ahead
        while True:
            try:
                await self._journal.commit()
                break
            except SwarmError as error:
                if error.code != "journal.degraded":
                    raise
                await self._clock.sleep(_AGAIN_S)
        if seq > self._shown:
            self._shown, self.status = seq, status
            if self._news is not None:
                self._wake()

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None

    async def read(self, since: int, *, follow: bool = True) -> Sequence[Event]:
        """Return committed events with `seq` above *since*, as soon as there are any.

        Shape: none, where no more will come: the run has ended, or rests; with *follow*
        false also where there are none yet.
        """
        while follow and self.live and self._shown <= since and self.status not in ENDED:
            if self._news is None:
                self._news = anyio.Event()
            await self._news.wait()
        found = cast("Sequence[Event]", await self._journal.read(self.run_id, since))
        if self.live and found and found[-1]["seq"] > self._shown:
            # Committed, and not shown yet: who saw it now would find `status` still as it was.
            found = [event for event in found if event["seq"] <= self._shown]
        return found


class EventStream:
    """The events of a run from one place on: those that were, then those to come.

    Ends behind the event that ends the run, or where the run rests: paused, blocked, or
    interrupted, with nobody in this host to carry it on. A class and not a generator, so that a
    watcher may stop anywhere without having to close it.
    """

    def __init__(
        self,
        log: RunLog,
        since: int = 0,
        wanted: Wanted | None = None,
        *,
        follow: bool = True,
    ) -> None:
        self._log = log
        self._since = since
        self._wanted = wanted
        self._follow = follow
        self._ahead: deque[Event] = deque()
        self._over = False

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        event = await self._next()
        while self._wanted is not None and not self._wanted.takes(event):
            event = await self._next()
        return event

    async def _next(self) -> Event:
        if self._wanted is not None and self._wanted.needs_flow:
            self._wanted.learn((await self._log.read(0))[0])
        if self._over:
            raise StopAsyncIteration
        if not self._ahead:
            self._ahead.extend(await self._log.read(self._since, follow=self._follow))
        if not self._ahead:
            if self._log.forgotten:
                raise Refused(
                    "run.unknown",
                    f"run {self._log.run_id}: expected events behind {self._since}, got none any "
                    "more: the run was collected",
                    run_id=self._log.run_id,
                )
            raise StopAsyncIteration
        event = self._ahead.popleft()
        self._since = event["seq"]
        self._over = event["kind"] in RUN_ENDS
        return event
