"""A run as its owner sees it: what it is called, how it stands, how to watch and end it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import anyio

from swarm.core.driver import Driver
from swarm.core.events import STEP_ENDS
from swarm.core.log import EventStream, RunLog
from swarm.core.meter import Meter
from swarm.core.outputs import read, read_bytes
from swarm.core.questions import Question, QuestionBook
from swarm.core.run import ENDED, RunOutcome, RunStatus
from swarm.core.tasks import News, news
from swarm.core.watching import Wanted
from swarm.errors import Refused
from swarm.host.lists import counted
from swarm.host.outputs import Output, found
from swarm.ports.journal import RunRow
from swarm.ports.worker import StepLink

__all__ = ("Keeper", "Run", "refused")


class Keeper(Protocol):
    """Who can do with a run what takes more than the run itself: the host's runs."""

    async def cancel(self, run: Run, reason: str) -> None:
        """Cancel a run that nobody carries on."""
        ...

    async def pause(self, run: Run) -> None:
        """Pause a run that nobody carries on."""
        ...

    def doing(self, verb: str, run_id: str) -> AbstractAsyncContextManager[None]:
        """Let what is done inside be recorded as an act of the host's owner."""
        ...

    async def outcome(self, run: Run) -> RunOutcome:
        """Read how a run ended, or rests."""
        ...

    async def questions(self, run: Run) -> QuestionBook:
        """Read the questions of a run that nobody carries on, for answers to be given."""
        ...

    async def outputs(self, run: Run) -> tuple[Output, ...]:
        """Read what the run's steps handed over as data."""
        ...

    def rested(self, run: Run) -> None:
        """Note that nobody carries the run on any more."""
        ...


class Run:
    """One run of one blueprint, whether this host carries it on or its journal tells of it.

    There is one object for each run of a host, as long as somebody holds it.
    """

    def __init__(self, row: RunRow, log: RunLog, keeper: Keeper) -> None:
        self._row = row
        self._log = log
        self._keeper = keeper
        self._driver: Driver | None = None
        self._undriven: Driver | None = None
        self._outcome: RunOutcome | None = None
        self._meter: Meter | None = None
        self._has_begun = False
        self._begun: anyio.Event | None = None
        self._rested: News | None = None
        self._lock: anyio.Lock | None = None

    @property
    def id(self) -> str:
        """The run's name."""
        return self._log.run_id

    @property
    def status(self) -> RunStatus:
        """How the run stands, as far as that is written down."""
        return self._log.status

    @property
    def lock(self) -> anyio.Lock:
        """Who changes the run while nobody carries it on holds this; made when it is wanted."""
        if self._lock is None:
            self._lock = anyio.Lock()
        return self._lock

    @property
    def summary(self) -> RunRow:
        """What a list shows of the run: blueprint, digest, when it began and ended."""
        return self._row._replace(status=self.status)

    def retold(self, row: RunRow) -> None:
        """Note what the journal shows of the run by now."""
        self._row = row

    @property
    def live(self) -> bool:
        """Whether this host carries the run on."""
        return self._driver is not None

    def events(
        self,
        since: int = 0,
        *,
        kinds: Collection[str] | None = None,
        at: str | None = None,
        follow: bool = True,
    ) -> EventStream:
        """Watch the run: `async for event in run.events()`.

        Shape: every event with `seq` above *since*, those of the past first, then each
        as it happens, without a gap; ends with the run, or where it rests. A slow watcher
        delays nobody, and misses nothing. *kinds* chooses, exactly or by family (`step.*`);
        *at* those of a place: a node's id, its place, or a step's key, and all below it.
        *follow* false: it ends with what there is now.
        Raises: Refused (list.limit, events.kind), and from the iteration Refused (events.at).
        """
        since = counted("events", "since", since, 0)
        wanted = None if kinds is None and at is None else Wanted(kinds, at)
        return EventStream(self._log, since, wanted, follow=follow)

    def ends(self) -> EventStream:
        """Watch the attempts that end from now on."""
        return EventStream(self._log, self._log.shown, Wanted(STEP_ENDS, None))

    async def wait(self) -> RunOutcome:
        """Return how the run ended, once it has, and all that it started is gone.

        A run that rests, because it is paused, blocked or interrupted, is not waited for:
        the outcome's `status` says so, and its `error` why.
        """
        while self._driver is not None:
            if self._rested is None:
                self._rested = news()
            await self._rested.wait()
        if self._outcome is None:
            self._outcome = await self._keeper.outcome(self)
        return self._outcome

    async def result(self) -> Any:
        """Return the final context, once the run has ended.

        Raises: RunFailed, with `.error`.
        """
        return (await self.wait()).unwrap()

    async def cancel(self, reason: str = "cancelled by its owner") -> None:
        """Ask for the end of the run; `wait` tells when it has come.

        What is in flight is stopped and `finally` bodies run. A run that has ended stays
        as it is; one that rests goes on to be cancelled.
        """
        async with self._keeper.doing("run.cancel", self.id):
            await self.stop(reason)

    async def pause(self) -> None:
        """Let what is in flight end, and begin nothing else; `Host.resume` goes on.

        Returns when that is written down; `wait` tells when nothing is in flight. A step
        that waits for a person, or before another attempt, is not waited for.
        Raises: Refused (run.state), for a run that has ended, is blocked or is being cancelled.
        """
        if self.status in ENDED or self.status == "blocked":
            raise refused(self, "pause", "running", "waiting", "interrupted")
        if self._driver is not None and self._driver.cancelling:
            # A cancellation is final: whoever asked for it does not have to ask again.
            said = f"run {self.id}: cannot pause what is being cancelled"
            raise Refused("run.state", said, run_id=self.id, status=self.status)
        async with self._keeper.doing("run.pause", self.id):
            if self._driver is not None:
                await self._driver.pause()
            else:
                await self._keeper.pause(self)

    async def questions(self) -> tuple[Question, ...]:
        """Return what the run asks of people, in the order in which it came."""
        return (await self._book()).open()

    async def answer(
        self,
        question_id: str,
        value: Any,
        *,
        by: str | None = None,
        may: Collection[str] | None = None,
    ) -> None:
        """Answer a question; *by* is written down. What is given first counts.

        A run that nobody carries on finds the answer when it is resumed.
        Shape: *may* are the name and the role of who answers; None: whoever has the host.
        Raises: Refused (question.unknown, question.answered, question.expired,
        question.closed, question.value); Denied, for a question to somebody else.
        """
        async with self._keeper.doing("question.answer", self.id), self.lock:
            await (await self._book()).answer(question_id, value, by=by, may=may)

    async def outputs(self) -> tuple[Output, ...]:
        """Return what the run's steps have handed over as data, in the order of making."""
        return await self._keeper.outputs(self)

    async def output(self, which: Output | Mapping[str, Any] | str) -> Any:
        """Return an output: a str, bytes, or JSON.

        Shape: *which* is one of `outputs()`, a reference as a context holds it, or a text:
        the name of a part, the key of a step, `KEY/NAME`, or `sha256:…`; the last counts
        where several fit.
        Raises: Refused (output.unknown, output.reference); SwarmError (output.damaged).
        """
        if isinstance(which, str):
            which = found(await self.outputs(), which, self.id)
        if isinstance(which, Output):
            return await read(self._log.blob, which.reference.to_wire(), self.id, which.key)
        return await read(self._log.blob, dict(which), self.id)

    async def output_bytes(self, which: str) -> tuple[Output, bytes]:
        """Return an output and its bytes as they were kept; *which* as a text, as above.

        Raises: Refused (output.unknown); SwarmError (output.damaged).
        """
        output = found(await self.outputs(), which, self.id)
        return output, await read_bytes(self._log.blob, output.reference, self.id, output.key)

    async def _book(self) -> QuestionBook:
        if self._driver is not None:
            return self._driver.questions
        return await self._keeper.questions(self)

    # -- the host's to call ------------------------------------------------------------

    @property
    def log(self) -> RunLog:
        """The run's part of the journal."""
        return self._log

    @property
    def meter(self) -> Meter:
        """What the run has used since this host first carried it on, its past included."""
        if self._meter is None:
            self._meter = Meter()
        return self._meter

    async def begin(self, driver: Driver, *, cancelling: str | None = None) -> None:
        """Let *driver* make the run exist, or go on."""
        self._driver = self._undriven = driver
        self._outcome = None
        self._meter = driver.meter
        try:
            await driver.begin(cancelling=cancelling)
        except anyio.get_cancelled_exc_class():
            # It is written down, or about to be: `drive` goes on with it.
            raise
        except BaseException:
            self._rest()
            raise
        finally:
            self._has_begun = True
            if self._begun is not None:
                self._begun.set()

    async def begun(self) -> None:
        """Return when the run exists, or could not be made."""
        if self._driver is not None and not self._has_begun:
            self._begun = self._begun or anyio.Event()
            await self._begun.wait()

    async def drive(self) -> None:
        """Work until the run has ended, or rests; do nothing where somebody is at it."""
        driver, self._undriven = self._undriven, None
        if driver is None:
            return
        try:
            await driver.drive()
        finally:
            self._outcome = driver.outcome
            self._rest()

    def link(self, key: str, attempt: int) -> StepLink | None:
        """Return what the worker of an attempt may use, if that attempt goes on here now."""
        return None if self._driver is None else self._driver.link(key, attempt)

    async def stop(self, reason: str) -> None:
        """Cancel the run as its host does, for its own reasons."""
        if self._driver is not None:
            await self._driver.cancel(reason)
        elif self.status not in ENDED:
            await self._keeper.cancel(self, reason)

    async def interrupt(self) -> None:
        """Let the run rest as it is, for another host to go on with."""
        if self._driver is not None:
            await self._driver.interrupt()

    def _rest(self) -> None:
        self._driver = self._undriven = None
        self._log.rest()
        if self._rested is not None:
            self._rested.set()
            self._rested = None
        self._keeper.rested(self)


def refused(run: Run, act: str, *states: RunStatus) -> Refused:
    """Say that a run is not in a state in which this can be done."""
    only = ", ".join(map(repr, states))
    return Refused(
        "run.state",
        f"run {run.id}: cannot {act} from {run.status!r} (only from {only})",
        run_id=run.id,
        status=run.status,
    )
