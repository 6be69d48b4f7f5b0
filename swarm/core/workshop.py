"""Where attempts are made: each waits for its time and its turn, and meets its worker.

What an attempt may take is bounded here, by its step, its agent and the run's budget; who
is asked for an answer gives one, in time or not at all. Knows nothing of what follows
from an answer.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from flowir.effects import tuple_of
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.core.agenda import Agenda
from swarm.core.answers import Answer, ask, timed_out
from swarm.core.attempt import Attempt
from swarm.core.capability.verbs import TABLE, Table
from swarm.core.children import ChildHost, Children
from swarm.core.gates import Gates, Ticket, kind_needs
from swarm.core.lane import Lane
from swarm.core.link import Called, Link
from swarm.core.log import RunLog
from swarm.core.terms import Terms
from swarm.core.waits import Waits
from swarm.ports.clock import Clock
from swarm.ports.worker import Call, Usage

__all__ = ("Workshop",)

_NOTHING = Usage()


class Workshop:
    """Makes the attempts of one run."""

    def __init__(
        self,
        blueprint: CompiledBlueprint,
        agenda: Agenda,
        *,
        log: RunLog,
        clock: Clock,
        gates: Gates,
        waits: Waits,
        host: ChildHost | None = None,
        table: Table = TABLE,
    ) -> None:
        self.log = log
        self.waits = waits
        self.table = table
        self._agenda = agenda
        self._clock = clock
        self._gates = gates
        self._limits = blueprint.flow.limits
        self._host = host
        self._children: Children | None = None

    @property
    def children(self) -> Children:
        """The runs within the run, whose carrier is known when there is the first."""
        if self._children is None:
            self._children = Children(self.log, self.waits, self._host, self._agenda)
        return self._children

    def link(self, attempt: Attempt) -> Link:
        """Make what the worker of an attempt may use."""
        return Link(attempt, self)

    def attempt(self, attempt: Attempt, lane: Lane) -> Coroutine[Any, Any, Answer | None]:
        """Make one attempt, to be awaited; `leave` is to follow. None: nobody wants an answer.

        Most attempts begin at once and have all the time in the world: for those there is
        no coroutine but that which asks the worker.
        """
        if (
            attempt.started
            and attempt.wanted
            and attempt.refused is None
            and attempt.dispatch.timeout_s is None
            and attempt.terms.timeout_s is None
            and not self._agenda.meter.limited
        ):
            attempt.scope = lane
            link = Link(attempt, self)
            terms, given = attempt.terms, attempt.dispatch.input
            begun = terms.begins is not None
            return self._asked_of(terms, given, attempt, link, None, begun=begun, lane=lane)
        return self._bounded(attempt, lane)

    async def _bounded(self, attempt: Attempt, lane: Lane) -> Answer | None:
        """Make an attempt that has to wait, or to end in time, or is refused."""
        if attempt.wanted and not attempt.started:
            await self._wait(attempt)
        if not attempt.wanted or not attempt.started:
            return None
        if attempt.refused is not None:
            return Answer(attempt.refused)
        attempt.scope = lane
        timeout_s = attempt.dispatch.timeout_s
        if timeout_s is None:
            timeout_s = attempt.terms.timeout_s
        return await self._in_time(attempt, lane, timeout_s)

    def leave(self, attempt: Attempt) -> None:
        """Let an attempt be over: it gives its places back."""
        attempt.scope = None
        attempt.open = False
        if attempt.ticket is not None:
            self._gates.leave(attempt.ticket)

    async def _in_time(
        self, attempt: Attempt, lane: Lane, timeout_s: float | None
    ) -> Answer | None:
        """Ask for an answer within the time that the step and the run's budget have."""
        dispatch, terms, agenda = attempt.dispatch, attempt.terms, self._agenda
        link, given, begun = Link(attempt, self), dispatch.input, terms.begins is not None
        left_s = agenda.meter.wall_left_s(agenda.used_s())
        limit_s = _sooner(timeout_s, left_s)
        if limit_s is None:
            return await self._asked_of(terms, given, attempt, link, None, begun=begun, lane=lane)
        answer: Answer | None = None
        with self._clock.deadline(limit_s):
            answer = await self._asked_of(terms, given, attempt, link, timeout_s, begun=begun)
        if answer is not None or not attempt.wanted:
            return answer
        if limit_s == left_s:
            return Answer(agenda.meter.exhausted("wall_s", agenda.used_s()))
        return None if timeout_s is None else timed_out(dispatch.ref, timeout_s)

    async def _wait(self, attempt: Attempt) -> None:
        """Let the delay before another attempt pass, and its turn at the gates come."""
        agenda = self._agenda
        with self._clock.deadline(None) as scope:
            attempt.scope = scope
            # A run out of time is not waited for: the attempt is refused then.
            left_s = agenda.meter.wall_left_s(agenda.used_s())
            await self._clock.sleep(_sooner(attempt.due_s - self._clock.monotonic(), left_s) or 0.0)
            ticket = agenda.ticket(attempt)
            if ticket is not None:
                await self._gates.wait(ticket)
        attempt.scope = None
        if attempt.wanted and not agenda.pausing:
            stopped = agenda.end_if_long(begins=True)
            if attempt.wanted:
                agenda.begin(attempt)
            await self.log.commit()
            for other in stopped:
                other.stop()

    def _asked_of(
        self,
        terms: Terms,
        input: Any,
        attempt: Attempt,
        link: Link,
        timeout_s: float | None,
        *,
        begun: bool = False,
        lane: Lane | None = None,
    ) -> Coroutine[Any, Any, Answer]:
        """Ask an agent; *lane*: nothing is open between its scope and the worker."""
        dispatch = attempt.dispatch
        key, _, own, number, node_id, _, _ = dispatch
        digest = attempt.digest if input is own else None
        run_id, agent, spec = self.log.run_id, terms.agent, terms.spec
        about = (run_id, key, agent, input, number, node_id, timeout_s, spec, digest, begun, lane)
        call = tuple_of(Call, about)
        return ask(terms.worker, call, link, self._limits, terms.contract, apart=terms.apart)

    async def delegate(self, attempt: Attempt, agent: str, input: Any, depth: int) -> Called:
        """Let another agent do something for a worker, within that worker's attempt.

        Of the gates it passes that of its kind alone: who calls has places at the others.
        """
        needs = kind_needs(self._agenda.terms[agent].spec, self._gates)
        if not needs:
            return await self._called(attempt, agent, input, depth)
        ticket = Ticket(self.log.run_id, needs)
        try:
            await self._gates.wait(ticket)
            return await self._called(attempt, agent, input, depth)
        finally:
            self._gates.leave(ticket)

    async def _called(self, attempt: Attempt, agent: str, input: Any, depth: int) -> Called:
        agenda, began_s = self._agenda, self._clock.monotonic()
        timeout_s = agenda.terms[agent].timeout_s
        link = Link(attempt, self, depth)
        accounts = agenda.meter.accounts(agent, attempt.dispatch.key)
        most = agenda.terms[agent].most
        refused = agenda.meter.hold(accounts, most)
        if refused is not None:
            return Called(Answer(refused), 0.0)
        answer = timed_out(agent, timeout_s or 0.0)
        terms = agenda.terms[agent]
        used = _NOTHING
        try:
            with self._clock.deadline(timeout_s):
                answer = await self._asked_of(terms, input, attempt, link, timeout_s)
                used = answer.usage
        finally:
            agenda.meter.settle(accounts, most, used)
        return Called(answer, agenda.since(began_s))


def _sooner(one_s: float | None, other_s: float | None) -> float | None:
    return one_s if other_s is None or (one_s is not None and one_s < other_s) else other_s
