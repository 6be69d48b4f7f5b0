"""kill -9 of the whole host, at every phase of a step, again and again.

Each store sees several deaths. The first life has the blueprint's file; the others work
from another folder, with the file gone. In the end every run has the context of an
uninterrupted one, nothing finished was done again, and what was done twice carries the
same idempotency key, so that the world outside saw it once.

The number of kills is KILLS in the environment, 300 by itself: some forty seconds.
The command line is killed DEMO_KILLS times in processes that are forked (12), and
COLD_KILLS stores of new ones (3).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

import flowir
from swarm.ids import RunId
from swarm.stores.sqlite.connection import Source
from swarm.stores.sqlite.reader import Reader
from tests.acceptance.kill_host import PHASES
from tests.acceptance.warm import Warm, was_killed

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("KILLS", "300"))
DEMO_KILLS = int(os.environ.get("DEMO_KILLS", "12"))
COLD_KILLS = int(os.environ.get("COLD_KILLS", "3"))
RUNS = [f"run-{n}" for n in range(4)]


def step(value: str, **fields: Any) -> dict[str, Any]:
    retry = {"max_attempts": 3, "delay_s": 0.005}
    return {"kind": "step", "ref": "act", "in": value, "retry": retry, **fields}


def seq(*children: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "seq", "children": list(children)}


FLOW = seq(
    step("1", out="$.first"),
    {
        "kind": "loop",
        "counter": "$.n",
        "cond": "true",
        "max": 4,
        "body": seq(step("ctx.n", out="$.last"), {"kind": "assign", "at": "$.t", "value": "ctx.n"}),
    },
    {"kind": "step", "ref": "swarm.sleep", "in": "0.01"},
    {
        "kind": "fanout",
        "items": "ctx.list",
        "bind": "$.item",
        "body": seq(step("ctx.item", out="$.x"), step("ctx.x + 1", out="$.y")),
        "join": "all",
        "limit": 3,
        "out": "$.all",
        "collect": "ctx.y",
    },
    {
        "kind": "try",
        "body": {"kind": "assign", "at": "$.gone", "value": "ctx.nowhere"},
        "catch": step("5", out="$.caught"),
        "finally": step("7", out="$.final"),
    },
)
DOCUMENT = {
    "swarm": 1,
    "id": "killed",
    "agents": [{"name": "act", "kind": "function", "function": "act"}],
    "flow": FLOW,
}
EXPECTED = {
    "list": [1, 2, 3, 4],
    "first": 1,
    "n": 4,
    "last": 9,
    "t": 3,
    "all": [4, 25, 100, 289],
    "caught": 25,
    "final": 49,
}


def test_what_is_expected_is_what_the_blocking_driver_gives() -> None:
    def dispatch(ref: str, n: Any) -> Any:
        return None if ref == "swarm.sleep" else n * n

    from swarm.blueprint.texts import expand_texts

    found: list[Any] = []
    flow = expand_texts(FLOW, "$", found)
    assert not found
    assert flowir.run(flow, {"list": [1, 2, 3, 4]}, dispatch) == EXPECTED


class Commanded(NamedTuple):
    """How a command ended, what it printed, and how large its store's log was."""

    code: int
    out: str
    grown: int


class Hosts(Warm):
    """Forks hosts, and commands."""

    def live(self, **order: Any) -> bool:
        """Let a host live; return whether it was killed."""
        return was_killed(self.ended(order)["code"])

    def command(
        self,
        *arguments: str,
        cwd: Path,
        store: Path,
        grown: int | None = None,
        seconds: float = 0.0,
    ) -> Commanded:
        """Let a command live, perhaps until *seconds* after the store's log has *grown* so far."""
        out = cwd / "stdout"
        command = [*arguments, "--store", str(store)]
        order = {"command": command, "folder": str(cwd), "out": str(out), "store": str(store)}
        ended = self.ended({**order, "grown": grown, "seconds": seconds})
        return Commanded(ended["code"], out.read_text(), ended["grown"])


@pytest.fixture(scope="module")
def warm() -> Iterator[Hosts]:
    process = Hosts("tests.acceptance.kill_host")
    yield process
    process.close()


@contextmanager
def reading(store: Path) -> Generator[Reader]:
    reader = Reader(Source(str(store / "journal.db")))
    try:
        yield reader
    finally:
        reader.close()


class World:
    """One store, with the ledger of what was done to the world outside."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "state"
        self.home, self.elsewhere = folder / "home", folder / "elsewhere"
        for made in (self.store, self.home, self.elsewhere):
            made.mkdir(parents=True)
        self.file = self.home / "killed.json"
        self.file.write_text(json.dumps(DOCUMENT))
        self.finished: set[str] = set()
        self.seen = 0

    def order(
        self,
        phase: str | None,
        count: int = 0,
        planted: str | None = None,
        runs: Sequence[str] = RUNS,
        *,
        together: bool = False,
    ) -> dict[str, Any]:
        first = self.file.exists()
        order = {"store": str(self.store), "phase": phase, "count": count, "planted": planted}
        order["together"] = together
        folder, blueprint = (self.home, self.file.name) if first else (self.elsewhere, None)
        return {**order, "folder": str(folder), "blueprint": blueprint, "runs": list(runs)}

    def check(self) -> None:
        """Hold what was done since the last look against what had been finished by then."""
        self.file.unlink(missing_ok=True)
        calls = self.lines("calls")
        again = self.finished.intersection(calls[self.seen :])
        assert not again, f"done again: {again}"
        self.seen = len(calls)
        for row in self.rows():
            if row["kind"] in ("step.finished", "step.failed"):
                self.finished.add(named(row))

    def rows(self) -> Iterator[Any]:
        if not (self.store / "journal.db").exists():
            return
        with reading(self.store) as reader:
            for run in reader.runs(None, 1_000, None):
                assert reader.verify(run.run_id) is None
                yield from reader.read(run.run_id, 0, 100_000)

    def lines(self, name: str) -> list[str]:
        file = self.store / name
        return file.read_text().splitlines() if file.exists() else []

    def check_end(self) -> None:
        """Every run that was acknowledged has ended as an uninterrupted one does."""
        ended: dict[RunId, Any] = {}
        begun, done = Counter[str](), Counter[str]()
        for row in self.rows():
            if row["kind"] == "run.finished":
                ended[row["run"]] = row["ctx"]
            elif row["kind"] == "step.started":
                begun[named(row)] += 1
            elif row["kind"] in ("step.finished", "step.failed") and row["step"] == "act":
                done[named(row)] += 1
        lost = set(self.lines("started")) - set(ended)
        assert not lost, f"acknowledged and gone: {lost}"
        assert all(ctx == EXPECTED for ctx in ended.values()), ended
        assert set(done.values()) <= {1}
        # Each call is of an attempt that was written down, at most once for each start.
        for key, times in Counter(self.lines("calls")).items():
            assert times <= begun[key], f"{key}: done {times} times, begun {begun[key]} times"
        # What was finished had its effect, once.
        effects = Counter(self.lines("effects"))
        for key in done:
            assert effects[key] == 1, f"{key}: {effects[key]} effects"


def named(row: Any) -> str:
    """Name the attempt of a row as its idempotency key does."""
    return f"{row['run']}/{row['key']}/{row['attempt']}"


def campaign(folder: Path, warm: Hosts, kills: int, planted: str | None = None) -> Counter[str]:
    """Kill so often, over all phases, and judge; return the kills of each phase."""
    chance = Random(7)  # noqa: S311 - the campaign is the same each time
    killed, tried = Counter[str](), Counter[str]()
    stores = 0
    most = dict.fromkeys(PHASES, 20) | {"store.opened": 1, "history.read": 5}
    while sum(killed.values()) < kills:
        stores += 1
        world = World(folder / f"store-{stores}")
        for _ in range(20):
            phase = min(PHASES, key=lambda p: (tried[p] + killed[p], chance.random()))
            tried[phase] += 1
            assert tried.total() < 10 * kills, f"{tried}, and killed only {killed}"
            if not warm.live(**world.order(phase, chance.randint(1, most[phase]), planted)):
                # On a busy machine a life has fewer commits, each with more in it.
                most[phase] = max(1, most[phase] - 1)
                break
            killed[phase] += 1
            world.check()
        assert not warm.live(**world.order(None))
        world.check()
        world.check_end()
    print(f"{tried.total()} lives, {killed.total()} kills over {stores} stores")  # noqa: T201
    return killed


def test_every_run_ends_as_if_nothing_had_happened(tmp_path: Path, warm: Hosts) -> None:
    killed = campaign(tmp_path, warm, KILLS)
    for phase in PHASES:
        print(f"  {phase:<16} {killed[phase]:>4} {'#' * killed[phase]}")  # noqa: T201
    assert min(killed[phase] for phase in PHASES) >= KILLS // 15


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        # Commits are acknowledged before they are made: work is lost, or waited for in vain.
        ("early", "done again|acknowledged and gone|times, begun|a life ended with 1"),
        # The world outside does not look at idempotency keys.
        ("keys", "[2-9] effects"),
    ],
)
def test_a_planted_bug_turns_the_campaign_red(
    tmp_path: Path, warm: Hosts, planted: str, words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        campaign(tmp_path, warm, 100, planted)


def test_500_runs_in_flight_all_go_on_and_none_twice(tmp_path: Path, warm: Hosts) -> None:
    world = World(tmp_path)
    runs = [f"run-{n}" for n in range(500)]
    assert warm.live(**world.order("worker.acted", 2_500, runs=runs, together=True))
    assert len(world.lines("started")) == 500
    world.check()
    open_runs = 500 - sum(row["kind"] == "run.finished" for row in world.rows())
    began_s = time.monotonic()
    assert not warm.live(**world.order(None))
    took_s = time.monotonic() - began_s
    print(f"{open_runs} runs resumed and ended in {took_s:.1f} s")  # noqa: T201
    assert open_runs > 400
    world.check()
    world.check_end()


# -- the command line ------------------------------------------------------------------

REVIEW = ["run", str(ROOT / "blueprints/review.lua"), "--run-id", "demo"]
INPUT = ["--input", f"@{ROOT / 'blueprints/data/review.json'}"]


def swarm(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", "from swarm.cli.main import main; main()", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def killed_after(arguments: list[str], cwd: Path, store: Path, seconds: float) -> None:
    """Run a command and kill it some time after its run has begun."""
    process = swarm(*arguments, cwd=cwd)
    with process:
        while process.poll() is None and not begun(store):
            time.sleep(0.01)
        time.sleep(seconds)
        process.kill()


def begun(store: Path) -> bool:
    if not (store / "journal.db").exists():
        return False
    try:
        with reading(store) as reader:
            return bool(reader.runs(None, 1, None))
    except Exception:  # noqa: BLE001 - the store is being made at this moment
        return False


def test_the_command_line_is_killed_at_any_moment_and_resumed(tmp_path: Path, warm: Hosts) -> None:
    """Killed anywhere from its first write to its last; sometimes its resume is, too."""
    chance = Random(11)  # noqa: S311 - the campaign is the same each time
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run = [*REVIEW, *INPUT]
    whole = warm.command(*run, cwd=tmp_path, store=tmp_path / "whole")
    assert whole.code == 0
    found, tenths = Counter[str](), Counter[int]()
    for number in range(DEMO_KILLS):
        store = tmp_path / f"store-{number}"
        grown = int(whole.grown * chance.random())
        seconds = 0.02 * chance.random()
        killed = warm.command(*run, cwd=tmp_path, store=store, grown=grown, seconds=seconds)
        found["killed" if killed.code == -signal.SIGKILL else "ended"] += 1
        tenths[10 * killed.grown // (whole.grown + 1)] += 1
        if number % 3 == 2 and begun(store):
            resume = ["runs", "resume", "demo"]
            killed = warm.command(*resume, cwd=elsewhere, store=store, grown=0, seconds=0.3)
            found["killed again" if killed.code == -signal.SIGKILL else "ended then"] += 1
        if begun(store):
            last = warm.command("runs", "resume", "demo", cwd=elsewhere, store=store)
        else:
            # It was not acknowledged: whoever started it starts it again.
            found["before it began"] += 1
            last = warm.command(*run, cwd=tmp_path, store=store)
        if last.code == 2:
            # It had ended already; to start it again gives what it came to.
            found["after its end"] += 1
            last = warm.command(*run, cwd=tmp_path, store=store)
        assert (last.code, last.out) == (0, whole.out)
    print(f"survived {DEMO_KILLS} / {DEMO_KILLS}: {dict(found)}")  # noqa: T201
    print(f"killed in each tenth of the run: {[tenths[n] for n in range(10)]}")  # noqa: T201
    assert found["killed"] > DEMO_KILLS // 2
    assert found["before it began"] + found["after its end"] < DEMO_KILLS // 2


def test_a_command_that_is_killed_again_and_again_is_resumed_elsewhere(tmp_path: Path) -> None:
    chance = Random(11)  # noqa: S311
    with swarm(*REVIEW, *INPUT, "--store", ":memory:", cwd=tmp_path) as whole:
        expected = json.loads(whole.communicate(timeout=60)[0])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for number in range(COLD_KILLS):
        times = (1, 3, 2)[number % 3]
        store = tmp_path / f"store-{number}"
        killed_after(
            [*REVIEW, *INPUT, "--store", str(store)], tmp_path, store, 0.4 * chance.random()
        )
        for _ in range(times - 1):
            resume = ["runs", "resume", "demo", "--store", str(store)]
            killed_after(resume, elsewhere, store, 0.3 + 0.5 * chance.random())
        with swarm("runs", "resume", "demo", "--store", str(store), cwd=elsewhere) as last:
            assert json.loads(last.communicate(timeout=60)[0]) == expected
            assert last.wait() == 0
