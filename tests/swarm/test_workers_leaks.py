"""After many steps nothing is left: no process, be it a zombie, no descriptor, no thread.

`SWARM_PROCESS_STEPS` says how many; programs and scripts in children take turns, and some of
each fail, are killed at their deadline, or are cancelled.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from swarm.errors import ScriptFailed
from swarm.lua.children import Children
from swarm.lua.pool import PooledScripts
from swarm.lua.process import ScriptProcess
from swarm.ports.scripts import Script, ScriptLimits
from swarm.workers.process.child import Patience
from tests.swarm.programs import Shop, children_of, descriptors, open_shop, sh
from tests.swarm.test_lua_pool import ENDLESS

pytestmark = pytest.mark.anyio

STEPS = int(os.environ.get("SWARM_PROCESS_STEPS", "150"))
QUICK = Patience(grace_s=0.2, drain_s=0.3)
BRIEF = ScriptLimits(seconds=0.05)

Leak = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True)
class Standing:
    """What this process holds: all processes below it, and how many descriptors and threads."""

    below: frozenset[int]
    descriptors: int
    threads: int

    @classmethod
    def now(cls) -> Standing:
        return cls(tree_of(os.getpid()), descriptors(), len(os.listdir("/proc/self/task")))

    def left(self) -> dict[str, int]:
        """Tell what there is now that was not there then."""
        now = Standing.now()
        found = {
            "processes": len(now.below - self.below),
            "descriptors": now.descriptors - self.descriptors,
            "threads": now.threads - self.threads,
        }
        return {what: more for what, more in found.items() if more > 0}


def tree_of(pid: int) -> frozenset[int]:
    """Return all that descends from a process, zombies too."""
    found: set[int] = set()
    todo = [pid]
    while todo:
        born = [child for child in children_of(todo.pop()) if child not in found]
        found.update(born)
        todo += born
    return frozenset(found)


async def program(shop: Shop, number: int) -> None:
    match number % 10:
        case 3:
            await shop.failure(sh("exit 1"))
        case 6:
            await shop.failure(["no-such-program"])
        case 9:
            with anyio.move_on_after(0.002):
                await shop.ask(["sleep", "1000"])
        case _:
            await shop.ask(["cat"], "x" * 100_000)


async def script(pool: PooledScripts, number: int) -> None:
    with suppress(ScriptFailed):
        match number % 20:
            case 3:
                await pool.run(Script("wrong.lua", "error('no')"), None)
            case 7:
                await pool.run(ENDLESS, None, limits=BRIEF)
            case 13:
                with anyio.move_on_after(0.002):
                    await pool.run(ENDLESS, None)
            case _:
                await pool.run(Script("step.lua", "return input + 1"), number)


async def worked(folder: Path, steps: int) -> None:
    """Do so many steps, half of each kind, and close what did them."""
    pool = PooledScripts()
    with open_shop(folder, patience=QUICK) as shop:
        try:
            for number in range(0, steps, 2):
                await program(shop, number // 2)
                await script(pool, number // 2)
        finally:
            await pool.aclose()


async def settled(before: Standing) -> dict[str, int]:
    """Wait until nothing is left, or for as long as nobody needs to go."""
    with anyio.move_on_after(20):
        while before.left():  # noqa: ASYNC110 - other processes end, of which nobody tells
            await anyio.sleep(0.01)
    return before.left()


async def test_after_many_steps_nothing_is_left(tmp_path: Path) -> None:
    await worked(tmp_path, 20)  # what is made once, for all that comes
    before = Standing.now()
    await worked(tmp_path, STEPS)
    left = await settled(before)
    print(f"left of {STEPS} steps: {left or 'nothing'}")  # noqa: T201
    assert left == {}


@contextmanager
def process() -> Generator[None]:
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as leaked:
        yield
        leaked.kill()


@contextmanager
def zombie() -> Generator[None]:
    with subprocess.Popen([sys.executable, "-S", "-c", ""], stdout=subprocess.PIPE) as leaked:
        assert leaked.stdout is not None
        leaked.stdout.read()
        leaked.stdout.close()
        yield


@contextmanager
def descriptor() -> Generator[None]:
    leaked = os.dup(0)
    yield
    os.close(leaked)


@contextmanager
def thread() -> Generator[None]:
    end = threading.Event()
    leaked = threading.Thread(target=end.wait)
    leaked.start()
    yield
    end.set()
    leaked.join()


@pytest.mark.parametrize(
    ("leak", "found"),
    [
        (process, {"processes": 1, "descriptors": 1}),
        (zombie, {"processes": 1}),
        (descriptor, {"descriptors": 1}),
        (thread, {"threads": 1}),
    ],
)
def test_each_kind_of_leak_is_seen(leak: Leak, found: dict[str, int]) -> None:
    before = Standing.now()
    with leak():
        assert before.left() == found
    assert before.left() == {}


async def test_a_pool_that_forgets_its_children_turns_it_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[ScriptProcess] = []

    async def drop(self: Children, process: ScriptProcess) -> None:
        self._taken.discard(process)  # pyright: ignore[reportPrivateUsage]
        forgotten.append(process)

    before = Standing.now()
    monkeypatch.setattr(Children, "drop", drop)
    await worked(tmp_path, 20)
    left = before.left()
    sys.stdout.write(f"planted: {left}\n")
    assert left["processes"] >= len(forgotten) > 0
    assert left["descriptors"] >= 2 * len(forgotten)
    for process in forgotten:
        await process.end()
    assert await settled(before) == {}
