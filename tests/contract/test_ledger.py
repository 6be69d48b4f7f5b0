"""What every ledger of tokens must do, wherever it keeps what it remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swarm.ids import RunId
from swarm.ports.store import Store
from swarm.stores.memory import MemoryStore
from swarm.stores.sqlite import open_store

pytestmark = pytest.mark.anyio

Again = Callable[[], Store]
ROW = {"kind": "run.started", "seq": 1, "time_s": 1.0, "blueprint": "b", "digest": "d"}


@pytest.fixture(params=["memory", "disk"])
def again(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Again]:
    """Open the store, and open it anew where it outlives that."""
    opened: list[Store] = []

    def open_again() -> Store:
        if request.param == "memory":
            opened[:] = opened or [MemoryStore()]
            return opened[0]
        for store in opened:
            store.close()
        opened[:] = [open_store(tmp_path / "store")]
        return opened[0]

    yield open_again
    for store in opened:
        store.close()


async def test_what_was_committed_is_there_again(again: Again) -> None:
    store = again()
    store.ledger.use("a", 100)
    store.ledger.use("a", 100)
    store.ledger.revoke("subject", "ada", 3, 100)
    store.ledger.revoke("token", "t", 4, 100)
    store.ledger.note_time(50)
    await store.journal.commit()
    ledger = again().ledger
    assert (ledger.used("a"), ledger.used("b")) == (2, 0)
    assert (ledger.revoked("subject", "ada"), ledger.revoked("token", "t")) == (3, 4)
    assert ledger.revoked("run", "ada") == 0, "kinds are apart"
    assert (ledger.epoch, ledger.high_s) == (4, 50)


async def test_what_was_not_committed_lasts_no_longer_than_its_store(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.journal.append(RunId("r_1"), [ROW])
    store.ledger.use("a", 100)
    assert store.ledger.used("a") == 1
    store.close()
    store = open_store(tmp_path)
    assert (store.ledger.used("a"), dict(await store.journal.heads())) == (0, {})
    store.close()


async def test_a_use_is_in_the_transaction_of_the_rows_beside_it(tmp_path: Path) -> None:
    """Even where what was appended before is just as much as a transaction takes."""
    store = open_store(tmp_path)
    rows = [ROW, *({**ROW, "seq": seq, "kind": "step.progress"} for seq in range(2, 4001))]
    for number in range(3):
        store.journal.append(RunId(f"r_{number}"), rows)
        store.ledger.use(f"c_{number}", 100)
    await store.journal.commit()
    statistics = getattr(store.journal, "statistics")()  # noqa: B009 - of this journal alone
    assert statistics.commits == 3
    store.close()


async def test_what_has_expired_is_forgotten_on_the_disk_too(again: Again) -> None:
    store = again()
    for number in range(100):
        store.ledger.use(f"c_{number}", number)
        store.ledger.revoke("token", f"t_{number}", number + 1, number)
    store.ledger.note_time(90)
    await store.journal.commit()
    ledger = again().ledger
    assert sum(ledger.used(f"c_{number}") for number in range(100)) == 10
    assert sum(ledger.revoked("token", f"t_{n}") > 0 for n in range(100)) == 10
    assert ledger.epoch == 100, "how many there were is not forgotten"


async def test_time_does_not_go_back(again: Again) -> None:
    store = again()
    store.ledger.note_time(90)
    store.ledger.note_time(10)
    await store.journal.commit()
    assert again().ledger.high_s == 90


async def test_what_is_revoked_again_lasts_as_long_as_the_last(again: Again) -> None:
    store = again()
    store.ledger.revoke("subject", "ada", 1, 50)
    store.ledger.revoke("subject", "ada", 2, 200)
    store.ledger.note_time(100)
    await store.journal.commit()
    assert again().ledger.revoked("subject", "ada") == 2
