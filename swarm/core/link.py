"""What a worker may use while it works, bound to one attempt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from flowir.door import admit
from flowir.effects import Failure
from flowir.errors import WorkerFailure
from flowir.limits import DEFAULT_LIMITS
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.core import rows
from swarm.core.answers import Answer
from swarm.core.attempt import Attempt
from swarm.core.capability.grant import Grant, worker_grant
from swarm.core.capability.rules import covers
from swarm.core.capability.verbs import MAX_DEPTH, Table
from swarm.core.children import Children
from swarm.core.log import RunLog
from swarm.core.outputs import keep, read
from swarm.core.waits import Waits
from swarm.errors import Refused, SwarmError
from swarm.ports.questions import Ask
from swarm.ports.worker import Holding

__all__ = ("MOST_HANDED_BYTES", "Called", "Link", "Tools")

# What one attempt may hand over as parts, the agents that it calls included: sixteen of the
# largest. Their number is bounded by the events of its run.
MOST_HANDED_BYTES = 256 * 1024 * 1024
# Characters of one text of progress: it is for people, and each is an event.
_MOST_TOLD = 2000


class Called(NamedTuple):
    """What came of a call between agents, and how long it took."""

    answer: Answer
    duration_s: float


class Tools(Protocol):
    """What the links of one run have in common.

    What a worker does passes the rules that tokens pass: those of `table`.
    """

    log: RunLog
    waits: Waits
    table: Table

    @property
    def children(self) -> Children:
        """The runs within the run."""
        ...

    async def delegate(self, attempt: Attempt, agent: str, input: Any, depth: int) -> Called:
        """Let another agent do something for a worker, within that worker's attempt."""
        ...


class Link:
    """The StepLink of an attempt; `depth` counts the calls between agents above it.

    The grant for this attempt alone is made when the worker first does something.
    """

    __slots__ = (
        "_attempt",
        "_depth",
        "_grant",
        "_tools",
    )

    def __init__(self, attempt: Attempt, tools: Tools, depth: int = 0) -> None:
        self._attempt = attempt
        self._tools = tools
        self._depth = depth
        self._grant: Grant | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the host has given this attempt up."""
        return not self._attempt.open

    async def progress(self, text: str) -> None:
        """Tell the run's watchers how far this attempt is."""
        self._check_room()
        said = admit(str(text)[: _MOST_TOLD + 1], at="progress")
        if len(said) > _MOST_TOLD:
            said = said[: _MOST_TOLD - 1] + "…"
        await self._record("step.progress", rows.progress(self._attempt, said))

    async def part(self, name: str, value: Any) -> Mapping[str, Any]:
        """Hand over a named artifact beside the answer; return the reference to it."""
        self._check_room()
        name = admit(str(name), at="part")
        kept = keep(value, DEFAULT_LIMITS, f"part {name!r}")
        self._hand_over(len(kept.body), f"part {name!r}")
        reference = kept.reference.to_wire()
        row = rows.part(self._attempt, name, reference)
        await self._record("step.part", row, bodies=(kept.body,))
        return reference

    async def read(self, reference: Any) -> Any:
        """Return what a reference stands for."""
        self._admit("output.read")
        try:
            key = self._attempt.dispatch.key
            return await read(self._tools.log.blob, reference, self._tools.log.run_id, key)
        except SwarmError as error:
            if not error.code.startswith("output."):
                raise
            raise WorkerFailure(error.code, error.message, True) from error

    async def call(self, agent: str, input: Any) -> Any:
        """Let another agent of this blueprint do something, and return its answer."""
        self._check_room()
        self._admit("step.call", depth=1)
        called = await self._tools.delegate(self._attempt, agent, admit(input), self._depth + 1)
        answer = called.answer
        self._hand_over(sum(map(len, answer.bodies)), f"what {agent!r} handed over")
        parts = [rows.part(self._attempt, name, value) for name, value in answer.parts.items()]
        done = rows.called(self._attempt, agent, *called)
        await self._record("step.call", *parts, done, bodies=answer.bodies)
        if isinstance(answer.outcome, Failure):
            raise WorkerFailure(*answer.outcome)
        return answer.outcome.value

    async def ask(self, ask: Ask) -> Any:
        """Ask a person, and return the answer; the question outlives the host."""
        self._check_room()
        self._admit("step.ask")
        return await self._tools.waits.ask(self._attempt, ask)

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass; when they are over is written down, and outlives the host."""
        self._check_room()
        await self._tools.waits.sleep(self._attempt, seconds)

    def held(self) -> Holding:
        """Wait for people who are asked elsewhere, without holding a place."""
        self._check_open()
        return self._tools.waits.held(self._attempt)

    async def run(self, blueprint: CompiledBlueprint, input: Any) -> Any:
        """Run another blueprint as a child of this run, and return its final context."""
        self._check_room()
        self._admit("step.spawn")
        return await self._tools.children.run(self._attempt, blueprint, input)

    def _hand_over(self, size: int, what: str) -> None:
        """Count what the attempt hands over: a store has room for many, not for endless ones.

        Raises: WorkerFailure (part.too_much).
        """
        attempt = self._attempt
        attempt.handed_bytes += size
        if attempt.handed_bytes > MOST_HANDED_BYTES:
            said = f"expected at most {MOST_HANDED_BYTES} bytes of parts from an attempt"
            message = f"{attempt.dispatch.ref!r}: {said}, got more with {what}"
            raise WorkerFailure("part.too_much", message, True)

    async def _record(
        self, verb: str, *events: dict[str, Any], bodies: Iterable[bytes] = ()
    ) -> None:
        self._admit(verb)
        log = self._tools.log
        for body in bodies:
            log.put(body)
        log.append(list(events))
        await log.commit()

    def _check_room(self) -> None:
        """Refuse what would make the log of the run longer than it may be."""
        self._check_open()
        if self._tools.log.full:
            error = self._tools.log.too_long()
            raise WorkerFailure(error.code, error.message, True)

    def _admit(self, verb: str, depth: int = 0) -> None:
        """Hold an act of the worker against its grant.

        Raises: Refused (step.over); WorkerFailure (capability.denied, call.depth).
        """
        self._check_open()
        dispatch, run_id = self._attempt.dispatch, self._tools.log.run_id
        at = (run_id, dispatch.key, dispatch.attempt)
        if self._grant is None:
            self._grant = worker_grant(dispatch.ref, *at, MAX_DEPTH - self._depth)
        run, step, attempt = at
        decision = covers(
            self._grant, verb, self._tools.table, run=run, step=step, attempt=attempt, depth=depth
        )
        if decision.allowed:
            return
        if decision.reason == "spawn_depth":
            said = f"expected at most {MAX_DEPTH} agents that call each other, got one more"
            raise WorkerFailure("call.depth", f"{dispatch.ref!r}: {said}", True)
        said = f"{verb}: expected an act that role 'worker' has here, got: {decision.reason}"
        raise WorkerFailure("capability.denied", f"{dispatch.ref!r}: {said}", True)

    def _check_open(self) -> None:
        if not self._attempt.open:
            dispatch = self._attempt.dispatch
            raise Refused(
                "step.over",
                f"run {self._tools.log.run_id} step {dispatch.key} attempt {dispatch.attempt}: "
                "expected an attempt that somebody waits for, got one that was given up",
                key=dispatch.key,
                attempt=dispatch.attempt,
            )
