"""Programs on asyncio that are cancelled anywhere: whatever they do, the store tells the truth.

Each draw is a program of its own: some users who start runs of many kinds, wait for them,
cancel and pause them, each in too little time; a host that is cancelled once or again and
again, or with the whole loop. What must hold is looked at from outside, when it has left.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - what the programs are made of
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

import swarm
from swarm.core.driver import Driver
from swarm.stores.sqlite import group
from swarm.stores.sqlite.writer import Batch, Writer

DRAWS = int(os.environ.get("SWARM_CANCELLED_PROGRAMS", "24"))
# What a user may be refused because another did something first, or the host is leaving.
_FAIR = ("run.state", "run.conflict", "host.closed")


async def quick(n: int) -> int:
    await asyncio.sleep(0.001)
    return n


async def stays(n: int) -> int:
    await asyncio.sleep(60)
    return n


async def long(n: int) -> int:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.sleep(60))
        async with asyncio.timeout(60):
            await asyncio.sleep(60)
    return n


async def shields(n: int) -> int:
    with anyio.CancelScope(shield=True):
        await anyio.sleep(0.02)
    return n


async def swallows(n: int) -> int:
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    return n


async def strays(n: int) -> int:
    raise asyncio.CancelledError


def in_a_thread(n: int) -> int:
    time.sleep(0.005)
    return n


WORKERS: dict[str, Callable[[int], Any]] = {
    work.__name__: work for work in (quick, stays, long, shields, swallows, strays, in_a_thread)
}


def document(name: str, *, lanes: bool) -> dict[str, Any]:
    step = {"kind": "step", "ref": name, "in": "1", "out": "$.r"}
    fan = {"kind": "fanout", "items": {"op": "lit", "value": [1, 2, 3]}, "bind": "$.i",
           "join": "all_settled", "body": step, "out": "$.all", "collect": "1"}  # fmt: skip
    agents = [{"name": name, "kind": "function", "function": name}]
    return {"swarm": 1, "id": name, "agents": agents, "flow": fan if lanes else step}


class Program:
    """One draw: `hold` is the program, `wrong` what a user met that he should not."""

    def __init__(self, folder: Path, draw: Random, *, benign: bool) -> None:
        self.host = swarm.Host(folder, shutdown_s=5)
        for name, work in WORKERS.items():
            self.host.function(name)(work)
        self.draw = draw
        self.benign = benign
        self.started: set[str] = set()
        self.wrong: list[str] = []
        self.opened = asyncio.Event()

    async def user(self, number: int) -> None:
        draw = self.draw
        for n in range(draw.randint(1, 3)):
            kinds = ["quick", "shields", "in_a_thread"] if self.benign else [*WORKERS]
            one = document(draw.choice(kinds), lanes=draw.random() < 0.3)
            within_s = 30.0 if self.benign else draw.choice([0.001, 0.01, 0.05]) * draw.random()
            try:
                async with asyncio.timeout(within_s):
                    blueprint = await self.host.load(one)
                    named = f"u{number}-{n}" if draw.random() < 0.5 else None
                    run = await self.host.start(blueprint, {}, run_id=named)
                    self.started.add(run.id)
                    await self.act(run)
            except TimeoutError:
                continue
            except swarm.Refused as refused:
                if refused.code not in _FAIR:
                    self.wrong.append(str(refused))

    async def act(self, run: swarm.Run) -> None:
        act = "wait" if self.benign else self.draw.choice(["wait", "cancel", "pause", "leave"])
        if act == "cancel":
            await asyncio.wait_for(run.cancel(), self.draw.random() * 0.003)
        elif act == "pause":
            await run.pause()
            await run.wait()
            await self.host.resume(run.id)
        elif act == "wait":
            await run.wait()

    async def hold(self) -> None:
        async with self.host:
            self.opened.set()
            users = [asyncio.create_task(self.user(n)) for n in range(self.draw.randint(1, 6))]
            try:
                if self.benign:
                    await asyncio.gather(*users)
                await asyncio.sleep(self.draw.random() * 0.1)
            finally:
                for user in users:
                    user.cancel()

    async def main(self) -> list[str]:
        """Run the program and end it; return what was left behind."""
        draw, mine = self.draw, asyncio.current_task()
        holding = asyncio.create_task(self.hold())
        if not self.benign and draw.random() < 0.8:
            whole = draw.random() < 0.5
            if whole:
                # What a group of anyio's was given and never began would be told at its end.
                await self.opened.wait()
            await asyncio.sleep(draw.random() * 0.06)
            together = asyncio.all_tasks() - {mine} if whole else {holding}
            for _ in range(draw.choice([1, 1, 2, 4])):
                for task in together:
                    task.cancel()
                await asyncio.sleep(draw.choice([0, 0.001, 0.01]))
        await asyncio.wait([holding], timeout=60)
        left = ["the host does not leave"] if not holding.done() else []
        if holding.done() and not holding.cancelled() and holding.exception() is not None:
            left.append(repr(holding.exception()))
        for _ in range(5):
            await asyncio.sleep(0)
        tasks = asyncio.all_tasks() - {mine}
        left += [repr(task) for task in tasks]
        for task in tasks:
            task.cancel()
        return left


def breaches(folder: Path, seed: str, *, benign: bool = False) -> list[str]:
    """Run one program to its end; say what of it does not hold."""
    program = Program(folder, Random(seed), benign=benign)  # noqa: S311 - a draw of a campaign
    said: list[str] = []
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda _, told: said.append(str(told)))
        found = runner.run(program.main())
    if not (folder / "journal.db").exists():
        return found + said
    with closing(sqlite3.connect(folder / "journal.db")) as store:
        runs = dict(store.execute("select id, status from run"))
    found += [f"{run_id} is {status}" for run_id, status in runs.items() if status == "running"]
    found += [f"{run_id} is lost" for run_id in program.started - {*runs}]
    if benign:
        found += [f"{run_id} {how}" for run_id, how in runs.items() if how != "succeeded"]
    return found + said + program.wrong


@pytest.fixture(params=["quick", "slow"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let commits take what they take, or a few ms in a thread."""
    if request.param == "slow":
        draw, real = Random(1), Writer.write  # noqa: S311 - how long a disk takes

        def write(self: Writer, batch: Batch) -> float:
            time.sleep(draw.random() * 0.005)
            return real(self, batch)

        monkeypatch.setattr(Writer, "write", write)
        for name in ("_AT_ONCE_S", "_IN_PLACE_S", "_SHARE_S"):
            monkeypatch.setattr(group, name, 0.0)
    return request.param


def test_whatever_is_cancelled_the_store_tells_the_truth(tmp_path: Path, disk: str) -> None:
    survived = 0
    for n in range(DRAWS):
        assert breaches(tmp_path / str(n), f"{disk} {n}") == [], f"program {n}"
        survived += 1
    print(f"{survived} / {DRAWS}")  # noqa: T201 - what a campaign has to say


def test_a_program_that_nobody_cancels_ends_all_its_runs(tmp_path: Path, disk: str) -> None:
    for n in range(max(2, DRAWS // 8)):
        assert breaches(tmp_path / str(n), f"{disk} {n}", benign=True) == []


def test_a_run_that_is_cut_off_without_a_word_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: were it not written down, some program of these would show it."""

    async def silent(self: Driver) -> None: ...

    monkeypatch.setattr(Driver, "_cut_off", silent)
    found = (breaches(tmp_path / str(n), f"quick {n}") for n in range(40))
    assert any("is running" in breach for one in found for breach in one)
