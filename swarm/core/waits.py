"""Waiting without working: attempts that wait for a person, or for the clock.

They hold no task slot meanwhile: others may start. A run in which everything that is in
flight waits for people is `waiting`; two events of the run tell when that begins and ends.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from swarm.core.attempt import Attempt
from swarm.core.log import RunLog
from swarm.core.questions import QuestionBook
from swarm.core.timers import Timers
from swarm.ports.clock import Clock
from swarm.ports.questions import Ask

__all__ = ("Shift", "Waits")


# An attempt that was interrupted is made again, and waits on.
_OVER: Final = frozenset({"step.finished", "step.failed", "step.cancelled"})


class Shift(Protocol):
    """Who gives out the task slots."""

    @property
    def in_flight(self) -> int | None:
        """How many dispatches have no answer yet, begun or not; None where the run rests."""
        ...

    async def rest(self, attempt: Attempt) -> None:
        """Commit what is appended; let others have the attempt's slot."""
        ...

    def wake(self, attempt: Attempt) -> None:
        """Take a slot again."""
        ...


class Waits:
    """What the attempts of one run wait for; `used` tells whether one of them ever has."""

    def __init__(self, log: RunLog, clock: Clock, shift: Shift) -> None:
        self._log = log
        self._clock = clock
        self._shift: Shift | None = shift
        self._elsewhere: set[tuple[str, int]] | None = None
        # Most runs never wait: what is asked of each step is asked of this first, and what
        # is for those who wait is made for the first of them.
        self.used = False
        self._questions: QuestionBook | None = None
        self._set: Timers | None = None

    @property
    def questions(self) -> QuestionBook:
        """What the run asks of people."""
        if self._questions is None:
            self._questions = QuestionBook(self._log, self._clock, changed=self.note)
        return self._questions

    @property
    def _timers(self) -> Timers:
        if self._set is None:
            self._set = Timers(self._log, self._clock)
        return self._set

    def recall(self, row: Mapping[str, Any]) -> None:
        """Take in a row of the run's past; most are not about waiting."""
        self.used = True
        kind: str = row["kind"]
        if kind == "timer.set":
            self._timers.recall(row)
        elif kind.startswith("question."):
            self.questions.recall(row)
        elif kind in _OVER:
            self._over(row["key"], row["attempt"])

    async def ask(self, attempt: Attempt, ask: Ask) -> Any:
        """Ask a person, and return the answer.

        Raises: WorkerFailure (question.malformed, question.expired).
        """
        self.used = True
        question = self.questions.ask(attempt.dispatch, ask)
        async with self._resting(attempt):
            return await self.questions.wait(question)

    async def sleep(self, attempt: Attempt, seconds: float) -> None:
        """Let *seconds* pass, over restarts too, and never less."""
        self.used = True
        left_s = self._timers.set(attempt.dispatch, seconds)
        async with self._resting(attempt):
            await self._clock.sleep(left_s)

    @asynccontextmanager
    async def held(self, attempt: Attempt) -> AsyncGenerator[None]:
        """Let an attempt wait for people that are asked by somebody else."""
        self.elsewhere(attempt, True)
        try:
            async with self._resting(attempt):
                yield
        finally:
            self.elsewhere(attempt, False)

    def elsewhere(self, attempt: Attempt, begins: bool) -> None:
        """Note that the run which does an attempt begins, or ceases, to wait for people."""
        self.used = True
        at = (attempt.dispatch.key, attempt.dispatch.attempt)
        if begins and attempt.wanted:
            self._elsewhere = {*(self._elsewhere or ()), at}
        elif self._elsewhere is not None:
            self._elsewhere.discard(at)
        self.note()

    def over(self, attempt: Attempt) -> None:
        """Let go of what an attempt waited for: it has its answer, or needs none."""
        if self.used:
            self._over(attempt.dispatch.key, attempt.dispatch.attempt)

    def note(self) -> None:
        """Write down that the run begins or ceases to wait for people, where it does."""
        if not self.used or self._shift is None:
            return
        status, askers = self._log.ahead, self.questions.askers()
        if self._elsewhere:
            askers = askers | self._elsewhere
        if status == "running" and not askers:
            return
        in_flight = self._shift.in_flight
        if in_flight is None or status not in ("running", "waiting"):
            return
        waiting = 0 < in_flight == len(askers)
        if waiting != (status == "waiting"):
            self._log.append([{"kind": "run.waiting" if waiting else "run.woken"}])

    def _over(self, key: str, attempt: int) -> None:
        if self._elsewhere is not None:
            self._elsewhere.discard((key, attempt))
        self.questions.withdraw(key, attempt)
        self._timers.forget(key, attempt)

    @asynccontextmanager
    async def _resting(self, attempt: Attempt) -> AsyncGenerator[None]:
        shift = self._shift
        assert shift is not None  # noqa: S101 - an attempt goes on
        attempt.resting += 1
        try:
            await shift.rest(attempt)
            yield
        finally:
            attempt.resting -= 1
            shift.wake(attempt)

    def close(self) -> None:
        """Let go of who gives out the slots: nothing of the run goes on, so nobody waits."""
        self._shift = None
