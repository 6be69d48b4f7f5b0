"""How the lanes of a fanout become one value (flow-ir.md §4, fanout): the five joins.

A `Fan` is a running fanout. `settle` is told what a lane came to, and decides; nothing
here starts, runs or cancels a lane.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flowir.errors import FlowError
from flowir.exprs import Bounds
from flowir.values import measure

if TYPE_CHECKING:
    from flowir.lane import Lane, Op
    from flowir.nodes import Join

__all__ = ("UNCATCHABLE", "Fan")

# What neither `try` nor a join may keep from ending the run.
UNCATCHABLE = frozenset({"run.cancelled", "fuel.exhausted"})
_AROUND = 64  # the size of the words that `all_settled` puts around a lane's value
_PASSES_JOINS = UNCATCHABLE | {"budget.exhausted"}


class Fan:
    """A running fanout: its items, what its lanes came to, and what was decided.

    `live` holds the lanes that have started and not settled; `size` and `depth` bound
    what the lanes came to. `prefix`, `body` and `start` say how a lane begins; `queued`,
    `winding_up` and `wound_up` are the machine's notes.
    """

    __slots__ = (
        "body",
        "decided",
        "depth",
        "error",
        "errors",
        "items",
        "join",
        "lane",
        "limit",
        "live",
        "next",
        "prefix",
        "queued",
        "quorum",
        "result",
        "size",
        "start",
        "values",
        "winding_up",
        "wound_up",
    )

    def __init__(
        self, lane: Lane, join: Join, items: list[Any], limit: int, quorum: int | None
    ) -> None:
        self.lane = lane
        self.join: Join = join
        self.items = items
        self.limit = limit
        self.quorum = quorum
        self.next = 0
        self.prefix = ""
        self.live: dict[int, Lane] = {}
        self.values: dict[int, Any] = {}
        self.errors: dict[int, FlowError] = {}
        self.body = ""
        self.start: Op | None = None
        self.size = 0
        self.depth = 0
        self.queued = self.winding_up = self.wound_up = False
        self.decided = False
        self.result: Any = None
        self.error: FlowError | None = None
        self._decide_at_once()

    @property
    def open(self) -> bool:
        """Whether another lane may start now."""
        return not self.decided and self.next < len(self.items) and len(self.live) < self.limit

    @property
    def bounds(self) -> Bounds:
        """Bound what was decided: lane values, and what `all_settled` says around them."""
        return Bounds(self.size + _AROUND * len(self.items), self.depth + 3)

    def conclude(self, result: Any) -> None:
        """Decide for a value."""
        self.decided = True
        self.result = result

    def abandon(self, error: FlowError) -> None:
        """Decide for an error, whatever was decided before."""
        self.decided = True
        self.result = None
        self.error = error

    def _decide_at_once(self) -> None:
        count = len(self.items)
        if self.quorum is not None and count < self.quorum:
            self.abandon(self._no_quorum())
        elif not count:
            if self.join in ("any", "race"):
                self.abandon(
                    FlowError("fanout.empty", f"join {self.join!r}: expected an item, got none")
                )
            else:
                self.conclude([])

    def succeed(self, index: int, value: Any) -> None:
        """Take the value of a lane."""
        if not self.decided:
            self.values[index] = value
            _ON_SUCCESS[self.join](self, value)

    def fail(self, index: int, error: FlowError) -> None:
        """Take the error of a lane."""
        if not self.decided:
            if error.code in _PASSES_JOINS:
                self.abandon(error)
                return
            self.errors[index] = error
            size, depth = measure(error.to_json())
            self.size += len(error.message) + size
            self.depth = max(self.depth, depth)
            _ON_FAILURE[self.join](self, error)

    # -- the joins ---------------------------------------------------------------------

    @property
    def _all_settled(self) -> bool:
        return len(self.values) + len(self.errors) == len(self.items)

    def conclude_when_full(self, _: Any = None) -> None:
        """Decide `all` for the values, once every lane has one."""
        if self._all_settled:
            self.conclude([self.values[i] for i in range(len(self.items))])

    def record(self, _: Any = None) -> None:
        """Decide `all_settled`, once every lane has."""
        if self._all_settled:
            self.conclude([self._settlement(i) for i in range(len(self.items))])

    def _settlement(self, index: int) -> dict[str, Any]:
        error = self.errors.get(index)
        if error is None:
            return {"status": "fulfilled", "value": self.values[index]}
        return {"status": "rejected", "reason": error.message, "error": error.to_json()}

    def count_quorum(self, _: Any) -> None:
        """Decide `quorum` for the first so many values."""
        if len(self.values) == self.quorum:
            self.conclude([self.values[i] for i in sorted(self.values)])

    def fail_any(self, _: FlowError) -> None:
        """Decide `any` for all errors, once no lane is left to succeed."""
        if self._all_settled:
            errors = [self.errors[i].to_json() for i in range(len(self.items))]
            self.abandon(
                FlowError(
                    "fanout.all_failed",
                    f"join 'any': all {len(errors)} lanes failed, first: {errors[0]['message']}",
                    data={"errors": errors},
                )
            )

    def fail_quorum(self, _: FlowError) -> None:
        """Decide `quorum` for an error, once it cannot be reached."""
        if self.quorum is not None and len(self.items) - len(self.errors) < self.quorum:
            self.abandon(self._no_quorum())

    def _no_quorum(self) -> FlowError:
        errors = [self.errors[i].to_json() for i in sorted(self.errors)]
        return FlowError(
            "fanout.no_quorum",
            f"join 'quorum': expected {self.quorum} of {len(self.items)} lanes to succeed, "
            f"{len(errors)} failed",
            data={"errors": errors},
        )


_ON_SUCCESS: dict[Join, Callable[[Fan, Any], None]] = {
    "all": Fan.conclude_when_full,
    "any": Fan.conclude,
    "race": Fan.conclude,
    "all_settled": Fan.record,
    "quorum": Fan.count_quorum,
}
_ON_FAILURE: dict[Join, Callable[[Fan, FlowError], None]] = {
    "all": Fan.abandon,
    "any": Fan.fail_any,
    "race": Fan.abandon,
    "all_settled": Fan.record,
    "quorum": Fan.fail_quorum,
}
