"""Forgetting runs: their events, what is listed of them, and the blobs nobody else holds."""

from __future__ import annotations

from collections.abc import Collection

from swarm.core.run import ENDED
from swarm.errors import Refused
from swarm.ids import RunId
from swarm.ports.journal import Forgotten
from swarm.stores.entries import live
from swarm.stores.sqlite.binding import Connection

__all__ = ("forget",)


def forget(connection: Connection, run_ids: Collection[RunId], *, dry_run: bool) -> Forgotten:
    """Do it in the transaction that is open on *connection*, and end that.

    A dry run does the same and takes it back, so that its figures are the true ones.
    Raises: Refused (run.live), with everything as it was; apsw.Error.
    """
    try:
        found = _remove(connection, run_ids)
        connection.execute("rollback" if dry_run else "commit")
    except Refused:
        connection.execute("rollback")
        raise
    return found


def _remove(connection: Connection, run_ids: Collection[RunId]) -> Forgotten:
    runs = events = size = 0
    candidates: set[bytes] = set()
    for number in _numbers(connection, run_ids):
        of = (number,)
        held = connection.execute("delete from holding where run = ? returning digest", of)
        candidates.update(digest for (digest,) in held)
        size += _sum(connection, "select sum(length(body)) from event where run = ?", number)
        connection.execute("delete from event where run = ?", of)
        events += connection.changes()
        connection.execute("delete from run where no = ?", of)
        runs += 1
    blobs = 0
    for digest in candidates:
        if _sum(connection, "select count(*) from holding where digest = ?", digest):
            continue
        size += _sum(connection, "select length(body) from blob where digest = ?", digest)
        connection.execute("delete from blob where digest = ?", (digest,))
        blobs += 1
    return Forgotten(runs, events, blobs, size)


# A run, the runs within it, those within them, and so on.
_FAMILY = (
    "with recursive family (no, id, status) as ("
    "select no, id, status from run where id = ? "
    "union select run.no, run.id, run.status from run join family on run.parent = family.id"
    ") select no, id, status from family"
)


def _numbers(connection: Connection, run_ids: Collection[RunId]) -> list[int]:
    found: dict[int, None] = {}
    for run_id in run_ids:
        for number, one, status in list(connection.execute(_FAMILY, (run_id,))):
            if status not in ENDED:
                raise live(one, status)
            found[number] = None
    return list(found)


def _sum(connection: Connection, sql: str, value: int | bytes) -> int:
    row = connection.execute(sql, (value,)).fetchone()
    return (row and row[0]) or 0
