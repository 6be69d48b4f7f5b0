"""Signals of every kind, in any order, while a run does steps of every kind.

Each round starts `swarm run`, sends a few signals at a moment that the seed chooses, and goes
on with `swarm runs resume`. The end is that of an uninterrupted run, no step that had ended was
made again, and of what a command had started nothing is left once it has gone.

SIGNAL_ROUNDS in the environment is the number of rounds for each order of signals, 1 by itself,
and SIGNAL_SEED chooses the moments.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM, Signals
from typing import Any

import pytest

from swarm.stores.sqlite.connection import Source
from swarm.stores.sqlite.reader import Reader

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("SIGNAL_ROUNDS", "1"))
SEED = os.environ.get("SIGNAL_SEED", "7")
_SUBREAPER = 36

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="who adopts orphans can be chosen on Linux alone"
)

FUNCTIONS = """
import asyncio, os, time
from pathlib import Path
from swarm import StepContext

def line(step):
    handle = os.open(Path(__file__).with_name("ledger"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, step.idempotency_key.encode() + b"\\n")
    os.close(handle)

def thread(n, step: StepContext):
    line(step)
    time.sleep(0.05)
    return n * 2

async def task(n, step: StepContext):
    line(step)
    await asyncio.sleep(0.05)
    return n + 1

async def flaky(n, step: StepContext):
    line(step)
    if step.attempt < 3:
        raise ValueError("not yet")
    return n
"""
PROJECT = """
[functions]
thread = "work.py:thread"
task = "work.py:task"
flaky = "work.py:flaky"

[layers]
audit = {}
"""
SUB = """
local flow = require "flow"
local script, thread = flow.lua "script" [[ return input + 1 ]], flow.fn "thread"
return flow.blueprint { id = "sub", agents = { script, thread }, flow = flow.seq {
  flow.step { agent = script, input = "ctx.n", out = "ctx.m" },
  flow.step { agent = thread, input = "ctx.m", out = "ctx.k" },
} }
"""
KINDS = """
local flow = require "flow"
local script = flow.lua "script" [[ return input * 3 ]]
local thread, task, flaky = flow.fn "thread", flow.fn "task", flow.fn "flaky"
local program = flow.process "program" { argv = { "sh", "-c",
  [[echo "$1" >> ledger; (sleep 30 > /dev/null 2>&1 &); sleep 0.05; printf %s "$2"]],
  "sh", "{idempotency_key}", "{input}" } }
local ask = flow.ask "ask" { prompt = "well?", schema = { type = "string" }, deadline_s = 0.1,
  on_deadline = "default", default = "nobody" }
local sub = flow.sub "sub" { blueprint = "sub.lua" }
return flow.blueprint { id = "kinds",
  agents = { script, thread, task, flaky, program, ask, sub }, flow = flow.seq {
  flow.step { agent = script, input = "2", out = "ctx.a" },
  flow.step { agent = program, input = "'p'", out = "ctx.b" },
  flow.step { agent = ask, input = "1", out = "ctx.c" },
  flow.step { agent = sub, input = { n = "3" }, out = "ctx.d" },
  flow.step { agent = flaky, input = "1", out = "ctx.e",
    retry = { max_attempts = 4, delay_s = 0.05 } },
  flow.fanout { over = { 1, 2, 3, 4 }, as = "ctx.i", out = "ctx.f", limit = 3, collect = "ctx.y",
    run = flow.seq {
      flow.step { agent = task, input = "ctx.i", out = "ctx.x" },
      flow.step { agent = script, input = "ctx.x", out = "ctx.x" },
      flow.step { agent = thread, input = "ctx.x", out = "ctx.y" },
      flow.step { agent = program, input = "'q'", out = "ctx.z" },
    } },
  flow.try {
    run = flow.seq {
      flow.step { agent = task, input = "1", out = "ctx.g" },
      flow.fail("no", "no"),
    },
    catch = flow.step { agent = thread, input = "5", out = "ctx.h" },
    finally = flow.step { agent = program, input = "'f'", out = "ctx.j" },
  },
  flow.sleep(0.05),
} }
"""
EXPECTED = {
    "a": 6,
    "b": "p",
    "c": "nobody",
    "d": {"n": 3, "m": 4, "k": 8},
    "e": 1,
    "f": [12, 18, 24, 30],
    "h": 10,
    "j": "f",
}
# What is sent, with seconds between; and how the command may end where it has not ended before.
# A second Ctrl-C may meet the interpreter on its way out.
ORDERS: dict[str, tuple[list[Signals | float], set[int]]] = {
    "int int": ([SIGINT, 0.05, SIGINT], {130, -SIGINT}),
    "term int": ([SIGTERM, SIGINT], {130, -SIGINT}),
    "int kill": ([SIGINT, 0.03, SIGKILL], {130, -SIGKILL}),
    "hup": ([SIGHUP], {-SIGHUP}),
    "stop term cont": ([SIGSTOP, 0.2, SIGTERM, SIGCONT], {130}),
    "stop kill": ([SIGSTOP, 0.1, SIGKILL], {-SIGKILL}),
}


@pytest.fixture
def adopts() -> Iterator[None]:
    """Let this process be the parent of whatever is orphaned below it."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    assert libc.prctl(_SUBREAPER, 0, 0, 0, 0) == 0


def below(process: int) -> dict[int, str]:
    """Return whatever lives and descends from *process*, with its name."""
    found: dict[int, str] = {}
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, children.read_text().split()):
                stat = Path(f"/proc/{child}/stat").read_text()
                if stat.rsplit(")", 1)[1].split()[0] == "Z":
                    continue
                found[child] = stat.split(" (", 1)[1].rsplit(")", 1)[0]
                found |= below(child)
    return found


class Folder:
    """A project, its store, and what its functions and programs have noted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "state"
        files = {"swarm.toml": PROJECT, "work.py": FUNCTIONS, "sub.lua": SUB, "kinds.lua": KINDS}
        for name, text in files.items():
            (folder / name).write_text(text)

    def command(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "from swarm.cli.main import main; main()", *words]
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("wb") as err:
            return subprocess.Popen(  # noqa: S603 - our own command line
                [*command, "--store", str(self.store)],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def said(self, name: str) -> str:
        return (self.folder / name).read_text()

    def done(self) -> Counter[str]:
        ledger = self.folder / "ledger"
        return Counter(ledger.read_text().split() if ledger.exists() else [])

    def ended(self) -> set[str]:
        """Return the attempts that have an answer, by their idempotency keys."""
        reader = Reader(Source(str(self.store / "journal.db")))
        try:
            return {
                f"{run.run_id}/{row['key']}/{row['attempt']}"
                for run in reader.runs(None, 100, None)
                for row in reader.read(run.run_id, 0, 10_000)
                if row["kind"] in ("step.finished", "step.failed")
            }
        finally:
            reader.close()


def sends(process: subprocess.Popen[bytes], order: list[Signals | float]) -> None:
    for what in order:
        if isinstance(what, Signals):
            process.send_signal(what)
        else:
            time.sleep(what)


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.usefixtures("adopts")
def test_a_run_with_steps_of_every_kind_survives_signals_in_any_order(
    tmp_path: Path, name: str, number: int
) -> None:
    before = below(os.getpid())
    order, codes = ORDERS[name]
    moment = Random(f"{SEED} {name} {number}").uniform(0, 1.5)  # noqa: S311 - it chooses a moment
    at = Folder(tmp_path)
    process = at.command("run", "kinds.lua", "--wait", "--run-id", "x", "--json")
    try:
        while process.poll() is None and "▸" not in at.said("err"):
            time.sleep(0.01)
        time.sleep(moment)
        sends(process, order)
        code = process.wait(60)
    finally:
        process.kill()
        process.wait()
    assert code in codes | {0}, at.said("err")
    give_up = time.monotonic() + 20
    while left := {pid: it for pid, it in below(os.getpid()).items() if pid not in before}:
        assert time.monotonic() < give_up, left
        time.sleep(0.02)
    ended, done = at.ended(), at.done()
    if code:
        resumed = at.command("runs", "resume", "x", "--wait", "--json")
        assert resumed.wait(60) == 0, at.said("err")
    result: dict[str, Any] = json.loads(at.said("out"))
    assert (result["status"], result["ctx"]) == ("succeeded", EXPECTED)
    again = at.done()
    assert {key for key in ended if again[key] != done[key]} == set(), "done again"
    assert len(again) == 20
    assert set(again) <= at.ended()
    assert at.command("audit", "verify").wait(60) == 0, at.said("err")


@pytest.mark.usefixtures("adopts")
def test_what_would_be_found_is_found() -> None:
    """A grandchild in a session of its own, whose parent has gone."""
    before = below(os.getpid())
    script = ["sh", "-c", "setsid sleep 60 > /dev/null 2>&1 & echo $!"]
    left = int(subprocess.run(script, capture_output=True, check=True).stdout)  # noqa: S603
    try:
        assert set(below(os.getpid())) - set(before) == {left}
    finally:
        os.kill(left, SIGKILL)
        os.waitpid(left, 0)
