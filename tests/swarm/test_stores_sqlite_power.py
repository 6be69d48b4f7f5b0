"""The power goes at any moment: what is found then, at every point of ten lives of a store.

Each life is lived once on a disk that remembers what was synced. Then, for the moment
after each operation, the disk is made as a killed process would leave it (all writes are
there), as a loss of power may (none that was not synced; or any part, torn at sectors,
removals happened or not), the store is opened, and judged.

`CAMPAIGN_SEED` and `CAMPAIGN_POINTS` choose another campaign.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest

from swarm.stores.sqlite import connection
from swarm.stores.sqlite.connection import Durability, Source
from tests.swarm.store_work import WORKLOADS, Ledger, Mark, Shop, judge
from tests.swarm.weak_disk import Files, Point, WeakDisk, cut, kept

SEED = int(os.environ.get("CAMPAIGN_SEED", "1"))
POINTS = int(os.environ.get("CAMPAIGN_POINTS", "10000"))
# A file system in memory, where there is one: images are written by the thousand.
SHM = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with TemporaryDirectory(dir=SHM or tmp_path) as name:
        yield Path(name)


def live(name: str, folder: Path, durability: Durability = "full") -> list[Point]:
    """Live one life; return the disk after each operation."""
    place = folder / name.replace(" ", "_")
    disk, ledger = WeakDisk("power"), Ledger()
    disk.mark = ledger.mark
    disk.recording = True

    async def main() -> None:
        shop = Shop(place, ledger, "power", durability)
        await WORKLOADS[name](shop)
        shop.store.close()

    try:
        anyio.run(main)
    finally:
        disk.unregister()
    return disk.points


def found(folder: Path, files: Files) -> Source:
    """Make the disk as it is found."""
    for file in folder.iterdir():
        file.unlink()
    for name, body in files.items():
        (folder / Path(name).name).write_bytes(body)
    return Source(str(folder / "journal.db"), "normal")


def states(point: Point, seed: int | None) -> Iterator[Files]:
    """What may be found at a point: the certain cases first, then one of the dice."""
    if seed is None:
        yield kept(point)
        yield cut(point, None)
    else:
        yield cut(point, seed)


def name_of(files: Files, mark: Mark) -> bytes:
    digest = hashlib.blake2b(repr(mark).encode(), digest_size=16)
    for name, body in sorted(files.items()):
        digest.update(f"{name}:{len(body)}:".encode())
        digest.update(body)
    return digest.digest()


def campaign(lives: dict[str, list[Point]], folder: Path, points: int) -> dict[str, list[str]]:
    """Judge *points* distinct states; return for each life what was wrong with which."""
    image = folder / "image"
    image.mkdir()
    known: set[bytes] = set()
    wrong: dict[str, list[str]] = {name: [] for name in lives}
    tried = dict.fromkeys(lives, 0)
    for turn in count():
        before = len(known)
        for name, points_of in lives.items():
            for number, point in enumerate(points_of):
                seed = None if turn == 0 else hash((SEED, turn, number))
                for files in states(point, seed):
                    state = name_of(files, point.mark)
                    if state in known or len(known) >= points:
                        continue
                    known.add(state)
                    tried[name] += 1
                    fault = judge(found(image, files), point.mark)
                    if fault is not None:
                        wrong[name].append(f"point {number}, seed {seed}: {fault}")
        if len(known) >= points or len(known) == before:
            break
    for name in lives:
        survived = tried[name] - len(wrong[name])
        sys.stdout.write(f"{name}: {survived} / {tried[name]}, seed={SEED}\n")
    return wrong


def test_every_point_of_every_life_is_survived(folder: Path) -> None:
    lives = {name: live(name, folder) for name in WORKLOADS}
    wrong = campaign(lives, folder, POINTS)
    assert {name: faults[:3] for name, faults in wrong.items() if faults} == {}


def test_normal_durability_loses_only_the_last_and_damages_nothing(folder: Path) -> None:
    lives = {name: live(name, folder, "normal") for name in ("single commits", "checkpoint")}
    for points in lives.values():
        for number, point in enumerate(points):
            # Acknowledged there means: safe from the death of the process.
            points[number] = Point(
                point.durable, point.pending, point.ghosts, Mark(point.mark.handed, {})
            )
    wrong = campaign(lives, folder, 600)
    assert {name: faults[:3] for name, faults in wrong.items() if faults} == {}


def test_without_syncs_the_campaign_goes_red(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.SYNCHRONOUS, "full", "off")
    lives = {name: live(name, folder) for name in ("single commits", "checkpoint")}
    wrong = campaign(lives, folder, 600)
    assert all(wrong.values()), "planted: acknowledged without a sync"
