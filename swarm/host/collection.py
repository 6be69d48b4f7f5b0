"""Which runs may go, as a retention says, with the runs within them.

A run that has not ended is never among them, nor one that has an unfinished run within it.
Knows lists of runs; what is removed with them, and how, is the journal's affair.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from flowir.errors import shorten
from flowir.records import dataclass
from swarm.core.run import ENDED
from swarm.errors import Refused
from swarm.ids import RunId
from swarm.ports.journal import Forgotten, RunRow

__all__ = ("Collected", "Retention", "chosen")


@dataclass(frozen=True, slots=True)
class Retention:
    """What stays: a run may go when nothing here keeps it.

    Shape: *status* are the ends that may go (None: all); *keep* counts the latest of those
    that stay whatever their age. Units: *older_than_s* in seconds since a run's end.
    """

    older_than_s: float | None = None
    status: Collection[str] | None = None
    keep: int = 0

    def check(self) -> Retention:
        """Return it, if it means something.

        Raises: Refused (retention.malformed).
        """
        if self.older_than_s is not None and not self.older_than_s >= 0:
            raise _malformed("older_than_s", "seconds, zero or more", self.older_than_s)
        if self.keep < 0:
            raise _malformed("keep", "a number of runs, zero or more", self.keep)
        for word in self.status or ():
            if word not in ENDED:
                raise _malformed("status", f"an end ({', '.join(sorted(ENDED))})", word)
        return self


@dataclass(frozen=True, slots=True)
class Collected:
    """What went, or would: `runs` by id, without the runs within them; and how much it was."""

    runs: tuple[str, ...]
    forgotten: Forgotten


def chosen(
    rows: Sequence[RunRow], retention: Retention, now_s: float, busy: Collection[str] = ()
) -> list[RunId]:
    """Choose among *rows*, the latest first; *busy* are runs that somebody has in hand."""
    known = {row.run_id: row for row in rows}
    within: defaultdict[str, list[RunId]] = defaultdict(list)
    for row in rows:
        if row.parent is not None:
            within[row.parent].append(row.run_id)
    status = ENDED if retention.status is None else retention.status
    outermost = [row for row in rows if row.parent is None or row.parent not in known]
    ended = [row for row in outermost if row.status in status]
    return [
        row.run_id
        for row in ended[retention.keep :]
        if _is_old(row, retention.older_than_s, now_s)
        and all(
            known[one].status in ENDED and one not in busy for one in _family(row.run_id, within)
        )
    ]


def _is_old(row: RunRow, older_than_s: float | None, now_s: float) -> bool:
    return older_than_s is None or (row.ended_s or 0.0) <= now_s - older_than_s


def _family(run_id: RunId, within: Mapping[str, Iterable[RunId]]) -> list[RunId]:
    found = [run_id]
    for one in found:
        found.extend(within.get(one, ()))
    return found


def _malformed(field: str, expected: str, got: object) -> Refused:
    said = f"retention: {field}: expected {expected}, got {shorten(got)}"
    return Refused("retention.malformed", said)
