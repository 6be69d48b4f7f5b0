"""What a worker may use while it works, bound to one attempt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

from flowir.door import admit
from flowir.effects import Failure
from flowir.errors import WorkerFailure, shorten
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.core import rows
from swarm.core.answers import Answer
from swarm.core.attempt import Attempt
from swarm.core.children import Children
from swarm.core.log import RunLog
from swarm.core.waits import Waits
from swarm.errors import Refused
from swarm.ports.questions import Ask
from swarm.ports.worker import Holding

__all__ = ("Called", "Delegate", "Link")


class Called(NamedTuple):
    """What came of a call between agents, and how long it took."""

    answer: Answer
    duration_s: float


Delegate: TypeAlias = Callable[[Attempt, str, Any, int], Awaitable[Called]]

# How deep agents may call each other before it is a circle.
_CALLS = 8


class Link:
    """The StepLink of an attempt; `depth` counts the calls between agents above it."""

    __slots__ = ("_attempt", "_children", "_delegate", "_depth", "_log", "_waits")

    def __init__(
        self,
        attempt: Attempt,
        log: RunLog,
        delegate: Delegate,
        waits: Waits,
        children: Children,
        depth: int = 0,
    ) -> None:
        self._attempt = attempt
        self._log = log
        self._delegate = delegate
        self._waits = waits
        self._children = children
        self._depth = depth

    @property
    def cancelled(self) -> bool:
        """Whether the host has given this attempt up."""
        return not self._attempt.open

    async def progress(self, text: str) -> None:
        """Tell the run's watchers how far this attempt is."""
        self._check_room()
        await self._record(rows.progress(self._attempt, admit(str(text), at="progress")))

    async def part(self, name: str, value: Any) -> None:
        """Hand over a named artifact beside the answer."""
        self._check_room()
        name = admit(str(name), at="part")
        await self._record(rows.part(self._attempt, name, admit(value, at=f"part {name!r}")))

    async def call(self, agent: str, input: Any) -> Any:
        """Let another agent of this blueprint do something, and return its answer."""
        self._check_room()
        if self._depth >= _CALLS:
            raise WorkerFailure(
                "call.depth",
                f"{self._attempt.dispatch.ref!r}: expected at most {_CALLS} agents that call "
                f"each other, got one more for {shorten(agent)}",
                True,
            )
        called = await self._delegate(self._attempt, agent, admit(input), self._depth + 1)
        answer = called.answer
        parts = [rows.part(self._attempt, name, value) for name, value in answer.parts.items()]
        await self._record(*parts, rows.called(self._attempt, agent, *called))
        if isinstance(answer.outcome, Failure):
            raise WorkerFailure(*answer.outcome)
        return answer.outcome.value

    async def ask(self, ask: Ask) -> Any:
        """Ask a person, and return the answer; the question outlives the host."""
        self._check_room()
        return await self._waits.ask(self._attempt, ask)

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass; when they are over is written down, and outlives the host."""
        self._check_room()
        await self._waits.sleep(self._attempt, seconds)

    def held(self) -> Holding:
        """Wait for people who are asked elsewhere, without holding a place."""
        self._check_open()
        return self._waits.held(self._attempt)

    async def run(self, blueprint: CompiledBlueprint, input: Any) -> Any:
        """Run another blueprint as a child of this run, and return its final context."""
        self._check_room()
        return await self._children.run(self._attempt, blueprint, input)

    async def _record(self, *events: dict[str, Any]) -> None:
        self._check_open()
        self._log.append(list(events))
        await self._log.commit()

    def _check_room(self) -> None:
        """Refuse what would make the log of the run longer than it may be."""
        self._check_open()
        if self._log.full:
            error = self._log.too_long()
            raise WorkerFailure(error.code, error.message, True)

    def _check_open(self) -> None:
        if not self._attempt.open:
            dispatch = self._attempt.dispatch
            raise Refused(
                "step.over",
                f"run {self._log.run_id} step {dispatch.key} attempt {dispatch.attempt}: "
                "expected an attempt that somebody waits for, got one that was given up",
                key=dispatch.key,
                attempt=dispatch.attempt,
            )
