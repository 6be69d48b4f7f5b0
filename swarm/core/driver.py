"""The driver: carries a machine's effects out, on anyio, with a journal.

An answer is taken in four moves, always in this order:

    resolve   in memory: the machine says what follows; nobody else sees it
    append    the answer's row, and the `step.started` of everything that may start now
    commit    one for all of them, shared with other runs
    act       stop what was cancelled, start what was admitted

So nothing is touched before it is written down, a chain of steps costs one commit each,
and nobody outside learns what is not durable. Who may start is decided before the commit,
because the row that says so is part of it.

A task follows its lane: it does a step, takes the answer in, and goes on with what follows.
One pending step is awaited in the task that drives the run. Several share up to
`max_tasks` tasks; what is beyond waits as data. A step that waits before another attempt
keeps its task.

A run that has a past goes on where its journal ends: the machine that a `Replay` brought
there asks for the same work again, under the same keys and numbers.

A cancelled step's worker may still answer: an attempt that is not `wanted` any more is
dropped here, and the machine never hears of it. What a cancellation asks for (`finally`
bodies) is picked up by the tasks whose steps it stopped.
"""

from __future__ import annotations

import logging
from typing import Any, Final, NamedTuple

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint

from flowir.errors import FlowError
from flowir.machine import Machine
from swarm.blueprint.budget import Budget
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.core import rows
from swarm.core.agenda import Agenda
from swarm.core.answers import Answer
from swarm.core.attempt import Attempt
from swarm.core.capability.verbs import TABLE, Table
from swarm.core.children import Child, ChildHost
from swarm.core.gates import Gates
from swarm.core.lane import Lane
from swarm.core.log import RunLog
from swarm.core.meter import Meter
from swarm.core.questions import QuestionBook
from swarm.core.replay import Replay
from swarm.core.run import RunOutcome
from swarm.core.tasks import Tasks, first_raised, task_group
from swarm.core.terms import TermsBook
from swarm.core.waits import Waits
from swarm.core.workshop import Workshop
from swarm.errors import Bug, SwarmError
from swarm.ports.clock import Clock
from swarm.ports.worker import StepLink

__all__ = ("MAX_TASKS", "Driver")

_LOGGER = logging.getLogger(__name__)

MAX_TASKS = 256
# Workers that never wait must not starve the loop: every so many steps one turn is given
# to the others. A turn costs about 10 us, a step about as much.
_TURN = 16
# How long a run that is cut off waits for its last commit, in real seconds.
_LAST_S = 2.0


_NOBODY: Final[list[Attempt]] = []


class _Follows(NamedTuple):
    """What follows from an answer.

    Shape: `stopped` are attempts to interrupt, `admitted` those to go on with.
    """

    stopped: list[Attempt]
    admitted: list[Attempt]


class Driver:
    """Runs one blueprint on one input, to its end, or goes on with a *past*.

    `begin` makes the run exist, or go on; `drive` works until it has ended, or rests, and
    everything that it started is gone; `outcome` is then what came of it (None: it rests,
    paused or interrupted, and another driver can go on with it). `cancel`, `pause` and
    `interrupt` may come at any time.
    """

    def __init__(
        self,
        blueprint: CompiledBlueprint,
        input: Any,
        *,
        log: RunLog,
        clock: Clock,
        max_tasks: int = MAX_TASKS,
        past: Replay | None = None,
        budget: Budget | None = None,
        children: ChildHost | None = None,
        child: Child | None = None,
        gates: Gates | None = None,
        terms: TermsBook | None = None,
        table: Table = TABLE,
    ) -> None:
        self._past = past
        if past is None:
            machine, meter = Machine(blueprint.flow, input), Meter(budget, blueprint.flow)
            machine.fuel = meter.fuel(machine.fuel)
            parent = None if child is None else child.parent
            # The machine's copy of the input: written down before the machine starts.
            first = machine.main.ctx
            self._first_row = rows.run_started(blueprint, first, budget=budget, parent=parent)
        else:
            machine, meter = past.machine, past.meter
        if child is not None:
            meter.join(child.accounts, child.counted)
        self._log = log
        self._gates = Gates() if gates is None else gates
        self._waits = Waits(log, clock, self)
        self._agenda = agenda = Agenda(
            blueprint,
            machine,
            meter,
            log=log,
            clock=clock,
            waits=self._waits,
            gates=self._gates,
            terms=TermsBook(blueprint, self._gates) if terms is None else terms,
            max_tasks=max_tasks,
            elapsed_s=0.0 if past is None else past.elapsed_s,
        )
        self._workshop = Workshop(
            blueprint,
            agenda,
            log=log,
            clock=clock,
            gates=self._gates,
            waits=self._waits,
            host=children,
            table=table,
        )
        self._clock = clock
        self._tasks: Tasks | None = None
        self._turn = 0
        self._first = _NOBODY

    @property
    def outcome(self) -> RunOutcome | None:
        """How the run ended; None while it goes on, or rests."""
        return self._agenda.outcome

    @property
    def cancelling(self) -> bool:
        """Whether the run is to end before its time."""
        return self._agenda.cancelling

    @property
    def meter(self) -> Meter:
        """What the run has used."""
        return self._agenda.meter

    @property
    def questions(self) -> QuestionBook:
        """What the run asks of people."""
        return self._waits.questions

    def link(self, key: str, number: int) -> StepLink | None:
        """Return what the worker of an attempt may use, if that attempt goes on now."""
        attempt = self._agenda.find(key)
        if attempt is None or attempt.dispatch.attempt != number or not attempt.open:
            return None
        return self._workshop.link(attempt)

    async def begin(self, *, cancelling: str | None = None) -> None:
        """Write that the run exists, or goes on, with the steps that may start at once.

        *cancelling*: it goes on only to be cancelled, for this reason.
        """
        agenda = self._agenda
        if self._past is None:
            self._log.append([self._first_row])
            self._log.flush()
            del self._first_row
            agenda.start()
        else:
            agenda.go_on(self._past)
            self._past = None
        if cancelling is not None and not agenda.cancelling:
            agenda.cancel(cancelling)
        agenda.take_slot()
        agenda.end_if_long()
        self._first = agenda.admit(own=True)
        agenda.close()
        await self._log.commit()

    async def drive(self) -> None:
        """Work until the run has ended, or rests, and all that it started is gone.

        A failure of the run does not raise here. Where the journal fails, the run rests
        as the journal has it.
        """
        agenda = self._agenda
        first, self._first = self._first, _NOBODY
        try:
            if self._log.unsaved:
                # Who began it was cancelled over that.
                await self._log.commit()
            # Taken out: the list outlives the attempt, as long as its lane goes on.
            alone = len(first) == 1 and not agenda.waiting
            await (self._follow(first.pop()) if alone else self._go(first))
            if agenda.outcome is None and not agenda.parked:
                self._rest_early()
            if self._log.unsaved:
                await self._log.commit()
        except Exception as error:  # noqa: BLE001 - a run must end, whatever broke
            await self._break(error)
        except GeneratorExit:
            # The loop is gone: nothing can be awaited.
            raise
        except BaseException:
            await self._cut_off()
            raise
        finally:
            self._log.rest()
            # What refers to each other would wait for the collector, a dozen objects a run.
            self._waits.close()
            agenda.close_machine()
            self._gates.release(self._log.run_id)

    def _rest_early(self) -> None:
        """Let a run rest that has no task any more, and no end."""
        agenda = self._agenda
        if agenda.pausing:
            agenda.park("run.paused")
        elif agenda.in_flight:
            _LOGGER.error("run %s: a worker cancelled the task that it ran in", self._log.run_id)
            self._park()
        else:
            raise Bug("the machine waits, but for nothing")

    # -- from outside ------------------------------------------------------------------

    async def cancel(self, reason: str) -> None:
        """Ask for the end: stop what is in flight, let `finally` bodies run.

        Returns when that is written down and the workers are told; `drive` returns when
        they are gone. Does nothing where the run has ended or is ending.
        """
        agenda = self._agenda
        if agenda.outcome is not None or agenda.parked or agenda.cancelling:
            return
        stopped = agenda.cancel(reason)
        agenda.close()
        await self._stop(stopped)

    async def pause(self) -> None:
        """Let what is in flight end, begin nothing else, and then let the run rest.

        Returns when that is written down. A step that waits for a person, or before
        another attempt, is not waited for.
        """
        agenda = self._agenda
        if agenda.outcome is not None or agenda.parked or agenda.pausing:
            return
        agenda.pausing = True
        self._log.append([rows.run("run.pausing")])
        # What begins nothing any more falls asleep no more either: these are all.
        await self._stop([*agenda.pause_if_waiting(), *agenda.asleep()])

    async def interrupt(self) -> None:
        """Let the run rest at once, as it is: what was in flight is begun anew later.

        Returns when that is written down and the workers are told.
        """
        agenda = self._agenda
        if agenda.outcome is None and not agenda.parked:
            await self._stop(self._park())

    def _park(self) -> list[Attempt]:
        # A run that waits for people waits for them without a host just as well.
        waits = self._log.ahead == "waiting"
        return self._agenda.park(None if waits else "run.interrupted")

    async def _stop(self, attempts: list[Attempt]) -> None:
        """Make durable why *attempts* are not wanted any more, then stop them.

        They are stopped whatever happens: nobody would wait for them, and nobody else comes.
        """
        try:
            await self._log.commit()
        finally:
            for attempt in attempts:
                attempt.stop()

    # -- tasks that follow their lanes -------------------------------------------------

    async def _go(self, admitted: list[Attempt]) -> None:
        """Do what was admitted, in tasks of their own."""
        if admitted:
            async with task_group() as tasks:
                self._tasks = tasks
                for attempt in admitted:
                    tasks.start_soon(self._follow, attempt)
            self._tasks = None

    async def _follow(self, attempt: Attempt | None) -> None:
        """Do an attempt, take its answer in, go on with what follows, until nothing does.

        What stops one attempt is the lane's scope: it is left once that was used.
        """
        workshop, log = self._workshop, self._log
        while attempt is not None:
            answer: Answer | None = None
            with Lane(self._clock) as lane:
                while True:
                    answer = None
                    try:
                        answer = await workshop.attempt(attempt, lane)
                    finally:
                        workshop.leave(attempt)
                    if lane.scope.cancel_called:
                        break
                    # `_advance`, written out: a coroutine less for each step.
                    follows = self._take_in(attempt, answer)
                    if follows is None:
                        return
                    # What is done with is let go before the wait.
                    attempt = answer = None
                    if log.unsaved:
                        await log.commit()
                    if isinstance(follows, _Follows):
                        follows = await self._act(follows)
                        if follows is None:
                            return
                    attempt = follows
            if attempt is None:
                raise Bug("a lane was stopped between two attempts")
            attempt = await self._advance(attempt, answer)

    async def _advance(self, attempt: Attempt, answer: Answer | None) -> Attempt | None:
        """Take an answer in, and act on what follows; return what to go on with in place."""
        follows = self._take_in(attempt, answer)
        if follows is None:
            return None
        if self._log.unsaved:
            await self._log.commit()
        return await self._act(follows) if isinstance(follows, _Follows) else follows

    def _take_in(self, attempt: Attempt, answer: Answer | None) -> _Follows | Attempt | None:
        """Take an answer in, in memory; return what to act on once it is durable.

        Shape: the one attempt to go on with, where there is nothing else to do; None where
        the run rests.
        """
        agenda = self._agenda
        if agenda.parked:
            return None
        stopped = _NOBODY
        if attempt.wanted and answer is not None:
            stopped = agenda.resolve(attempt, answer)
        if self._log.full:
            stopped = [*stopped, *agenda.end_if_long()]
        admitted = agenda.admit(own=True)
        if self._waits.used:
            self._waits.note()
        agenda.close()
        if agenda.pausing:
            stopped = [*stopped, *agenda.pause_if_waiting()]
        self._turn += 1
        alone = len(admitted) == 1 and (self._tasks is not None or not agenda.waiting)
        if alone and not stopped and self._turn % _TURN:
            return admitted[0]
        return _Follows(stopped, admitted)

    async def _act(self, follows: _Follows) -> Attempt | None:
        """Act on what follows from an answer; return what to go on with in place."""
        stopped, admitted = follows
        if self._turn % _TURN == 0:
            await cancel_shielded_checkpoint()
        for other in stopped:
            other.stop()
        if not admitted:
            self._agenda.free_slot()
            return None
        # In a group too where others only wait for a slot: this one may give its own away.
        if self._tasks is None and (len(admitted) > 1 or self._agenda.waiting):
            await self._go(admitted)
            return None
        self._spawn(admitted[1:])
        return admitted[0]

    def _spawn(self, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            assert self._tasks is not None  # noqa: S101 - they are of its lanes
            self._tasks.start_soon(self._follow, attempt)

    # -- waiting without working -------------------------------------------------------

    @property
    def in_flight(self) -> int | None:
        """How many dispatches have no answer yet, begun or not; None where the run rests."""
        return self._agenda.in_flight

    async def rest(self, attempt: Attempt) -> None:
        """Let others have the task slot of an attempt that waits for a person or the clock."""
        agenda = self._agenda
        admitted: list[Attempt] = []
        stopped: list[Attempt] = []
        if attempt.resting == 1:
            agenda.free_slot()
            if attempt.ticket is not None:
                self._gates.leave(attempt.ticket)
            # Without a group this is the only lane: nobody waits for its slot.
            if self._tasks is not None:
                stopped = agenda.end_if_long()
                admitted = agenda.admit(own=False)
        stopped += agenda.pause_if_waiting()
        await self._stop(stopped)
        self._spawn(admitted)

    def wake(self, attempt: Attempt) -> None:
        """Take the slot again, even if that is one too many for a moment."""
        if attempt.resting == 0:
            self._agenda.take_slot()
            if attempt.ticket is not None:
                self._gates.take(attempt.ticket)

    # -- what must not happen ----------------------------------------------------------

    async def _cut_off(self) -> None:
        """Let a run rest whose task was cancelled, by whoever ends the whole loop, or worse.

        What is written down so is bounded: a journal that cannot write is not waited for.
        """
        if self._agenda.outcome is None and not self._agenda.parked:
            self._park()
        with anyio.move_on_after(_LAST_S, shield=True):
            try:
                await self._log.commit()
            except SwarmError as error:
                _LOGGER.error("run %s was cut off: %s", self._log.run_id, error)

    async def _break(self, error: Exception) -> None:
        """End a run that the host itself broke.

        Where the journal takes no more, nothing can be told, and an end that it does not
        hold is none: the run rests.
        """
        agenda, cause = self._agenda, first_raised(error)
        if agenda.outcome is not None:
            _LOGGER.error("run %s broke after its end", self._log.run_id, exc_info=error)
        if not _is_lost(cause):
            try:
                if agenda.outcome is None:
                    agenda.fail(_broken(cause))
                await self._log.commit()
                return
            except (SwarmError, MemoryError) as another:
                cause = another
        if self._log.unsaved or agenda.outcome is None:
            _LOGGER.error("run %s rests: %s", self._log.run_id, cause)
            agenda.lose()


def _is_lost(error: Exception) -> bool:
    """Tell whether the journal, or the whole process, can do no more.

    That a run is too long is the run's own end.
    """
    if isinstance(error, MemoryError):
        return True
    code = error.code if isinstance(error, SwarmError) else ""
    return code.startswith("journal.") and code != "journal.too_long"


def _broken(error: Exception) -> FlowError:
    code = error.code if isinstance(error, (SwarmError, FlowError)) else "bug"
    return FlowError(code, f"{type(error).__name__}: {error}")
