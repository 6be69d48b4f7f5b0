"""Forgetting runs, on the tables: what goes, what stays, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swarm.errors import Refused
from swarm.ids import RunId
from swarm.ports.journal import Forgotten
from swarm.stores.sqlite.binding import Connection
from swarm.stores.sqlite.collection import forget
from swarm.stores.sqlite.connection import Source, connect_writer

# Number, status, parent, the sizes of the events, the blobs that are held.
RUNS = {
    "old": (1, "succeeded", None, [10, 20], "ab"),
    "inner": (2, "failed", "old", [5], "bc"),
    "inmost": (3, "cancelled", "inner", [1, 1, 1], "d"),
    "other": (4, "succeeded", None, [100], "ae"),
    "busy": (5, "running", None, [1000], "e"),
    "above": (6, "succeeded", None, [7], ""),
    "below": (7, "waiting", "above", [7], "f"),
    "bare": (8, "failed", "nobody", [], ""),
}
BLOBS = {"a": 1_000, "b": 2_000, "c": 4_000, "d": 8_000, "e": 16_000, "f": 32_000}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    made = connect_writer(Source(str(tmp_path / "s.db"), "normal"))
    for name, size in BLOBS.items():
        made.execute("insert into blob values (?, ?)", (name.encode(), bytes(size)))
    for run, (number, status, parent, events, held) in RUNS.items():
        made.execute(
            "insert into run (no, id, status, parent) values (?, ?, ?, ?)",
            (number, run, status, parent),
        )
        for seq, size in enumerate(events, 1):
            made.execute(
                "insert into event (run, seq, hash, body) values (?, ?, ?, ?)",
                (number, seq, b"", bytes(size)),
            )
        for name in held:
            made.execute("insert into holding values (?, ?)", (number, name.encode()))
    made.execute("begin immediate")
    yield made
    made.close(True)


def left(connection: Connection) -> tuple[set[str], set[str], int, set[tuple[int, str]]]:
    """Return the runs, the blobs, how many events there are, and who holds what."""
    return (
        {row[0] for row in connection.execute("select id from run")},
        {row[0].decode() for row in connection.execute("select digest from blob")},
        connection.execute("select count(*) from event").fetchone()[0],
        {(run, name.decode()) for run, name in connection.execute("select * from holding")},
    )


def without(*gone: str) -> tuple[set[str], set[str], int, set[tuple[int, str]]]:
    """Return what is left, by the tables above."""
    kept = {run: found for run, found in RUNS.items() if run not in gone}
    holding = {(number, name) for number, _, _, _, held in kept.values() for name in held}
    blobs = set(BLOBS) - {name for run in gone for name in RUNS[run][4]}
    blobs |= {name for _, name in holding}
    return set(kept), blobs, sum(len(found[3]) for found in kept.values()), holding


CASES = [
    ([], (), Forgotten(0, 0, 0, 0)),
    (["nobody"], (), Forgotten(0, 0, 0, 0)),
    (["bare"], ("bare",), Forgotten(1, 0, 0, 0)),
    (["inmost"], ("inmost",), Forgotten(1, 3, 1, 8_003)),
    # What another run holds stays: `a` for the one, `b` for the other.
    (["other"], ("other",), Forgotten(1, 1, 0, 100)),
    (["inner"], ("inner", "inmost"), Forgotten(2, 4, 2, 12_008)),
    (["old"], ("old", "inner", "inmost"), Forgotten(3, 6, 3, 14_038)),
    (["inmost", "old", "old"], ("old", "inner", "inmost"), Forgotten(3, 6, 3, 14_038)),
    (["other", "old"], ("old", "inner", "inmost", "other"), Forgotten(4, 7, 4, 15_138)),
]


@pytest.mark.parametrize(("asked", "gone", "told"), CASES)
def test_a_run_goes_with_those_within_it_and_what_only_they_hold(
    connection: Connection, asked: list[str], gone: tuple[str, ...], told: Forgotten
) -> None:
    runs = [RunId(run) for run in asked]
    assert forget(connection, runs, dry_run=True) == told
    assert not connection.in_transaction
    assert left(connection) == without()
    connection.execute("begin immediate")
    assert forget(connection, runs, dry_run=False) == told
    assert not connection.in_transaction
    assert left(connection) == without(*gone)
    assert connection.execute("pragma foreign_key_check").fetchone() is None


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("asked", "said"),
    [(["busy"], "busy"), (["old", "busy"], "busy"), (["above"], "below")],
)
def test_where_one_of_them_goes_on_all_stay(
    connection: Connection, asked: list[str], said: str, dry_run: bool
) -> None:
    with pytest.raises(Refused) as refused:
        forget(connection, [RunId(run) for run in asked], dry_run=dry_run)
    assert refused.value.code == "run.live"
    assert f"run {said}:" in str(refused.value)
    assert not connection.in_transaction
    assert left(connection) == without()
