"""The journal on a disk, between its callers and the group: what is asked of whom, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swarm.errors import SwarmError
from swarm.ids import RunId
from swarm.stores.sqlite import SqliteStore, journal, open_store

pytestmark = pytest.mark.anyio

ONE, TWO = RunId("r_1"), RunId("r_2")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = open_store(tmp_path / "s", "normal")
    assert isinstance(made, SqliteStore)
    yield made
    made.close()


def row(seq: int, kind: str = "step.progress", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "seq": seq, "time_s": 1.0, **more}


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep the names of what was done in a thread."""
    seen: list[str] = []
    real = journal.to_thread.run_sync

    async def run_sync(act: Callable[..., Any], *given: Any, **more: Any) -> Any:
        seen.append(act.__name__)
        return await real(act, *given, **more)

    monkeypatch.setattr(journal.to_thread, "run_sync", run_sync)
    return seen


@pytest.mark.parametrize(
    ("rows", "since", "limit", "hop"),
    [
        (10, 0, 64, False),
        (10, 0, 65, False),
        (64, 0, 1000, False),
        (65, 0, 1000, True),
        (65, 0, 64, False),
        (200, 136, 1000, False),
        (200, 135, 1000, True),
    ],
)
async def test_a_few_rows_are_read_in_place_and_more_in_a_thread(
    store: SqliteStore, hops: list[str], rows: int, since: int, limit: int, hop: bool
) -> None:
    store.journal.append(ONE, [row(seq) for seq in range(1, rows + 1)])
    await store.journal.commit()
    hops.clear()  # a commit goes to a thread where the disk is slow
    read = await store.journal.read(ONE, since, limit)
    assert [one["seq"] for one in read] == [*range(since + 1, min(rows, since + limit) + 1)]
    assert hops == (["read"] if hop else [])


@pytest.mark.parametrize(("limit", "hop"), [(64, False), (65, True)])
async def test_of_a_run_that_nobody_goes_on_with_only_what_is_asked_for_is_known(
    store: SqliteStore, hops: list[str], limit: int, hop: bool
) -> None:
    assert await store.journal.read(TWO, 0, limit) == []
    assert hops == (["read"] if hop else [])


async def test_a_list_and_a_read_have_a_thousand_at_most_unless_somebody_says(
    store: SqliteStore,
) -> None:
    for number in range(1001):
        store.journal.append(RunId(f"r_{number}"), [row(1, "run.started")])
    store.journal.append(ONE, [row(seq) for seq in range(2, 1003)])
    await store.journal.commit()
    assert len(await store.journal.runs()) == len(await store.journal.read(ONE)) == 1000
    assert len(await store.journal.runs(limit=2000)) == 1001
    assert len(await store.journal.read(ONE, limit=2000)) == 1002


async def test_of_a_run_that_is_new_the_file_is_not_asked(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner: Any = store.journal

    def head(_run: RunId) -> None:
        raise AssertionError("the file was asked")

    monkeypatch.setattr(inner._reader, "head", head)
    store.journal.new(ONE)
    store.journal.new(ONE)
    store.journal.append(ONE, [row(1)])
    await store.journal.commit()
    with pytest.raises(AssertionError):
        store.journal.append(TWO, [row(1)])


async def test_a_run_is_listed_from_its_first_rows_on(store: SqliteStore) -> None:
    store.journal.append(ONE, [row(1), row(2)])
    store.journal.append(TWO, [row(1)])
    store.journal.append(TWO, [row(2)])
    await store.journal.commit()
    assert await store.journal.heads() == {ONE: 2, TWO: 2}
    assert [one.run_id for one in await store.journal.runs()] == [TWO, ONE]


async def test_a_probe_writes_what_is_kept(store: SqliteStore) -> None:
    store.journal.append(ONE, [row(1)])
    assert await store.journal.heads() == {}
    assert await store.journal.probe() == "ok"
    assert await store.journal.heads() == {ONE: 1}


async def test_a_run_that_ends_while_more_is_appended_goes_on_from_there(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner: Any = store.journal
    real, more = inner._writer.write, [row(3), row(4)]

    def write(batch: Any) -> float:
        taken = real(batch)
        if more:
            store.journal.append(ONE, [more.pop(0)])
        return taken

    inner._group._write = write
    store.journal.append(ONE, [row(1, "run.started"), row(2, "run.finished")])
    await store.journal.commit()
    assert store.journal.statistics().runs == 1, "its end hangs on what is not on the disk yet"
    await store.journal.commit()
    await store.journal.commit()
    assert await store.journal.heads() == {ONE: 4}
    assert await store.journal.verify(ONE) is None
    found = store.journal.statistics()
    assert (found.commits, found.events) == (3, 4)


async def test_what_has_ended_is_no_longer_held_in_memory(store: SqliteStore) -> None:
    store.journal.append(ONE, [row(1, "run.started"), row(2, "run.finished")])
    store.journal.append(TWO, [row(1, "run.started")])
    await store.journal.commit()
    assert store.journal.statistics().runs == 1
    assert (await store.journal.run(ONE)) is not None
    assert (await store.journal.run(RunId("r_9"))) is None


NOT_NOW = (
    "run r_1: expected a journal that takes new runs, got one that cannot write now "
    "\u2014 try again when it can"
)
NO_MORE = (
    "run r_1: expected a journal that can write, got one that has failed \u2014 open the store anew"
)


@pytest.mark.parametrize(
    ("health", "code", "said"),
    [("degraded", "journal.degraded", NOT_NOW), ("failed", "journal.failed", NO_MORE)],
)
async def test_a_journal_that_cannot_write_takes_no_new_runs(
    store: SqliteStore, health: Any, code: str, said: str
) -> None:
    inner: Any = store.journal
    store.journal.append(TWO, [row(1)])
    inner._writer.health = health
    for act in (
        lambda: store.journal.append(ONE, [row(1)]),
        lambda: store.journal.new(ONE),
        lambda: inner.put(ONE, b"x"),
    ):
        with pytest.raises(SwarmError) as refused:
            act()
        assert (refused.value.code, refused.value.message) == (code, said)
        assert refused.value.values == {"run_id": ONE}
    if health == "degraded":
        store.journal.append(TWO, [row(2)])
        await store.journal.commit()
    else:
        with pytest.raises(SwarmError):
            store.journal.append(TWO, [row(2)])
    store.journal.append(ONE, [])


async def test_a_blob_is_there_with_the_first_row_that_needs_it(store: SqliteStore) -> None:
    inner: Any = store.journal
    name = inner.put(ONE, b"body")
    await store.journal.commit()
    store.journal.append(ONE, [row(1, value={"$ref": f"sha256:{name}", "size": 4})])
    await store.journal.commit()
    assert await inner.blobs.get(name) == b"body"
    assert inner.blobs.put(ONE, b"body") == name


async def test_a_blob_begins_a_new_transaction_where_one_has_grown_large(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner: Any = store.journal
    grown: list[int] = []
    real = inner._group.grow

    def grow() -> None:
        grown.append(1)
        real()

    monkeypatch.setattr(inner._group, "grow", grow)
    inner.put(ONE, b"body")
    assert grown == [1]
