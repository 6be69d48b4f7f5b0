"""What the machine does to a host from outside: signals, and too little of everything.

Each test ends with another process that goes on with the store: nothing that was
acknowledged is lost, and nothing that was finished is done again.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from swarm.errors import Refused
from swarm.stores.sqlite import open_store
from swarm.stores.sqlite.connection import Source
from swarm.stores.sqlite.reader import Reader

ROOT = Path(__file__).parents[2]
RUNS = 30


def document(flow: dict[str, Any], *agents: Any) -> dict[str, Any]:
    """Make a blueprint of *agents*: names of functions, or whole agents."""
    declared = [
        {"name": agent, "kind": "function", "function": agent} if type(agent) is str else agent
        for agent in agents
    ]
    return {"swarm": 1, "id": "faults", "agents": declared, "flow": flow}


def step(value: str, ref: str = "act", **fields: Any) -> dict[str, Any]:
    return {"kind": "step", "ref": ref, "in": value, **fields}


def fanout(body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    lanes = {"kind": "fanout", "items": "ctx.list", "bind": "$.x", "body": body, "out": "$.all"}
    return {**lanes, "join": "all", "collect": "default(ctx.y, ctx.x)", **fields}


LONG = document(
    {
        "kind": "seq",
        "children": [
            {
                "kind": "loop",
                "counter": "$.n",
                "cond": "true",
                "max": 60,
                "body": step("ctx.n", out="$.last"),
            },
            fanout(step("ctx.x", out="$.y"), limit=4),
        ],
    },
    "act",
)


def named(row: Any) -> str:
    return f"{row['run']}/{row['key']}/{row['attempt']}"


class Machine:
    """One store, the processes that work on it, and what is left of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "state"
        self.store.mkdir()

    @contextmanager
    def host(self, **settings: Any) -> Generator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "tests.acceptance.fault_host", str(self.store)]
        with subprocess.Popen(  # noqa: S603 - our own program
            [*command, json.dumps(settings)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                yield process
            finally:
                process.kill()

    def begun(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said == "ready\n", process.communicate()[1]

    def until(self, condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
        while not condition():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.005)

    def lines(self, name: str) -> list[str]:
        file = self.store / name
        return file.read_text().splitlines() if file.exists() else []

    def rows(self) -> Iterator[Any]:
        reader = Reader(Source(str(self.store / "journal.db")))
        try:
            for run in reader.runs(None, 10_000, None):
                assert reader.verify(run.run_id) is None
                yield from reader.read(run.run_id, 0, 1_000_000)
        finally:
            reader.close()

    def ended(self) -> set[str]:
        return {named(r) for r in self.rows() if r["kind"] in ("step.finished", "step.failed")}

    def goes_on(self, runs: int, **settings: Any) -> dict[str, Any]:
        """Let another process go on to the end; all runs succeed, and nothing is done again."""
        before, seen = self.ended(), len(self.lines("calls"))
        with self.host(**settings) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        said = json.loads(out.splitlines()[-1])
        assert said["states"] == {"succeeded": runs}
        assert not before.intersection(self.lines("calls")[seen:]), "done again"
        return said


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def paired(rows: list[Any]) -> bool:
    begun, ended = Counter[str](), Counter[str]()
    for row in rows:
        if row["kind"] == "step.started":
            begun[named(row)] += 1
        elif row["kind"] in ("step.finished", "step.failed", "step.cancelled", "step.interrupted"):
            ended[named(row)] += 1
    return begun == ended


def test_sigterm_under_load_closes_intake_and_writes_down_what_is_in_flight(
    machine: Machine,
) -> None:
    with machine.host(blueprint=LONG, runs=RUNS) as process:
        machine.begun(process)
        machine.until(lambda: len(machine.lines("calls")) > 300, process)
        process.send_signal(signal.SIGTERM)
        began_s = time.monotonic()
        out, err = process.communicate(timeout=60)
        took_s = time.monotonic() - began_s
    assert (process.returncode, err) == (0, "")
    said = json.loads(out.splitlines()[-1])
    assert said["refused"] == "host.closed"
    rows = list(machine.rows())
    assert paired(rows)
    assert set(said["states"]) <= {"interrupted", "succeeded"}
    assert said["states"]["interrupted"] > RUNS // 2
    ends = Counter(row["kind"] for row in rows)
    print(f"{ends['step.interrupted']} steps in flight; left in {took_s:.2f} s")  # noqa: T201
    assert ends["step.interrupted"] > 0
    machine.goes_on(RUNS)


def test_sigkill_while_sigterm_is_still_being_obeyed(machine: Machine) -> None:
    """A thread cannot be stopped, so that the host is still waiting when it is killed."""
    body = {"kind": "seq", "children": [step("ctx.list"), step("1.5", "stubborn")]}
    with machine.host(blueprint=document(body, "act", "stubborn"), runs=8) as process:
        machine.begun(process)
        machine.until(lambda: len(machine.lines("calls")) > 8, process)
        process.send_signal(signal.SIGTERM)
        time.sleep(1.0)
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    machine.goes_on(8)


def test_a_process_that_was_stopped_dispatches_nothing_twice(machine: Machine) -> None:
    """Deadlines pass while it stands still, and the store stays its own."""
    retry = {"max_attempts": 9}
    loop = LONG["flow"]["children"][0]
    body = {**loop, "body": step("ctx.n", timeout_s=0.3, retry=retry)}
    with machine.host(blueprint=document(body, "act"), runs=10) as process:
        machine.begun(process)
        machine.until(lambda: len(machine.lines("calls")) > 100, process)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.6)
        with pytest.raises(Refused, match=f"process {process.pid} holds"):
            open_store(machine.store)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["states"] == {"succeeded": 10}
    assert set(Counter(machine.lines("calls")).values()) == {1}
    assert paired(list(machine.rows()))


CAT = {"name": "cat", "kind": "process", "argv": ["cat"], "input": "json", "output": "json"}


def test_too_few_file_descriptors_leave_the_journal_alone(machine: Machine) -> None:
    """Four programs at once need more pipes than there are: steps fail, each with its reason.

    A host has some 25 open by itself, and a program that starts needs eight for a moment.
    """
    tried = {
        "kind": "try",
        "body": step("ctx.x", "cat", out="$.y"),
        "catch": {"kind": "assign", "at": "$.y", "value": "ctx.error.cause_code"},
        "error_at": "$.error",
    }
    blueprint = document(fanout(tried), CAT)
    with machine.host(blueprint=blueprint, runs=3, nofile=36) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["states"] == {"succeeded": 3}
    rows = list(machine.rows())
    assert paired(rows)
    failures = [row for row in rows if row["kind"] == "step.failed"]
    failed = Counter(row["code"] for row in failures)
    done = sum(row["kind"] == "step.finished" for row in rows)
    print(f"{done} steps done, {dict(failed)}")  # noqa: T201
    assert done + failed.total() == 120
    assert failed.total() > 0
    assert set(failed) == {"process.spawn"}
    assert {row["data"]["reason"] for row in failures} == {"system"}
    assert all("Too many open files" in row["message"] for row in failures)


def test_enough_file_descriptors_let_every_step_pass(machine: Machine) -> None:
    """The twin: the same blueprint with as many as any shell has."""
    blueprint = document(fanout(step("ctx.x", "cat", out="$.y")), CAT)
    with machine.host(blueprint=blueprint, runs=1, nofile=256) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["states"] == {"succeeded": 1}
    assert sum(row["kind"] == "step.finished" for row in machine.rows()) == 40


def test_too_little_memory_ends_the_process_and_another_goes_on(machine: Machine) -> None:
    """What a host may have runs out in the midst of many large answers."""
    body = {
        "kind": "seq",
        "children": [
            {
                "kind": "loop",
                "counter": "$.n",
                "cond": "true",
                "max": 8,
                "body": step("1", "large", out="$.large"),
            },
            {"kind": "assign", "at": "$.large", "value": "0"},
            step("1"),
        ],
    }
    with machine.host(blueprint=document(body, "act", "large"), runs=20, memory_mb=30) as process:
        process.communicate(timeout=120)
    ended = sum(row["kind"] == "run.finished" for row in machine.rows())
    print(f"ended with {process.returncode}, {ended} of 20 runs finished")  # noqa: T201
    machine.goes_on(20)


# -- disks -----------------------------------------------------------------------------


def on_a_disk_of_its_own(folder: Path, what: str) -> dict[str, Any]:
    folder.mkdir()
    command = ["unshare", "--map-root-user", "--mount", sys.executable]
    done = subprocess.run(  # noqa: S603 - our own program
        [*command, "-m", "tests.acceptance.own_disk", str(folder), what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode and "unshare:" in done.stderr:
        pytest.skip("this machine lets nobody mount a file system of his own")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_full_disk_refuses_what_is_new_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    said = on_a_disk_of_its_own(tmp_path / "disk", "full")
    kept = said["kept"]
    assert kept > 10
    assert (said["code"], said["health"], said["intake"]) == ("journal.degraded", "degraded",
                                                              "journal.degraded")  # fmt: skip
    # What was refused for now was kept, and lasts once there is room.
    assert said["after"] == "ok"
    assert said["heads"] == {"r_1": kept + 1}
    assert (said["new"], said["verified"]) == (None, None)


def test_a_disk_that_can_only_be_read_is_one_sentence_and_works_again(tmp_path: Path) -> None:
    said = on_a_disk_of_its_own(tmp_path / "disk", "readonly")
    assert said["code"] == "store.unavailable"
    assert "Read-only file system" in said["sentence"]
    assert (said["kept"], said["heads"]) == (None, {"r_1": 2})
