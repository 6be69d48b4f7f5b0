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
from collections import deque
from collections.abc import Iterable
from typing import Any, cast

import anyio
from anyio import CancelScope
from anyio.abc import TaskGroup
from anyio.lowlevel import cancel_shielded_checkpoint

from flowir.door import admit
from flowir.effects import Cancel, Dispatch, Effect, Failure
from flowir.errors import FlowError
from flowir.machine import Machine
from swarm.blueprint.budget import Budget
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.core import rows
from swarm.core.answers import Answer, ask, timed_out
from swarm.core.attempt import Attempt
from swarm.core.children import Child, ChildHost, Children
from swarm.core.gates import Gates, Ticket
from swarm.core.link import Called, Link
from swarm.core.log import RunLog
from swarm.core.meter import Meter
from swarm.core.questions import QuestionBook
from swarm.core.replay import Replay
from swarm.core.run import RunOutcome
from swarm.core.terms import TermsBook
from swarm.core.waits import Waits
from swarm.errors import Bug, SwarmError
from swarm.ports.clock import Clock
from swarm.ports.worker import Call, Usage

__all__ = ("MAX_TASKS", "Driver")

_LOGGER = logging.getLogger(__name__)

MAX_TASKS = 256
# Workers that never wait must not starve the loop: every so many steps one turn is given
# to the others. A turn costs about 10 us, a step about as much.
_TURN = 16
_NOTHING = Usage()


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
    ) -> None:
        self.outcome: RunOutcome | None = None
        self._past = past
        if past is None:
            self._input = admit(input, limits=blueprint.flow.limits)
            self._machine = Machine(blueprint.flow, self._input)
            self._meter = Meter(budget)
            self._machine.fuel = self._meter.fuel(self._machine.fuel)
        else:
            self._input, self._machine, self._meter = past.input, past.machine, past.meter
        self._budget = budget
        self._parent = None if child is None else child.parent
        if child is not None:
            self._meter.join(child.meter)
        self._blueprint = blueprint
        self._log = log
        self._clock = clock
        self._waits = Waits(log, clock, self)
        self._children = Children(log, self._meter, self._waits, children, lambda: self._parked)
        self._max_tasks = max_tasks
        self._gates = Gates() if gates is None else gates
        self._terms = TermsBook(blueprint, self._gates.most)
        self._asked: dict[str, Attempt] = {}
        self._waiting: deque[Attempt] = deque()
        self._tasks: TaskGroup | None = None
        self._busy = 0
        self._turn = 0
        self._began_s = clock.monotonic() - (0.0 if past is None else past.elapsed_s)
        self._first: list[Attempt] = []
        self._pausing = False
        self._parked = False

    async def begin(self, *, cancelling: str | None = None) -> None:
        """Write that the run exists, or goes on, with the steps that may start at once.

        *cancelling*: it goes on only to be cancelled, for this reason.
        """
        if self._past is None:
            self._log.append([self._started_row()])
            self._take(self._machine.start())
        else:
            self._go_on(self._past)
            self._past = None
        if cancelling is not None and not self._machine.cancelling:
            self._log.append([rows.cancelling(cancelling)])
            self._take(self._machine.cancel(cancelling))
        self._busy = 1
        self._first = self._admit(own=True)
        self._close()
        await self._log.commit()

    def _started_row(self) -> rows.EventRow:
        return rows.run_started(
            self._blueprint, self._input, budget=self._budget, parent=self._parent
        )

    def _go_on(self, past: Replay) -> None:
        """Ask again for what has no answer yet; what had begun is begun anew."""
        self._log.append(past.closing_rows())
        now_s, wall_s = self._clock.monotonic(), self._clock.wall()
        for asked in past.asked():
            terms = self._terms.of(asked.dispatch.ref)
            attempt = Attempt(asked.dispatch, terms, now_s, asked.delay_s(wall_s))
            self._asked[asked.dispatch.key] = attempt
            self._waiting.append(attempt)
        for row in past.waits():
            self._waits.recall(row)
        for question in self._waits.questions.open():
            attempt = self._asked.get(question.key)
            if attempt is None or attempt.dispatch.attempt != question.attempt:
                self._waits.questions.withdraw(question.key, question.attempt)

    async def drive(self) -> None:
        """Work until the run has ended, or rests, and all that it started is gone.

        A failure of the run does not raise here. Where the journal fails, the run rests
        as the journal has it.
        """
        try:
            await self._go(self._first)
            if self.outcome is None and not self._parked:
                if not self._pausing:
                    raise Bug("the machine waits, but for nothing")
                self._park("run.paused")
                await self._log.commit()
        except Exception as error:  # noqa: BLE001 - a run must end, whatever broke
            await self._break(error)
        finally:
            self._log.rest()

    async def cancel(self, reason: str) -> None:
        """Ask for the end: stop what is in flight, let `finally` bodies run.

        Returns when that is written down and the workers are told; `drive` returns when
        they are gone. Does nothing where the run has ended or is ending.
        """
        if self.outcome is not None or self._parked or self._machine.cancelling:
            return
        self._pausing = False
        self._log.append([rows.cancelling(reason)])
        stopped = self._take(self._machine.cancel(reason))
        self._close()
        await self._log.commit()
        for attempt in stopped:
            attempt.stop()

    async def pause(self) -> None:
        """Let what is in flight end, begin nothing else, and then let the run rest.

        Returns when that is written down. A step that waits for a person, or before
        another attempt, is not waited for.
        """
        if self.outcome is not None or self._parked or self._pausing:
            return
        self._pausing = True
        self._log.append([rows.run("run.pausing")])
        stopped = self._pause_if_waiting()
        await self._log.commit()
        for attempt in (*stopped, *self._asked.values()):
            if not attempt.started or not attempt.wanted:
                attempt.stop()

    async def interrupt(self) -> None:
        """Let the run rest at once, as it is: what was in flight is begun anew later.

        Returns when that is written down and the workers are told.
        """
        if self.outcome is not None or self._parked:
            return
        # A run that waits for people waits for them without a host just as well.
        stopped = self._park(None if self._log.ahead == "waiting" else "run.interrupted")
        await self._log.commit()
        for attempt in stopped:
            attempt.stop()

    def _pause_if_waiting(self) -> list[Attempt]:
        if self._pausing and not self._parked and self._log.ahead == "waiting":
            return self._park("run.paused")
        return []

    def _park(self, kind: str | None) -> list[Attempt]:
        """Begin nothing any more and want no answers; write *kind* down as the reason."""
        self._parked = True
        stopped = [attempt for attempt in self._asked.values() if attempt.started]
        for attempt in self._asked.values():
            attempt.drop()
        self._asked.clear()
        self._waiting.clear()
        if kind is not None:
            self._log.append([rows.interrupted(attempt.dispatch) for attempt in stopped])
            cause = {"cause": "closed"} if kind == "run.interrupted" else {}
            self._log.append([{**rows.run(kind), **cause}])
        return stopped

    # -- tasks that follow their lanes -------------------------------------------------

    async def _go(self, admitted: list[Attempt]) -> None:
        """Do what was admitted: one in place, several in tasks of their own."""
        if len(admitted) == 1:
            await self._follow(admitted[0])
        elif admitted:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                for attempt in admitted:
                    tasks.start_soon(self._follow, attempt)
            self._tasks = None

    async def _follow(self, first: Attempt) -> None:
        """Do an attempt, take its answer in, go on with what follows, until nothing does.

        What stops one attempt is a scope of its lane, which is left once it was used: to
        make one costs as much as to write a row.
        """
        attempt: Attempt | None = first
        while attempt is not None:
            answer: Answer | None = None
            with self._clock.deadline(None) as scope:
                while True:
                    answer = None
                    answer = await self._attempt(attempt, scope)
                    if scope.cancel_called:
                        break
                    follows = await self._advance(attempt, answer)
                    if follows is None:
                        return
                    attempt = follows
            attempt = await self._advance(attempt, answer)

    async def _advance(self, attempt: Attempt, answer: Answer | None) -> Attempt | None:
        """Take an answer in, and act on what follows; return what to go on with in place."""
        if self._parked:
            return None
        stopped: list[Attempt] = []
        if attempt.wanted and answer is not None:
            stopped = self._resolve(attempt, answer)
        admitted = self._admit(own=True)
        self._waits.note()
        self._close()
        stopped += self._pause_if_waiting()
        await self._commit()
        for other in stopped:
            other.stop()
        if not admitted:
            self._busy -= 1
            return None
        if self._tasks is None and len(admitted) > 1:
            await self._go(admitted)
            return None
        for other in admitted[1:]:
            assert self._tasks is not None  # noqa: S101 - the branch above
            self._tasks.start_soon(self._follow, other)
        return admitted[0]

    async def _commit(self) -> None:
        if self._log.unsaved:
            await self._log.commit()
        self._turn += 1
        if self._turn % _TURN == 0:
            await cancel_shielded_checkpoint()

    @property
    def meter(self) -> Meter:
        """What the run has used."""
        return self._meter

    # -- waiting without working -------------------------------------------------------

    @property
    def questions(self) -> QuestionBook:
        """What the run asks of people."""
        return self._waits.questions

    @property
    def in_flight(self) -> int | None:
        """How many dispatches have no answer yet, begun or not; None where the run rests."""
        return None if self._parked else len(self._asked)

    async def rest(self, attempt: Attempt) -> None:
        """Let others have the task slot of an attempt that waits for a person or the clock."""
        admitted: list[Attempt] = []
        if attempt.resting == 1:
            self._busy -= 1
            if attempt.ticket is not None:
                self._gates.leave(attempt.ticket)
            # Without a group this is the only lane: nobody waits for its slot.
            admitted = self._admit(own=False) if self._tasks is not None else []
        stopped = self._pause_if_waiting()
        await self._log.commit()
        for other in stopped:
            other.stop()
        for other in admitted:
            assert self._tasks is not None  # noqa: S101 - it is this attempt's own group
            self._tasks.start_soon(self._follow, other)

    def wake(self, attempt: Attempt) -> None:
        """Take the slot again, even if that is one too many for a moment."""
        if attempt.resting == 0:
            self._busy += 1
            if attempt.ticket is not None:
                self._gates.take(attempt.ticket)

    # -- what the machine says ---------------------------------------------------------

    def _resolve(self, attempt: Attempt, answer: Answer) -> list[Attempt]:
        """Write an answer down and tell the machine; return the attempts it stopped."""
        dispatch = attempt.dispatch
        attempt.drop()
        self._waits.over(attempt)
        self._settle(attempt, answer.usage)
        del self._asked[dispatch.key]
        # Appended before the machine is told: should that fail, the answer is not lost.
        told = [rows.part(attempt, name, value) for name, value in answer.parts.items()]
        told.append(rows.ended(attempt, answer, self._since(attempt.began_s)))
        self._log.append(told)
        return self._take(
            self._machine.resolve(dispatch.key, answer.outcome, dispatch.attempt), ahead=True
        )

    def _take(self, effects: Iterable[Effect], *, ahead: bool = False) -> list[Attempt]:
        """Note what the machine wants; return the attempts that it wants no more.

        *ahead*: what is new goes before what waits already, so that lanes are finished
        rather than begun.
        """
        stopped: list[Attempt] = []
        new: list[Attempt] = []
        for effect in effects:
            if isinstance(effect, Cancel):
                stopped.append(self._drop(effect))
            else:
                new.append(self._ask(effect))
        if ahead:
            self._waiting.extendleft(reversed(new))
        else:
            self._waiting.extend(new)
        return stopped

    def _drop(self, cancel: Cancel) -> Attempt:
        attempt = self._asked.pop(cancel.key)
        attempt.drop()
        self._waits.over(attempt)
        if attempt.started:
            self._settle(attempt, Usage())
            self._log.append([rows.cancelled(attempt.dispatch, self._since(attempt.began_s))])
        return attempt

    def _ask(self, dispatch: Dispatch) -> Attempt:
        if dispatch.attempt > 1:
            self._log.append([rows.retrying(dispatch)])
        terms = self._terms.of(dispatch.ref)
        attempt = Attempt(dispatch, terms, self._clock.monotonic(), dispatch.delay_s)
        self._asked[dispatch.key] = attempt
        return attempt

    def _admit(self, *, own: bool) -> list[Attempt]:
        """Decide who may start now, and write that down where it starts at once.

        *own*: the caller's own task is free for the first of them.
        """
        admitted: list[Attempt] = []
        waiting = self._waiting
        if self._pausing:
            return admitted
        while waiting and (own or self._busy < self._max_tasks):
            attempt = waiting.popleft()
            if not attempt.wanted:
                continue
            if attempt.delay_s <= 0 and self._enter(attempt):
                self._start(attempt)
            admitted.append(attempt)
            if own:
                own = False
            else:
                self._busy += 1
        return admitted

    def _enter(self, attempt: Attempt) -> bool:
        """Pass the gates, if that is possible now."""
        ticket = self._ticket(attempt)
        return ticket is None or self._gates.enter(ticket)

    def _ticket(self, attempt: Attempt) -> Ticket | None:
        needs = attempt.terms.needs
        if needs:
            attempt.ticket = Ticket(self._log.run_id, needs)
        return attempt.ticket

    def _start(self, attempt: Attempt) -> None:
        attempt.started = attempt.open = True
        attempt.began_s = self._clock.monotonic()
        self._log.append([rows.started(attempt)])
        number, most = attempt.dispatch.attempt, attempt.terms.most
        attempt.refused = self._meter.reserve(number, most, self._used_s())
        self._warn()

    def _settle(self, attempt: Attempt, used: Usage) -> None:
        """Count what an attempt used."""
        if attempt.refused is None:
            self._meter.settle(attempt.terms.most, used)
            self._warn()

    def _warn(self) -> None:
        if self._meter.limited:
            due = self._meter.warnings(self._used_s(), self._machine.fuel_left)
            if due:
                self._log.append(due)

    def _used_s(self) -> float:
        """Return how long the run has gone on, where its budget asks for that; else 0."""
        return self._since(self._began_s) if self._meter.limited else 0.0

    def _close(self) -> None:
        """Write the end of the run down, once the machine is done."""
        if not self._machine.done or self.outcome is not None or self._parked:
            return
        error = self._machine.error
        ctx = None if error is not None else self._machine.result
        self._end(ctx, error)

    def _end(self, ctx: Any, error: FlowError | None) -> None:
        row = rows.run_ended(ctx, error, self._since(self._began_s))
        if error is not None and error.code == "budget.exhausted":
            row["partial"] = self._machine.main.ctx
        self._log.append([row])
        if error is None:
            self.outcome = RunOutcome(self._log.run_id, "succeeded", ctx)
        else:
            status = "cancelled" if row["kind"] == "run.cancelled" else "failed"
            self.outcome = RunOutcome(
                self._log.run_id, status, None, row["error"], row.get("partial")
            )

    async def _break(self, error: Exception) -> None:
        """End a run that the host itself broke: no step stays open, the reason is told.

        Where the journal takes no more, nothing can be told: the run rests.
        """
        cause = _cause(error)
        if self.outcome is not None:
            _LOGGER.error("run %s broke after its end", self._log.run_id, exc_info=error)
        elif _is_lost(cause):
            _LOGGER.error("run %s rests: %s", self._log.run_id, cause)
            self._park(None)
        else:
            for attempt in self._asked.values():
                if attempt.started:
                    duration_s = self._since(attempt.began_s)
                    self._log.append([rows.cancelled(attempt.dispatch, duration_s)])
            self._end(None, _broken(cause))
            await self._log.commit()

    # -- one attempt -------------------------------------------------------------------

    async def _attempt(self, attempt: Attempt, scope: CancelScope) -> Answer | None:
        """Do one attempt, and give its places back; None: nobody wants an answer now."""
        try:
            return await self._tried(attempt, scope)
        finally:
            attempt.scope = None
            attempt.open = False
            if attempt.ticket is not None:
                self._gates.leave(attempt.ticket)

    async def _tried(self, attempt: Attempt, scope: CancelScope) -> Answer | None:
        if attempt.wanted and not attempt.started:
            await self._wait(attempt)
        if not attempt.wanted or not attempt.started:
            return None
        if attempt.refused is not None:
            return Answer(attempt.refused)
        dispatch = attempt.dispatch
        timeout_s = dispatch.timeout_s
        if timeout_s is None:
            timeout_s = attempt.terms.timeout_s
        left_s = self._meter.wall_left_s(self._used_s())
        limit_s = _sooner(timeout_s, left_s)
        link = Link(attempt, self._log, self._delegate, self._waits, self._children)
        attempt.scope = scope
        if limit_s is None:
            return await self._asked_of(dispatch.ref, dispatch.input, attempt, link, None)
        answer: Answer | None = None
        with self._clock.deadline(limit_s):
            answer = await self._asked_of(dispatch.ref, dispatch.input, attempt, link, timeout_s)
        if answer is not None or not attempt.wanted:
            return answer
        if limit_s == left_s:
            return Answer(self._meter.exhausted("wall_s", self._used_s()))
        return None if timeout_s is None else timed_out(dispatch.ref, timeout_s)

    async def _wait(self, attempt: Attempt) -> None:
        """Let the delay before another attempt pass, and its turn at the gates come."""
        with self._clock.deadline(None) as scope:
            attempt.scope = scope
            # A run out of time is not waited for: the attempt is refused then.
            left_s = self._meter.wall_left_s(self._used_s())
            await self._clock.sleep(_sooner(attempt.due_s - self._clock.monotonic(), left_s) or 0.0)
            ticket = attempt.ticket or self._ticket(attempt)
            if ticket is not None:
                await self._gates.wait(ticket)
        attempt.scope = None
        if attempt.wanted and not self._pausing:
            self._start(attempt)
            await self._log.commit()

    async def _asked_of(
        self, agent: str, input: Any, attempt: Attempt, link: Link, timeout_s: float | None
    ) -> Answer:
        terms = self._terms.of(agent)
        if terms.worker is None:
            said = f"expected an agent of blueprint {self._blueprint.id!r}, got {agent!r}"
            return Answer(Failure("agent.unknown", said, True))
        dispatch = attempt.dispatch
        call = Call(
            self._log.run_id,
            dispatch.key,
            agent,
            input,
            dispatch.attempt,
            dispatch.node_id,
            timeout_s,
            terms.spec,
        )
        return await ask(terms.worker, call, link, self._blueprint.flow.limits)

    async def _delegate(self, attempt: Attempt, agent: str, input: Any, depth: int) -> Called:
        """Let another agent do something for a worker, within that worker's attempt."""
        began_s = self._clock.monotonic()
        timeout_s = self._terms.of(agent).timeout_s
        link = Link(attempt, self._log, self._delegate, self._waits, self._children, depth)
        answer: Answer | None = None
        with self._clock.deadline(timeout_s):
            answer = await self._asked_of(agent, input, attempt, link, timeout_s)
        if answer is None:
            answer = timed_out(agent, timeout_s or 0.0)
        self._meter.settle(_NOTHING, answer.usage)
        return Called(answer, self._since(began_s))

    def _since(self, began_s: float) -> float:
        return round(self._clock.monotonic() - began_s, 6)


def _sooner(one_s: float | None, other_s: float | None) -> float | None:
    return one_s if other_s is None or (one_s is not None and one_s < other_s) else other_s


def _cause(error: Exception) -> Exception:
    """Return the first of what a group of tasks raised."""
    if isinstance(error, ExceptionGroup):
        return _cause(cast("ExceptionGroup[Exception]", error).exceptions[0])
    return error


def _is_lost(error: Exception) -> bool:
    """Tell whether the journal has failed; that a run is too long is the run's own end."""
    code = error.code if isinstance(error, SwarmError) else ""
    return code.startswith("journal.") and code != "journal.too_long"


def _broken(error: Exception) -> FlowError:
    code = error.code if isinstance(error, (SwarmError, FlowError)) else "bug"
    return FlowError(code, f"{type(error).__name__}: {error}")
