"""What a function sees of its step when it asks for it: `swarm.StepContext`.

An async function awaits what it calls. A sync function runs in a thread: there the same
calls do their work before they return, and need no `await`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from typing import Any, TypeAlias

from anyio import from_thread

from swarm.blueprint.agent import AgentSpec
from swarm.ports.questions import Ask, OnDeadline
from swarm.ports.worker import Call, StepLink

__all__ = ("StepContext",)

_Act: TypeAlias = Callable[..., Coroutine[Any, Any, None]]


class _Done:
    """What was done before it was returned; awaiting it changes nothing."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


class StepContext:
    """One attempt of one step, as the function that does it sees it.

    Shape: `idempotency_key` is `run/key/attempt`; hand it to whatever must not happen
    twice. Units: `attempt` counts from 1.
    """

    def __init__(self, call: Call, link: StepLink, *, in_thread: bool) -> None:
        self._call = call
        self._link = link
        self._in_thread = in_thread

    @property
    def run(self) -> str:
        """The id of the run."""
        return self._call.run_id

    @property
    def step(self) -> str:
        """The id of the step's node, or its place in the flow."""
        return self._call.node_id or self._call.key

    @property
    def key(self) -> str:
        """The name of this piece of work within the run; the same in every replay."""
        return self._call.key

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._call.attempt

    @property
    def idempotency_key(self) -> str:
        """The name of this attempt for the outside world."""
        return self._call.idempotency_key

    @property
    def agent(self) -> AgentSpec:
        """The agent as its blueprint has it: `.model`, `.instructions`, `.tools`, `.settings`."""
        return self._call.spec or AgentSpec(self._call.agent, "function")

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for this attempt any more; long work in a thread looks here."""
        return self._link.cancelled

    def progress(self, text: str) -> Awaitable[None]:
        """Tell the run's watchers how far this attempt is."""
        return self._settled(self._link.progress, text)

    def part(self, name: str, value: Any) -> Any:
        """Hand over a named artifact beside the answer; the last of a name counts.

        Shape: *value* is text, bytes or JSON. The reference to it in a thread, an awaitable
        of that elsewhere; an answer may hold it.
        """
        if self._in_thread:
            return from_thread.run(self._link.part, name, value)
        return self._link.part(name, value)

    def read(self, reference: Any) -> Any:
        """Return what a reference (`{"$ref": "sha256:…", …}`) stands for.

        Shape: str, bytes or JSON in a thread, an awaitable of that elsewhere.
        Raises: flowir.WorkerFailure (output.reference, output.unknown, output.damaged).
        """
        if self._in_thread:
            return from_thread.run(self._link.read, reference)
        return self._link.read(reference)

    def call(self, agent: str, input: Any = None) -> Any:
        """Let another agent of the blueprint do something.

        Shape: its answer in a thread, an awaitable of its answer elsewhere.
        Raises: flowir.WorkerFailure, with that agent's code.
        """
        if self._in_thread:
            return from_thread.run(self._link.call, agent, input)
        return self._link.call(agent, input)

    def ask(
        self,
        prompt: str,
        *,
        input: Any = None,
        schema: Mapping[str, Any] | bool | None = None,
        to: str | None = None,
        deadline_s: float | None = None,
        on_deadline: OnDeadline = "fail",
        default: Any = None,
        escalate_to: str | None = None,
    ) -> Any:
        """Ask a person, who may take days; restarts do not matter.

        Shape: the answer in a thread, an awaitable of it elsewhere. It fits *schema*.
        Raises: flowir.WorkerFailure (question.malformed, question.expired).
        """
        ask = Ask(prompt, input, schema, to, deadline_s, on_deadline, default, escalate_to)
        if self._in_thread:
            return from_thread.run(self._link.ask, ask)
        return self._link.ask(ask)

    def _settled(self, act: _Act, *args: Any) -> Awaitable[None]:
        if not self._in_thread:
            return act(*args)
        from_thread.run(act, *args)
        return _Done()
