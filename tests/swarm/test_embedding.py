"""A host is a guest in somebody's program: it leaves alone what is the program's."""

from __future__ import annotations

import asyncio  # noqa: TID251 - what a program is made of that holds a host
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import closing
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import pytest

import swarm
from swarm.stores.sqlite import group
from swarm.stores.sqlite.writer import Batch, Writer

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.anyio
HELLO: dict[str, Any] = {
    "swarm": 1,
    "id": "hello",
    "agents": [
        {"name": "greet", "kind": "function", "function": "greet"},
        {"name": "loud", "kind": "lua", "source": "return input:upper()"},
    ],
    "flow": {
        "kind": "seq",
        "children": [
            {"kind": "step", "ref": "greet", "in": "ctx.name", "out": "ctx.said"},
            {"kind": "step", "ref": "loud", "in": "ctx.said", "out": "ctx.said"},
        ],
    },
}
IMPORTED = """
import json, logging, os, signal, sys, threading, warnings
handlers = [signal.getsignal(s) for s in signal.valid_signals()]
folder, path, names = os.getcwd(), list(sys.path), dict(os.environ)
import swarm
same = handlers == [signal.getsignal(s) for s in signal.valid_signals()]
heavy = {"anyio", "pydantic", "lupa", "apsw", "pygit2", "fastapi", "click", "rich"}
print(json.dumps({
    "handlers": same, "threads": threading.active_count(), "root": len(logging.root.handlers),
    "heavy": sorted(heavy & {*sys.modules}),
    "same": [os.getcwd() == folder, sys.path == path, dict(os.environ) == names],
}))
"""


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def state() -> dict[str, Any]:
    """What a program has that a library could change behind its back."""
    loggers = {
        name: (logger.level, list(logger.handlers), logger.propagate)
        for name, logger in logging.root.manager.loggerDict.items()
        if name.startswith(("swarm", "flowir")) and isinstance(logger, logging.Logger)
    }
    return {
        "signals": {s: signal.getsignal(s) for s in signal.valid_signals()},
        "logging": (logging.root.level, list(logging.root.handlers), logging.root.disabled),
        "own": {name: set_up for name, set_up in loggers.items() if set_up != (0, [], True)},
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "path": list(sys.path),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "warnings": list(warnings.filters),
    }


def greeting(word: str) -> Callable[[str], str]:
    def greet(name: str) -> str:
        return f"{word}, {name}"

    return greet


async def greeted(host: swarm.Host, name: str) -> str:
    run = await host.start(await host.load(HELLO), {"name": name})
    return (await run.result())["said"]


def test_an_import_starts_nothing_changes_nothing_and_loads_nothing_heavy() -> None:
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", IMPORTED],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout) == {
        "handlers": True, "threads": 1, "root": 0, "heavy": [], "same": [True, True, True],
    }  # fmt: skip


async def test_a_host_leaves_the_program_as_it_is(tmp_path: Path) -> None:
    before = state()
    host = swarm.Host(tmp_path / "state")
    host.function("greet")(greeting("hello"))
    async with host:
        assert await greeted(host, "ada") == "HELLO, ADA"
        assert state() == before
    assert state() == before


async def test_hosts_of_one_process_share_nothing(tmp_path: Path) -> None:
    one, two = swarm.Host(tmp_path / "one"), swarm.Host.in_memory()
    one.function("greet")(greeting("moin"))
    two.function("greet")(greeting("servus"))
    said: dict[str, str] = {}

    async def greet(name: str, host: swarm.Host) -> None:
        said[name] = await greeted(host, name)

    async with one, two:
        async with anyio.create_task_group() as tasks:
            for name, host in (("ada", one), ("bob", two), ("cyd", one)):
                tasks.start_soon(greet, name, host)
        assert (len(await one.runs()), len(await two.runs())) == (2, 1)
        (run,) = await two.runs()
        with pytest.raises(swarm.Refused, match="expected the id of a run"):
            await one.run(run.id)
    assert said == {"ada": "MOIN, ADA", "bob": "SERVUS, BOB", "cyd": "MOIN, CYD"}


async def test_a_host_that_is_closed_leaves_no_thread_that_keeps_the_program(
    tmp_path: Path,
) -> None:
    before = {t for t in threading.enumerate() if not t.daemon}
    async with swarm.Host(tmp_path / "state") as host:
        assert await host.runs() == ()
    ours = {t for t in threading.enumerate() if not t.daemon} - before
    assert [t.name for t in ours if "AnyIO" not in t.name and "Trio" not in t.name] == []


# -- a program that is cancelled -------------------------------------------------------------

ONE: dict[str, Any] = {
    "swarm": 1,
    "id": "one",
    "agents": [{"name": "work", "kind": "function", "function": "work"}],
    "flow": {"kind": "step", "ref": "work", "in": "ctx.n", "out": "ctx.n"},
}


def slow_disk(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let each commit of a store that is opened now wait, in a thread, while the event is clear."""
    go_on = threading.Event()
    go_on.set()
    for name in ("_AT_ONCE_S", "_IN_PLACE_S", "_SHARE_S"):
        monkeypatch.setattr(group, name, 0.0)
    real = Writer.write

    def write(self: Writer, batch: Batch) -> float:
        go_on.wait(10)
        return real(self, batch)

    monkeypatch.setattr(Writer, "write", write)
    return go_on


def told(folder: Path) -> list[str]:
    """Say how a closed store has its runs."""
    with closing(sqlite3.connect(folder / "journal.db")) as store:
        return [status for (status,) in store.execute("select status from run order by no")]


async def stay(n: int) -> int:
    await anyio.sleep_forever()
    return n


async def test_what_ends_one_run_leaves_the_others_alone(tmp_path: Path) -> None:
    class Quit(BaseException):
        pass

    async def work(n: int) -> int:
        if n == 0:
            raise Quit
        await go_on.wait()
        return n

    go_on = anyio.Event()
    host = swarm.Host(tmp_path)
    host.function("work")(work)
    async with host:
        one = await host.load(ONE)
        other = await host.start(one, {"n": 1})
        run = await host.start(one, {"n": 0})
        assert (await run.wait()).status == "failed"
        go_on.set()
        assert await other.result() == {"n": 1}
    assert told(tmp_path) == ["succeeded", "failed"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("times", [1, 2, 5])
async def test_a_host_whose_task_is_cancelled_again_and_again_leaves_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend: str, times: int
) -> None:
    """A time-out within a time-out, a second Ctrl-C: a task's own `cancel` minds no shield."""
    before = asyncio.all_tasks()
    is_open = anyio.Event()
    go_on = slow_disk(monkeypatch)

    async def hold() -> None:
        host = swarm.Host(tmp_path)
        host.function("work")(stay)
        async with host:
            one = await host.load(ONE)
            for n in range(3):
                await host.start(one, {"n": n})
            is_open.set()
            await anyio.sleep_forever()

    task = asyncio.create_task(hold())
    await is_open.wait()
    go_on.clear()
    for _ in range(times):
        task.cancel()
        await anyio.wait_all_tasks_blocked()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told(tmp_path) == ["interrupted"] * 3
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_run_goes_on_whose_starter_had_no_time_to_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    async def work(n: int) -> int:
        return n + 1

    go_on = slow_disk(monkeypatch)
    host = swarm.Host(tmp_path)
    host.function("work")(work)
    async with host:
        one = await host.load(ONE)
        go_on.clear()
        starting = asyncio.create_task(host.start(one, {"n": 5}, run_id="mine"))
        await anyio.wait_all_tasks_blocked()
        starting.cancel()
        await anyio.wait_all_tasks_blocked()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await starting
        again = await host.start(one, {"n": 5}, run_id="mine")
        assert await again.result() == {"n": 6}
    assert set(told(tmp_path)) == {"succeeded"}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_loop_that_ends_all_its_tasks_at_once_leaves_no_run_running(
    tmp_path: Path, anyio_backend: str
) -> None:
    """As `asyncio.run` does at its end, where the host was held by a task beside the main one."""
    before = asyncio.all_tasks()
    is_open = anyio.Event()

    async def hold() -> None:
        host = swarm.Host(tmp_path)
        host.function("work")(stay)
        async with host:
            for n in range(3):
                await host.start(await host.load(ONE), {"n": n})
            is_open.set()
            await anyio.sleep_forever()

    holding = asyncio.create_task(hold())
    await is_open.wait()
    await anyio.wait_all_tasks_blocked()
    ours = asyncio.all_tasks() - before
    for task in ours:
        task.cancel()
    await asyncio.wait(ours)
    assert holding.cancelled()
    assert told(tmp_path) == ["interrupted"] * 3
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_run_whose_task_has_no_turn_at_all_rests_as_its_host_leaves(
    tmp_path: Path, anyio_backend: str
) -> None:
    host = swarm.Host(tmp_path)
    host.function("work")(stay)
    async with host:
        run = await host.start(await host.load(ONE), {"n": 1})
        (task,) = [task for task in asyncio.all_tasks() if task.get_name() == run.id]
        task.cancel()
    assert (await run.wait()).status == "interrupted"
    assert told(tmp_path) == ["interrupted"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_starts_a_run_as_the_whole_loop_ends_leaves_it_at_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    """By the time its beginning is on the disk there are no tasks for it to go on in."""
    before = asyncio.all_tasks()
    go_on = slow_disk(monkeypatch)
    begun = anyio.Event()

    async def hold() -> None:
        host = swarm.Host(tmp_path)
        host.function("work")(stay)
        async with host:
            one = await host.load(ONE)
            await host.start(one, {"n": 0})
            go_on.clear()
            begun.set()
            await host.start(one, {"n": 1})

    holding = asyncio.create_task(hold())
    await begun.wait()
    await anyio.wait_all_tasks_blocked()
    ours = asyncio.all_tasks() - before
    for task in ours:
        task.cancel()
    await anyio.wait_all_tasks_blocked()
    go_on.set()
    await asyncio.wait(ours)
    assert holding.cancelled()
    assert told(tmp_path) == ["interrupted"] * 2


REQUEST: ContextVar[str] = ContextVar("request", default="nobody's")


def looking() -> dict[str, Any]:
    """Make a blueprint that looks, sets and looks again, in each way that a function is called."""
    order = ["look", "look_here", "look_in_thread", "mark", "mark_here", "mark_in_thread", "look"]
    agents = [{"name": name, "kind": "function", "function": name} for name in sorted({*order})]
    steps = [
        {"kind": "step", "ref": name, "in": "ctx.mark", "out": f"$.s{number}"}
        for number, name in enumerate(order)
    ]
    return {
        "swarm": 1,
        "id": "looking",
        "agents": agents,
        "flow": {"kind": "seq", "children": steps},
    }


def register_looking(host: swarm.Host, first: Callable[[str], Any] | None = None) -> None:
    def look(_: str) -> str:
        return REQUEST.get()

    def mark(value: str) -> str:
        before = REQUEST.get()
        REQUEST.set(value)
        return before

    async def look_async(_: str) -> str:
        await anyio.sleep(0.001)
        return look(_)

    async def mark_async(value: str) -> str:
        await anyio.sleep(0.001)
        return mark(value)

    host.function("look")(first or look_async)
    host.function("look_here", inline=True)(look)
    host.function("look_in_thread")(look)
    host.function("mark")(mark_async)
    host.function("mark_here", inline=True)(mark)
    host.function("mark_in_thread")(mark)


async def test_a_run_sees_the_context_variables_of_who_started_it_and_of_no_other_run() -> None:
    async with swarm.Host.in_memory() as host:
        register_looking(host)
        blueprint = await host.load(looking())
        runs: list[tuple[str, Any]] = []
        for number in range(8):
            REQUEST.set(f"request {number}")
            runs.append((REQUEST.get(), await host.start(blueprint, {"mark": f"mark {number}"})))
        REQUEST.set("afterwards")
        for request, run in runs:
            seen = await run.result()
            assert [seen["s0"], seen["s1"], seen["s2"], seen["s3"]] == [request] * 4
            # What a function sets lasts within its run at the most.
            assert {seen["s4"], seen["s5"], seen["s6"]} <= {request, seen["mark"]}
        assert REQUEST.get() == "afterwards"


async def test_a_run_that_goes_on_after_a_restart_sees_those_of_who_opened_the_host(
    tmp_path: Path,
) -> None:
    REQUEST.set("the first")
    begun = anyio.Event()

    async def rests(_: str) -> str:
        begun.set()
        await anyio.sleep_forever()
        return ""

    first = swarm.Host(tmp_path, durability="normal")
    register_looking(first, rests)
    async with first:
        run = await first.start(await first.load(looking()), {"mark": "a mark"})
        await begun.wait()
    REQUEST.set("who opened it")
    second = swarm.Host(tmp_path, durability="normal")
    register_looking(second)
    async with second:
        REQUEST.set("who asks")
        seen = await (await second.run(run.id)).result()
    assert [seen["s0"], seen["s1"], seen["s2"]] == ["who opened it"] * 3
