"""What one run has to do: the attempts that its machine wants, and which may begin.

Told of an answer, it writes that down and asks the machine what follows; asked who may
begin, it looks at task slots, gates and the budget, and writes that down too. All of it
happens at once and in memory: rows are appended and wait for the driver to commit them,
and nobody is touched before. Knows nothing of tasks or workers.

    asked     what the machine wants and has no answer for, begun or not
    waiting   what of that nobody has taken up yet
    busy      task slots that are taken
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from flowir.effects import Cancel, Dispatch, Effect, Failure
from flowir.errors import FlowError, WorkerFailure
from flowir.machine import Machine
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.core import rows
from swarm.core.answers import Answer
from swarm.core.attempt import Attempt
from swarm.core.gates import Gates, Ticket
from swarm.core.log import RunLog
from swarm.core.meter import Meter
from swarm.core.replay import Replay
from swarm.core.run import RunOutcome
from swarm.core.terms import TermsBook
from swarm.core.waits import Waits
from swarm.ports.clock import Clock
from swarm.ports.worker import Usage

__all__ = ("Agenda",)


class Agenda:
    """The work of one run.

    `outcome` is how the run ended, once its end is appended; `parked` whether it rests:
    then nothing begins and no answer is wanted; `pausing` whether nothing new begins;
    `waiting` what the machine wants and nobody has taken up yet.
    """

    def __init__(
        self,
        blueprint: CompiledBlueprint,
        machine: Machine,
        meter: Meter,
        *,
        log: RunLog,
        clock: Clock,
        waits: Waits,
        gates: Gates,
        terms: TermsBook,
        max_tasks: int,
        elapsed_s: float = 0.0,
    ) -> None:
        self.outcome: RunOutcome | None = None
        self.pausing = False
        self.parked = False
        self.meter = meter
        self.terms = terms
        self._machine = machine
        self._log = log
        self._now = clock.monotonic
        self._clock = clock
        self._waits = waits
        self._gates = gates
        self._max_tasks = max_tasks
        self._asked: dict[str, Attempt] = {}
        self.waiting: deque[Attempt] = deque()
        self._busy = 0
        self._began_s = clock.monotonic() - elapsed_s
        self._ending: FlowError | None = None
        log.bound(blueprint.events)

    def find(self, key: str) -> Attempt | None:
        """Return the attempt of this key that has no answer yet."""
        return self._asked.get(key)

    # -- what the machine says ---------------------------------------------------------

    def start(self) -> None:
        """Ask a machine that is new what it wants."""
        self._take(self._machine.start())

    def go_on(self, past: Replay) -> None:
        """Ask again for what has no answer yet; what had begun is begun anew."""
        self._ending = past.ending
        closing = past.closing_rows()
        self._log.append(closing)
        for row in closing:
            # What was cut off counts when it is begun anew, and once only.
            self.meter.recall(row)
        now_s, wall_s = self._clock.monotonic(), self._clock.wall()
        for asked in past.asked():
            terms = self.terms[asked.dispatch.ref]
            attempt = Attempt(asked.dispatch, terms, now_s, asked.delay_s(wall_s))
            self._account(attempt)
            self._asked[asked.dispatch.key] = attempt
            self.waiting.append(attempt)
        for row in past.waits():
            self._waits.recall(row)
        for question in self._waits.questions.open():
            known = self._asked.get(question.key)
            if known is None or known.dispatch.attempt != question.attempt:
                self._waits.questions.withdraw(question.key, question.attempt)

    @property
    def cancelling(self) -> bool:
        """Whether the run is to end before its time."""
        return self._machine.cancelling

    def cancel(self, reason: str) -> list[Attempt]:
        """Tell the machine that the run is to end; return the attempts it stopped."""
        self.pausing = False
        self._log.append([rows.cancelling(reason)])
        return self._take(self._machine.cancel(reason))

    def end_if_long(self, *, begins: bool = False) -> list[Attempt]:
        """Let the run fail where more would begin than its log may hold.

        It ends as a cancelled one does: `finally` bodies run, and what is in flight is
        stopped. *begins*: an attempt that is not among those who wait is about to.
        Shape: the attempts that are to be stopped.
        """
        if not self._log.full or self._machine.cancelling or self.pausing:
            return []
        if not begins and not any(attempt.wanted for attempt in self.waiting):
            return []
        self._ending = error = self._log.too_long()
        self._log.append([rows.cancelling(error.message, error.code)])
        return self._take(self._machine.cancel(error.message))

    def resolve(self, attempt: Attempt, answer: Answer) -> list[Attempt]:
        """Write an answer down and tell the machine; return the attempts it stopped."""
        dispatch, log = attempt.dispatch, self._log
        attempt.wanted = attempt.open = False
        if self._waits.used:
            self._waits.over(attempt)
        used = answer.usage
        if self.meter.checks or used.tokens or used.cost:
            self._settle(attempt, used)
        del self._asked[dispatch.key]
        for body in answer.bodies:
            self._log.put(body)
        # Appended before the machine is told: should that fail, the answer is not lost.
        if answer.parts:
            log.append([rows.part(attempt, name, value) for name, value in answer.parts.items()])
        log.step(rows.ended(attempt, answer, microseconds(self._now() - attempt.began_s)))
        effects = self._machine.resolve(dispatch.key, answer.outcome, dispatch.attempt)
        if not effects:
            return []
        if len(effects) == 1 and type(effects[0]) is Dispatch:
            # The next step of a chain.
            self.waiting.appendleft(self._ask(effects[0]))
            return []
        return self._take(effects)

    def _take(self, effects: Iterable[Effect]) -> list[Attempt]:
        """Note what the machine wants; return the attempts that it wants no more.

        What is new goes before what waits already, so that lanes are finished rather than
        begun.
        """
        stopped: list[Attempt] = []
        new: list[Attempt] = []
        for effect in effects:
            if isinstance(effect, Cancel):
                stopped.append(self._drop(effect))
            else:
                new.append(self._ask(effect))
        self.waiting.extendleft(reversed(new))
        return stopped

    def _drop(self, cancel: Cancel) -> Attempt:
        attempt = self._asked.pop(cancel.key)
        attempt.drop()
        self._waits.over(attempt)
        if attempt.started:
            self._settle(attempt, Usage())
            self._log.append([rows.cancelled(attempt.dispatch, self.since(attempt.began_s))])
        return attempt

    def _ask(self, dispatch: Dispatch) -> Attempt:
        if dispatch.attempt > 1:
            self._log.append([rows.retrying(dispatch)])
        terms, delay_s = self.terms[dispatch.ref], dispatch.delay_s
        # When it is due is asked only where it is not due at once.
        attempt = Attempt(dispatch, terms, self._now() if delay_s > 0 else 0.0, delay_s)
        attempt.accounts = self.meter.accounts(dispatch.ref, dispatch.key)
        self._asked[dispatch.key] = attempt
        return attempt

    # -- who may begin -----------------------------------------------------------------

    def admit(self, *, own: bool) -> list[Attempt]:
        """Decide who may start now, and write that down where it starts at once.

        *own*: the caller's own task is free for the first of them.
        """
        admitted: list[Attempt] = []
        waiting = self.waiting
        if not waiting or self.pausing:
            return admitted
        while waiting and (own or self._busy < self._max_tasks):
            if self._log.full and not self._machine.cancelling:
                break
            attempt = waiting.popleft()
            if not attempt.wanted:
                continue
            if attempt.delay_s <= 0 and (not attempt.terms.needs or self._enter(attempt)):
                self.begin(attempt)
            admitted.append(attempt)
            if own:
                own = False
            else:
                self._busy += 1
        return admitted

    def ticket(self, attempt: Attempt) -> Ticket | None:
        """Return what *attempt* needs of the gates; None: nothing."""
        needs = attempt.terms.needs
        if needs and attempt.ticket is None:
            attempt.ticket = Ticket(self._log.run_id, needs)
        return attempt.ticket

    def _enter(self, attempt: Attempt) -> bool:
        """Pass the gates, if that is possible now."""
        ticket = self.ticket(attempt)
        return ticket is None or self._gates.enter(ticket)

    def begin(self, attempt: Attempt) -> None:
        """Write down that *attempt* starts, and count it."""
        # Appended first: a start that was refused needs no end.
        row = rows.started(attempt)
        self._log.step(row)
        attempt.digest = row["input"]
        attempt.started = attempt.open = True
        attempt.began_s = self._now()
        meter, terms = self.meter, attempt.terms
        if not meter.checks:
            meter.count(attempt.accounts, attempt.dispatch.attempt)
        else:
            used_s = self.used_s() if meter.limited else 0.0
            number = attempt.dispatch.attempt
            attempt.refused = meter.reserve(attempt.accounts, number, terms.most, used_s)
        if terms.begins is not None and attempt.refused is None:
            self._tell(attempt, terms.begins)
        if meter.limited:
            self._warn()

    def _tell(self, attempt: Attempt, begins: Callable[[str, str, int, str], None]) -> None:
        """Tell layers of an attempt that begins: what they record lasts with its row."""
        dispatch = attempt.dispatch
        try:
            begins(self._log.run_id, dispatch.key, dispatch.attempt, attempt.digest or "")
        except WorkerFailure as failure:
            self._settle(attempt, Usage())
            said = (failure.code, failure.message, failure.permanent, failure.data)
            attempt.refused = Failure(*said)

    def take_slot(self) -> None:
        """Take a task slot, even if that is one too many for a moment."""
        self._busy += 1

    def free_slot(self) -> None:
        """Give a task slot back."""
        self._busy -= 1

    # -- the budget --------------------------------------------------------------------

    def _account(self, attempt: Attempt) -> None:
        """Find out what an attempt is on the account of."""
        dispatch = attempt.dispatch
        attempt.accounts = self.meter.accounts(dispatch.ref, dispatch.key)

    def _settle(self, attempt: Attempt, used: Usage) -> None:
        """Count what an attempt used."""
        if attempt.refused is None:
            self.meter.settle(attempt.accounts, attempt.terms.most, used)
            if self.meter.limited:
                self._warn()

    def _warn(self) -> None:
        due = self.meter.warnings(self.used_s(), self._machine.fuel_left)
        if due:
            self._log.append(due)

    def used_s(self) -> float:
        """Return how long the run has gone on, where its budget asks for that; else 0."""
        return self.since(self._began_s) if self.meter.limited else 0.0

    def since(self, began_s: float) -> float:
        """Return how long something has taken that began at *began_s* of the clock."""
        return microseconds(self._now() - began_s)

    # -- rest --------------------------------------------------------------------------

    @property
    def in_flight(self) -> int | None:
        """How many dispatches have no answer yet, begun or not; None where the run rests."""
        return None if self.parked else len(self._asked)

    def asleep(self) -> list[Attempt]:
        """Return the attempts that wait before they begin, or that nobody wants any more."""
        return [a for a in self._asked.values() if not a.started or not a.wanted]

    def pause_if_waiting(self) -> list[Attempt]:
        """Let a run that is to pause rest where it only waits for people."""
        if self.pausing and not self.parked and self._log.ahead == "waiting":
            return self.park("run.paused")
        return []

    def park(self, kind: str | None) -> list[Attempt]:
        """Begin nothing any more and want no answers; write *kind* down as the reason.

        Shape: the attempts that are to be stopped, those too that only wait to begin.
        """
        self.parked = True
        stopped = [*self._asked.values()]
        for attempt in stopped:
            attempt.drop()
        self._asked.clear()
        self.waiting.clear()
        if kind is not None:
            begun = (attempt.dispatch for attempt in stopped if attempt.started)
            self._log.append([rows.interrupted(dispatch) for dispatch in begun])
            cause = {"cause": "closed"} if kind == "run.interrupted" else {}
            self._log.append([{**rows.run(kind), **cause}])
        return stopped

    def close_machine(self) -> None:
        """Let the machine go: nothing is asked of it any more."""
        self._machine.close()

    def lose(self) -> None:
        """Rest where the journal has the run; an end that it does not hold is none."""
        self.outcome = None
        self.park(None)

    # -- the end -----------------------------------------------------------------------

    def close(self) -> None:
        """Write the end of the run down, once the machine is done."""
        if not self._machine.ended or self.outcome is not None or self.parked:
            return
        error = self._machine.error
        if error is not None and error.code == "run.cancelled" and self._ending is not None:
            error = self._ending
        self._end(None if error is not None else self._machine.result, error)

    def fail(self, error: FlowError) -> None:
        """End a run that the host itself broke: no step stays open, the reason is told."""
        for attempt in self._asked.values():
            if attempt.started:
                duration_s = self.since(attempt.began_s)
                self._log.append([rows.cancelled(attempt.dispatch, duration_s)])
        self._end(None, error)

    def _end(self, ctx: Any, error: FlowError | None) -> None:
        row = rows.run_ended(ctx, error, self.since(self._began_s))
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


def microseconds(seconds: float) -> float:
    """Cut a duration to whole microseconds; `round` takes thrice the time for each step."""
    return int(seconds * 1e6) / 1e6
