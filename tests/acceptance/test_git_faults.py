"""Versions in git: each fault with its benign twin, kill -9 at every stage, many writers.

GIT_KILLS kills (24 by itself), GIT_WRITERS x GIT_COMMITS entries (4 x 6), GIT_IDS ids.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from anyio import from_thread

from tests.acceptance.git_lives import STAGES
from tests.acceptance.git_rows import ROWS
from tests.acceptance.git_world import World, contents
from tests.acceptance.warm import Warm

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("GIT_KILLS", "24"))
WRITERS = int(os.environ.get("GIT_WRITERS", "4"))
COMMITS = int(os.environ.get("GIT_COMMITS", "6"))
# Proven by campaigns of their own below; and what does not exist here.
CAMPAIGNS = {"F2", "F6"}
NOT_APPLICABLE = {"F32": "there is no archive flag, and no patch reaches meta.json"}


@pytest.fixture
def anyio_backend() -> str:
    """Use one: the store does its work in threads, and the contract runs on both."""
    return "asyncio"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory, if there is one: what is synced here is synced thousands of times."""
    shared = "/dev/shm"  # noqa: S108 - a folder of our own in it
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def told(folder: Path, *arguments: str, patience_s: float = 120.0) -> dict[str, dict[str, Any]]:
    """Run rows in a process of their own; return what is told of each side."""
    folder.mkdir(exist_ok=True)
    found: dict[str, dict[str, Any]] = {}
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "tests.acceptance.git_rows", str(folder), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    with process:
        while select.select([process.stdout], [], [], patience_s)[0]:
            line = process.stdout.readline()
            if not line:
                break
            answer = json.loads(line)
            side = f"{answer['row']} {answer['side']}"
            found[side] = answer if "wrong" in answer else {**answer, "wrong": "it did not end"}
        process.kill()
    return found


def wrong(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {side: answer["wrong"] for side, answer in found.items() if answer["wrong"] is not None}


def test_every_fault_has_a_row() -> None:
    numbers = {f"F{n}" for n in range(1, 35)}
    assert set(ROWS) | CAMPAIGNS | set(NOT_APPLICABLE) == numbers


def test_every_fault_is_survived_and_so_is_its_twin(folder: Path) -> None:
    found = told(folder / "rows")
    bad = wrong(found)
    for side in ("hostile", "benign"):
        tried = [name for name in found if name.endswith(side)]
        survived = [name for name in tried if name not in bad]
        print(f"git, {side}: survived {len(survived)} / {len(tried)}")  # noqa: T201
        assert len(tried) == len(ROWS)
    assert not bad


@pytest.mark.parametrize(
    ("planted", "rows"),
    [
        ("unlooked", ["F10"]),
        ("overwriting", ["F1", "F3"]),
        ("unlocked", ["F7"]),
        ("trusting", ["F27"]),
        ("unsynced", ["F34"]),
    ],
)
def test_a_planted_bug_is_noticed(folder: Path, planted: str, rows: list[str]) -> None:
    found = told(folder / "rows", "--planted", planted, *rows, patience_s=8.0)
    assert {name.split()[0] for name in wrong(found)} == set(rows[: 1 if len(found) == 1 else None])


# -- kills -------------------------------------------------------------------------------


class Lives(Warm):
    """Forks writers."""

    def live(self, world: World, **order: Any) -> list[int]:
        """Let writers live; return how each of them ended."""
        acks = str(world.folder / "acks")
        whole = {"store": str(world.folder), "acks": acks, "many": 1, "planted": False, **order}
        codes = self.ended(whole)
        assert set(codes) <= {0, -signal.SIGKILL}, codes
        return codes


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    process = Lives("tests.acceptance.git_lives")
    yield process
    process.close()


def acknowledged(world: World) -> list[str]:
    file = world.folder / "acks"
    return file.read_text().split() if file.exists() else []


async def check_after_kill(world: World) -> None:
    """Everything acknowledged is there, the plain client is content, and it goes on at once."""
    if world.path.exists():
        world.anew()
        if await world.store.head("review") is not None:
            log = await world.check_linear()
            gone = set(acknowledged(world)) - {entry.commit for entry in log}
            assert not gone, f"acknowledged and gone: {gone}"
            assert await world.store.read(log[0])
            assert await world.store.read(log[-1])
            world.check_whole()
    entry = await world.add("after")
    assert (await world.store.read(entry)) == contents("after")
    await world.store.tag("review", "prod", entry)
    assert not await world.store.verify()


async def campaign(
    folder: Path, lives: Lives, kills: int, *, planted: bool = False
) -> Counter[str]:
    chance = Random(5)  # noqa: S311 - the campaign is the same each time
    killed = Counter[str]()
    tries = 0
    while sum(killed.values()) < kills:
        tries += 1
        assert tries < 4 * kills
        world = World(folder / f"store-{tries}")
        world.folder.mkdir()
        # Some stores have a history, of which some is packed; some are new.
        if tries % 3:
            lives.live(world, name="first", count=2 * (tries % 3), packs=tries % 2)
        stage = min([*STAGES, "any time"], key=lambda one: (killed[one], chance.random()))
        order: dict[str, Any] = {"name": f"w{tries}", "count": 6, "tags": True}
        order |= {"collects": True, "packs": tries % 2 or stage in ("pack", "drop")}
        if stage == "any time":
            order |= {"kill_s": 0.2 * chance.random(), "many": 2}
        elif stage in ("making", "head", "drop"):
            world.close()
            if stage != "drop":
                world = World(folder / f"store-{tries}-new")
                world.folder.mkdir()
            order |= {"stage": stage, "nth": chance.randrange(2)}
        else:
            order |= {"stage": stage, "nth": chance.randrange(12)}
        if -signal.SIGKILL in lives.live(world, **{**order, "planted": planted}):
            killed[stage] += 1
        await check_after_kill(world)
        world.close()
    return killed


async def test_what_was_acknowledged_survives_kill_at_every_stage(
    folder: Path, lives: Lives
) -> None:
    killed = await campaign(folder, lives, KILLS)
    print(f"git, kills: survived {sum(killed.values())} / {sum(killed.values())}")  # noqa: T201
    print(f"  {dict(killed)}")  # noqa: T201
    assert min(killed[stage] for stage in STAGES) >= KILLS // 15


async def test_an_early_acknowledgement_is_noticed(folder: Path, lives: Lives) -> None:
    with pytest.raises(AssertionError, match="acknowledged and gone"):
        await campaign(folder, lives, KILLS, planted=True)


# -- many writers ------------------------------------------------------------------------


async def test_writers_in_processes_lose_nothing_and_stay_in_line(
    folder: Path, lives: Lives
) -> None:
    world = World(folder)
    codes = lives.live(world, name="w", count=COMMITS, many=WRITERS)
    assert codes == [0] * WRITERS
    log = await world.check_linear()
    acks = acknowledged(world)
    print(f"git, writers: {len(log)} / {WRITERS * COMMITS} entries in line")  # noqa: T201
    assert len(log) == len(acks) == WRITERS * COMMITS
    assert {entry.commit for entry in log} == set(acks)
    said = Counter[str]()
    for entry in log[:50]:
        said[(await world.store.read(entry)).document["description"]] += 1
    assert set(said.values()) == {1}
    world.check_whole()
    world.close()


async def test_an_entry_that_comes_between_two_looks_is_no_other_history(folder: Path) -> None:
    world, other = World(folder), World(folder)
    await world.filled("a")
    came: list[str] = []

    def between(where: Any, name: str) -> None:
        act = getattr(where, name)

        def looked(*arguments: Any) -> Any:
            found = act(*arguments)
            if name not in came:
                came.append(name)
                from_thread.run(other.add, name)
            return found

        setattr(where, name, looked)

    between(world.store._index, "newest")  # pyright: ignore[reportPrivateUsage]
    between(world.store._repository, "ref")  # pyright: ignore[reportPrivateUsage]
    assert await world.store.head("review")
    assert (await world.find("review")).number == 3
    assert sorted(came) == ["newest", "ref"]
    assert len(await world.check_linear()) == 3
    world.close()
    other.close()
