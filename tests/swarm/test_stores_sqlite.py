"""The store on a disk: opening, owning, reopening, damage, and a disk that is full."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import apsw
import pytest

from swarm.errors import Refused, SwarmError
from swarm.ids import RunId
from swarm.ports.audit import AuditEntry
from swarm.stores.entries import DEFAULT_STORE_LIMITS
from swarm.stores.memory import MemoryStore
from swarm.stores.sqlite import Durability, SqliteStore, connection, group, open_store, schema
from swarm.stores.sqlite.binding import Connection
from swarm.stores.sqlite.connection import Source
from swarm.stores.sqlite.journal import SqliteJournal, Statistics
from swarm.stores.sqlite.reader import Reader
from swarm.stores.sqlite.writer import Writer
from tests.swarm.weak_disk import WeakDisk

pytestmark = [
    pytest.mark.anyio,
    # What the disk raises where the library itself passes over it has nobody to go to.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ONE, TWO = RunId("r_1"), RunId("r_2")


def opened(folder: Path, durability: Durability = "normal", vfs: str | None = None) -> SqliteStore:
    store = open_store(folder, durability, vfs=vfs)
    assert isinstance(store, SqliteStore)
    return store


@pytest.fixture
def disk() -> Iterator[WeakDisk]:
    disk = WeakDisk("weak")
    yield disk
    disk.unregister()


def row(seq: int, **more: Any) -> dict[str, Any]:
    kind = "run.started" if seq == 1 else "step.progress"
    return {"kind": kind, "seq": seq, "time_s": 1.0, "text": f"row {seq}", **more}


async def keep(store: SqliteStore, run_id: RunId, first: int, last: int, **more: Any) -> None:
    store.journal.append(run_id, [row(seq, **more) for seq in range(first, last + 1)])
    await store.journal.commit()


def edit(folder: Path, *statements: str) -> None:
    """Change the file behind the store's back."""
    found = apsw.Connection(str(folder / "journal.db"))
    for statement in statements:
        found.execute(statement)
    found.close()


def digest(folder: Path) -> dict[str, str]:
    files = sorted(folder.glob("journal.db*"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


# -- opening ---------------------------------------------------------------------------


async def test_a_store_goes_on_where_it_was(tmp_path: Path) -> None:
    for first in (1, 4, 7):
        store = opened(tmp_path)
        await keep(store, ONE, first, first + 2)
        assert await store.journal.heads() == {ONE: first + 2}
        assert await store.journal.verify(ONE) is None
        store.close()


async def test_nothing_is_written_behind_the_end_of_a_store(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.journal.append(ONE, [row(1)])
    await store.journal.commit()
    store.journal.append(ONE, [row(2)])
    store.close()
    before = (tmp_path / "journal.db").read_bytes()
    with pytest.raises(SwarmError, match="got one that is closed — open the store anew") as caught:
        await store.journal.commit()
    assert caught.value.code == "journal.failed"
    assert store.journal.health == "failed"
    with pytest.raises(SwarmError) as caught:
        store.journal.append(TWO, [row(1)])
    assert caught.value.code == "journal.failed"
    assert (tmp_path / "journal.db").read_bytes() == before
    store.close()
    again = opened(tmp_path)
    assert [event["seq"] for event in await again.journal.read(ONE)] == [1]
    again.close()


async def test_a_batch_that_has_grown_large_is_closed_and_all_of_them_land(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "_ROWS", 10)
    store = opened(tmp_path)
    for seq in range(1, 26):
        store.journal.append(ONE, [row(seq)])
    await store.journal.commit()
    assert await store.journal.heads() == {ONE: 25}
    assert isinstance(store.journal, SqliteJournal)
    found = store.journal.statistics()
    assert (found.commits, found.events) == (3, 25)
    store.close()


async def test_settings_are_those_promised(tmp_path: Path) -> None:
    levels: dict[Durability, int] = {"full": 2, "normal": 1}
    for durability, level in levels.items():
        source = Source(str(tmp_path / "journal.db"), durability)
        writer = connection.connect_writer(source)
        found = {
            name: writer.execute(f"pragma {name}").fetchone()[0]
            for name in (
                "journal_mode", "synchronous", "foreign_keys", "trusted_schema",
                "cell_size_check", "busy_timeout", "wal_autocheckpoint", "journal_size_limit",
                "page_size", "application_id", "user_version",
            )
        }  # fmt: skip
        writer.close()
        assert found == {
            "journal_mode": "wal",
            "synchronous": level,
            "foreign_keys": 1,
            "trusted_schema": 0,
            "cell_size_check": 1,
            "busy_timeout": 5000,
            "wal_autocheckpoint": 0,
            "page_size": 2048,
            "journal_size_limit": 67108864,
            "application_id": schema.APPLICATION_ID,
            "user_version": len(schema.MIGRATIONS),
        }


def test_memory_touches_no_folder(tmp_path: Path) -> None:
    store = open_store(tmp_path / "none", "memory")
    assert isinstance(store, MemoryStore)
    assert list(tmp_path.iterdir()) == []


async def test_memory_has_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="expected a store on a disk, got one in memory"):
        await open_store(tmp_path, "memory").backup(tmp_path / "copy.db")


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused) as refused:
        opened(tmp_path / "file")
    assert refused.value.code == "store.unavailable"


@pytest.mark.parametrize("kind", ["text", "database"])
def test_a_file_of_something_else_is_refused_and_not_touched(tmp_path: Path, kind: str) -> None:
    if kind == "text":
        (tmp_path / "journal.db").write_text("not a database, but long enough " * 40)
    else:
        edit(tmp_path, "create table notes (text)")
    before = digest(tmp_path)
    with pytest.raises(Refused) as refused:
        opened(tmp_path)
    assert refused.value.code == "store.foreign"
    assert digest(tmp_path) == before
    with pytest.raises(Refused, match="a file of something else"):
        opened(tmp_path)


async def test_a_newer_store_is_refused_and_not_touched(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await keep(store, ONE, 1, 3)
    store.close()
    assert sorted(digest(tmp_path)) == ["journal.db"]
    newer = len(schema.MIGRATIONS) + 1
    edit(tmp_path, f"pragma user_version = {newer}")
    before = digest(tmp_path)
    with pytest.raises(Refused, match=f"version {newer - 1} or older, got {newer}"):
        opened(tmp_path)
    assert digest(tmp_path) == before


async def test_a_newer_store_that_died_keeps_its_log_too(tmp_path: Path) -> None:
    """The newer version may be in the log alone: nothing may fold it."""
    source = Source(str(tmp_path / "journal.db"), "normal")
    Writer(source).drop()
    left = apsw.Connection(source.path)
    left.execute("pragma user_version = 99")
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in ("journal.db", "journal.db-wal"):
        (copy / file).write_bytes((tmp_path / file).read_bytes())
    left.close()
    before = {name: d for name, d in digest(copy).items() if "shm" not in name}
    with pytest.raises(Refused) as refused:
        opened(copy)
    assert refused.value.code == "store.newer"
    assert {name: d for name, d in digest(copy).items() if "shm" not in name} == before


async def test_who_only_reads_looks_at_what_it_is_first(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await keep(store, ONE, 1, 3)
    store.close()
    reader = Reader(Source(str(tmp_path / "journal.db")))
    reader.admit()
    reader.close()
    newest = len(schema.MIGRATIONS)
    for version, code in ((newest + 1, "store.newer"), (schema.READABLE - 1, "store.older")):
        edit(tmp_path, f"pragma user_version = {version}")
        reader = Reader(Source(str(tmp_path / "journal.db")))
        with pytest.raises(Refused, match=f"got {version} ") as refused:
            reader.admit()
        assert refused.value.code == code
        reader.close()
    edit(tmp_path, f"pragma user_version = {schema.READABLE}")
    reader = Reader(Source(str(tmp_path / "journal.db")))
    reader.admit()
    assert [run.run_id for run in reader.runs(None, 10, None)] == [ONE]
    reader.close()


# -- one owner -------------------------------------------------------------------------


def test_a_second_owner_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    store = opened(tmp_path)
    source = f"from swarm.stores.sqlite import open_store; open_store({str(tmp_path)!r})"
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert f"process {os.getpid()} holds" in done.stderr
    with pytest.raises(Refused) as refused:
        opened(tmp_path)
    assert (refused.value.code, refused.value.values["pid"]) == ("store.locked", os.getpid())
    store.close()
    store.close()
    opened(tmp_path).close()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    source = (
        "import sys, time; from swarm.stores.sqlite import open_store\n"
        f"store = open_store({str(tmp_path)!r})\n"
        "print('open', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", source]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(Refused, match=f"process {process.pid} holds"):
            opened(tmp_path)
        process.send_signal(signal.SIGKILL)
    opened(tmp_path).close()


async def test_an_owner_that_was_replaced_cannot_write(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await keep(store, ONE, 1, 1)
    (tmp_path / "LOCK").unlink()  # what a lock that does not hold looks like
    other = opened(tmp_path)
    await keep(other, ONE, 2, 2)
    store.journal.append(ONE, [row(2)])
    for _ in range(2):
        with pytest.raises(SwarmError) as refused:
            await store.journal.commit()
        assert refused.value.code in ("journal.fenced", "journal.failed")
    assert store.journal.health == "failed"
    with pytest.raises(SwarmError, match="journal that can write"):
        store.journal.append(TWO, [row(1)])
    assert await store.journal.probe() == "failed"
    store.close()
    await keep(other, ONE, 3, 3)
    assert await other.journal.verify(ONE) is None
    other.close()


# -- damage ----------------------------------------------------------------------------


async def _damaged(tmp_path: Path, *statements: str) -> SqliteStore:
    store = opened(tmp_path)
    for run_id in (ONE, TWO):
        await keep(store, run_id, 1, 9)
    store.close()
    edit(tmp_path, *statements)
    return opened(tmp_path)


_BODY = "update event set body = cast(replace(cast(body as text), 'row', 'raw') as blob)"


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        (f"{_BODY} where run = 1 and seq = 4", 4),
        ("update event set hash = zeroblob(32) where run = 1 and seq = 4", 4),
        ("delete from event where run = 1 and seq = 4", 4),
        ("delete from event where run = 1 and seq = 1", 1),
        ("update event set seq = 99 where run = 1 and seq = 6", 6),
    ],
)
async def test_an_edited_event_is_named_and_only_its_run_is_set_aside(
    tmp_path: Path, statement: str, seq: int
) -> None:
    store = await _damaged(tmp_path, statement)
    assert await store.journal.verify(ONE) == seq
    with pytest.raises(SwarmError, match=f"run r_1 at event {seq}:") as damaged:
        await store.journal.read(ONE)
    assert damaged.value.values == {"run_id": ONE, "seq": seq}
    assert await store.journal.verify(TWO) is None
    await keep(store, TWO, 10, 12)
    assert len(await store.journal.read(TWO)) == 12
    store.close()


async def test_events_of_another_run_are_not_passed_off_as_this_one_s(tmp_path: Path) -> None:
    swap = ("update event set run = -1 where run = 1", "update event set run = 1 where run = 2")
    store = await _damaged(tmp_path, "pragma foreign_keys = off", *swap)
    assert await store.journal.verify(ONE) == 1
    store.close()


async def test_a_cut_tail_shows_where_the_list_knows_of_an_end(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await keep(store, ONE, 1, 3)
    store.journal.append(ONE, [row(4, kind="run.failed")])
    await store.journal.commit()
    store.close()
    edit(tmp_path, "delete from event where seq >= 3")
    store = opened(tmp_path)
    assert await store.journal.verify(ONE) == 3
    store.close()


async def test_a_flipped_bit_is_found_wherever_it_lies_in_the_rows(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for seq in range(1, 41):
        for run_id in (ONE, TWO):
            await keep(store, run_id, seq, seq, value=f"{run_id} wrote {seq}.", more="v" * 200)
    store.close()
    file = tmp_path / "journal.db"
    body = file.read_bytes()
    for seq in (1, 17, 40):
        bent = bytearray(body)
        # A page that was split may hold an old copy, which nobody reads.
        for place in re.finditer(b"r_1 wrote %d\\." % seq, body):
            bent[place.start() + 5] ^= 0x10
        file.write_bytes(bent)
        store = opened(tmp_path)
        assert [await store.journal.verify(run_id) for run_id in (ONE, TWO)] == [seq, None]
        store.close()


@pytest.mark.parametrize("statement", ["update blob set body = x'00'", "delete from blob"])
async def test_a_blob_that_is_another_damages_the_row_that_needs_it(
    tmp_path: Path, statement: str
) -> None:
    store = opened(tmp_path)
    await keep(store, ONE, 1, 2)
    await keep(store, ONE, 3, 3, value="x" * 100_000)
    store.close()
    edit(tmp_path, "pragma foreign_keys = off", statement)
    store = opened(tmp_path)
    assert await store.journal.verify(ONE) == 3
    assert len(await store.journal.read(ONE, 0, 2)) == 2
    store.close()


# -- a disk that fails -----------------------------------------------------------------


async def test_a_full_disk_degrades_and_recovers_with_what_was_kept(
    tmp_path: Path, disk: WeakDisk
) -> None:
    store = opened(tmp_path, "full", "weak")
    await keep(store, ONE, 1, 2)
    disk.fault, disk.fail_for, disk.fail_at = "full", 1_000_000, 0
    store.journal.append(ONE, [row(3)])
    for _ in range(3):
        with pytest.raises(SwarmError) as refused:
            await store.journal.commit()
        assert refused.value.code == "journal.degraded"
    assert store.journal.health == "degraded"
    assert await store.journal.probe() == "degraded"
    disk.fail_at = -1
    with pytest.raises(SwarmError, match="one that cannot write now"):
        store.journal.append(TWO, [row(1)])
    assert await store.journal.probe() == "ok"
    await keep(store, TWO, 1, 1)
    assert await store.journal.heads() == {ONE: 3, TWO: 1}
    store.close()


@pytest.mark.parametrize("lost", [False, True])
async def test_a_commit_that_raised_and_happened_is_not_repeated(
    tmp_path: Path, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    await keep(store, ONE, 1, 1)
    real = Writer._transact  # pyright: ignore[reportPrivateUsage] - the fault is planted there
    calls: list[int] = []

    def unsure(writer: Writer, batch: Any) -> float:
        calls.append(len(batch.events))
        taken = real(writer, batch) if len(calls) > 1 or not lost else 0.0
        if len(calls) == 1:
            raise apsw.IOError("who knows")
        return taken

    monkeypatch.setattr(Writer, "_transact", unsure)
    await keep(store, ONE, 2, 4)
    assert calls == ([3, 3] if lost else [3])
    assert [r["seq"] for r in await store.journal.read(ONE)] == [1, 2, 3, 4]
    store.close()


async def test_rows_without_an_event_are_written_again_where_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not committed with a run has nothing that shows it was: it is done again."""
    store = opened(tmp_path)
    real, calls = Writer._transact, count(1)  # pyright: ignore[reportPrivateUsage] - planted there

    def unsure(writer: Writer, batch: Any) -> float:
        if next(calls) == 1:
            raise apsw.IOError("who knows")
        return real(writer, batch)

    monkeypatch.setattr(Writer, "_transact", unsure)
    await store.audit.append(AuditEntry(1.0, "owner", "run.start", "allowed", "r_1"))
    assert next(calls) == 3
    store.close()
    again = opened(tmp_path)
    assert again.audit.size == 1
    again.close()


async def test_an_interrupt_in_a_transaction_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    real = Writer._transact  # pyright: ignore[reportPrivateUsage] - the fault is planted there

    def interrupted(writer: Writer, batch: Any) -> None:
        monkeypatch.setattr(Writer, "_transact", real)
        writer.begin()
        raise KeyboardInterrupt

    monkeypatch.setattr(Writer, "_transact", interrupted)
    store.journal.append(ONE, [row(1)])
    with pytest.raises(KeyboardInterrupt):
        await store.journal.commit()
    assert await store.journal.heads() == {}
    await keep(store, ONE, 2, 2)
    assert await store.journal.heads() == {ONE: 2}
    store.close()


async def test_a_disk_that_becomes_read_only_fails_and_the_store_opens_again(
    tmp_path: Path, disk: WeakDisk
) -> None:
    """As a file system does that was mounted anew after an error, with its files open."""
    store = opened(tmp_path, "full", "weak")
    await keep(store, ONE, 1, 2)
    disk.read_only = True
    store.journal.append(ONE, [row(3)])
    for _ in range(2):
        with pytest.raises(SwarmError) as refused:
            await store.journal.commit()
        assert refused.value.code == "journal.failed"
    assert store.journal.health == "failed"
    assert await store.journal.heads() == {ONE: 2}
    with pytest.raises(SwarmError, match="one that has failed"):
        store.journal.append(TWO, [row(1)])
    store.close()
    with pytest.raises(Refused, match="expected a folder that a store can be kept in"):
        opened(tmp_path, "full", "weak")
    disk.read_only = False
    store = opened(tmp_path, "full", "weak")
    await keep(store, ONE, 3, 4)
    assert await store.journal.verify(ONE) is None
    store.close()


async def test_all_who_share_a_commit_hear_that_it_failed(tmp_path: Path, disk: WeakDisk) -> None:
    store = opened(tmp_path, "full", "weak")
    await keep(store, ONE, 1, 1)
    disk.fault, disk.fail_for, disk.fail_at = "eio", 1_000_000, 0
    heard: list[str] = []
    numbers = count(2)

    async def work() -> None:
        try:
            await keep(store, ONE, number := next(numbers), number)
        except SwarmError as error:
            heard.append(error.code)

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(work)
    assert heard == ["journal.degraded"] * 6
    disk.fail_at = -1
    await store.journal.commit()
    assert await store.journal.heads() == {ONE: 7}
    store.close()


def test_a_kill_between_any_two_statements_of_a_migration_leaves_the_old_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path).close()

    def broken(changed: Connection) -> None:
        changed.execute("alter table run add column mood text")
        raise KeyboardInterrupt

    before = schema.MIGRATIONS
    monkeypatch.setattr(schema, "MIGRATIONS", (*before, broken))
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path)
    monkeypatch.setattr(schema, "MIGRATIONS", before)
    opened(tmp_path).close()


async def test_an_audit_log_of_another_form_stays_beside_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = AuditEntry(1.0, "owner", "run.start", "allowed", "r_1")
    before = schema.MIGRATIONS
    for size, kept in ((0, None), (2, [1, 2])):
        folder = tmp_path / str(size)
        folder.mkdir()
        monkeypatch.setattr(schema, "MIGRATIONS", before[:4])
        old = opened(folder)
        for _ in range(size):
            old.audit.record(entry)
        await old.journal.commit()
        old.close()
        signed, moved = folder / "checkpoints.jsonl", folder / "checkpoints.before.jsonl"
        signed.write_text("signed")
        monkeypatch.setattr(schema, "MIGRATIONS", before)
        again = opened(folder)
        assert again.audit.size == 0
        await again.audit.append(entry)
        again.close()
        file = apsw.Connection(str(folder / "journal.db"))
        tables = {name for (name,) in file.execute("select name from sqlite_schema")}
        assert ("audit_before" in tables) == bool(kept)
        assert (moved if kept else signed).read_text() == "signed"
        assert signed.exists() != moved.exists()
        if kept:
            assert [no for (no,) in file.execute("select no from audit_before")] == kept
        for wrong in ("update audit set no = 5", "delete from audit"):
            with pytest.raises(apsw.ConstraintError, match="the audit log is not"):
                file.execute(wrong)
        file.close()


async def test_a_slow_disk_is_written_by_threads_with_nothing_out_of_order(
    tmp_path: Path,
) -> None:
    source = Source(str(tmp_path / "journal.db"), "full")
    writer, reader = Writer(source), Reader(source)
    writer.seconds = 0.05
    journal = SqliteJournal(writer, reader, DEFAULT_STORE_LIMITS)

    async def work(run_id: RunId) -> None:
        for seq in range(1, 21):
            journal.append(run_id, [row(seq)])
            await journal.commit()
            assert (await journal.read(run_id, seq - 1))[0]["text"] == f"row {seq}"

    names = [RunId(f"r_{number}") for number in range(20)]
    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(work, name)
    assert [await journal.verify(name) for name in names] == [None] * 20
    assert journal.statistics().commits < 200
    reader.close()
    writer.drop()


# -- memory, copies ------------------------------------------------------------


async def test_memory_holds_nothing_of_runs_that_have_ended(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for number in range(50):
        run_id = RunId(f"r_{number}")
        store.journal.append(run_id, [row(1), row(2, kind="run.failed")])
        await store.journal.commit()
    assert store.journal.statistics() == Statistics(commits=50, events=100, runs=0)
    await keep(store, RunId("later"), 1, 1)
    assert store.journal.statistics().runs == 1
    store.close()


async def test_a_copy_under_load_is_a_beginning_of_what_was_kept(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    await keep(store, ONE, 1, 3_000)

    async def write() -> None:
        for seq in range(3_001, 3_301):
            await keep(store, ONE, seq, seq)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await store.backup(tmp_path / "copies.db")
    store.close()
    (tmp_path / "copy").mkdir()
    (tmp_path / "copies.db").rename(tmp_path / "copy" / "journal.db")
    copy = opened(tmp_path / "copy")
    heads = await copy.journal.heads()
    assert 3_000 <= heads[ONE] <= 3_300
    assert await copy.journal.verify(ONE) is None
    copy.close()


async def test_a_copy_never_replaces_a_file(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with pytest.raises(Refused) as refused:
        await store.backup(target)
    assert (refused.value.code, target.read_text()) == ("store.backup", "precious")
    with pytest.raises(Refused):
        await store.backup(tmp_path / "none" / "copy.db")
    store.close()
