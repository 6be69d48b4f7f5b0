"""Guards of the sandbox, each taken away: `python -m tests.fuzz.plants --seed 1 --most 2000`.

A fuzzer that finds nothing may be blind. So each of these is planted in turn into the
sandbox that runs in process, the pool keeps the real one, and the same fuzzer is run until
it finds that something is wrong; then it is run with nothing planted, and has to be quiet.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.fuzz.lua import campaign

__all__ = ("PLANTS", "Plant", "hunted")

# As many scripts as it may take; most take some dozens.
WITHIN = 2000


@dataclass(frozen=True)
class Plant:
    """A guard that is taken away: in which part of the sandbox which texts become which."""

    name: str
    part: str
    changes: tuple[tuple[str, str], ...]

    def to_wire(self) -> dict[str, list[tuple[str, str]]]:
        return {self.part: list(self.changes)}


def plant(name: str, part: str, *texts: str) -> Plant:
    return Plant(name, part, tuple(zip(texts[::2], texts[1::2], strict=True)))


PLANTS = (
    plant(
        "numbers that are none may leave",
        "convert",
        "if value ~= value or value == HUGE or value == -HUGE then",
        "if false then",
    ),
    plant(
        "bytes that are no text may leave",
        "convert",
        "if not ulen(text) then no_text",
        "if false then no_text",
    ),
    plant(
        "a result may be as deep as it likes",
        "convert",
        "if depth >= limits.depth then",
        "if depth >= 1000000 then",
    ),
    plant(
        "tostring shows addresses",
        "library",
        "if not show then return kind end",
        "if not show then return raw_tostring(value) end",
    ),
    plant(
        "format shows addresses",
        "library",
        """"%%[-+ #0-9.]*p") then blame""",
        """"%%[-+ #0-9.]*p") and false then blame""",
    ),
    plant(
        "the string library is one for all",
        "library",
        "env.string = copy_all(strings)",
        "env.string = strings",
    ),
    plant(
        "null may be written to",
        "library",
        """if rawequal(value, null) then blame("null is read-only") end""",
        "",
    ),
    plant(
        "pairs goes as it likes",
        "library",
        "  pairs = pairs,",
        "  pairs = function(t) return next, t end,",
    ),
    plant(
        "finalizers may be set",
        "library",
        """if mt and (rawget(mt, "__gc") ~= nil or rawget(mt, "__mode") ~= nil) then""",
        "if false then",
    ),
    plant("unpack has no bound", "library", "MAX_UNPACKED = 8000", "MAX_UNPACKED = 1 << 40"),
    plant(
        "insert goes through metamethods",
        "library",
        "  insert = insert,",
        "  insert = table.insert,",
    ),
    plant("sort is Lua's own", "library", "  sort = sorted,", "  sort = sort,"),
    plant(
        "functions can be dumped",
        "library",
        "strings.gsub, strings.rep =",
        "strings.dump, strings.gsub, strings.rep = string.dump,",
    ),
    plant(
        "the debug library is there",
        "library",
        "  error = error,",
        "  error = error, debug = debug,",
    ),
    plant(
        "coroutines have no hook",
        "meter",
        """sethook(co, look, s.follows and "lr" or "", count)""",
        "",
    ),
    plant(
        "a stop can be caught",
        "meter",
        "if script.stopped then stop(script.stopped) end",
        "",
        """  sethook(hook, "", 1)
  error(STOPPED, 0)""",
        """  s.stopped, s.instructions, s.used = nil, 100000, 0
  error(STOPPED, 0)""",
    ),
    plant(
        "messages name lines of the sandbox",
        "meter",
        "  while first do",
        "  while false do",
    ),
    plant(
        "an error object is asked for its message",
        "sandbox",
        """rawget(problem, "message")
  return""",
        """problem.message
  return""",
    ),
    plant("nothing is charged for what C does", "meter", "  s.used = s.used + amount\n", ""),
)


@dataclass(frozen=True)
class Hunted:
    """What became of one plant: after how many scripts it was found, and by what."""

    plant: Plant
    scripts: int
    by: str | None
    seconds: float

    def __str__(self) -> str:
        if self.by is None:
            return f"not found in {self.scripts:>5} scripts   {self.plant.name}"
        return f"found after {self.scripts:>5} scripts   {self.plant.name}: {self.by}"


def hunted(one: Plant, seed: int, most: int = WITHIN) -> Hunted:
    """Run the fuzzer until it finds a plant, or *most* scripts."""
    began = time.monotonic()
    found = campaign(seed, most=most, planted=one.to_wire())
    by = "; ".join(found.failures[0]["wrong"].values()) if found.failures else None
    return Hunted(one, found.scripts, by, time.monotonic() - began)


def main() -> int:
    """Hunt each plant, then nothing, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.plants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=WITHIN, help="scripts for each plant")
    parser.add_argument("--quiet", type=int, default=500, help="scripts with nothing planted")
    parser.add_argument("--only", default="", help="a word of the plants to hunt")
    given = parser.parse_args()
    lost = 0
    for result in _all(given.seed, given.most, given.only):
        lost += result.by is None
        sys.stdout.write(f"{result} ({result.seconds:.0f} s)\n")
        sys.stdout.flush()
    found = campaign(given.seed, most=given.quiet)
    sys.stdout.write(f"nothing planted: {len(found.failures)} found in {found.scripts} scripts\n")
    return int(bool(lost or found.failures))


def _all(seed: int, most: int, only: str) -> Iterator[Hunted]:
    for one in PLANTS:
        if only in one.name:
            yield hunted(one, seed, most)


if __name__ == "__main__":
    sys.exit(main())
