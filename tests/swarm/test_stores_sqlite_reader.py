"""Readers: whose connection is whose, what a read that breaks off leaves, ends of what is read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from swarm.errors import Refused, SwarmError
from swarm.ids import RunId
from swarm.stores.sqlite import SqliteStore, open_store, store
from swarm.stores.sqlite import connection as connections
from swarm.stores.sqlite import reader as readers
from swarm.stores.sqlite.connection import Source
from swarm.stores.sqlite.reader import Reader

ONE, TWO, NONE = RunId("r_1"), RunId("r_2"), RunId("r_9")


def row(seq: int, kind: str = "step.progress", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "seq": seq, "time_s": 1.0, **more}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = open_store(tmp_path / "s", "normal")
    assert isinstance(made, SqliteStore)
    inner: Any = made.journal
    made.journal.append(ONE, [row(1, "run.started"), *(row(seq) for seq in range(2, 6))])
    made.journal.append(TWO, [row(1, "run.started"), row(2, "run.finished")])
    inner.put(TWO, b"body")
    anyio.run(made.journal.commit)
    made.close()
    return tmp_path / "s/journal.db"


@pytest.fixture
def reader(file: Path) -> Iterator[Any]:
    made = Reader(Source(str(file)))
    yield made
    made.close()


def change(file: Path, sql: str) -> None:
    connection = apsw.Connection(str(file))
    connection.execute(sql)
    connection.close()


def is_closed(connection: Any) -> bool:
    try:
        connection.execute("select 1")
    except apsw.ConnectionClosedError:
        return True
    return False


# -- connections ---------------------------------------------------------------------------


def test_who_reads_at_once_has_a_connection_of_his_own_and_four_stay(reader: Any) -> None:
    with ExitStack() as held:
        used = [held.enter_context(reader._connection()) for _ in range(6)]
        assert len({id(one) for one in used}) == 6
    assert len(reader._idle) == 4
    assert sum(is_closed(one) for one in used) == 2
    with reader._connection() as again:
        assert again in used
        assert len(reader._idle) == 3


def test_a_read_that_breaks_off_leaves_nothing_open(reader: Any) -> None:
    used: list[Any] = []

    def breaks_off() -> None:
        with reader._connection() as connection:
            used.extend((connection, connection.execute("select seq from event; select 2")))
            raise KeyError(next(used[1])[0])

    with pytest.raises(KeyError, match="1"):
        breaks_off()
    broken = used[0]
    assert (reader._idle, is_closed(broken)) == ([], True)


def test_a_reader_that_is_closed_keeps_none(reader: Any) -> None:
    with reader._connection() as one:
        with reader._connection() as other:
            pass
        reader.close()
        assert is_closed(other)
        assert not is_closed(one), "it is in use"
    assert (reader._idle, is_closed(one)) == ([], True)


def test_of_connections_that_cannot_be_left_all_are_tried(reader: Any) -> None:
    class Stuck:
        tried = 0

        def close(self, force: bool) -> None:
            assert force
            self.tried += 1
            raise apsw.IOError

    with reader._connection() as good:
        pass
    stuck = [Stuck(), Stuck()]
    reader._idle = [stuck[0], good, stuck[1]]
    reader.close()
    assert ([one.tried for one in stuck], is_closed(good), reader._idle) == ([1, 1], True, [])


def test_what_the_library_cannot_read_is_told(reader: Any, file: Path) -> None:
    with pytest.raises(SwarmError) as failed, reader._connection() as connection:
        connection.execute("select * from missing")
    assert (failed.value.code, failed.value.values) == ("journal.unreadable", {"path": str(file)})
    assert failed.value.message == (
        f"{file}: expected a file that can be read, got SQLError: no such table: missing"
    )


# -- what is read --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "limit", "seqs"),
    [
        (0, 10, [1, 2, 3, 4, 5]), (0, 5, [1, 2, 3, 4, 5]), (0, 4, [1, 2, 3, 4]), (0, 0, []),
        (-3, 2, [1, 2]), (1, 10, [2, 3, 4, 5]), (1, 2, [2, 3]), (4, 10, [5]), (4, 1, [5]),
        (5, 10, []), (6, 10, []), (2, 0, []),
    ],
)  # fmt: skip
def test_a_page_is_of_what_comes_behind(
    reader: Any, since: int, limit: int, seqs: list[int]
) -> None:
    assert [found["seq"] for found in reader.read(ONE, since, limit)] == seqs
    assert reader.read(NONE, since, limit) == []


def test_what_comes_first_is_looked_at_as_well(reader: Any, file: Path) -> None:
    change(file, "update event set body = x'7b7d' where seq = 3 and run = 1")
    assert reader.verify(ONE) == 3
    assert len(reader.read(ONE, 0, 2)) == 2
    for since, limit in ((0, 3), (2, 5)):
        with pytest.raises(SwarmError) as failed:
            reader.read(ONE, since, limit)
        assert (failed.value.code, failed.value.values["seq"]) == ("journal.damaged", 3)
    assert [found["seq"] for found in reader.read(ONE, 3, 5)] == [4, 5], "its hash still stands"
    change(file, "delete from event where seq = 3 and run = 1")
    with pytest.raises(SwarmError) as failed:
        reader.read(ONE, 3, 5)
    assert failed.value.values["seq"] == 4


def test_a_tail_that_was_cut_is_missed_where_the_list_knows_of_an_end(
    reader: Any, file: Path
) -> None:
    assert (reader.verify(ONE), reader.verify(TWO), reader.verify(NONE)) == (None, None, None)
    change(file, "delete from event where seq = 2 and run = 2")
    assert reader.verify(TWO) == 2
    change(file, "delete from event where run = 2")
    assert reader.verify(TWO) == 1
    change(file, "delete from event where seq = 5")
    assert reader.verify(ONE) is None, "it had not ended: nothing is known of more"


def test_what_cannot_be_read_is_no_damage_of_a_run(reader: Any, file: Path) -> None:
    change(file, "drop table event")
    with pytest.raises(SwarmError) as failed:
        reader.verify(ONE)
    assert failed.value.code == "journal.unreadable"


def test_heads_are_of_runs_that_have_events(reader: Any, file: Path) -> None:
    assert reader.heads() == {ONE: 5, TWO: 2}
    assert (reader.head(ONE).number, reader.head(ONE).seq) == (1, 5)
    assert reader.head(NONE) is None
    assert reader.last_number() == 2
    change(file, "delete from event where run = 2")
    assert list(reader.heads()) == [ONE]
    bare = reader.head(TWO)
    assert (bare.number, bare.seq, bare.run.run_id) == (2, 0, TWO)
    change(file, "delete from holding; delete from event; delete from run")
    assert reader.last_number() == 0


def test_runs_are_listed_the_latest_first(reader: Any) -> None:
    def ids(*given: Any) -> list[str]:
        return [found.run_id for found in reader.runs(*given)]

    assert ids(None, 9, None) == [TWO, ONE]
    assert ids(None, 1, None) == [TWO]
    assert ids(None, 9, TWO) == [ONE]
    assert ids(None, 9, NONE) == []
    assert ids(["running"], 9, None) == [ONE]
    assert ids([], 9, None) == []
    assert ids(["running"], 9, ONE) == []


@pytest.mark.parametrize(("version", "parent"), [(3, None), (4, "p")])
def test_a_store_that_knows_no_parents_is_read_as_it_is(
    reader: Any, file: Path, version: int, parent: str | None
) -> None:
    change(file, "update run set parent = 'p'")
    change(file, f"pragma user_version = {version}")
    assert [found.parent for found in reader.runs(None, 9, None)] == [parent, parent]
    assert reader.head(ONE).run.parent == parent


def test_a_blob_is_found_by_its_whole_name(reader: Any) -> None:
    name = hashlib.sha256(b"body").hexdigest()
    assert reader.blob(name) == b"body"
    for other in (name[:-1], "", "zz", "00" * 32):
        with pytest.raises(Refused) as refused:
            reader.blob(other)
        assert refused.value.code == "blob.unknown"


# -- copies --------------------------------------------------------------------------------


def test_a_copy_is_a_store_of_its_own(reader: Any, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    reader.copy(target)
    other = Reader(Source(str(target)))
    assert other.heads() == reader.heads()
    other.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "s"]
    # What was read for it is over: the connection serves the next.
    assert len(reader._idle) == 1
    reader.copy(tmp_path / "second.db")


def test_a_copy_is_of_the_moment_when_it_began(
    reader: Any, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, steps = readers.connect, list[int]()

    class Busy:
        """Somebody writes before each of its steps."""

        def __init__(self, path: str) -> None:
            self._target: Any = real(path)
            self.close = self._target.close

        @contextmanager
        def backup(self, *given: Any) -> Generator[Any]:
            with self._target.backup(*given) as made:
                self._made, self.done = made, False
                yield self

        def step(self, pages: int) -> None:
            steps.append(pages)
            change(file, "update run set blueprint = 'later'")
            self._made.step(pages)
            self.done = self._made.done or len(steps) > 500

    monkeypatch.setattr(readers, "connect", Busy)
    monkeypatch.setattr(readers, "_PAGES", 4)
    reader.copy(tmp_path / "copy.db")
    other = Reader(Source(str(tmp_path / "copy.db")))
    assert "later" not in {run.blueprint for run in other.runs(None, 9, None)}
    other.close()
    assert 2 < len(steps) < 500


@pytest.mark.parametrize("wrong", ["there", "no folder", "fails"])
def test_a_copy_is_there_whole_or_not_at_all(
    reader: Any, tmp_path: Path, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / ("nowhere/copy.db" if wrong == "no folder" else "copy.db")
    if wrong == "there":
        target.write_text("mine")
    if wrong == "fails":

        def rename(self: Path, other: Path) -> Path:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(Refused) as refused:
        reader.copy(target)
    assert (refused.value.code, refused.value.values) == ("store.backup", {"path": str(target)})
    said = f"{target}: expected a new file that can be written, got "
    assert refused.value.message.startswith(said)
    if wrong == "there":
        assert refused.value.message == f"{said}[Errno 17] it is there already"
        assert target.read_text() == "mine"
    names = sorted(os.listdir(tmp_path))
    assert names == (["copy.db", "s"] if wrong == "there" else ["s"])


# -- the store around them -----------------------------------------------------------------


def open_below(folder: Path) -> list[str]:
    found: list[str] = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
    return [name for name in found if name.startswith(str(folder))]


def test_a_store_that_is_closed_holds_no_file(tmp_path: Path) -> None:
    made = open_store(tmp_path / "s", "normal")
    assert anyio.run(made.journal.heads) == {}
    assert len(open_below(tmp_path)) >= 3
    made.close()
    made.close()
    assert open_below(tmp_path) == []


@pytest.mark.parametrize("part", ["Writer", "Reader", "SqliteJournal", "SqliteLedger", "_sync"])
def test_a_store_that_cannot_be_opened_is_let_go_of_whole(
    tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_given: Any) -> Any:
        raise OSError("no")

    with monkeypatch.context() as patched:
        patched.setattr(store, part, broken)
        with pytest.raises(Refused) as refused:
            open_store(tmp_path / "s", "normal")
    assert refused.value.code == "store.unavailable"
    assert refused.value.message == (
        f"{tmp_path / 's'}: expected a folder that a store can be kept in, got no"
    )
    assert refused.value.values == {"store": str(tmp_path / "s")}
    assert open_below(tmp_path) == []
    open_store(tmp_path / "s", "normal").close()


def test_names_of_new_files_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []

    def fsync(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))

    with monkeypatch.context() as patched:
        patched.setattr(store.os, "fsync", fsync)
        open_store(tmp_path / "s", "normal").close()
    assert synced == [str(tmp_path / "s"), str(tmp_path)]


def test_what_is_in_memory_needs_no_folder(tmp_path: Path) -> None:
    open_store(tmp_path / "s", "memory").close()
    assert not (tmp_path / "s").exists()


def test_what_cannot_be_opened_where_it_can_be_written_is_told_as_it_is(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_given: Any, **_more: Any) -> Any:
        raise apsw.CantOpenError("no")

    monkeypatch.setattr(connections, "connect", broken)
    for path in (file, file.with_name("none.db")):
        with pytest.raises(apsw.CantOpenError):
            connections.connect_reader(Source(str(path)))
