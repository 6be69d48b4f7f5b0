"""The writer, its readers and its lock, each by itself: what they say, and what they leave."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from swarm.errors import Refused, SwarmError
from swarm.ids import RunId
from swarm.ports.journal import RunRow
from swarm.stores.sqlite.binding import connect_still
from swarm.stores.sqlite.connection import Source, connect_reader
from swarm.stores.sqlite.owner import Owner, is_owned
from swarm.stores.sqlite.writer import Batch, Writer


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(str(tmp_path / "journal.db"), "normal")


def batch(number: int) -> Batch:
    made = Batch()
    made.runs[number] = RunRow(RunId(f"r_{number}"), "running")
    return made


def runs(source: Source) -> list[str]:
    found = connect_reader(source)
    try:
        return [row[0] for row in found.execute("select id from run order by no")]
    finally:
        found.close()


# -- the writer ----------------------------------------------------------------------------


def test_a_write_that_lasts_says_that_all_is_well_again(source: Source) -> None:
    writer = Writer(source)
    writer.health = "degraded"
    writer.write(batch(1))
    assert (writer.health, runs(source)) == ("ok", ["r_1"])


def test_a_writer_that_has_failed_writes_no_more_and_says_so(source: Source) -> None:
    writer = Writer(source)
    writer.health = "failed"
    with pytest.raises(SwarmError) as failed:
        writer.write(batch(1))
    assert (failed.value.code, failed.value.message) == (
        "journal.failed",
        (
            f"{source.path}: expected a journal that can write, got one that has failed \u2014 "
            "open the store anew; runs resume from what was acknowledged"
        ),
    )
    assert runs(source) == []


def test_what_the_library_says_is_said(source: Source) -> None:
    writer = Writer(source)

    def act() -> None:
        raise apsw.CorruptError("malformed")

    with pytest.raises(SwarmError, match=r"got CorruptError: malformed \u2014 open the store anew"):
        writer.attempt(act)
    assert writer.health == "failed"


def test_what_may_pass_is_told_from_what_does_not(source: Source) -> None:
    writer = Writer(source)

    def full() -> None:
        raise apsw.FullError("disk is full")

    with pytest.raises(SwarmError, match="got FullError: disk is full") as passing:
        writer.attempt(full)
    assert (passing.value.code, writer.health) == ("journal.degraded", "degraded")
    writer.attempt(lambda: None)
    assert writer.health == "ok"
    writer.health = "failed"
    with pytest.raises(SwarmError):
        writer.attempt(full)
    assert writer.health == "failed", "what has failed for good does not come back"


def test_an_owner_of_before_writes_nothing_and_leaves_no_transaction_open(source: Source) -> None:
    before, after = Writer(source), Writer(source)
    assert (before.epoch, after.epoch) == (1, 2)
    with pytest.raises(SwarmError) as fenced:
        before.begin()
    assert (fenced.value.code, fenced.value.message) == (
        "journal.fenced",
        (
            f"{source.path}: expected to be the owner (epoch 1), got epoch 2 \u2014 "
            "another process has taken the store over"
        ),
    )
    assert before.health == "failed"
    after.write(batch(1))
    assert runs(source) == ["r_1"]


def test_a_probe_writes_a_word_of_no_meaning(source: Source) -> None:
    writer = Writer(source)
    writer.health = "degraded"
    writer.probe()
    assert (writer.health, writer.epoch, runs(source)) == ("ok", 1, [])
    writer.drop()
    writer.drop()
    writer.write(batch(1))
    assert runs(source) == ["r_1"], "what was dropped is opened again"


# -- readers -------------------------------------------------------------------------------


def test_a_reader_is_as_careful_as_the_writer_and_changes_nothing(source: Source) -> None:
    Writer(source).drop()
    found = connect_reader(source)
    pragmas = {"trusted_schema": 0, "cell_size_check": 1, "foreign_keys": 1, "query_only": 1}
    assert {name: found.execute(f"pragma {name}").fetchone()[0] for name in pragmas} == pragmas  # pyright: ignore[reportOptionalSubscript]
    assert found.execute("pragma busy_timeout").fetchone() == (5000,)
    with pytest.raises(apsw.ReadOnlyError):
        found.execute("delete from run")
    found.close()


def test_a_file_that_nobody_writes_is_read_without_a_lock(source: Source) -> None:
    writer = Writer(source)
    writer.write(batch(1))
    writer.drop()
    beside = sorted(os.listdir(Path(source.path).parent))
    found = connect_still(source.path)
    assert list(found.execute("select id from run")) == [("r_1",)]
    assert found.execute("pragma journal_mode").fetchone() is not None
    with pytest.raises(apsw.ReadOnlyError):
        found.execute("delete from run")
    assert sorted(os.listdir(Path(source.path).parent)) == beside
    found.close()


def test_a_file_whose_name_has_signs_of_an_address_is_that_file(tmp_path: Path) -> None:
    folder = tmp_path / "a?b#c%20"
    folder.mkdir()
    source = Source(str(folder / "journal.db"), "normal")
    writer = Writer(source)
    writer.write(batch(1))
    writer.drop()
    assert list(connect_still(source.path).execute("select id from run")) == [("r_1",)]


# -- the lock ------------------------------------------------------------------------------


def test_a_store_is_owned_while_somebody_holds_its_lock(tmp_path: Path) -> None:
    assert not is_owned(tmp_path)
    owner = Owner(tmp_path)
    assert is_owned(tmp_path)
    assert (tmp_path / "LOCK").read_text() == f"{os.getpid()}\n"
    with pytest.raises(Refused) as refused:
        Owner(tmp_path)
    assert refused.value.code == "store.locked"
    assert f"got one that process {os.getpid()} holds" in refused.value.message
    assert refused.value.values["pid"] == os.getpid()
    owner.release()
    owner.release()
    assert not is_owned(tmp_path)
    assert (tmp_path / "LOCK").read_text() == ""
    Owner(tmp_path).release()


def test_who_holds_a_lock_without_a_name_is_not_named(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    (tmp_path / "LOCK").write_text("somebody")
    with pytest.raises(Refused, match="got one that process somebody holds") as refused:
        Owner(tmp_path)
    assert refused.value.values["pid"] is None
    (tmp_path / "LOCK").write_text("")
    with pytest.raises(Refused, match="got one that process unknown holds"):
        Owner(tmp_path)
    owner.release()
