"""What the host needs of operators: people or programs that sit in seats and take orders.

A seat is a name or a role; who sits in it, and over which wire, is the other side's
affair. An order has a key, and the other side gives each key to an operator once: a host
that was started anew, or that lost the connection, asks again under the same key and gets
the answer that was given meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

__all__ = ("Moment", "OperatorLink", "Order", "Reply")

# do: do the step. before, after: look at a step that begins, or has an answer.
# advise: say what becomes of a step that went wrong.
Moment: TypeAlias = Literal["do", "before", "after", "advise"]


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator is asked for.

    Shape: `key` begins with the attempt's idempotency key (`run/step-key/attempt`); `body`
    is JSON, what it is about; `schema` a JSON Schema that the reply must fit (None: any).
    """

    key: str
    moment: Moment
    agent: str
    prompt: str
    body: Any = None
    schema: Any = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What an operator said, and who said it."""

    value: Any
    by: str | None = None


class OperatorLink(Protocol):
    """The way to the operators."""

    async def ask(self, seat: str, order: Order) -> Reply:
        """Give an order to who sits in *seat*, or will; return the reply.

        Waits as long as it takes, over operators who go and come back. Cancelled, it takes
        the order back, unless the host only rests.
        Raises: flowir.WorkerFailure (operator.refused), where the operator does not do it.
        """
        ...

    async def beat(self, seat: str, key: str) -> bool:
        """Tell that the host waits for the order of this key; return whether it is held.

        It is held while an operator who has it is attached, and shows signs of life.
        """
        ...
