"""What every audit log must do, wherever it keeps its entries."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from swarm.core.audit.entries import Kept, entry_of
from swarm.core.audit.inspect import inspect
from swarm.core.audit.tree import root_of
from swarm.errors import SwarmError
from swarm.ids import RunId
from swarm.ports.audit import AuditEntry
from swarm.ports.store import Store
from swarm.stores.audit import MemoryAudit
from swarm.stores.memory import MemoryStore
from swarm.stores.sqlite import open_store
from swarm.stores.sqlite.audit import AuditReader

pytestmark = pytest.mark.anyio

ROW = {"kind": "run.started", "seq": 1, "time_s": 1.0, "blueprint": "b", "digest": "d"}


class Shelf:
    """One store, opened again and again."""

    def __init__(self, folder: Path, durable: bool) -> None:
        self.folder = folder
        self.durable = durable
        self.store: Store = open_store(folder) if durable else MemoryStore()

    def again(self) -> Store:
        if self.durable:
            self.store.close()
            self.store = open_store(self.folder)
        return self.store

    def rows(self) -> list[Kept]:
        if isinstance(self.store.audit, MemoryAudit):
            return list(self.store.audit.rows())
        with AuditReader(self.folder / "journal.db") as reader:
            return list(reader.rows())


@pytest.fixture(params=["memory", "disk"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path / "store", request.param == "disk")
    yield shelf
    shelf.store.close()


def entry(number: int, **more: Any) -> AuditEntry:
    return AuditEntry(float(number), "owner", "run.start", "allowed", f"r_{number}", **more)


async def test_entries_are_kept_in_their_order_as_they_were(shelf: Shelf) -> None:
    given = [
        entry(1),
        entry(2, step="$.a", attempt=3, input="0" * 64, output="1" * 64),
        entry(3, detail={"said": "äöü\n", "n": [1, 2.5, None]}),
    ]
    for one in given:
        await shelf.store.audit.append(one)
    assert [entry_of(row.body) for row in shelf.rows()] == given
    assert [row.no for row in shelf.rows()] == [1, 2, 3]


async def test_the_log_grows_on_where_it_was(shelf: Shelf) -> None:
    dice = random.Random(5)  # noqa: S311 - a repeatable one
    number = 0
    for _ in range(12):
        for _ in range(dice.randint(0, 9)):
            number += 1
            shelf.store.audit.record(entry(number))
        await shelf.store.journal.commit()
        end = shelf.store.audit.end()
        assert shelf.again().audit.end() == end
    found = inspect(shelf.rows())
    assert (found.size, found.head, found.root) == shelf.store.audit.end()
    assert found.fault is None
    assert number == found.size > 20


async def test_an_empty_log_has_an_end_too(shelf: Shelf) -> None:
    size, _, root = shelf.again().audit.end()
    assert (size, root) == (0, root_of([]))
    assert inspect(shelf.rows()).fault is None


@pytest.mark.parametrize("detail", [{"x": object()}, {"x": float("nan")}, {"x": "y" * 20_000}])
async def test_what_is_no_entry_is_refused_and_leaves_no_gap(
    shelf: Shelf, detail: dict[str, Any]
) -> None:
    await shelf.store.audit.append(entry(1))
    with pytest.raises(SwarmError) as error:
        shelf.store.audit.record(entry(2, detail=detail))
    assert error.value.code == "audit.malformed"
    await shelf.store.audit.append(entry(3))
    assert inspect(shelf.rows()).fault is None
    assert len(shelf.rows()) == 2


async def test_an_entry_lasts_with_the_rows_beside_it_or_not_at_all(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.journal.append(RunId("r_1"), [ROW])
    store.audit.record(entry(1))
    store.close()
    store = open_store(tmp_path)
    assert store.audit.end()[0] == 0
    assert dict(await store.journal.heads()) == {}
    store.journal.append(RunId("r_1"), [ROW])
    store.audit.record(entry(1))
    await store.journal.commit()
    store.close()
    store = open_store(tmp_path)
    assert store.audit.end()[0] == 1
    assert dict(await store.journal.heads()) == {"r_1": 1}
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "update audit set body = x'00' where no = 1",
        "delete from audit where no = 2",
        "delete from audit",
        "update audit set no = 9 where no = 1",
    ],
)
async def test_the_table_refuses_to_be_changed(tmp_path: Path, statement: str) -> None:
    store = open_store(tmp_path)
    for number in range(3):
        await store.audit.append(entry(number))
    store.close()
    with pytest.raises(apsw.ConstraintError):
        apsw.Connection(str(tmp_path / "journal.db")).execute(statement)
    store = open_store(tmp_path)
    assert store.audit.end()[0] == 3
    store.close()


async def test_a_batch_that_is_written_twice_is_there_once(tmp_path: Path) -> None:
    """Whether a commit happened is not always known: what was written is written again."""
    store = open_store(tmp_path)
    await store.audit.append(entry(1))
    kept: list[tuple[str, tuple[Any, ...]]] = []
    beside: Callable[..., None] = getattr(store.journal, "beside")  # noqa: B009 - of this journal
    store.audit.record(entry(2))
    kept += getattr(store.journal, "_group").open.beside  # noqa: B009
    await store.journal.commit()
    for statement, values in kept:
        beside(statement, values)
    await store.journal.commit()
    assert inspect(AuditReader(tmp_path / "journal.db").rows()).size == 2
    (statement, values), *_ = kept
    beside(statement, (values[0], b"another", *values[2:]))
    with pytest.raises(SwarmError) as failed:
        await store.journal.commit()
    assert failed.value.code == "journal.failed"
    store.close()
