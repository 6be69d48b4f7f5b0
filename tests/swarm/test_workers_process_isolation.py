"""What is seen of a program that is tried: each measure by what shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from swarm.workers.process import isolation
from swarm.workers.process.child import Launch, Unstarted
from swarm.workers.process.environment import MARK
from swarm.workers.process.isolation import MEASURES, Programs, try_programs
from swarm.workers.process.nursery import NurseryUnavailable

pytestmark = pytest.mark.anyio

PID = 4_242


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class House:
    """A nursery and its program, which say what a test wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: dict[str, Any] = {"death": 9, "bound": True, "orphan": _ended()}
        self.said: list[bytes] | None = None
        self.marked = {PID, 1}
        self.fails: Exception | None = None
        self.ended: list[bool] = []
        self.closed = 0
        self.launch: Any = None
        monkeypatch.setattr(isolation, "Nursery", lambda: self)
        monkeypatch.setattr(isolation, "Child", SimpleNamespace(start=self.start))
        monkeypatch.setattr(isolation, "marked_processes", self.marked_processes)

    def close(self) -> None:
        self.closed += 1

    def left(self) -> bool:
        return os.path.exists(self.launch.workdir)

    async def start(self, nursery: Any, launch: Launch, patience: Any) -> Any:
        assert nursery is self
        assert launch.workdir.is_dir()
        self.launch = launch
        if self.fails is not None:
            raise self.fails
        reading, writing = os.pipe()
        for piece in self.said or [json.dumps(self.told).encode() + b"\n"]:
            os.write(writing, piece)
        os.close(writing)
        self.reading = reading
        return SimpleNamespace(stdout=reading, pid=PID, end=self.end)

    async def end(self, *, gently: bool) -> None:
        self.ended.append(gently)
        os.close(self.reading)

    def marked_processes(self, mark: str) -> set[int]:
        assert mark == self.launch.env[MARK]
        assert mark.startswith(f"doctor.{os.getpid()}.")
        return self.marked


def _ended() -> int:
    program = subprocess.Popen([sys.executable, "-S", "-c", ""])
    program.wait(60)
    return program.pid


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    return House(monkeypatch)


@pytest.fixture
def orphan() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as made:
        yield made
        made.kill()


async def test_where_all_holds_nothing_is_missing(house: House) -> None:
    assert await try_programs() == Programs(MEASURES, ())
    assert (house.ended, house.closed) == ([False], 1)
    assert not house.left()
    assert house.launch.argv[:4] == [sys.executable, "-I", "-S", "-c"]


@pytest.mark.parametrize(
    ("told", "missing"),
    [
        ({"death": 0}, "parent_death"),
        ({"death": 10}, "parent_death"),
        ({"bound": False}, "no_new_privs"),
        ({"bound": 1}, "no_new_privs"),
    ],
)
async def test_what_a_program_does_not_see_is_missing(
    house: House, told: dict[str, Any], missing: str
) -> None:
    house.told |= told
    held = tuple(measure for measure in MEASURES if measure != missing)
    assert await try_programs() == Programs(held, (missing,))


async def test_a_program_that_nobody_can_find_has_no_mark(house: House) -> None:
    house.marked = {1}
    assert (await try_programs()).missing == ("marks",)


async def test_an_orphan_that_lives_on_was_not_adopted_and_is_ended(
    house: House, orphan: subprocess.Popen[bytes]
) -> None:
    house.told["orphan"] = orphan.pid
    assert (await try_programs()).missing == ("subreaper",)
    assert orphan.wait(60) == -9


@pytest.mark.parametrize("error", [OSError("no"), AttributeError("pidfd_open")])
async def test_where_there_are_no_names_for_processes_that_is_missing(
    house: House, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refused(pid: int) -> int:
        assert pid == os.getpid()
        raise error

    monkeypatch.setattr(os, "pidfd_open", refused)
    assert (await try_programs()).missing == ("pidfd",)


async def test_to_look_leaves_no_file_open(house: House) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await try_programs()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_what_it_says_may_come_in_pieces(house: House) -> None:
    whole = json.dumps(house.told).encode() + b"\n"
    house.said = [whole[:5], whole[5:]]
    assert await try_programs() == Programs(MEASURES, ())
    # A read has as much as a page: more than that comes in two.
    house.said = [b" " * 5000, whole]
    assert await try_programs() == Programs(MEASURES, ())


@pytest.mark.parametrize("said", [b"{", b"no\n"])
async def test_a_program_that_says_nothing_of_use_holds_nothing(house: House, said: bytes) -> None:
    house.said = [said]
    found = await try_programs()
    assert (found.held, found.missing) == ((), MEASURES)
    assert found.problem is not None
    assert (house.ended, house.closed) == ([False], 1)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NurseryUnavailable("no house"), "no house"),
        (OSError("no folder"), "no folder"),
        (Unstarted("cwd", 2), "cwd: No such file or directory"),
    ],
)
async def test_why_no_program_starts_is_told(house: House, error: Exception, said: str) -> None:
    house.fails = error
    assert await try_programs() == Programs((), MEASURES, said)
    assert house.closed == 1


def test_a_process_is_asked_for_and_not_disturbed(
    monkeypatch: pytest.MonkeyPatch, orphan: subprocess.Popen[bytes]
) -> None:
    alive = isolation._is_alive  # pyright: ignore[reportPrivateUsage]
    assert alive(orphan.pid)
    assert orphan.poll() is None
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *given: asked.append(given))  # type: ignore[misc]
    assert alive(PID)
    assert asked == [(PID, 0)]


async def test_the_folder_goes_whatever_comes_of_it(house: House) -> None:
    house.fails = RuntimeError("other")
    with pytest.raises(RuntimeError):
        await try_programs()
    assert house.closed == 1
    assert not house.left()
