"""Which runs may go, as a retention says, with the runs within them.

A run that has not ended is never among them, nor one that has an unfinished run within it.
Knows lists of runs; what is removed with them, and how, is the journal's affair.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from flowir.errors import shorten
from flowir.records import dataclass
from swarm.core.run import ENDED
from swarm.errors import Refused
from swarm.host.lists import is_plural
from swarm.ids import RunId
from swarm.ports.journal import Forgotten, RunRow

__all__ = ("Collected", "Retention", "chosen")

# A tuple: whatever somebody asks for is compared, and not hashed.
_ENDS: Final = tuple(sorted(ENDED))


@dataclass(frozen=True, slots=True)
class Retention:
    """What stays: a run may go when nothing here keeps it.

    Shape: *status* are the ends that may go, one or several (None: all); *keep* counts the
    latest of those that stay whatever their age. Units: *older_than_s* in seconds since a
    run's end.
    """

    older_than_s: float | None = None
    status: str | Collection[str] | None = None
    keep: int = 0

    def check(self) -> Retention:
        """Return it, if it means something.

        Raises: Refused (retention.malformed).
        """
        # Callers are not all checked: whatever these are, they are looked at.
        age_s: Any = self.older_than_s
        keep: Any = self.keep
        status: Any = self.status
        if age_s is not None and (type(age_s) not in (int, float) or not age_s >= 0):
            raise _malformed("older_than_s", "seconds, zero or more", age_s)
        if type(keep) is not int or keep < 0:
            raise _malformed("keep", "a number of runs, zero or more", keep)
        if status is None:
            return self
        words = (status,) if isinstance(status, str) or not is_plural(status) else tuple(status)
        for word in words:
            if word not in _ENDS:
                raise _malformed("status", f"an end ({', '.join(_ENDS)})", word)
        return replace(self, status=words)


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
    status = _ENDS if retention.status is None else retention.status
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
