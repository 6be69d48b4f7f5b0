"""The file of a store, taken away or replaced under a host: an end, and no silent loss."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swarm.errors import SwarmError
from swarm.host.host import Host
from swarm.host.parts import Parts
from swarm.ids import RunId
from swarm.ports.store import Store
from swarm.stores.sqlite import open_store
from swarm.stores.sqlite.identity import LOOK_S, Identity
from swarm.testing.clock import FakeClock
from swarm.testing.ids import CountedIds

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {
    "swarm": 1,
    "id": "hello",
    "agents": [],
    "flow": {"kind": "assign", "at": "ctx.said", "value": "'hello'"},
}


def started(seq: int) -> list[dict[str, Any]]:
    return [{"kind": "run.started", "seq": seq, "time_s": 1.0, "blueprint": "b", "digest": "d"}]


def deleted(folder: Path, copy: Path) -> None:
    shutil.rmtree(folder)


def moved(folder: Path, copy: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def replaced(folder: Path, copy: Path) -> None:
    """Put back a copy, as from a backup: the same epoch, other rows."""
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)


def unlinked(folder: Path, copy: Path) -> None:
    (folder / "journal.db").unlink()


LOSSES = [deleted, moved, replaced, unlinked]
Loss = Callable[[Path, Path], None]


class Place:
    """A store with one committed run, and a copy of it from before."""

    def __init__(self, root: Path) -> None:
        self.folder, self.copy = root / "store", root / "copy"
        open_store(self.folder).close()
        shutil.copytree(self.folder, self.copy)
        self.clock = FakeClock()
        self.store: Store = open_store(self.folder, monotonic=self.clock.monotonic)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.store.close()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
async def test_nothing_is_acknowledged_into_a_file_that_is_gone(place: Place, loss: Loss) -> None:
    journal = place.store.journal
    journal.append(RunId("r_1"), started(1))
    await journal.commit()
    loss(place.folder, place.copy)
    await place.clock.advance(LOOK_S)
    journal.append(RunId("r_2"), started(1))
    with pytest.raises(SwarmError) as failed:
        await journal.commit()
    instead = "another file" if loss is replaced else "nothing"
    assert failed.value.code == "journal.failed"
    assert str(failed.value) == (
        f"{place.folder / 'journal.db'}: expected the file that was opened, got {instead} "
        "in its place — open the store anew"
    )
    assert journal.health == "failed"
    assert await journal.probe() == "failed"
    with pytest.raises(SwarmError, match="open the store anew"):
        journal.append(RunId("r_3"), started(1))


@pytest.mark.parametrize("loss", [deleted, unlinked], ids=lambda loss: loss.__name__)
async def test_a_file_that_is_gone_is_not_made_anew(place: Place, loss: Loss) -> None:
    loss(place.folder, place.copy)
    await place.clock.advance(LOOK_S)
    assert await place.store.journal.probe() == "failed"
    place.store.close()
    assert not (place.folder / "journal.db").exists()


async def test_whoever_opened_the_replacement_keeps_his_log(place: Place) -> None:
    """On leaving, SQLite removes the log by its name, which is another's now."""
    replaced(place.folder, place.copy)
    other = open_store(place.folder)
    try:
        other.journal.append(RunId("r_new"), started(1))
        await other.journal.commit()
        log = place.folder / "journal.db-wal"
        before = (log.stat().st_ino, log.stat().st_size)
        await place.clock.advance(LOOK_S)
        assert await place.store.journal.probe() == "failed"
        place.store.close()
        assert (log.stat().st_ino, log.stat().st_size) == before
    finally:
        other.close()
    again = open_store(place.folder)
    assert list(await again.journal.heads()) == ["r_new"]
    again.close()


async def test_a_file_that_stays_is_written_on(place: Place) -> None:
    """The benign twin: files come and go beside it, and it may get another mode."""
    journal = place.store.journal
    for number in range(1, 4):
        (place.folder / f"other{number}").touch()
        (place.folder / "journal.db").chmod(0o600)
        await place.clock.advance(LOOK_S)
        journal.append(RunId(f"r_{number}"), started(1))
        await journal.commit()
    assert journal.health == "ok"


async def test_a_folder_behind_a_link_is_looked_for_there(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    clock = FakeClock()
    store = open_store(tmp_path / "link", monotonic=clock.monotonic)
    await clock.advance(LOOK_S)
    assert await store.journal.probe() == "ok"
    (tmp_path / "link").unlink()
    await clock.advance(LOOK_S)
    assert await store.journal.probe() == "failed"
    store.close()


def test_the_name_is_looked_up_once_a_second_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, times, looks = tmp_path / "file", [0.0], list[float]()
    file.touch()
    identity = Identity(str(file), lambda: times[0])
    stat = os.stat

    def counted(path: Any, **more: Any) -> os.stat_result:
        looks.append(times[0])
        return stat(path, **more)

    monkeypatch.setattr(os, "stat", counted)
    for tenth in range(1, 51):
        times[0] = tenth / 10
        for _ in range(100):
            assert identity.lost() is None
    assert looks == [1.0, 2.0, 3.0, 4.0, 5.0]


async def test_a_run_of_a_host_whose_store_is_gone_does_not_succeed(tmp_path: Path) -> None:
    clock = FakeClock()
    store = open_store(tmp_path / "store", monotonic=clock.monotonic)
    parts = Parts(store.journal, clock, CountedIds(), True, store.close, store.audit)
    async with Host(parts) as host:
        hello = await host.load(HELLO)
        assert await (await host.start(hello)).result() == {"said": "hello"}
        shutil.rmtree(tmp_path / "store")
        await clock.advance(LOOK_S)
        with pytest.raises(SwarmError) as failed:
            await (await host.start(hello)).result()
        assert failed.value.code == "journal.failed"
