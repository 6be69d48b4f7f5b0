"""A host is a guest in somebody's program: it leaves alone what is the program's."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import swarm

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
