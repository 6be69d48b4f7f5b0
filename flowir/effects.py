"""What a machine asks for, and what it is told: frozen data (flow-ir.md §5).

Named tuples rather than frozen dataclasses: a quarter of the cost to make, on the path of
every step.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

# Makes a named tuple of all its members: half the time of its own constructor, and there are
# five for each step.
tuple_of = tuple.__new__

__all__ = ("Admitted", "Cancel", "Dispatch", "Effect", "Failure", "Outcome", "Success", "tuple_of")


class Dispatch(NamedTuple):
    """Ask the host to do a step.

    Shape: `key` names the same work in every replay; `input` is a private copy;
    `node_id` is the node's id, or its place. Units: `attempt` counts from 1; seconds.
    """

    key: str
    ref: str
    input: Any
    attempt: int = 1
    node_id: str = "$"
    timeout_s: float | None = None
    delay_s: float = 0.0


class Cancel(NamedTuple):
    """Tell the host that this work is no longer wanted."""

    key: str
    attempt: int


class Success(NamedTuple):
    """The step was done, with this answer."""

    value: Any


class Admitted(NamedTuple):
    """A success whose value came through the strict door already, with the flow's limits.

    Only who admitted it says so, and hands over what nobody else changes: it is neither
    checked nor copied again. `size` and `depth` are what the door measured.
    """

    value: Any
    size: int
    depth: int


class Failure(NamedTuple):
    """The step was not done; a permanent failure is not asked for again."""

    code: str
    message: str
    permanent: bool = False
    data: Any = None


Effect: TypeAlias = Dispatch | Cancel
Outcome: TypeAlias = Success | Admitted | Failure
