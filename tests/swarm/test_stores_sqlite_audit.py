"""The audit log in a file, and whoever reads it beside its owner."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import anyio
import apsw
import pytest

from swarm.core.audit.entries import Growth, Kept, entry_of
from swarm.errors import Refused, SwarmError
from swarm.ports.audit import AuditEntry
from swarm.stores.sqlite import SqliteStore, open_store, schema
from swarm.stores.sqlite.audit import AuditReader

pytestmark = pytest.mark.anyio

MADE = AuditEntry(1.5, "owner", "run.start", "allowed")
ENTRIES = [
    MADE._replace(run="r_1"),
    MADE._replace(run="r_1", step="$.a", verb="do"),
    MADE._replace(run="r_2", step="$.a", verb="do"),
    MADE._replace(),
    MADE._replace(run="r_1", step="$.b", verb="do"),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = open_store(tmp_path / "s", "normal")
    assert isinstance(made, SqliteStore)
    yield made
    made.close()


@pytest.fixture
async def filled(store: SqliteStore) -> SqliteStore:
    for entry in ENTRIES:
        store.audit.record(entry)
    await store.journal.commit()
    return store


def file(store: SqliteStore) -> Path:
    return store.folder / "journal.db"


def grown(number: int = len(ENTRIES)) -> tuple[Growth, list[Kept]]:
    growth = Growth()
    return growth, [Kept(*growth.add(entry)) for entry in ENTRIES[:number]]


async def test_what_is_recorded_lasts_from_the_next_commit_on(store: SqliteStore) -> None:
    audit = store.audit
    assert audit.size == 0
    for number, entry in enumerate(ENTRIES, 1):
        audit.record(entry)
        growth, _ = grown(number)
        assert audit.end() == (number, growth.head, growth.tree.root)
        assert audit.size == number
    assert await audit.read() == []
    await store.journal.commit()
    assert list(await audit.read()) == ENTRIES
    await audit.append(MADE)
    assert list(await audit.read(5)) == [MADE]


@pytest.mark.parametrize(
    ("since", "limit", "numbers"),
    [(0, 9, [0, 1, 2, 3, 4]), (0, 2, [0, 1]), (3, 9, [3, 4]), (4, 1, [4]), (5, 9, []), (0, 0, [])],
)
async def test_a_page_is_of_what_comes_behind(
    filled: SqliteStore, since: int, limit: int, numbers: list[int]
) -> None:
    found = await filled.audit.read(since, limit)
    assert list(found) == [ENTRIES[number] for number in numbers]


async def test_a_log_goes_on_where_it_was(filled: SqliteStore) -> None:
    filled.close()
    again = open_store(filled.folder, "normal")
    growth, _ = grown()
    assert again.audit.end() == (5, growth.head, growth.tree.root)
    await again.audit.append(MADE)
    growth.add(MADE)
    assert again.audit.end() == (6, growth.head, growth.tree.root)
    with AuditReader(file(filled)) as reader:
        assert (reader.size, reader.head, reader.root) == again.audit.end()
    again.close()


# -- beside its owner ----------------------------------------------------------------------


async def test_whoever_reads_sees_what_is_kept_as_it_is(filled: SqliteStore) -> None:
    growth, rows = grown()
    with AuditReader(file(filled)) as reader:
        assert (reader.size, reader.head, reader.root) == (5, growth.head, growth.tree.root)
        assert list(reader.rows()) == rows
        assert list(reader.rows(3)) == rows[3:]
        assert list(reader.rows(5)) == []
        assert [row.no for row in reader.of_step("r_1")] == [1, 2, 5]
        assert [row.no for row in reader.of_step("r_1", "$.a")] == [2]
        assert list(reader.of_step("r_9")) == []
        assert list(reader.of_step("r_2", "$.b")) == []
        assert reader.node(0, 4) == rows[4].hash
        assert reader.node(2, 0) != reader.node(1, 0) != reader.node(0, 0)
        assert reader.node(0, 5) == b""
        assert all(isinstance(row, Kept) for row in reader.rows())
        assert entry_of(next(reader.rows()).body) == ENTRIES[0]


async def test_what_is_read_is_one_state(filled: SqliteStore) -> None:
    with AuditReader(file(filled)) as reader:
        await filled.audit.append(MADE)
        assert (reader.size, len(list(reader.rows()))) == (5, 5)
    with AuditReader(file(filled)) as reader:
        assert reader.size == 6


async def test_a_log_without_entries_is_read(store: SqliteStore) -> None:
    with AuditReader(file(store)) as reader:
        assert (reader.size, reader.head, reader.root) == store.audit.end()
        assert list(reader.rows()) == []


def test_what_cannot_be_read_is_left_closed(tmp_path: Path) -> None:
    foreign, broken = tmp_path / "foreign.db", tmp_path / "broken.db"
    made = apsw.Connection(str(foreign))
    made.execute("create table other (n integer)")
    made.close()
    broken.write_bytes(b"SQLite format 3\0" + bytes(4096))
    before = len(os.listdir("/proc/self/fd"))
    kept = list[BaseException]()  # With their frames: nothing is closed by being forgotten.
    for wrong in (foreign, broken):
        with pytest.raises((Refused, SwarmError)) as told:
            AuditReader(wrong)
        kept.append(told.value)
        assert len(os.listdir("/proc/self/fd")) == before


async def test_to_read_leaves_no_file_open(filled: SqliteStore) -> None:
    filled.close()  # SQLite closes nothing while another has the file in hand.
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with AuditReader(file(filled)) as reader:
            list(reader.rows())
    assert len(os.listdir("/proc/self/fd")) == before


def change(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


def test_a_file_that_cannot_be_read_says_so(store: SqliteStore, tmp_path: Path) -> None:
    anyio.run(store.journal.commit)
    store.close()
    path = file(store)
    with AuditReader(path) as reader:
        rows = reader.rows()
        change(path, "pragma user_version = 99")
    with pytest.raises(SwarmError) as failed:
        next(rows)
    assert failed.value.code == "audit.unreadable"
    assert failed.value.message.startswith(
        f"{path}: expected an audit log that can be read, got ConnectionClosedError: "
    )
    with pytest.raises(Refused) as newer:
        AuditReader(path)
    assert newer.value.code == "store.newer"
    # Its log has another form, and to read it by this one would look like a forgery.
    change(path, f"pragma user_version = {schema.LINKED - 1}")
    with pytest.raises(Refused) as older:
        AuditReader(path)
    assert older.value.code == "store.older"
    change(path, f"pragma user_version = {schema.LINKED}; drop table audit")
    with pytest.raises(SwarmError) as failed:
        AuditReader(path)
    assert failed.value.code == "audit.unreadable"
    assert failed.value.message.endswith("got SQLError: no such table: audit")
    with pytest.raises(SwarmError) as failed:
        AuditReader(tmp_path / "nothing")
    assert failed.value.code == "audit.unreadable"
