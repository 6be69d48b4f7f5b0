"""Limits on how much goes on at a time: in a host, of a blueprint, by an agent.

An attempt passes all its gates at once or waits outside of all, so nobody holds one place
while waiting for another. Places that become free go round the runs, in each to who came
first: a run with ten thousand lanes delays one with a single step by one place.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Final, TypeAlias

import anyio

from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.ids import RunId

__all__ = ("Gates", "Needs", "Ticket", "kind_needs", "needs_of")

# The gates, and how many each lets in.
Needs: TypeAlias = tuple[tuple[str, int], ...]

# Those who wait for people, for time, or for runs of their own do not take a place of the
# host or the blueprint: a run within the run would wait for it for ever.
_IDLE: Final = frozenset({"flow", "human", "sleep"})


class Ticket:
    """What one attempt needs: a place at each of its gates. `inside` while it has them."""

    __slots__ = ("called", "inside", "needs", "run_id")

    def __init__(self, run_id: RunId, needs: Needs) -> None:
        self.run_id = run_id
        self.needs = needs
        self.inside = False
        self.called: anyio.Event | None = None


class Gates:
    """The gates of a host.

    Shape: *most* is how many attempts may go on in all (None: any), *kinds* how many by
    agents of a kind.
    """

    def __init__(self, most: int | None = None, kinds: Mapping[str, int] | None = None) -> None:
        self.most = most
        self.kinds = {} if kinds is None else kinds
        self._taken: Counter[str] = Counter()
        self._wanted: Counter[str] = Counter()
        self._inside: dict[RunId, set[Ticket]] = {}
        # Each run's tickets by what they need; the runs in the order of their turns.
        self._waiting: dict[RunId, dict[Needs, deque[Ticket]]] = {}

    @property
    def runs_waiting(self) -> int:
        """How many runs have a ticket that is not inside."""
        return len(self._waiting)

    def enter(self, ticket: Ticket) -> bool:
        """Take the places now, if they are free and nobody waits for one of them."""
        if self._waiting and any(self._wanted[name] for name, _ in ticket.needs):
            return False
        if not self._has_room(ticket):
            return False
        self.take(ticket)
        return True

    def slip_in(self, name: str, limit: int) -> bool:
        """Take a place at one gate now, without a ticket; `slip_out` gives it back."""
        taken = self._taken[name]
        if self._waiting or taken >= limit:
            return False
        self._taken[name] = taken + 1
        return True

    def slip_out(self, name: str) -> None:
        """Give such a place back; whose turn it is goes in."""
        self._taken[name] -= 1
        while self._waiting and self._call_next():
            pass

    async def wait(self, ticket: Ticket) -> None:
        """Take the places when it is this ticket's turn."""
        if self.enter(ticket):
            return
        ticket.called = anyio.Event()
        queues = self._waiting.setdefault(ticket.run_id, {})
        queues.setdefault(ticket.needs, deque()).append(ticket)
        self._count(ticket, 1)
        try:
            await ticket.called.wait()
        finally:
            if not ticket.inside:
                self._forget(ticket)

    def take(self, ticket: Ticket) -> None:
        """Take the places, free or not: who rested goes on without a wait."""
        ticket.inside = True
        self._inside.setdefault(ticket.run_id, set()).add(ticket)
        for name, _ in ticket.needs:
            self._taken[name] += 1

    def leave(self, ticket: Ticket) -> None:
        """Give the places back, if it has them; whose turn it is goes in."""
        if not ticket.inside:
            return
        ticket.inside = False
        of_run = self._inside[ticket.run_id]
        of_run.discard(ticket)
        if not of_run:
            del self._inside[ticket.run_id]
        for name, _ in ticket.needs:
            self._taken[name] -= 1
        while self._waiting and self._call_next():
            pass

    def release(self, run_id: RunId) -> None:
        """Give back what a run still has at its end: a task that never began leaves nothing."""
        for ticket in list(self._inside.get(run_id, ())):
            self.leave(ticket)

    def _has_room(self, ticket: Ticket) -> bool:
        # Written out: it is asked for every attempt, and mostly of one gate.
        for name, limit in ticket.needs:  # noqa: SIM110
            if self._taken[name] >= limit:
                return False
        return True

    def _call_next(self) -> bool:
        """Let the next one in; its run has its next turn after the others."""
        for run_id, queues in self._waiting.items():
            for queue in queues.values():
                ticket = queue[0]
                if self._has_room(ticket):
                    self._forget(ticket)
                    if run_id in self._waiting:
                        self._waiting[run_id] = self._waiting.pop(run_id)
                    self.take(ticket)
                    assert ticket.called is not None  # noqa: S101 - it waits
                    ticket.called.set()
                    return True
        return False

    def _forget(self, ticket: Ticket) -> None:
        queues = self._waiting[ticket.run_id]
        queues[ticket.needs].remove(ticket)
        self._count(ticket, -1)
        if not queues[ticket.needs]:
            del queues[ticket.needs]
        if not queues:
            del self._waiting[ticket.run_id]

    def _count(self, ticket: Ticket, by: int) -> None:
        for name, _ in ticket.needs:
            self._wanted[name] += by


def needs_of(blueprint: CompiledBlueprint, agent: str, gates: Gates) -> Needs:
    """Return what an attempt of *agent* needs; `()`: nothing is limited."""
    spec = blueprint.agents.get(agent)
    limits: Mapping[str, int] = blueprint.document.get("limits", {})
    needs: list[tuple[str, int]] = []
    if spec is None or spec.kind not in _IDLE:
        for name, limit in (("", gates.most), (blueprint.id, limits.get("concurrency"))):
            if limit is not None:
                needs.append((name, limit))
    needs += kind_needs(spec, gates)
    own = None if spec is None else spec.settings.get("concurrency")
    if own is not None:
        needs.append((f"{blueprint.id}/{agent}", own))
    return tuple(needs)


def kind_needs(spec: AgentSpec | None, gates: Gates) -> Needs:
    """Return what an agent needs for its kind: also where another agent calls it."""
    limit = None if spec is None else gates.kinds.get(spec.kind)
    return () if spec is None or limit is None else ((f"kind:{spec.kind}", limit),)
