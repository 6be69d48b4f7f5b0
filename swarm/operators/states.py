"""What may follow what: of an order, and of an operator's session. Pure tables.

    order     waiting → offered → held → answered → over
    session   fresh → live ⇄ away → over

An event that a state has no row for is refused; nothing else decides. The page of the
protocol prints these tables from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

__all__ = (
    "ORDER",
    "SESSION",
    "OrderEvent",
    "OrderState",
    "SessionEvent",
    "SessionState",
    "rows",
)

# waiting: nobody has it. offered: somebody is asked whether he takes it. held: somebody does
# it. answered: there is an answer that the host has not collected. over: nothing is wanted.
OrderState: TypeAlias = Literal["waiting", "offered", "held", "answered", "over"]
OrderEvent: TypeAlias = Literal[
    "offer", "assign", "accept", "decline", "lapse", "release", "answer", "collect", "withdraw"
]
# fresh: a line without a hello. live: has a line. away: has none, and may come back.
SessionState: TypeAlias = Literal["fresh", "live", "away", "over"]
SessionEvent: TypeAlias = Literal["hello", "resume", "lost", "expire", "leave", "refuse"]

ORDER: Final[Mapping[tuple[OrderState, OrderEvent], OrderState]] = MappingProxyType(
    {
        ("waiting", "offer"): "offered",
        ("waiting", "assign"): "held",
        ("waiting", "answer"): "answered",
        ("waiting", "withdraw"): "over",
        ("offered", "accept"): "held",
        ("offered", "decline"): "waiting",
        ("offered", "lapse"): "waiting",
        ("offered", "release"): "waiting",
        ("offered", "answer"): "answered",
        ("offered", "withdraw"): "over",
        ("held", "decline"): "waiting",
        ("held", "release"): "waiting",
        ("held", "answer"): "answered",
        ("held", "withdraw"): "over",
        ("answered", "collect"): "over",
        ("answered", "withdraw"): "over",
    }
)

SESSION: Final[Mapping[tuple[SessionState, SessionEvent], SessionState]] = MappingProxyType(
    {
        ("fresh", "hello"): "live",
        ("fresh", "refuse"): "over",
        ("live", "lost"): "away",
        ("live", "resume"): "live",
        ("live", "leave"): "over",
        ("live", "refuse"): "over",
        ("away", "resume"): "live",
        ("away", "expire"): "over",
        ("away", "leave"): "over",
    }
)


def rows(table: Mapping[tuple[Any, Any], Any]) -> Iterator[tuple[str, str, str]]:
    """Print a table: state, event, next state."""
    for (state, event), after in table.items():
        yield state, event, after
