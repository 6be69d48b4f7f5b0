"""What lies on the desk: operators, orders on their way, and what is to be said about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import TypeAlias

from flowir.records import dataclass
from swarm.operators.frames import Numbered, Part, Progress, Question
from swarm.operators.states import OrderState
from swarm.ports.operators import Absence, Ending, Order

__all__ = ("Act", "Case", "Member", "Report", "Tell")


@dataclass(slots=True, eq=False)
class Member:
    """An operator, for as long as his session lasts.

    Shape: `may` says whether his token covers an order; `claims` are keys of orders that he
    says he has; `orders` those that he was given; `turn` is when he was last given one.
    """

    id: str
    subject: str
    name: str
    seats: list[str]
    tags: frozenset[str]
    capacity: int
    offers: bool
    may: Callable[[Order], bool]
    may_sit: Callable[[str], bool]
    claims: frozenset[str] = frozenset()
    here: bool = True
    since_s: float = 0.0
    draining: bool = False
    orders: dict[str, None] = field(default_factory=dict[str, None])
    turn: int = 0

    @property
    def is_free(self) -> bool:
        """Whether he is here, stays, and has a hand free."""
        return self.here and not self.draining and len(self.orders) < self.capacity

    @property
    def by(self) -> str:
        """How records name him: whose token it is, and what he calls himself."""
        return self.subject if self.name == self.subject else f"{self.subject}/{self.name}"


@dataclass(slots=True, eq=False)
class Case:
    """An order on its way: when it was asked for (`asked_s`), since when it is as it is."""

    order: Order
    seats: tuple[str, ...]
    asked_s: float
    since_s: float
    state: OrderState = "waiting"
    holder: Member | None = None
    seat: str = ""
    absence: Absence = field(default_factory=Absence)
    refused: dict[str, str] = field(default_factory=dict[str, str])
    passed: set[str] = field(default_factory=set[str])
    ending: Ending | None = None

    @property
    def key(self) -> str:
        """The order's name."""
        return self.order.key


@dataclass(frozen=True, slots=True)
class Tell:
    """Say something to an operator."""

    member: str
    frame: Numbered


@dataclass(frozen=True, slots=True)
class Report:
    """Tell whoever asked how far it is, a part or a question; without one, that to look again."""

    key: str
    frame: Progress | Part | Question | None = None


Act: TypeAlias = Tell | Report
