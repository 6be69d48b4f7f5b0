"""The writer, its readers and its lock, each by itself: what they say, and what they leave."""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import apsw
import pytest

from swarm.errors import Refused, SwarmError
from swarm.ids import RunId
from swarm.ports.journal import RunRow
from swarm.stores.sqlite import connection as connections
from swarm.stores.sqlite import identity as identities
from swarm.stores.sqlite import owner as owners
from swarm.stores.sqlite import writer as writers
from swarm.stores.sqlite.binding import Connection, connect_still
from swarm.stores.sqlite.connection import Source, connect_reader, connect_writer
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
    writer.close()
    with pytest.raises(SwarmError, match="got one that is closed — open the store anew"):
        writer.write(batch(1))


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


def event(seq: int, run: int = 1) -> tuple[int, int, bytes, bytes]:
    return (run, seq, bytes([seq % 256]) * 32, b"{}")


def of(count: int) -> Batch:
    made = Batch()
    made.events = [event(seq) for seq in range(1, count + 1)]
    return made


def events(source: Source) -> list[int]:
    found = connect_reader(source)
    try:
        return [row[0] for row in found.execute("select seq from event order by run, seq")]
    finally:
        found.close()


def test_a_batch_is_bare_where_it_is_a_few_events_and_nothing_else() -> None:
    assert [count for count in range(12) if of(count).bare] == [*range(1, 9)]
    for name, value in (
        ("runs", {1: RunRow(RunId("r_1"), "running")}),
        ("blobs", {b"1": b"2"}),
        ("holdings", {(1, b"1")}),
        ("beside", [("select 1", ())]),
    ):
        made = of(1)
        setattr(made, name, value)
        assert not made.bare
        made.events = []
        assert bool(made) is (name in ("runs", "beside")), "a blob alone has nobody who needs it"
    assert not Batch()
    assert of(1)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 20])
@pytest.mark.parametrize("bare", [True, False])
def test_events_are_written_all_at_once_however_many_there_are(
    source: Source, count: int, bare: bool
) -> None:
    writer = Writer(source)
    writer.write(batch(1))
    made = of(count)
    if not bare:
        made.runs[1] = RunRow(RunId("r_1"), "finished")
    writer.write(made)
    assert events(source) == [*range(1, count + 1)]


def test_what_is_told_of_a_write_is_what_its_commit_took(
    monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    monkeypatch.setattr(writers, "perf_counter", itertools.count(50.0).__next__)
    writer = Writer(source)
    assert writer.seconds == 1
    assert [writer.write(batch(1)), writer.write(of(1))] == [1, 1]


def fails(error: BaseException) -> Callable[..., NoReturn]:
    def act(*_given: Any) -> NoReturn:
        raise error

    return act


def is_left(connection: Connection | None) -> bool:
    try:
        assert connection is not None
        connection.execute("select 1")
    except apsw.ConnectionClosedError:
        return True
    return False


@pytest.mark.parametrize(
    "error", [apsw.FullError("full"), apsw.CorruptError("bad"), KeyboardInterrupt(), ValueError()]
)
def test_whatever_went_wrong_the_connection_is_left(source: Source, error: BaseException) -> None:
    for whole in (True, False):
        writer: Any = Writer(source)
        writer._transact = fails(error)
        before = writer._connection
        with pytest.raises((SwarmError, KeyboardInterrupt, ValueError)):
            writer.write(batch(1)) if whole else writer.attempt(fails(error))
        assert is_left(before)
        assert writer._connection is None


def test_a_connection_is_left_in_the_midst_of_what_it_reads(source: Source) -> None:
    writer: Any = Writer(source)
    before = writer._connection
    rows = before.execute("select 1; select 2")
    assert rows.fetchone() == (1,)
    writer.drop()
    assert is_left(before)


def test_a_writer_that_cannot_begin_leaves_its_connection(
    monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    made: list[Connection] = []

    def kept(given: Source) -> Connection:
        made.append(connect_writer(given))
        return made[-1]

    monkeypatch.setattr(writers, "connect_writer", kept)
    monkeypatch.setattr(Writer, "_begin_epoch", fails(apsw.BusyError("busy")))
    with pytest.raises(apsw.BusyError):
        Writer(source)
    assert [is_left(one) for one in made] == [True]


def test_a_probe_is_a_write_that_others_see_to_have_happened(source: Source) -> None:
    writer = Writer(source)
    other = connect_reader(source)

    def version() -> Any:
        return other.execute("pragma data_version").fetchone()

    before = version()
    writer.probe()
    assert version() != before
    other.close()


@pytest.mark.parametrize("happened", [True, False])
def test_a_commit_that_nobody_knows_of_is_made_to_last_once(
    monkeypatch: pytest.MonkeyPatch, source: Source, happened: bool
) -> None:
    writer: Any = Writer(source)
    writer.write(batch(1))
    before = writer._connection
    real, folded, tried = writer._transact, writer._fold, []
    monkeypatch.setattr(writers, "perf_counter", itertools.count(50.0).__next__)

    def transact(made: Batch) -> float:
        tried.append(made)
        if len(tried) > 1:
            return real(made)
        if happened:
            real(made)
        raise apsw.IOError("sync")

    def fold() -> None:
        folded()
        tried.append("folded")

    writer._transact, writer._fold = transact, fold
    made = of(3)
    assert writer.write(made) == 1
    assert tried == ([made, "folded"] if happened else [made, made])
    assert (events(source), writer.health) == ([1, 2, 3], "ok")
    assert is_left(before), "what it thinks of the file is not to be trusted"


def test_another_s_event_in_the_same_place_is_not_taken_for_one_s_own(source: Source) -> None:
    writer: Any = Writer(source)
    writer.write(batch(1))
    writer.write(of(2))
    other = Batch()
    other.events = [(1, 2, b"o" * 32, b"{}")]
    assert [writer._is_there(one) for one in (of(2), of(1), of(3), other, batch(1))] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_a_log_that_a_reader_holds_back_is_not_folded(source: Source) -> None:
    writer: Any = Writer(source)
    writer.write(batch(1))
    reader = connect_reader(source)
    reader.execute("begin")
    reader.execute("select count(*) from run").fetchone()
    writer.write(of(1))
    writer._connection.set_busy_timeout(0)
    with pytest.raises(apsw.BusyError, match="the log could not be folded into the file"):
        writer._fold()
    reader.close()
    writer._fold()


def _replaced(source: Source) -> None:
    """Put another store, with a log of its own, where this one was."""
    path, other = Path(source.path), Path(source.path).parent / "other"
    other.mkdir()
    filled = Writer(Source(str(other / path.name), "normal"))
    filled.write(batch(7))
    kept = other / "kept"
    kept.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{other / path.name}{suffix}", kept)
        os.replace(f"{path}{suffix}", f"{path}{suffix}.gone")
        shutil.copy(kept / f"{path.name}{suffix}", f"{path}{suffix}")
    Path(f"{path}-shm").unlink()
    filled.drop()


@pytest.mark.parametrize("dropped", [True, False])
def test_a_file_that_was_replaced_is_left_with_its_log(source: Source, dropped: bool) -> None:
    """One that has left its connection looks before it takes another, whatever the time."""
    now = 0.0
    writer: Any = Writer(source, lambda: now)
    writer.write(batch(1))
    if dropped:
        writer.drop()
        Path(f"{source.path}-wal").write_bytes(b"")
        Path(f"{source.path}-shm").write_bytes(b"")
    _replaced(source)
    log = Path(f"{source.path}-wal").read_bytes()
    assert log
    if not dropped:
        now = 100.0
    with pytest.raises(SwarmError) as failed:
        writer.write(batch(2))
    assert (failed.value.code, failed.value.message) == (
        "journal.failed",
        (
            f"{source.path}: expected the file that was opened, got another file in its place "
            "\u2014 open the store anew"
        ),
    )
    assert (writer.health, writer._connection) == ("failed", None)
    assert Path(f"{source.path}-wal").read_bytes() == log
    assert runs(source) == ["r_7"]


def test_a_file_of_the_same_number_on_another_disk_keeps_its_log(
    monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    """SQLite looks at the number alone, and would remove the log on leaving."""
    now = 0.0
    writer = Writer(source, lambda: now)
    writer.write(batch(1))
    there = os.stat(source.path)

    def elsewhere(path: str) -> tuple[int, int]:
        return there.st_dev + 1, there.st_ino

    monkeypatch.setattr(identities, "_seen", elsewhere)
    writer.write(batch(3))  # not looked at yet
    log = Path(f"{source.path}-wal").read_bytes()
    assert log
    now = 100.0
    with pytest.raises(SwarmError, match="got another file in its place"):
        writer.write(batch(2))
    assert Path(f"{source.path}-wal").read_bytes() == log


def test_a_file_that_is_gone_is_gone_for_one_that_has_left_it_too(source: Source) -> None:
    now = 0.0
    writer: Any = Writer(source, lambda: now)
    writer.drop()
    os.unlink(source.path)
    now = 100.0
    with pytest.raises(SwarmError, match="got nothing in its place"):
        writer.write(batch(1))
    assert not Path(source.path).exists()


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


def _of_a_killed_owner(source: Source, folder: Path) -> Source:
    """Copy a store as it lies there while it is written: as a kill would leave it."""
    writer = Writer(source)
    writer.write(batch(1))
    for suffix in ("", "-wal"):
        shutil.copy(f"{source.path}{suffix}", folder / f"copy.db{suffix}")
    writer.drop()
    return Source(str(folder / "copy.db"), "normal")


def test_a_log_stays_for_the_next_owner_who_folds_it_in(source: Source, tmp_path: Path) -> None:
    left = _of_a_killed_owner(source, tmp_path)
    log = Path(f"{left.path}-wal")
    size = log.stat().st_size
    assert runs(left) == ["r_1"]
    assert log.stat().st_size == size > 0, "who only reads leaves it"
    Writer(left).drop()
    assert not log.exists()
    assert runs(left) == ["r_1"]
    assert not log.exists(), "what a reader made beside the file goes again"


def test_a_reader_makes_no_file(source: Source) -> None:
    with pytest.raises(apsw.CantOpenError):
        connect_reader(source)
    assert not Path(source.path).exists()


def test_a_reader_that_cannot_be_had_leaves_its_connection(
    monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    Writer(source).drop()
    made: list[Connection] = []
    real = connections.connect

    def kept(*given: Any, **more: Any) -> Connection:
        made.append(real(*given, **more))
        return made[-1]

    monkeypatch.setattr(connections, "connect", kept)
    for act, error in ((connect_reader, apsw.IOError("x")), (connect_writer, KeyboardInterrupt())):
        monkeypatch.setattr(connections, "_settle", fails(error))
        with pytest.raises(type(error)):
            act(source)
    assert [is_left(one) for one in made] == [True, True]


@pytest.mark.parametrize(("system", "full"), [("linux", 0), ("darwin", 1)])
def test_where_only_that_reaches_the_disk_a_sync_is_a_full_one(
    monkeypatch: pytest.MonkeyPatch, source: Source, system: str, full: int
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    found = connect_writer(source)
    for name in ("fullfsync", "checkpoint_fullfsync"):
        assert found.execute(f"pragma {name}").fetchone() == (full,)
    found.close()


READ = """
import os, sys
import apsw
from swarm.errors import Refused
from swarm.stores.sqlite.connection import Source, connect_reader
if os.geteuid() == 0:
    os.setgroups([])
    os.setuid(65534)
try:
    found = connect_reader(Source(sys.argv[1], "normal"))
    print([row[0] for row in found.execute("select id from run")])
except Refused as error:
    print(error.code, error.message, error.values["store"])
except apsw.Error as error:
    print(type(error).__name__)
"""


@pytest.fixture
def sealed() -> Iterator[Path]:
    """Hand out a folder that others may look into, and nobody without rights may write to."""
    folder = Path(tempfile.mkdtemp(prefix="sealed-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def _read_by_nobody(path: Path) -> str:
    path.parent.chmod(0o555)
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", READ, str(path)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    path.parent.chmod(0o755)
    return done.stdout.strip()


def test_where_nothing_can_be_written_a_file_without_a_log_is_read(
    source: Source, sealed: Path
) -> None:
    left = Path(_of_a_killed_owner(source, sealed).path)
    for file in sealed.iterdir():
        file.chmod(0o444)
    assert _read_by_nobody(left) == (
        f"store.unavailable {sealed}: expected a folder that can be written to, because some of "
        "the store is in its log still, got one that cannot \u2014 open it once where it can be "
        f"{sealed}"
    )
    Writer(Source(str(left), "normal")).drop()
    assert sorted(one.name for one in sealed.iterdir()) == ["copy.db"]
    assert _read_by_nobody(left) == "['r_1']"
    assert _read_by_nobody(sealed / "none.db") == "CantOpenError"


@pytest.fixture
def no_room() -> Iterator[None]:
    """Let no file grow beyond what the index of a log begins with."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_on_a_full_disk_a_file_without_a_log_is_read(
    source: Source, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    logged = _of_a_killed_owner(source, tmp_path)
    folded = Source(str(tmp_path / "folded.db"), "normal")
    for end in ("", "-wal"):
        shutil.copy(f"{logged.path}{end}", f"{folded.path}{end}")
    Writer(folded).drop()
    request.getfixturevalue("no_room")
    assert runs(folded) == ["r_1"]
    with pytest.raises(Refused, match=r"expected room on its disk, .* got none \u2014 make some$"):
        connect_reader(logged)


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


def test_what_a_lock_says_is_read_to_32_characters(tmp_path: Path) -> None:
    owner, before = Owner(tmp_path), len(os.listdir("/proc/self/fd"))
    (tmp_path / "LOCK").write_text("x" * 40)
    with pytest.raises(Refused, match=f"got one that process {'x' * 32} holds"):
        Owner(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before, "who is refused keeps nothing open"
    owner.release()
    (tmp_path / "LOCK").write_text("of one who died long ago")
    owner = Owner(tmp_path)
    assert (tmp_path / "LOCK").read_text() == f"{os.getpid()}\n"
    owner.release()


FORKING = """
import os, signal, sys
from pathlib import Path
from swarm.stores.sqlite.owner import Owner
owner = Owner(Path(sys.argv[1]))
if os.fork() == 0:
    owner.release()
    print("forked", flush=True)
    sys.stdin.read()
    os._exit(0)
signal.pause()
"""


def test_a_process_that_was_forked_off_neither_lets_go_of_the_lock_nor_keeps_it(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", FORKING, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owning:
        assert owning.stdout is not None
        try:
            assert owning.stdout.readline() == "forked\n"
            with pytest.raises(Refused, match=f"process {owning.pid} holds"):
                Owner(tmp_path)
        finally:
            owning.kill()
            owning.wait()
        # What was forked off lives on until its stdin ends.
        Owner(tmp_path).release()


@pytest.mark.parametrize(("looks", "taken"), [(0, True), (1, True), (19, True), (20, False)])
def test_who_only_looks_for_a_moment_keeps_nobody_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, looks: int, taken: bool
) -> None:
    """Twenty tries, and nineteen waits between them."""
    (tmp_path / "LOCK").touch()
    waits: list[float] = []
    looking = os.open(tmp_path / "LOCK", os.O_RDONLY)
    owners.fcntl.flock(looking, owners.fcntl.LOCK_SH)

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == looks:
            owners.fcntl.flock(looking, owners.fcntl.LOCK_UN)

    if not looks:
        owners.fcntl.flock(looking, owners.fcntl.LOCK_UN)
    monkeypatch.setattr(owners.time, "sleep", wait)
    if taken:
        Owner(tmp_path).release()
    else:
        with pytest.raises(Refused, match="got one that process unknown holds"):
            Owner(tmp_path)
    assert waits == [0.005] * min(looks, 19)
    os.close(looking)


@pytest.mark.parametrize("count", [1, 8, 9, 31, 32, 33, 64, 100])
def test_a_batch_of_any_size_lands_whole_and_in_its_order(source: Source, count: int) -> None:
    writer = Writer(source)
    made = batch(1)
    made.events += [(1, seq, b"h%d" % seq, b"body %d" % seq) for seq in range(1, count + 1)]
    writer.write(made)
    found = connect_reader(source)
    rows = found.execute("select pos, run, seq, hash, body from event order by pos")
    assert list(rows) == [(seq, *made.events[seq - 1]) for seq in range(1, count + 1)]
    found.close()
    writer.close()
