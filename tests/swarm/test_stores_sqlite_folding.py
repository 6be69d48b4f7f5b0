"""The log is folded beside who writes: what that leaves, and what it must not delay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread, Timer
from typing import cast

import apsw
import pytest

from swarm.errors import SwarmError
from swarm.ids import RunId
from swarm.ports.journal import RunRow
from swarm.stores.sqlite import connection as connections
from swarm.stores.sqlite.binding import Connection, Rows
from swarm.stores.sqlite.connection import PAGE_BYTES, Source, connect_reader
from swarm.stores.sqlite.folding import Folding
from swarm.stores.sqlite.writer import Batch, Writer

EACH = 40
FRAME = PAGE_BYTES + 24


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    monkeypatch.setattr(connections, "CHECKPOINT_PAGES", EACH)
    return Source(str(tmp_path / "journal.db"), "normal")


@pytest.fixture
def writer(source: Source) -> Iterator[Writer]:
    made = Writer(source)
    first = Batch()
    first.runs[1] = RunRow(RunId("r_1"), "running")
    made.write(first)
    yield made
    made.close()


class Held:
    """Keeps what is folded beside from going on until it is let go; counts how often it began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = Event()
        self.began = 0
        beside = Folding._beside  # pyright: ignore[reportPrivateUsage] - it is what is held

        def held(folding: Folding) -> None:
            self.began += 1
            assert self.go.wait(30)
            beside(folding)

        monkeypatch.setattr(Folding, "_beside", held)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    made = Held(monkeypatch)
    yield made
    made.go.set()


@pytest.fixture
def in_place(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said to the writer's own connection in order to fold."""
    said: list[str] = []
    fold = Folding.fold

    class Heard:
        def __init__(self, connection: Connection) -> None:
            self._connection = connection

        def execute(self, statement: str) -> Rows:
            said.append(statement)
            return self._connection.execute(statement)

    def heard(folding: Folding, connection: Connection) -> None:
        fold(folding, cast("Connection", Heard(connection)))

    monkeypatch.setattr(Folding, "fold", heard)
    return said


def write(writer: Writer, count: int, since: int = 0) -> int:
    """Commit *count* rows one by one, three pages or so each; return the last number."""
    for seq in range(since + 1, since + count + 1):
        batch = Batch()
        batch.events.append((1, seq, b"h" * 32, b"x" * 1_500))
        writer.write(batch)
    return since + count


def found(source: Source) -> int:
    reader = connect_reader(source)
    try:
        return int(reader.execute("select count(*) from event").fetchone()[0])
    finally:
        reader.close()


def log_pages(source: Source) -> int:
    return Path(f"{source.path}-wal").stat().st_size // FRAME


def in_file(source: Source) -> int:
    return Path(source.path).stat().st_size // PAGE_BYTES


def folds() -> list[Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "swarm-fold"]


def folded() -> None:
    """Return once nothing is folded beside."""
    for thread in folds():
        thread.join()


def test_a_log_that_is_written_to_without_end_stays_short(source: Source, writer: Writer) -> None:
    last = write(writer, 2_000)
    assert found(source) == last
    # Each row takes a page and more: without folding the log would have them all.
    assert in_file(source) > 1_500
    assert log_pages(source) < 8 * EACH


def test_the_log_stays_short_while_nothing_but_runs_is_removed(
    source: Source, writer: Writer
) -> None:
    last = write(writer, 600)

    def remove(seq: int) -> None:
        connection = writer.begin()
        connection.execute("delete from event where seq = ?", (seq,))
        connection.execute("commit")

    for seq in range(1, last + 1):
        writer.attempt(lambda seq=seq: remove(seq))
    assert found(source) == 0
    assert log_pages(source) < 8 * EACH


def test_no_commit_waits_for_what_is_folded_beside(
    source: Source, writer: Writer, held: Held
) -> None:
    before = in_file(source)
    last = write(writer, 2 * EACH // 3)
    assert held.began == 1
    assert (found(source), in_file(source)) == (last, before), "committed, and not folded yet"
    held.go.set()
    folded()
    assert in_file(source) > before, "folded, and nobody has committed since"
    last = write(writer, 400, last)
    assert found(source) == last
    assert in_file(source) > before + 300
    assert held.began > 1, "the log began anew, and grew again"


def test_a_log_that_grew_much_too_long_is_waited_for(source: Source, writer: Writer) -> None:
    slow = Event()
    folding = writer._folding  # pyright: ignore[reportPrivateUsage] - its thread is slow here
    folding._thread = Thread(target=slow.wait, args=(0.2,))  # pyright: ignore[reportPrivateUsage]
    folding._thread.start()  # pyright: ignore[reportPrivateUsage]
    write(writer, 4 * EACH)
    # The file of the log stays as long as the log ever was.
    assert 4 * EACH <= log_pages(source) < 4 * EACH + 10
    assert folding.pages <= 5 * EACH
    assert not slow.is_set()


def test_a_reader_that_stays_costs_no_fold_for_each_commit(
    source: Source, writer: Writer, held: Held, in_place: list[str]
) -> None:
    held.go.set()
    reader = connect_reader(source)
    reader.execute("begin")
    reader.execute("select count(*) from event").fetchone()
    last = 0
    for _ in range(200):
        last = write(writer, 1, last)
        folded()
    most = 2 + folding_pages(writer) // EACH
    assert held.began <= most
    assert len(in_place) <= most
    reader.close()
    write(writer, 100, last)
    assert folding_pages(writer) < 4 * EACH, "once he is gone the log begins anew"


def folding_pages(writer: Writer) -> int:
    return writer._folding.pages  # pyright: ignore[reportPrivateUsage] - the length of the log


@pytest.mark.parametrize("leave", [Writer.close, Writer.drop])
def test_who_leaves_waits_for_the_fold_and_leaves_no_log(
    source: Source, writer: Writer, held: Held, leave: Callable[[Writer], None]
) -> None:
    last = write(writer, EACH // 2)
    assert len(folds()) == 1
    Timer(0.05, held.go.set).start()
    leave(writer)
    assert folds() == []
    assert not Path(f"{source.path}-wal").exists()
    assert found(source) == last


def test_who_was_interrupted_while_he_waited_for_the_fold_waits_again(
    source: Source, writer: Writer, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = write(writer, EACH // 2)

    def interrupted(thread: Thread) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.close()
    Timer(0.1, held.go.set).start()
    writer.close()
    assert folds() == []
    assert not Path(f"{source.path}-wal").exists()
    assert found(source) == last


def test_without_a_thread_it_is_folded_in_place(
    source: Source, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", none)
    last = write(writer, 400)
    assert found(source) == last
    assert in_file(source) > 300
    assert log_pages(source) < 3 * EACH


def test_a_fold_that_fails_fails_no_commit(
    source: Source, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def fails(at: Source, instead: object) -> None:
        tried.append(at.path)
        raise apsw.IOError("disk I/O error")

    monkeypatch.setattr("swarm.stores.sqlite.folding.connect_folding", fails)
    last = write(writer, 400)
    assert (found(source), writer.health) == (last, "ok")
    assert tried
    assert log_pages(source) < 5 * EACH, "what is left of it is folded between two commits"


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_another_store_in_the_place_of_the_file_is_left_as_it_is(
    source: Source, writer: Writer, held: Held, tmp_path: Path
) -> None:
    """Looked at once a second only: until then a host goes on with the file that it has."""
    folder = tmp_path / "other"
    folder.mkdir()
    other = Source(str(folder / "journal.db"), "normal")
    Writer(other).close()
    before = contents(folder)
    last = write(writer, EACH // 2)
    assert held.began == 1
    Path(source.path).rename(tmp_path / "moved.db")
    Path(f"{source.path}-wal").rename(tmp_path / "moved.db-wal")
    Path(f"{source.path}-shm").rename(tmp_path / "moved.db-shm")
    Path(other.path).rename(source.path)
    held.go.set()
    with pytest.raises(SwarmError, match="got another file in its place"):
        writer._stay(now=True)  # pyright: ignore[reportPrivateUsage] - as a second later
    writer.close()
    assert folds() == []
    there = contents(tmp_path)
    assert [name for name in there if name.startswith("journal.db")] == ["journal.db"]
    assert there["journal.db"] == before["journal.db"]
    assert found(Source(str(tmp_path / "moved.db"))) == last
