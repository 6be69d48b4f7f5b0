"""A host that is killed: one process for each life, forked from this one, which is warm.

Reads orders on stdin, one JSON object a line, and answers each with a line on stdout once
the life it asked for is over:

    {"store", "folder", "blueprint", "runs", "together", "phase", "count", "planted"}
    {"command", "folder", "out", "store", "grown", "seconds"}
                                                     → {"signal", "code", "grown"}

A life opens the store from *folder*, starts *runs* of *blueprint* (a file; null: only goes
on with what is there), and kills itself with SIGKILL when it comes to *phase* for the
*count*th time (null: works to the end); *together*: no step is done before all runs have
started. *planted* names a bug that it is to have (`early`:
commits are acknowledged before they are made; `keys`: the world outside does not look at
idempotency keys; null: none).

A command is a command line of swarm, in a process of its own; its stdout goes to the file
*out*. It is killed *seconds* after the log of *store* has *grown* to so many bytes (null:
not at all); the answer tells how large that was at the end.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

import swarm
import swarm.cli.run  # pyright: ignore[reportUnusedImport] - every command needs it
import swarm.cli.runs  # pyright: ignore[reportUnusedImport] - so does it
from swarm.cli.main import main as command_line
from swarm.host.parts import Parts
from swarm.ids import RunId
from swarm.ports.journal import Journal, Row

PHASES = (
    "store.opened",
    "history.read",
    "rows.appended",
    "commit.before",
    "commit.after",
    "worker.entered",
    "worker.acted",
    "worker.left",
    "host.closing",
)


# A life that hangs is one that fails: it is told to end, wherever it is, and tells where it was.
LONGEST_S = 60
LONGEST_PLANTED_S = 10
OUT = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class Fate:
    """Knows when this process dies."""

    def __init__(self, phase: str | None, count: int) -> None:
        self._phase = phase
        self._left = count

    def meet(self, phase: str) -> None:
        """Die here, if this is the place and the time."""
        if phase == self._phase:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class FatedJournal:
    """A journal that tells of its phases before and after it does its work."""

    def __init__(self, journal: Journal, fate: Fate, *, early: bool) -> None:
        self._journal = journal
        self._fate = fate
        self._early = early
        self._owes = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def append(self, run_id: RunId, rows: Sequence[Row]) -> None:
        """Append, and perhaps die before anything lasts."""
        self._journal.append(run_id, rows)
        self._fate.meet("rows.appended")

    async def commit(self) -> None:
        """Commit, and perhaps die on either side of it."""
        self._fate.meet("commit.before")
        self._owes = self._early and not self._owes
        if not self._owes:
            await self._journal.commit()
        self._fate.meet("commit.after")

    async def read(self, run_id: RunId, since: int = 0, limit: int = 1000) -> Sequence[Row]:
        """Read, and perhaps die before anything is done with it."""
        rows = await self._journal.read(run_id, since, limit)
        self._fate.meet("history.read")
        return rows


def acting(store: Path, fate: Fate, together: anyio.Event, *, careless: bool) -> Any:
    """Make the worker: it is called, and has an effect once for each idempotency key."""
    effects = store / "effects"
    known = set(effects.read_text().split()) if effects.exists() else set[str]()

    async def act(n: int, step: swarm.StepContext) -> int:
        fate.meet("worker.entered")
        await together.wait()
        await anyio.sleep(0.001)
        note(store / "calls", step.idempotency_key)
        if careless or step.idempotency_key not in known:
            known.add(step.idempotency_key)
            note(effects, step.idempotency_key)
        fate.meet("worker.acted")
        if n % 3 == 0 and step.attempt == 1:
            raise ValueError("not at the first attempt")
        await checkpoint()
        fate.meet("worker.left")
        return n * n

    return act


def note(file: Path, line: str) -> None:
    """Write a line whole, for good: the file belongs to the world outside."""
    with file.open("ab", buffering=0) as out:
        out.write(f"{line}\n".encode())


async def live(order: Mapping[str, Any]) -> None:
    """Be a host until the end, or until fate has it otherwise."""
    store = Path(order["store"])
    fate, planted = Fate(order["phase"], order["count"]), order["planted"]

    def parts() -> Parts:
        found = Parts.at(store, "normal")
        fate.meet("store.opened")
        journal: Any = FatedJournal(found.journal, fate, early=planted == "early")
        return Parts(journal, found.clock, found.ids, found.durable, found.close)

    host = swarm.Host(parts(), max_deaths=1_000)
    together = anyio.Event()
    host.function("act")(acting(store, fate, together, careless=planted == "keys"))
    if not order["together"]:
        together.set()
    async with host:
        if order["blueprint"] is not None:
            blueprint = await host.load(order["blueprint"])
            for run_id in order["runs"]:
                await host.start(blueprint, {"list": [1, 2, 3, 4]}, run_id=run_id)
                note(store / "started", run_id)
        together.set()
        # What is acknowledged too early may never come to an end.
        with anyio.move_on_after(2 if planted == "early" else inf):
            for run in await host.runs():
                while run.status not in ("succeeded", "failed", "blocked"):
                    await run.wait()
                    await anyio.sleep(0.001)
        fate.meet("host.closing")


def one_life(order: Mapping[str, Any]) -> int:
    """Fork a life, and return how it ended, as `os.wait` tells it."""
    pid = os.fork()
    if pid == 0:
        longest_s = LONGEST_PLANTED_S if order["planted"] else LONGEST_S
        faulthandler.dump_traceback_later(longest_s, exit=True)
        try:
            os.chdir(order["folder"])
            anyio.run(live, order)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - what kills a life is told by its code
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
            os._exit(70)
    return os.waitpid(pid, 0)[1]


def one_command(order: Mapping[str, Any]) -> tuple[int, int]:
    """Fork a command, perhaps kill it; return how it ended, and how large its log was."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.chdir(order["folder"])
            null, out = os.open(os.devnull, os.O_RDWR), os.open(order["out"], OUT, 0o644)
            for stream, file in enumerate((null, out, null)):
                os.dup2(file, stream)
            sys.argv = ["swarm", *order["command"]]
            command_line()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        finally:
            os._exit(code)
    log, grown, until = Path(order["store"], "journal.db-wal"), 0, float("inf")
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status, grown
        with suppress(FileNotFoundError):  # a command that ends takes its log away
            grown = max(grown, log.stat().st_size)
        if until == float("inf") and order["grown"] is not None and grown >= order["grown"]:
            until = time.monotonic() + order["seconds"]
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1], grown


async def warm_up() -> None:
    """Import and build what every life needs: modules, the grammar of expressions."""
    async with swarm.Host.in_memory() as host:
        nap = {"kind": "step", "ref": "swarm.sleep", "in": "0"}
        await host.load({"swarm": 1, "id": "warm", "agents": [], "flow": nap})


def main() -> None:
    anyio.run(warm_up)
    for line in sys.stdin:
        order = json.loads(line)
        status, grown = one_command(order) if "command" in order else (one_life(order), 0)
        code = os.waitstatus_to_exitcode(status)
        ended = {"signal": os.WTERMSIG(status), "code": code, "grown": grown}
        print(json.dumps(ended), flush=True)  # noqa: T201 - the answer to an order


if __name__ == "__main__":
    main()
