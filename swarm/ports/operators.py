"""What the host needs of operators: people or programs that sit in seats and take orders.

A seat is a name or a role; who sits in it, and over which wire, is the other side's
affair. An order has a key, and the other side gives each key to an operator once: a host
that was started anew, or that lost the connection, asks again under the same key and gets
the answer that was given meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Literal, Protocol, TypeAlias

from flowir.errors import WorkerFailure
from flowir.records import dataclass
from swarm.ports.worker import StepLink, Usage

__all__ = ("Absence", "Choice", "Ending", "Moment", "OperatorLink", "Order", "Reply", "Settling")

# do: do the step. before, after: look at a step that begins, or has an answer.
# advise: say what becomes of a step that went wrong.
Moment: TypeAlias = Literal["do", "before", "after", "advise"]

# Which of several operators that could take an order gets it. least_busy: who holds least.
# round_robin: whose turn was longest ago. sticky: who had the run's last one.
Choice: TypeAlias = Literal["least_busy", "round_robin", "sticky"]


@dataclass(frozen=True, slots=True)
class Absence:
    """What becomes of an order that nobody works on: nobody came, or its holder went.

    Shape: `then` is `wait` (as long as the step may take), `next` (another operator of the
    seat), `escalate` (whoever sits in `to`) or `fail`. Units: after `after_s` seconds.
    """

    after_s: float | None = None
    then: Literal["wait", "next", "escalate", "fail"] = "wait"
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator is asked for.

    Shape: `key` begins with the attempt's idempotency key (`run/step-key/attempt`); `body`
    is JSON, what it is about; `schema` a JSON Schema that the reply must fit (None: any);
    `told` what the blueprint says of the agent. `seats` would do as well as the one that is
    asked; an operator needs all `tags`. `token` mints the order's own token.
    Units: `deadline_s` in seconds from now (None: none).
    """

    key: str
    moment: Moment
    agent: str
    prompt: str
    body: Any = None
    schema: Any = None
    run: str | None = None
    step: str | None = None
    attempt: int | None = None
    deadline_s: float | None = None
    tags: tuple[str, ...] = ()
    seats: tuple[str, ...] = ()
    choice: Choice = "least_busy"
    absence: Absence = field(default_factory=Absence)
    told: Mapping[str, Any] | None = None
    token: Callable[[], str] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What an operator said, who said it, and what it took.

    Shape: `halted` is why he ended early, where he did: the value is as far as he came.
    """

    value: Any
    by: str | None = None
    usage: Usage = field(default_factory=Usage)
    halted: str | None = None


# What an order ends with, and what becomes of an ending that somebody gives: it counts
# (`taken`), the order has one (`duplicate`), or there is no such order (`stale`).
Ending: TypeAlias = Reply | WorkerFailure
Settling: TypeAlias = Literal["taken", "duplicate", "stale"]


class OperatorLink(Protocol):
    """The way to the operators."""

    def begin(self) -> None:
        """Note that a host is there: it will ask, and orders are given."""
        ...

    async def ask(self, seat: str, order: Order, link: StepLink | None = None) -> Reply:
        """Give an order to who sits in *seat*, or will; return the reply.

        Waits as long as it takes, over operators who go and come back; what they report
        meanwhile goes to *link*. Cancelled, it takes the order back, unless the host only
        rests.
        Raises: flowir.WorkerFailure (operator.refused), where the operator does not do it;
        with the operator's own code, where he failed.
        """
        ...

    async def beat(self, seat: str, key: str) -> bool:
        """Tell that the host waits for the order of this key; return whether it is held.

        It is held while an operator who has it is attached, and shows signs of life.
        """
        ...

    def order(self, key: str) -> Order | None:
        """Return the order of this key, while it waits for an answer."""
        ...

    def is_over(self, key: str) -> bool:
        """Say whether an order of this key was answered, or taken back, not long ago."""
        ...

    def answer(self, key: str, ending: Ending, by: str) -> Settling:
        """Take in an ending from whoever shows the order's own token.

        Shape: *by* is whose token it is; where somebody holds the order, it counts as his.
        """
        ...

    def drain(self) -> None:
        """Tell everybody that nothing new is given, and that the host is about to end."""
        ...

    def rest(self) -> None:
        """Note that the host ends and will come again: orders are not taken back from now on."""
        ...
