"""An attempt as its worker sees it from outside, by a token for it alone.

Where an operator has the attempt, whoever he hands its token to does the order in his
place: reads it, reports, and answers. That goes the way of all answers: to the order that
the engine waits for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio

from flowir.errors import WorkerFailure, shorten
from swarm.core.log import EventStream
from swarm.errors import Refused
from swarm.ports.operators import Ending, OperatorLink, Order, Reply
from swarm.ports.worker import CostlyFailure, StepLink, Usage

if TYPE_CHECKING:
    from swarm.host.guest import Guest

__all__ = ("GuestStep",)

# How long an order may take to come to the desk, once its attempt has begun; and how long
# whoever answers is kept waiting for the end of the attempt to be written down.
_COMES_S: Final = 1.0
_WRITTEN_S: Final = 5.0


class GuestStep:
    """One attempt; *by* is whose token it is, as far as that is known."""

    def __init__(self, guest: Guest, run_id: str, key: str, attempt: int) -> None:
        self._guest = guest
        self._at = (run_id, key, attempt)

    # -- while it goes on --------------------------------------------------------------

    async def progress(self, text: str) -> None:
        """Tell how far the attempt is."""
        async with self._doing("step.progress") as (link, _):
            await link.progress(text)

    async def part(self, name: str, value: Any) -> Mapping[str, Any]:
        """Hand over a named artifact; return the reference to it."""
        async with self._doing("step.part") as (link, _):
            return await link.part(name, value)

    async def call(self, agent: str, input: Any = None) -> Any:
        """Let another agent of the blueprint do something."""
        async with self._doing("step.call") as (link, _):
            return await link.call(agent, input)

    # -- in the place of an operator ---------------------------------------------------

    async def order(self, key: str | None = None) -> Order:
        """Return what is to be done; *key* names the order, where the attempt has several.

        Raises: Refused (step.unasked), where no operator is asked for this attempt.
        """
        async with self._doing("step.read"):
            return (await self._asked(key))[1]

    async def read(self, digest: str, key: str | None = None) -> Any:
        """Return what a reference within the order's input stands for: str, bytes or JSON.

        Raises: Refused (step.unasked, output.unknown).
        """
        async with self._doing("step.read") as (link, _):
            order = (await self._asked(key))[1]
            for reference in _references(order.body):
                if reference["$ref"] == digest:
                    return await link.read(reference)
        said = f"expected a reference of this step's input, got {shorten(digest)}"
        raise Refused("output.unknown", said)

    async def result(
        self,
        value: Any,
        *,
        usage: Usage | None = None,
        halted: str | None = None,
        key: str | None = None,
    ) -> bool:
        """Answer; *halted* says why it ends early. Return whether that is written down.

        Raises: Refused (step.unasked, step.answered).
        """
        used = usage or Usage()
        return await self._answer("step.result", Reply(value, None, used, halted), key)

    async def fail(
        self,
        code: str,
        message: str,
        *,
        permanent: bool = False,
        data: Any = None,
        usage: Usage | None = None,
        key: str | None = None,
    ) -> bool:
        """Say that it cannot be done. Return whether that is written down.

        Raises: Refused (step.unasked, step.answered).
        """
        if usage is None or usage == Usage():
            failure = WorkerFailure(code, message, permanent, data)
        else:
            failure = CostlyFailure(code, message, permanent, data, usage=usage)
        return await self._answer("step.fail", failure, key)

    async def _answer(self, verb: str, ending: Ending, key: str | None) -> bool:
        async with self._doing(verb) as (_, by):
            operators, order = await self._asked(key)
            ends = (await self._guest.host.run(self._at[0])).ends()
            if isinstance(ending, Reply):
                ending = Reply(ending.value, by, ending.usage, ending.halted)
            if operators.answer(order.key, ending, by) != "taken":
                raise self._answered()
            return await self._ended(ends)

    async def _ended(self, ends: EventStream) -> bool:
        """Say whether the end of the attempt was written down, for a while."""
        _, step, attempt = self._at
        with anyio.move_on_after(_WRITTEN_S):
            async for event in ends:
                if event.get("key") == step and event.get("attempt") == attempt:
                    return event["kind"] != "step.interrupted"
        return False

    async def _asked(self, key: str | None) -> tuple[OperatorLink, Order]:
        """Return the order that waits for an answer.

        Only what is to be done is done by token: who is asked whether it may be done, or
        was done well, answers himself.
        """
        run, step, attempt = self._at
        own = f"{run}/{step}/{attempt}"
        named = own if key is None else key
        if named != own and not named.startswith(f"{own}/"):
            raise Refused("step.unasked", f"key: expected an order of {own!r}, got {shorten(key)}")
        operators = self._guest.host.operators
        if operators is not None:
            with anyio.move_on_after(_COMES_S):
                while (order := operators.order(named)) is None:
                    if operators.is_over(named):
                        raise self._answered()
                    await anyio.sleep(0.02)
                if order.moment == "do":
                    return operators, order
        said = f"{own}: expected an attempt that an operator is asked for, got another"
        raise Refused("step.unasked", f"{said} — the orders of a panel are told apart by 'key'")

    def _answered(self) -> Refused:
        run, step, attempt = self._at
        said = f"{run}/{step}/{attempt}: expected the first answer, got another"
        return Refused("step.answered", said)

    @asynccontextmanager
    async def _doing(self, verb: str) -> AsyncGenerator[tuple[StepLink, str]]:
        """Act within the attempt, which goes on; hand over its link, and whose token it is."""
        async with self._guest.act(verb, *self._at) as passed:
            yield await self._guest.link(passed, verb, *self._at), passed.decision.actor


def _references(value: Any) -> Iterator[dict[str, Any]]:
    """Find the references in a value."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if isinstance(one.get("$ref"), str):
                yield one
            else:
                left += one.values()
        elif isinstance(one, list):
            left += one
