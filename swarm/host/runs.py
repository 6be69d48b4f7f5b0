"""The runs of a host: those that it carries on, and those that its journal tells of.

    open    what ran when the last host died is interrupted; what is interrupted goes on,
            where the host is set to do so
    close   what runs is interrupted where the journal outlives the host, else cancelled

A run that ended is let go of: the journal has it. A run that cannot go on is blocked,
with the reason in its journal, and stands in nobody else's way.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any
from weakref import WeakValueDictionary

import anyio
from anyio import CancelScope
from anyio.abc import TaskGroup, TaskStatus

from flowir.effects import Admitted
from flowir.errors import FlowError, shorten
from swarm.blueprint.budget import Budget
from swarm.blueprint.canonical import digest_of
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.core import rows
from swarm.core.capability.verbs import Table
from swarm.core.children import Child
from swarm.core.driver import Driver
from swarm.core.gates import Gates
from swarm.core.log import RunLog
from swarm.core.meter import Meter
from swarm.core.questions import QuestionBook
from swarm.core.replay import Replay
from swarm.core.run import ENDED, RESUMABLE, RunOutcome, RunStatus
from swarm.core.tasks import Tasks, task_group
from swarm.core.terms import TermsBook
from swarm.errors import Refused, SwarmError
from swarm.host.children import ChildCarrier
from swarm.host.collection import Collected, Retention, chosen
from swarm.host.left import Left
from swarm.host.outputs import Output, outputs_of
from swarm.host.parts import Parts
from swarm.host.past import Past, open_children, open_ends, read_all
from swarm.host.recorder import Recorder
from swarm.host.rerun import beginning, edits_of
from swarm.host.run import Run, refused
from swarm.ids import RunId
from swarm.ports.journal import Forgotten, RunRow

__all__ = ("Runs", "closed")

_LOGGER = logging.getLogger(__name__)

_PAGE = 1000
# Families of runs that are forgotten in one transaction, which others wait for.
_FAMILIES = 100
# Blueprints whose agents' terms are kept at hand.
_BOOKS = 64


class Runs:
    """Carries runs on, in the tasks of its host.

    Units: *max_tasks* of one run at a time, *concurrency* attempts of all of them, *kinds* those of
    agents of a kind;
    *max_deaths* of hosts in a row on one run.
    """

    def __init__(
        self,
        parts: Parts,
        past: Past,
        *,
        max_tasks: int,
        max_deaths: int,
        concurrency: int | None,
        kinds: Mapping[str, int],
        table: Table,
        recorder: Recorder,
    ) -> None:
        self._parts = parts
        self._past = past
        self._max_tasks = max_tasks
        self._max_deaths = max_deaths
        self._gates = Gates(concurrency, kinds)
        self._table = table
        self._recorder = recorder
        self._known: WeakValueDictionary[RunId, Run] = WeakValueDictionary()
        self._live: dict[RunId, Run] = {}
        # Set aside at the opening because the store is short, and not resumed since.
        self._short: dict[RunId, SwarmError] = {}
        self._left = Left()
        self._tasks: Tasks | None = None
        self._scope = CancelScope(shield=True)
        self._naming = anyio.Lock()
        self._children = ChildCarrier(self)
        self._terms: dict[int, TermsBook] = {}

    # -- open and close ----------------------------------------------------------------

    async def open(
        self, tasks: TaskGroup, *, resume: bool, short: SwarmError | None = None
    ) -> None:
        """Take over what an earlier host left.

        Shape: *short* says that an end of the store is missing. What has not ended may be
        shorter than it was, and repeat what was done: it is set aside.
        """
        self._tasks = await tasks.start(_carried, self._scope)
        if not self._parts.durable:
            return
        await self._bury()
        if short is not None:
            await self._set_aside(short)
        if resume:
            left = await self._rows({"interrupted", "waiting"})
            self._left.expect(row.run_id for row in reversed(left))
            tasks.start_soon(self._left.go_through, self._resume_left)

    async def _bury(self) -> None:
        """Write down that the host of what still counts as running has died."""
        left = await self._rows({"running"})
        if not left:
            return
        heads = await self._parts.journal.heads()
        for row in left:
            log = self._log(row.run_id, "running")
            log.go_on(heads[row.run_id], "running")
            try:
                log.append([rows.interrupted_run("died")])
                log.flush()
            except SwarmError as error:
                _LOGGER.error("run %s cannot be taken over: %s", row.run_id, error)
        await self._parts.journal.commit()

    async def _set_aside(self, short: SwarmError) -> None:
        """Block whatever has not ended, until somebody who was told resumes it."""
        for row in await self._rows({"running", "waiting", "paused", "interrupted"}):
            try:
                await self._block(self._handle(row), short)
            except SwarmError as error:
                _LOGGER.error("run %s cannot be set aside: %s", row.run_id, error)
            self._short[row.run_id] = short

    async def _resume_left(self, run_id: RunId) -> None:
        try:
            run = await self._find(run_id)
            if run is not None:
                await self._go_on(run, of_itself=True)
        except SwarmError as error:
            if self._tasks is not None:
                _LOGGER.error("run %s does not go on: %s", run_id, error)

    async def close(self) -> None:
        """Let all that is carried on rest, or end; return when it is gone."""
        self._tasks = None
        self._left.leave()
        live = list(self._live.values())
        try:
            for run in live:
                if self._parts.durable:
                    await run.interrupt()
                else:
                    await run.stop("the host is closing")
            for run in live:
                # On asyncio a task that is cancelled before its first turn never has one.
                await run.drive()
                await run.wait()
        finally:
            self._scope.cancel()

    # -- finding -----------------------------------------------------------------------

    @property
    def live(self) -> int:
        """How many runs are carried on."""
        return len(self._live)

    async def get(self, run_id: str) -> Run:
        """Return a run by its id; one that was left, once it goes on.

        Raises: Refused (run.unknown).
        """
        run = await self.known(run_id)
        # Whoever asks would be told that it rests, and would not be let wait for its end.
        await self._left.wait(RunId(run.id))
        return run

    async def known(self, run_id: str) -> Run:
        """Return a run by its id as it stands now, gone on with or not.

        Raises: Refused (run.unknown).
        """
        run = await self._shown(RunId(run_id)) if isinstance(run_id, str) else None  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all checked
        if run is None:
            raise Refused(
                "run.unknown",
                f"expected the id of a run of this host, got {shorten(run_id)}",
                run_id=run_id,
            )
        return run

    async def list(
        self, status: Collection[RunStatus] | None, limit: int, before: str | None
    ) -> tuple[Run, ...]:
        """Return the runs in one of these states, the latest first.

        Raises: Refused (run.unknown).
        """
        after = None if before is None else RunId((await self.known(before)).id)
        found = await self._parts.journal.runs(status, limit=limit, before=after)
        return tuple(self._handle(row) for row in found)

    async def _shown(self, run_id: RunId) -> Run | None:
        """Find a run, with what its journal shows of it now."""
        row = await self._parts.journal.run(run_id)
        return self._known.get(run_id) if row is None else self._handle(row)

    async def _find(self, run_id: RunId) -> Run | None:
        known = self._known.get(run_id)
        if known is not None:
            return known
        row = await self._parts.journal.run(run_id)
        return None if row is None else self._handle(row)

    async def _rows(self, status: Collection[str] | None = None) -> Sequence[RunRow]:
        found: list[RunRow] = []
        while True:
            before = found[-1].run_id if found else None
            page = await self._parts.journal.runs(status, limit=_PAGE, before=before)
            found += page
            if len(page) < _PAGE:
                return found

    def _handle(self, row: RunRow) -> Run:
        run = self._known.get(row.run_id)
        if run is None:
            run = self._known[row.run_id] = Run(row, self._log(row.run_id, row.status), self)
        else:
            run.retold(row)
        return run

    def _log(self, run_id: RunId, status: Any) -> RunLog:
        return RunLog.of_past(run_id, self._parts.journal, self._parts.clock, status)

    # -- beginning ---------------------------------------------------------------------

    async def start(
        self,
        blueprint: CompiledBlueprint,
        first: Admitted,
        run_id: RunId | None = None,
        budget: Budget | None = None,
    ) -> Run:
        """Start a run, or go on with the one of this id."""
        if run_id is None:
            return await self._new(self._parts.ids.run_id(), blueprint, first, budget)
        async with self._naming:
            known = await self._find(run_id)
            if known is None:
                return await self._new(run_id, blueprint, first, budget)
        await known.begun()
        await self._check_same(known, blueprint, first)
        if known.status == "interrupted":
            await self.resume(known)
        return known

    async def _check_same(self, run: Run, blueprint: CompiledBlueprint, first: Admitted) -> None:
        started = await self._past.started(RunId(run.id))
        assert started is not None  # noqa: S101 - it was found
        same = started["digest"] == blueprint.digest
        if not same or digest_of(started["input"]) != digest_of(first.value):
            raise Refused(
                "run.conflict",
                f"run {run.id}: expected the {'input' if same else 'blueprint'} that it was "
                "started with, got another",
                run_id=run.id,
            )

    async def _new(
        self,
        run_id: RunId,
        blueprint: CompiledBlueprint,
        first: Admitted,
        budget: Budget | None,
        child: Child | None = None,
    ) -> Run:
        parts = self._parts
        parts.journal.new(run_id)
        row = RunRow(run_id, blueprint=blueprint.id, digest=blueprint.digest)
        run = Run(row, RunLog(run_id, parts.journal, parts.clock), self)
        await self._carry(run, self._driver(run, blueprint, first, None, budget, child))
        return run

    async def child(self, child: Child) -> tuple[Run, Meter]:
        """Return the run of a child, carried on unless it has ended, and its meter.

        Raises: Refused (run.input); SwarmError, where it cannot go on.
        """
        blueprint = child.blueprint
        async with self._naming:
            run = await self._find(child.id)
            if run is not None and run.status in ENDED:
                return run, await self._spent(run, child)
            if run is None:
                first = blueprint.admitted(child.input)
                run = await self._new(child.id, blueprint, first, blueprint.budget(), child)
        await self._go_on(run, child=child)
        return run, run.meter

    async def _spent(self, run: Run, child: Child) -> Meter:
        """Read what a child has used that ended before its parent knew."""
        meter = Meter(child.blueprint.budget(), child.blueprint.flow)
        for row in await read_all(self._parts.journal, RunId(run.id)):
            meter.recall(row)
        meter.join(child.accounts, child.counted)
        return meter

    async def rerun(
        self, old: Run, from_step: str, set: Mapping[str, Any], run_id: RunId | None
    ) -> Run:
        """Start a run with the answers that *old* has from before a step."""
        edits = edits_of(set)
        past = await read_all(self._parts.journal, RunId(old.id))
        blueprint = await self._past.blueprint(past[0])
        new_id = run_id or self._parts.ids.run_id()
        planned = beginning(past, from_step, edits, blueprint.flow, new_id)
        async with self._naming:
            if await self._find(new_id) is not None:
                raise Refused(
                    "run.conflict",
                    f"run {new_id}: expected the id of a new run, got one that there is",
                    run_id=new_id,
                )
            planned.rows[0]["document"] = blueprint.shared()
            self._parts.journal.new(new_id)
            row = RunRow(new_id, blueprint=blueprint.id, digest=blueprint.digest)
            log = RunLog(new_id, self._parts.journal, self._parts.clock)
            run = Run(row, log, self)
            log.append(planned.rows)
            await self._carry(run, self._driver(run, blueprint, None, planned.past))
        return run

    # -- letting go --------------------------------------------------------------------

    async def collect(self, retention: Retention, *, dry_run: bool) -> Collected:
        """Forget runs that have ended, as *retention* says, a hundred in a transaction."""
        async with self._naming:
            # Nothing begins with another's answers meanwhile.
            now_s = self._parts.clock.wall()
            gone = chosen(await self._rows(), retention, now_s, self._live)
            total = Forgotten(0, 0, 0, 0)
            step = max(len(gone), 1) if dry_run else _FAMILIES
            for first in range(0, len(gone), step):
                some = gone[first : first + step]
                total = total.plus(await self._parts.journal.forget(some, dry_run=dry_run))
            if gone and not dry_run:
                await self._let_go()
        return Collected(tuple(gone), total)

    async def _let_go(self) -> None:
        heads = await self._parts.journal.heads()
        for run_id, run in list(self._known.items()):
            if run_id not in heads and not run.live and run.status in ENDED:
                run.log.forgotten = True
                del self._known[run_id]

    # -- going on ----------------------------------------------------------------------

    async def resume(self, run: Run) -> None:
        """Go on with a run that rests; do nothing where it is carried on already.

        Raises: Refused (run.state); BlueprintInvalid, SwarmError (resume.conflict,
        journal.damaged), with the run blocked.
        """
        if run.status in ENDED:
            raise refused(run, "resume", *sorted(RESUMABLE))
        short = self._short.pop(RunId(run.id), None)
        if short is not None:
            # Whoever opened the store to resume it has not been told yet.
            raise short
        await self._go_on(run)

    async def cancel(self, run: Run, reason: str) -> None:
        """Go on with a run that rests, only to cancel it."""
        try:
            await self._go_on(run, cancelling=reason)
        except SwarmError:
            await self._cancel_blocked(run, reason)

    async def _cancel_blocked(self, run: Run, reason: str) -> None:
        """End a run that cannot go on: its `finally` bodies cannot run either."""
        past = await read_all(self._parts.journal, RunId(run.id))
        ended = rows.run_ended(None, FlowError("run.cancelled", reason), 0.0)
        await self._note(run, past[-1]["seq"], [*open_ends(past), ended])
        await self._stop_all(open_children(past), reason)

    async def pause(self, run: Run) -> None:
        """Let a run that rests stay so until somebody resumes it."""
        async with run.lock:
            if not run.live and run.status != "paused":
                past = await read_all(self._parts.journal, RunId(run.id))
                ends = [*open_ends(past), rows.run("run.paused")]
                await self._note(run, past[-1]["seq"], ends)

    async def _go_on(
        self,
        run: Run,
        *,
        cancelling: str | None = None,
        of_itself: bool = False,
        child: Child | None = None,
    ) -> None:
        async with run.lock:
            if run.live or run.status in ENDED:
                return
            try:
                blueprint, past = await self._past.replay(RunId(run.id))
                if of_itself and past.deaths >= self._max_deaths:
                    raise _deadly(run, past)
            except SwarmError as error:
                await self._block(run, error)
                raise
            if of_itself and past.pausing:
                await self._note(run, past.seq, [*past.open_rows(), rows.run("run.paused")])
                return
            if past.parent is not None and child is None and cancelling is None:
                if await self._has_ended(past.parent):
                    # The last host died before it had stopped what its end leaves.
                    cancelling = "its parent has ended"
                elif of_itself:
                    # Its parent goes on with it, on its own account.
                    return
            orphans = past.orphans(cancelling=cancelling is not None)
            run.log.go_on(past.seq, past.status)
            driver = self._driver(run, blueprint, None, past, child=child)
            await self._carry(run, driver, cancelling)
        await self._stop_all(orphans, cancelling or "its parent does not need it")

    async def _stop_all(self, run_ids: Iterable[RunId], reason: str) -> None:
        for run_id in run_ids:
            found = await self._find(run_id)
            if found is not None:
                await found.stop(reason)

    async def _has_ended(self, run_id: str) -> bool:
        found = await self._find(RunId(run_id))
        return found is None or found.status in ENDED

    async def _block(self, run: Run, error: SwarmError) -> None:
        heads = await self._parts.journal.heads()
        code, message = error.code, error.message
        if code == "blueprint.invalid":
            code = getattr(error, "problems")[0].code  # noqa: B009
        await self._note(run, heads[RunId(run.id)], [rows.blocked(code, message)])

    async def _note(self, run: Run, seq: int, events: list[rows.EventRow]) -> None:
        """Append to the journal of a run that rests, and let it rest."""
        log = run.log
        log.go_on(seq, run.status)
        try:
            log.append(events)
            await log.commit()
        finally:
            log.rest()

    def _driver(
        self,
        run: Run,
        blueprint: CompiledBlueprint,
        first: Admitted | None,
        past: Replay | None = None,
        budget: Budget | None = None,
        child: Child | None = None,
    ) -> Driver:
        return Driver(
            blueprint,
            first,
            log=run.log,
            clock=self._parts.clock,
            max_tasks=self._max_tasks,
            past=past,
            budget=budget,
            children=self._children,
            child=child,
            gates=self._gates,
            terms=self._terms_of(blueprint),
            table=self._table,
        )

    def _terms_of(self, blueprint: CompiledBlueprint) -> TermsBook:
        """Return the terms of a blueprint's agents, read once for all of its runs.

        A book holds its blueprint, so nobody else has that one's identity meanwhile.
        """
        book = self._terms.get(id(blueprint))
        if book is None:
            if len(self._terms) >= _BOOKS:
                self._terms.pop(next(iter(self._terms)))
            book = self._terms[id(blueprint)] = TermsBook(blueprint, self._gates)
        return book

    async def _carry(self, run: Run, driver: Driver, cancelling: str | None = None) -> None:
        tasks = self._tasks
        if tasks is None:
            raise closed()
        # Known before it exists, so that a second start of the same id meets it.
        run_id = RunId(run.id)
        self._known[run_id] = self._live[run_id] = run
        try:
            await run.begin(driver, cancelling=cancelling)
        except anyio.get_cancelled_exc_class():
            # What has begun goes on; it is only its starter that goes away.
            if not _goes_on(run, tasks):
                await _rests(run)
            raise
        except BaseException:
            if run.status == "pending":
                self._known.pop(run_id, None)
            raise
        if not _goes_on(run, tasks):
            await _rests(run)
            raise closed()

    def doing(self, verb: str, run_id: str | None = None) -> AbstractAsyncContextManager[None]:
        """Let what is done inside be recorded as an act of the host's owner."""
        return self._recorder.doing("owner", verb, run_id)

    # -- what a run leans on -----------------------------------------------------------

    async def outcome(self, run: Run) -> RunOutcome:
        """Read how a run ended, or why it rests."""
        return await self._past.outcome(RunId(run.id), run.status)

    async def questions(self, run: Run) -> QuestionBook:
        """Read the questions of a run that rests, for answers to be given."""
        past = await read_all(self._parts.journal, RunId(run.id))
        run.log.go_on(past[-1]["seq"], run.status)
        run.log.rest()
        return QuestionBook.of_past(run.log, self._parts.clock, past)

    async def outputs(self, run: Run) -> tuple[Output, ...]:
        """Read what the run's steps handed over as data."""
        return outputs_of(await read_all(self._parts.journal, RunId(run.id)))

    def rested(self, run: Run) -> None:
        """Let go of a run that nobody carries on any more."""
        self._live.pop(RunId(run.id), None)


async def _carried(
    scope: CancelScope, *, task_status: TaskStatus[Tasks] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Hold the tasks that runs go on in, until *scope* is cancelled.

    Whoever cancels the host's body does not cut them off: they are let go as it leaves.
    """
    with scope:
        async with task_group() as tasks:
            task_status.started(tasks)
            await anyio.sleep_forever()


def _goes_on(run: Run, tasks: Tasks) -> bool:
    """Let a run that has begun go on, unless *tasks* have ended meanwhile: with the loop."""
    try:
        # Named: to make a name up takes longer than to give one.
        tasks.start_soon(run.drive, name=run.id)
    except RuntimeError:
        return False
    return True


async def _rests(run: Run) -> None:
    """Let a run that has begun rest at once, in the task of whoever began it."""
    await run.interrupt()
    await run.drive()


def closed() -> Refused:
    """Say that the host is not open."""
    return Refused("host.closed", "host: expected an open one, got a closed one — async with host:")


def _deadly(run: Run, past: Replay) -> SwarmError:
    return SwarmError(
        "resume.exhausted",
        f"run {run.id}: expected a host to outlive it, got {past.deaths} in a row that died — "
        "resume it by hand to try again",
        run_id=run.id,
    )
