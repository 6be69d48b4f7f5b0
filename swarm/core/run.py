"""What a run can be, and what may follow: one table, printed from the data that decides.

    >>> print(table())
                  run.started  run.cancelling  run.finished  run.failed  run.cancelled
    pending       running      -               -             failed      cancelled
    running       -            running         succeeded     failed      cancelled
    succeeded     -            -               -             -           -
    failed        -            -               -             -           -
    cancelled     -            -               -             -           -

The state of a run is a reading of its journal; nothing else holds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from swarm.errors import Bug, RunFailed

__all__ = ("ENDED", "TRANSITIONS", "RunOutcome", "RunStatus", "next_status", "table")

RunStatus: TypeAlias = Literal["pending", "running", "succeeded", "failed", "cancelled"]

TRANSITIONS: Final[Mapping[RunStatus, Mapping[str, RunStatus]]] = MappingProxyType(
    {
        "pending": {
            "run.started": "running",
            "run.failed": "failed",
            "run.cancelled": "cancelled",
        },
        "running": {
            "run.cancelling": "running",
            "run.finished": "succeeded",
            "run.failed": "failed",
            "run.cancelled": "cancelled",
        },
        "succeeded": {},
        "failed": {},
        "cancelled": {},
    }
)

# What no event leads out of.
ENDED: Final = frozenset(status for status, row in TRANSITIONS.items() if not row)

_EVENTS = ("run.started", "run.cancelling", "run.finished", "run.failed", "run.cancelled")


def next_status(status: RunStatus, kind: str) -> RunStatus:
    """Return the state after an event of the run; a step's event changes nothing.

    Raises: Bug, for an event that cannot follow.
    """
    if kind not in _EVENTS:
        return status
    after = TRANSITIONS[status].get(kind)
    if after is None:
        raise Bug(f"{kind} cannot follow in state {status!r}")
    return after


def table() -> str:
    """Print the table: a state each row, an event each column, what follows in the cell."""
    rows = [("", *_EVENTS)]
    rows += [(s, *(row.get(e, "-") for e in _EVENTS)) for s, row in TRANSITIONS.items()]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    widths[0] += 3
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended: `ctx` where it succeeded, else `error`."""

    run_id: str
    status: RunStatus
    ctx: Any = None
    error: Mapping[str, Any] | None = None

    def unwrap(self) -> Any:
        """Return the final context.

        Raises: RunFailed, for a run that has none.
        """
        if self.error is not None:
            raise RunFailed(self.run_id, self.status, self.error)
        return self.ctx
