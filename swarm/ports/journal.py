"""What the host needs of memory: an append-only log of each run's events."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from flowir.records import dataclass
from swarm.ids import RunId
from swarm.ports.outputs import Blobs

__all__ = ("Forgotten", "Health", "Journal", "Row", "RunRow")

Row = Mapping[str, Any]

# ok: what is committed will survive. degraded: nothing can be written now, it may pass.
# failed: nothing will be written any more by this journal; open the store anew.
Health: TypeAlias = Literal["ok", "degraded", "failed"]


# A named tuple, where a frozen dataclass would read the same: four are made for each run.
class RunRow(NamedTuple):
    """What a list of runs shows of one.

    It is a reading of the run's events, kept beside them and changed in the same
    transaction; where the two differ, the events are right.
    Shape: `parent` is the run that this one is within.
    Units: `began_s` and `ended_s` in UTC seconds since 1970, as the events say.
    """

    run_id: RunId
    status: str = "pending"
    blueprint: str | None = None
    digest: str | None = None
    began_s: float | None = None
    ended_s: float | None = None
    parent: RunId | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed, or would be. Units: `size_bytes` of bodies and blobs."""

    runs: int
    events: int
    blobs: int
    size_bytes: int

    def plus(self, other: Forgotten) -> Forgotten:
        """Return what both are together."""
        return Forgotten(
            self.runs + other.runs,
            self.events + other.events,
            self.blobs + other.blobs,
            self.size_bytes + other.size_bytes,
        )


class Journal(Protocol):
    """Remembers rows in the order in which they were appended; one writer, many readers.

    A row is a JSON object with a member `seq`: 1, 2, 3… within its run, without a gap.
    The journal encodes a row when it is appended, so later changes of the object that
    was handed over reach nobody, and a row that was read is the reader's own.
    Each row is chained to the one before it by a hash of the bytes that are kept.
    """

    @property
    def health(self) -> Health:
        """Whether what is committed now will survive."""
        ...

    @property
    def blobs(self) -> Blobs:
        """The bytes beside the rows: they last with the rows that are committed with them."""
        ...

    def new(self, run_id: RunId) -> None:
        """Promise that there is no run of this id: its past need not be looked for.

        Raises: SwarmError (journal.degraded, journal.failed), as `append`.
        """
        ...

    def append(self, run_id: RunId, rows: Sequence[Row]) -> None:
        """Put *rows* behind the others of the run, all or none; unseen before `commit`.

        Synchronous, so that the order of appending is the order in which the machine
        was answered, with nothing in between.
        Raises: Bug, when the numbers do not continue those of the run; SwarmError
        (journal.too_long) for a row beyond the most that a run may have, unless it ends
        something; SwarmError (value.too_large); SwarmError (journal.degraded) for a new
        run while the journal is degraded; SwarmError (journal.failed, journal.damaged).
        """
        ...

    def commit(self) -> Coroutine[Any, Any, None]:
        """Return when everything appended so far will survive.

        One commit may serve many runs. A cancelled caller still gets an answer: what
        waits in here is shielded, and bounded. May return without having yielded.
        Raises: SwarmError (journal.degraded), when that is not to be had now: the rows
        are kept, and a later commit that returns has made them last as well. SwarmError
        (journal.failed, journal.fenced), when it will not be had from this journal.
        """
        ...

    async def probe(self) -> Health:
        """Try to write what is kept, or else a word of no meaning; return how that went."""
        ...

    async def read(self, run_id: RunId, since: int = 0, limit: int = 1000) -> Sequence[Row]:
        """Return up to *limit* committed rows with `seq` above *since*, in order.

        Raises: SwarmError (journal.damaged), naming run and event, where what is read is
        not what was written.
        """
        ...

    async def heads(self) -> Mapping[RunId, int]:
        """Return each run's last committed `seq`, in the order in which the runs began."""
        ...

    async def run(self, run_id: RunId) -> RunRow | None:
        """Return what a list shows of one run, if it is committed."""
        ...

    async def runs(
        self,
        status: Collection[str] | None = None,
        *,
        limit: int = 1000,
        before: RunId | None = None,
    ) -> Sequence[RunRow]:
        """List committed runs, the latest first, without reading their events.

        Shape: *status* chooses; *before* continues a list behind its last run.
        """
        ...

    async def verify(self, run_id: RunId) -> int | None:
        """Return the `seq` of the run's first event that is not what was written, if any.

        A tail that is gone shows where the run's row knows of an end that no event tells.
        """
        ...

    async def forget(self, run_ids: Collection[RunId], *, dry_run: bool = False) -> Forgotten:
        """Remove ended runs and the blobs that nobody else holds, in one transaction.

        The runs within them go with them. Runs that are not there are passed over;
        *dry_run* only counts.
        Raises: Refused (run.live), for a run that has not ended; nothing is removed then.
        """
        ...
