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
from anyio.abc import TaskGroup
from anyio.lowlevel import cancel_shielded_checkpoint

from flowir.door import admit
from flowir.effects import Cancel, Dispatch, Effect, Failure
from flowir.errors import FlowError
from flowir.machine import Machine
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.core import rows
from swarm.core.answers import Answer, ask, timed_out
from swarm.core.attempt import Attempt
from swarm.core.link import Called, Link
from swarm.core.log import RunLog
from swarm.core.run import RunOutcome
from swarm.errors import Bug, SwarmError
from swarm.ports.clock import Clock
from swarm.ports.worker import Call, Worker

__all__ = ("MAX_TASKS", "Driver")

_LOGGER = logging.getLogger(__name__)

MAX_TASKS = 256
# Workers that never wait must not starve the loop: every so many steps one turn is given
# to the others. A turn costs about 10 us, a step about as much.
_TURN = 16


class Driver:
    """Runs one blueprint on one input, to its end.

    `begin` makes the run exist; `drive` works until it has ended and everything that it
    started is gone; `outcome` is then what came of it. `cancel` may come at any time.
    """

    def __init__(
        self,
        blueprint: CompiledBlueprint,
        input: Any,
        *,
        log: RunLog,
        clock: Clock,
        max_tasks: int = MAX_TASKS,
    ) -> None:
        self.outcome: RunOutcome | None = None
        self._input = admit(input, limits=blueprint.flow.limits)
        self._machine = Machine(blueprint.flow, self._input)
        self._blueprint = blueprint
        self._log = log
        self._clock = clock
        self._max_tasks = max_tasks
        self._asked: dict[str, Attempt] = {}
        self._waiting: deque[Attempt] = deque()
        self._tasks: TaskGroup | None = None
        self._busy = 0
        self._turn = 0
        self._began_s = clock.monotonic()
        self._first: list[Attempt] = []

    async def begin(self) -> None:
        """Write that the run exists, with the steps that may start at once."""
        log, blueprint = self._log, self._blueprint
        log.append([rows.run_started(blueprint.id, blueprint.digest, self._input)])
        self._take(self._machine.start())
        self._busy = 1
        self._first = self._admit(own=True)
        self._close()
        await log.commit()

    async def drive(self) -> None:
        """Work until the run has ended and everything that it started is gone.

        A failure of the run does not raise here; one of the journal does.
        """
        try:
            await self._go(self._first)
            if self.outcome is None:
                raise Bug("the machine waits, but for nothing")
        except Exception as error:  # noqa: BLE001 - a run must end, whatever broke
            await self._break(error)

    async def cancel(self, reason: str) -> None:
        """Ask for the end: stop what is in flight, let `finally` bodies run.

        Returns when that is written down and the workers are told; `drive` returns when
        they are gone. Does nothing where the run has ended or is ending.
        """
        if self.outcome is not None or self._machine.cancelling:
            return
        self._log.append([rows.cancelling(reason)])
        stopped = self._take(self._machine.cancel(reason))
        self._close()
        await self._log.commit()
        for attempt in stopped:
            attempt.stop()

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
        attempt: Attempt | None = first
        while attempt is not None:
            answer = await self._attempt(attempt)
            attempt = await self._advance(attempt, answer)

    async def _advance(self, attempt: Attempt, answer: Answer | None) -> Attempt | None:
        """Take an answer in, and act on what follows; return what to go on with in place."""
        stopped: list[Attempt] = []
        if attempt.wanted and answer is not None:
            stopped = self._resolve(attempt, answer)
        admitted = self._admit(own=True)
        self._close()
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

    # -- what the machine says ---------------------------------------------------------

    def _resolve(self, attempt: Attempt, answer: Answer) -> list[Attempt]:
        """Write an answer down and tell the machine; return the attempts it stopped."""
        dispatch = attempt.dispatch
        attempt.drop()
        del self._asked[dispatch.key]
        # Appended before the machine is told: should that fail, the answer is not lost.
        parts = [rows.part(attempt, name, value) for name, value in answer.parts.items()]
        self._log.append([*parts, rows.ended(attempt, answer, self._since(attempt.began_s))])
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
        if attempt.started:
            self._log.append([rows.cancelled(attempt, self._since(attempt.began_s))])
        return attempt

    def _ask(self, dispatch: Dispatch) -> Attempt:
        if dispatch.attempt > 1:
            self._log.append([rows.retrying(dispatch)])
        attempt = Attempt(dispatch, self._clock.monotonic() + dispatch.delay_s)
        self._asked[dispatch.key] = attempt
        return attempt

    def _admit(self, *, own: bool) -> list[Attempt]:
        """Decide who may start now, and write that down where it starts at once.

        *own*: the caller's own task is free for the first of them.
        """
        admitted: list[Attempt] = []
        waiting = self._waiting
        while waiting and (own or self._busy < self._max_tasks):
            attempt = waiting.popleft()
            if not attempt.wanted:
                continue
            if attempt.dispatch.delay_s <= 0:
                self._start(attempt)
            admitted.append(attempt)
            if own:
                own = False
            else:
                self._busy += 1
        return admitted

    def _start(self, attempt: Attempt) -> None:
        attempt.started = attempt.open = True
        attempt.began_s = self._clock.monotonic()
        self._log.append([rows.started(attempt)])

    def _close(self) -> None:
        """Write the end of the run down, once the machine is done."""
        if not self._machine.done or self.outcome is not None:
            return
        error = self._machine.error
        ctx = None if error is not None else self._machine.result
        self._end(ctx, error)

    def _end(self, ctx: Any, error: FlowError | None) -> None:
        row = rows.run_ended(ctx, error, self._since(self._began_s))
        self._log.append([row])
        if error is None:
            self.outcome = RunOutcome(self._log.run_id, "succeeded", ctx)
        else:
            status = "cancelled" if row["kind"] == "run.cancelled" else "failed"
            self.outcome = RunOutcome(self._log.run_id, status, None, row["error"])

    async def _break(self, error: Exception) -> None:
        """End a run that the host itself broke: no step stays open, the reason is told."""
        if self.outcome is not None:
            _LOGGER.error("run %s broke after its end", self._log.run_id, exc_info=error)
        else:
            for attempt in self._asked.values():
                if attempt.started:
                    self._log.append([rows.cancelled(attempt, self._since(attempt.began_s))])
            self._end(None, _broken(error))
        await self._log.commit()

    # -- one attempt -------------------------------------------------------------------

    async def _attempt(self, attempt: Attempt) -> Answer | None:
        """Do one attempt; None when nobody wants an answer any more."""
        if not attempt.started:
            await self._wait(attempt)
        if not attempt.wanted:
            return None
        dispatch = attempt.dispatch
        timeout_s = self._timeout(dispatch.ref, dispatch.timeout_s)
        link = Link(attempt, self._log, self._delegate)
        answer: Answer | None = None
        with self._clock.deadline(timeout_s) as scope:
            attempt.scope = scope
            answer = await self._asked_of(dispatch.ref, dispatch.input, attempt, link, timeout_s)
        attempt.scope = None
        attempt.open = False
        if answer is None and attempt.wanted and timeout_s is not None:
            return timed_out(dispatch.ref, timeout_s)
        return answer

    async def _wait(self, attempt: Attempt) -> None:
        """Let the delay before another attempt pass, then start it."""
        with self._clock.deadline(None) as scope:
            attempt.scope = scope
            await self._clock.sleep(attempt.due_s - self._clock.monotonic())
        attempt.scope = None
        if attempt.wanted:
            self._start(attempt)
            await self._log.commit()

    async def _asked_of(
        self, agent: str, input: Any, attempt: Attempt, link: Link, timeout_s: float | None
    ) -> Answer:
        worker = self._blueprint.workers.get(agent)
        if worker is None:
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
        )
        return await ask(cast("Worker", worker), call, link, self._blueprint.flow.limits)

    async def _delegate(self, attempt: Attempt, agent: str, input: Any, depth: int) -> Called:
        """Let another agent do something for a worker, within that worker's attempt."""
        began_s = self._clock.monotonic()
        timeout_s = self._timeout(agent, None)
        link = Link(attempt, self._log, self._delegate, depth)
        answer: Answer | None = None
        with self._clock.deadline(timeout_s):
            answer = await self._asked_of(agent, input, attempt, link, timeout_s)
        if answer is None:
            answer = timed_out(agent, timeout_s or 0.0)
        return Called(answer, self._since(began_s))

    def _timeout(self, agent: str, timeout_s: float | None) -> float | None:
        """Return the step's own limit, or else its agent's."""
        if timeout_s is not None:
            return timeout_s
        spec = self._blueprint.agents.get(agent)
        return None if spec is None else spec.settings.get("timeout_s")

    def _since(self, began_s: float) -> float:
        return round(self._clock.monotonic() - began_s, 6)


def _broken(error: Exception) -> FlowError:
    if isinstance(error, ExceptionGroup):
        return _broken(cast("ExceptionGroup[Exception]", error).exceptions[0])
    code = error.code if isinstance(error, (SwarmError, FlowError)) else "bug"
    return FlowError(code, f"{type(error).__name__}: {error}")
