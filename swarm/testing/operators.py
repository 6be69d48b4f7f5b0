"""Operators that do what a test says: answer at once, later, or not; go and come back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import anyio

from flowir.errors import WorkerFailure
from swarm.ports.operators import Ending, Order, Reply, Settling
from swarm.ports.worker import StepLink

__all__ = ("FakeOperators",)


class FakeOperators:
    """An operator link whose other side is a test.

    >>> operators = FakeOperators({"ada": lambda order: {"decision": "keep"}})

    Shape: *seats* are functions of an order, for who answers at once; others are answered
    with `reply` or `refuse`. `orders` holds each order once, as (seat, order), however often
    it was asked for; `asked` counts that, by key. Everybody is attached until `detach`.
    """

    def __init__(self, seats: Mapping[str, Callable[[Order], Any]] | None = None) -> None:
        self.orders: list[tuple[str, Order]] = []
        self.asked: Counter[str] = Counter()
        self.beats = 0
        self._seats = dict(seats or {})
        self._detached: set[str] = set()
        self._replies: dict[str, Reply | WorkerFailure] = {}
        self._news: dict[str, anyio.Event] = {}

    async def ask(self, seat: str, order: Order, link: StepLink | None = None) -> Reply:
        """Give an order, once for its key; wait for the reply."""
        self.asked[order.key] += 1
        if order.key not in self._news:
            self._news[order.key] = anyio.Event()
            self.orders.append((seat, order))
            if seat in self._seats:
                self.reply(order.key, self._seats[seat](order), by=seat)
        await self._news[order.key].wait()
        reply = self._replies[order.key]
        if isinstance(reply, WorkerFailure):
            raise reply
        return reply

    async def beat(self, seat: str, key: str) -> bool:
        """Return whether the order was given, and who has it is attached."""
        self.beats += 1
        return key in self._news and seat not in self._detached

    def order(self, key: str) -> Order | None:
        """Return an order that has no reply yet."""
        return next((o for _, o in self.orders if o.key == key and key not in self._replies), None)

    def is_over(self, key: str) -> bool:
        """Say whether an order has its reply."""
        return key in self._replies

    def answer(self, key: str, ending: Ending, by: str) -> Settling:
        """Take in an answer that came with the order's token; the first counts."""
        if key in self._replies:
            return "duplicate"
        if key not in self._news:
            return "stale"
        self._replies[key] = ending
        self._news[key].set()
        return "taken"

    def begin(self) -> None:
        """Go on: who is here stays here."""

    def drain(self) -> None:
        """Go on: what is asked is given."""

    def rest(self) -> None:
        """Keep the orders: nothing here takes one back."""

    def reply(self, key: str, value: Any, by: str | None = None) -> None:
        """Answer an order; a second answer is not heard."""
        self._replies.setdefault(key, Reply(value, by))
        self._news[key].set()

    def refuse(self, key: str, why: str = "not now") -> None:
        """Refuse an order."""
        self._replies.setdefault(key, WorkerFailure("operator.refused", why))
        self._news[key].set()

    def detach(self, seat: str) -> None:
        """Let who sits in *seat* go; his orders wait."""
        self._detached.add(seat)

    def attach(self, seat: str) -> None:
        """Let him come back."""
        self._detached.discard(seat)
