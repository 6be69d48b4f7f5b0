"""What a run can be, and what may follow: one table, printed from the data that decides.

    >>> print(table())
                 pending    running      waiting      paused     interrupted  blocked
    started      running    -            -            -          -            -
    waiting      -          waiting      -            -          -            -
    woken        -          -            running      -          -            -
    pausing      -          running      waiting      -          -            -
    paused       -          paused       paused       -          paused       -
    interrupted  -          interrupted  interrupted  -          -            -
    resumed      -          -            running      running    running      running
    blocked      -          blocked      blocked      blocked    blocked      blocked
    cancelling   -          running      running      -          -            -
    finished     -          succeeded    -            -          -            -
    failed       failed     failed       failed       -          -            -
    cancelled    cancelled  cancelled    cancelled    cancelled  cancelled    cancelled

The state of a run is a reading of its journal; nothing else holds it.

    pending      it does not exist yet
    running      a host works on it; `run.pausing` and `run.cancelling` announce what comes
    waiting      nothing is left to do before a person answers, or a time has come
    paused       somebody asked for a pause, and every step that was in flight has ended
    interrupted  its host ended, or died, in the midst of it: it can be resumed
    blocked      it cannot be resumed as things are; the event says why
    succeeded, failed, cancelled   its ends
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from flowir.records import dataclass
from swarm.errors import Bug, RunFailed

__all__ = (
    "ENDED",
    "EVENTS",
    "RESUMABLE",
    "TRANSITIONS",
    "RunOutcome",
    "RunStatus",
    "next_status",
    "table",
)

RunStatus: TypeAlias = Literal[
    "pending",
    "running",
    "waiting",
    "paused",
    "interrupted",
    "blocked",
    "succeeded",
    "failed",
    "cancelled",
]

TRANSITIONS: Final[Mapping[RunStatus, Mapping[str, RunStatus]]] = MappingProxyType(
    {
        "pending": {
            "run.started": "running",
            "run.failed": "failed",
            "run.cancelled": "cancelled",
        },
        "running": {
            "run.waiting": "waiting",
            "run.pausing": "running",
            "run.paused": "paused",
            "run.interrupted": "interrupted",
            "run.blocked": "blocked",
            "run.cancelling": "running",
            "run.finished": "succeeded",
            "run.failed": "failed",
            "run.cancelled": "cancelled",
        },
        "waiting": {
            "run.woken": "running",
            "run.pausing": "waiting",
            "run.paused": "paused",
            "run.interrupted": "interrupted",
            "run.resumed": "running",
            "run.blocked": "blocked",
            "run.cancelling": "running",
            "run.failed": "failed",
            "run.cancelled": "cancelled",
        },
        "paused": {
            "run.resumed": "running",
            "run.blocked": "blocked",
            "run.cancelled": "cancelled",
        },
        "interrupted": {
            "run.paused": "paused",
            "run.resumed": "running",
            "run.blocked": "blocked",
            "run.cancelled": "cancelled",
        },
        "blocked": {
            "run.resumed": "running",
            "run.blocked": "blocked",
            "run.cancelled": "cancelled",
        },
        "succeeded": {},
        "failed": {},
        "cancelled": {},
    }
)

# What no event leads out of.
ENDED: Final[frozenset[RunStatus]] = frozenset(s for s, row in TRANSITIONS.items() if not row)
# What a host may go on with.
RESUMABLE: Final[frozenset[RunStatus]] = frozenset(
    s for s, row in TRANSITIONS.items() if "run.resumed" in row
)

EVENTS: Final = (
    "run.started",
    "run.waiting",
    "run.woken",
    "run.pausing",
    "run.paused",
    "run.interrupted",
    "run.resumed",
    "run.blocked",
    "run.cancelling",
    "run.finished",
    "run.failed",
    "run.cancelled",
)


def next_status(status: RunStatus, kind: str) -> RunStatus:
    """Return the state after an event of the run; a step's event changes nothing.

    Raises: Bug, for an event that cannot follow.
    """
    if kind not in EVENTS:
        return status
    after = TRANSITIONS[status].get(kind)
    if after is None:
        raise Bug(f"{kind} cannot follow in state {status!r}")
    return after


def table() -> str:
    """Print the table: an event each row, a state each column, what follows in the cell."""
    states = {status: row for status, row in TRANSITIONS.items() if row}
    rows = [("", *states)]
    rows += [(e[4:], *(row.get(e, "-") for row in states.values())) for e in EVENTS]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended: `ctx` where it succeeded, else `error`.

    `partial` is the context as it was when the run's budget was exhausted.
    """

    run_id: str
    status: RunStatus
    ctx: Any = None
    error: Mapping[str, Any] | None = None
    partial: Any = None

    def unwrap(self) -> Any:
        """Return the final context.

        Raises: RunFailed, for a run that has none.
        """
        if self.error is not None:
            raise RunFailed(self.run_id, self.status, self.error)
        return self.ctx
