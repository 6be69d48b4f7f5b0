"""Scripts that mean harm: tests/lua/hostile/*.lua, each run in a process that may die of it.

A case is a heading (`--- what it does`), what must come of it (`--> expected`), and the
script. Expected is a code with an optional `/pattern/` of the message, `= JSON`, `same`
(two runs agree), `deadline` (only ending the process contains it), or `late` (in process it
ends by its budget some seconds after that).

Each runs in both places. In process, a case of `deadline` is one that the child of this
test hangs in; a pool ends its own child and goes on. There the seconds are those of the
wall: a script that is to run out of memory, or to end, is given plenty of them, since on a
machine with other work a second may pass before it does. One that is to be stopped is given
one second, and may meet its deadline before its budget.
"""

from __future__ import annotations

import json
import re
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CORPUS = Path(__file__).parents[1] / "lua" / "hostile"
ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
DEADLINE_S = 1.5
# What a script is given, and how much of the processor it may take beyond that. Counted is what
# its process computed, in the pool that of the child that ran it, so that a busy machine makes
# nobody late; in process the last of 90 was by 0.04 s, and a child is ended after 0.1.
SECONDS = 1.0
GRACE_S = 0.25


@dataclass(frozen=True)
class Case:
    file: str
    name: str
    expected: str
    source: str


def read_cases() -> Iterator[Case]:
    for path in sorted(CORPUS.glob("*.lua")):
        for block in re.split(r"^--- ", path.read_text(), flags=re.MULTILINE)[1:]:
            name, expected, *source = block.rstrip("\n").split("\n")
            yield Case(path.stem, name, expected.removeprefix("--> "), grown("\n".join(source)))


def grown(source: str) -> str:
    """Write out `@@count text@@`: sources too long to keep."""
    source = source.replace("@@escape@@", "\x1b")
    return re.sub(r"@@(\d+) ([^@]*)@@", lambda m: m[2] * int(m[1]), source)


CASES = list(read_cases())


class Child:
    """A process that runs the cases, replaced when one kills it."""

    def __init__(self, place: str, planted: Mapping[str, Any] | None = None) -> None:
        self.place = place
        self.planted = json.dumps(planted or {})
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, source: str, patience_s: float = PATIENCE_S, **limits: float) -> dict[str, Any]:
        process = self.process = self.process or self.start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"source": source, "limits": limits}).encode() + b"\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], patience_s)
        line = process.stdout.readline() if ready else b""
        if not line:
            self.stop()
            return {"code": "deadline" if not ready else "crash"}
        return json.loads(line)

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 - our own child
            [sys.executable, str(CORPUS / "child.py"), self.place, self.planted],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What was planted makes noise as it is found.
            stderr=subprocess.DEVNULL if len(self.planted) > 2 else None,
            env={"PYTHONPATH": str(ROOT)},
        )
        self.process = process
        # The first answer includes the start; a case's patience does not.
        assert self.ask("return 1")["value"] == 1
        return process

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture(scope="module", params=["inline", "pool"])
def child(request: pytest.FixtureRequest) -> Iterator[Child]:
    child = Child(request.param)
    yield child
    child.stop()


@pytest.mark.parametrize("case", CASES, ids=[f"{case.file}: {case.name}" for case in CASES])
def test_a_hostile_script_is_contained(case: Case, child: Child) -> None:
    apart = case.expected in ("deadline", "late")
    hangs = case.expected == "deadline" and child.place == "inline"
    stopped = apart or case.expected.partition(" ")[0] == "script.budget"
    patience_s = DEADLINE_S if hangs else PATIENCE_S
    limits: dict[str, Any] = {"seconds": SECONDS} if stopped else {}
    if stopped and case.file == "hosts":
        # What the host does for a script is not the script's time, but it is the process's.
        limits["instructions"] = 2_000_000
    told = child.ask(case.source, patience_s, **limits)
    if apart and child.place == "inline":
        assert told["code"] == ("deadline" if hangs else "script.budget")
        SEEN[child.place][case] = False
        return
    contained(case, child, told, seconds=SECONDS if stopped else None)
    if not case.expected.startswith(("= ", "same")):
        SEEN[child.place][case] = True


# Of the hostile ones, which were contained where they ran.
SEEN: dict[str, dict[Case, bool]] = {"inline": {}, "pool": {}}
# Why one is not, by what it expects.
WHY = {
    "deadline": "one call into C, which nothing interrupts",
    "late": "one instruction compares zeros one by one in C: stopped by its budget, late",
}


def contained(case: Case, child: Child, told: dict[str, Any], *, seconds: float | None) -> None:
    """Hold an outcome to what the case expects; *seconds* are those of one that is stopped."""
    assert told.get("clean"), f"the next script suffered: {told}"
    spent_s = told.pop("spent_s")
    assert seconds is None or spent_s < seconds + GRACE_S, told
    if case.expected == "same":
        again = child.ask(case.source)
        del again["spent_s"]
        assert told == again
        return
    if case.expected.startswith("= "):
        expected = json.loads(case.expected[2:])
        assert told.get("value", told) == expected
        assert type(told.get("value")) is type(expected)
        return
    code, _, pattern = case.expected.partition(" ")
    if child.place == "pool" and told.get("code") == "script.deadline":
        assert code in ("deadline", "late", "script.budget"), told
        return
    # What would be late may be soon enough where the processor is quick.
    code = "script.budget" if code == "late" else code
    assert told.get("code") == code, told
    assert re.search(pattern.strip("/") or ".", told["message"], re.DOTALL), told


def test_a_pool_that_lets_scripts_go_on_turns_it_red() -> None:
    """It gives a minute more, and a few instructions take a second: however busy a machine is."""
    zeros = "local z = ('\\0'):rep(6000000) local a = z .. z .. z local b = a .. 'b' "
    source = zeros + "for _ = 1, 8 do local _ = a < b end while true do end"
    child = Child("pool", {"grace_s": 60.0})
    try:
        told = child.ask(source, seconds=0.05)
        assert (told["code"], told["clean"]) == ("script.budget", True)
        with pytest.raises(AssertionError):
            contained(Case("", "", "script.budget", source), child, told, seconds=0.05)
    finally:
        child.stop()


def test_the_corpus_is_as_large_as_promised() -> None:
    harmless = sum(case.expected.startswith(("= ", "same")) for case in CASES)
    sys.stdout.write(f"{len(CASES) - harmless} hostile scripts, {harmless} harmless twins\n")
    assert len(CASES) - harmless >= 150
    assert harmless >= 60


def test_in_process_most_are_contained_and_the_pool_contains_the_others() -> None:
    """Of what ran before: all of the corpus, where nothing was chosen."""
    for place, seen in SEEN.items():
        held = sum(seen.values())
        share = 100 * held / (len(seen) or 1)
        sys.stdout.write(f"{place}: contained {held} / {len(seen)}, {share:.1f} %\n")
        for case in (case for case, contained in seen.items() if not contained):
            sys.stdout.write(f"  not {case.file}: {case.name}: {WHY[case.expected]}\n")
    inline = SEEN["inline"].values()
    assert all(SEEN["pool"].values())
    if len(inline) > 300:
        assert sum(inline) >= 0.98 * len(inline)
