"""A fuzzer of the sandbox: `python -m tests.fuzz.lua --seconds 600 --seed 1`.

Every script runs in both places, from a grammar or changed from the hostile corpus, and is
held to this: it has an outcome of the known kinds, in time; no process dies of it; it has
reached nothing of the host's world, and told no address of it; the next script is clean;
and the two places say the same. What is found is printed, and written down with `--keep`.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarm.lua.sandbox import Sandbox
from swarm.lua.wire import syntax_fields
from swarm.ports.scripts import Script
from tests.fuzz.lua_source import REACH, Writer, mutated
from tests.swarm.test_lua_hostile import Child, read_cases

LIMITS = {"instructions": 100_000, "memory_bytes": 16 * 1024 * 1024, "seconds": 0.5}
# A fault that was planted shows as well in little.
BRIEF = {"instructions": 20_000, "memory_bytes": 4 * 1024 * 1024, "seconds": 0.1}
# In process a pattern may hold on for ever; a pool answers, however busy the machine is.
PATIENCE_S = {"inline": 2.0, "pool": 20.0}
# Who goes on for so long has not been slow.
SURE_S = 15.0
HUNG = {"code": "deadline"}
_KNOWN = {"script.error", "script.syntax", "script.budget", "script.memory", "script.result"}
# What a loaded machine may turn into something else: compared between the places no further.
_TIMED = {"script.budget", "script.deadline", "deadline", "script.memory"}
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


@dataclass
class Found:
    """What a campaign has seen: how scripts ended, and what must not have happened."""

    limits: dict[str, float]
    scripts: int = 0
    ends: Counter[str] = field(default_factory=Counter[str])
    failures: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def scripts(seed: int, *, ends: bool = False) -> Iterator[str]:
    """Write scripts for ever, the same ones for the same seed.

    Shape: *ends*: none is made of those that nothing in process can stop.
    """
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    cases = [case for case in read_cases() if len(case.source) < 4000]
    corpus = [case.source for case in cases if not (ends and case.expected == "deadline")]
    writer = Writer(chance)
    compiler = Sandbox()
    while True:
        made = writer.script() if chance.random() < 0.5 else mutated(chance, corpus)
        if chance.random() < 0.3:
            made = looked_around(made)
        # Few of those that cannot even be read: they would be most.
        if chance.random() < 0.05 or compiler.syntax(*syntax_fields(Script("a.lua", made))) is None:
            yield made


def looked_around(source: str) -> str:
    """Let a script's end, if it has one, look for a way out."""
    ending = "local r = table.pack(pcall(function(...)\n" + source + "\nend, ...))"
    return f"{REACH}\n{ending}\nreach(r) reach(_G) reach(string) return r[2]"


def judged(place: str, told: dict[str, Any], source: str = "") -> str | None:
    """Say what is wrong with an outcome, if anything is."""
    code = told.get("code")
    if code == "deadline":
        return None if place == "inline" else "no answer"
    if code in ("crash", "script.crashed", "script.unavailable"):
        return "a process died"
    if not told.get("clean"):
        return "the next script suffered"
    if code == "script.deadline" and place == "inline":
        return "a deadline where there is none"
    said = told.get("message", "")
    if code is not None and code.startswith("script.") and code not in _KNOWN | _TIMED:
        return "an outcome of no known kind"
    if "ESCAPED" in said or _ADDRESS.search(said) or _ADDRESS.search(json.dumps(told.get("value"))):
        return "something of the host's world"
    if "[sandbox]" in said and "[sandbox]" not in source:
        return "a line of the sandbox"
    return None


def differ(inline: dict[str, Any], pooled: dict[str, Any]) -> bool:
    """Tell whether the places disagree, where time and memory have no say."""
    if inline.get("code") in _TIMED or pooled.get("code") in _TIMED:
        return False
    seen = ("code", "message", "value")
    return [inline.get(name) for name in seen] != [pooled.get(name) for name in seen]


def hangs(told: Mapping[str, dict[str, Any]]) -> bool:
    """Tell whether a script goes on in process that had no instructions left in the pool."""
    stopped = told["pool"].get("code") == "script.budget"
    return stopped and "instructions" in told["pool"]["message"] and told["inline"] == HUNG


def campaign(
    seed: int,
    *,
    most: int | None = None,
    seconds: float | None = None,
    planted: Mapping[str, Any] | None = None,
) -> Found:
    """Run *most* scripts, or as many as *seconds* allow; with a fault, until it is found.

    Shape: *planted* are texts to replace in parts of the sandbox that runs in process.
    """
    until = None if seconds is None else time.monotonic() + seconds
    found = Found(limits=BRIEF if planted else LIMITS)
    # Beside what was planted stands a whole sandbox in process: a child that spent its budget
    # is replaced, and would take most of the time.
    other = Child("inline" if planted else "pool")
    places = {"inline": Child("inline", planted), "pool": other}
    try:
        for source in scripts(seed, ends=planted is not None):
            if found.scripts == most or (until is not None and time.monotonic() > until):
                break
            _tried(found, places, source)
            if planted and found.failures:
                break
    finally:
        for child in places.values():
            child.stop()
    return found


def _tried(found: Found, places: dict[str, Child], source: str) -> None:
    found.scripts += 1
    limits = found.limits
    told = {
        name: child.ask(source, PATIENCE_S[child.place], **limits) for name, child in places.items()
    }
    found.ends[told["inline"].get("code", "a value")] += 1
    if told["inline"] == told["pool"] == HUNG and places["pool"].place == "inline":
        return  # A pattern, most likely; the pool of a whole campaign has to answer.
    wrong = {place: why for place, said in told.items() if (why := judged(place, said, source))}
    if not wrong and differ(told["inline"], told["pool"]):
        wrong = {"both": "the places disagree"}
    if not wrong and hangs(told) and places["inline"].ask(source, SURE_S, **limits) == HUNG:
        wrong = {"inline": "a stop that does not come"}
    if wrong:
        found.failures.append({"wrong": wrong, "source": source, "told": told})


def main() -> int:
    """Run a campaign and print what it found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.lua", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a file for what was found, one JSON a line")
    given = parser.parse_args()
    found = campaign(given.seed, seconds=given.seconds)
    ends = ", ".join(f"{name} {count}" for name, count in found.ends.most_common(12))
    sys.stdout.write(f"{found.scripts} scripts in both places, seed {given.seed}: {ends}\n")
    for failure in found.failures[:20]:
        sys.stdout.write(f"{failure['wrong']}\n{failure['source'][:1500]}\n---\n")
    if given.keep is not None:
        lines = (json.dumps(failure) + "\n" for failure in found.failures)
        given.keep.write_text("".join(lines))
    sys.stdout.write(f"survived {found.scripts - len(found.failures)} / {found.scripts}\n")
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
