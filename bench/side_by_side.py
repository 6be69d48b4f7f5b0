"""The same works on swarm and on its peers: `python -m bench.side_by_side`.

Sets up an environment for each contender below `.bench/`, checks that all give the same
results, times them in turns, and writes `bench/results.md`. With `--strict` it exits with 1
if a promise did not hold.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw

from bench.claims import claims, claims_table
from bench.contest import Course, Scores, compete
from bench.own import figures, table
from bench.roster import GROUPS, OURS, ROSTER, WORKS, Contender
from bench.setups import prepare
from bench.tables import entries, footnotes, group_table, memory_table, start_table

__all__ = ("main", "page")

_HERE = Path(__file__).parent
_FOLDER = _HERE.parent / ".bench"


def main(words: Sequence[str] | None = None) -> int:
    """Do it all."""
    asked = _parser().parse_args(words)
    names = {*asked.only.split(","), OURS} if asked.only else {one.name for one in ROSTER}
    roster = [one for one in ROSTER if one.name in names]
    scratch = _FOLDER / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    environments = prepare(_FOLDER, roster)
    course = Course(environments, _HERE, scratch, asked.share, asked.bound)
    began = time.monotonic()
    scores = compete(course, entries(roster), asked.rounds)
    text = page(scores, roster, rounds=asked.rounds, share=asked.share, load=os.getloadavg()[1])
    if not asked.no_own:
        print("our own figures", file=sys.stderr, flush=True)
        with TemporaryDirectory(dir=scratch) as folder:
            text += "\n" + "\n".join(table(figures(Path(folder))))
    asked.to.write_text(text)
    print(text)
    used = sum(os.times()[:4])
    took = f"{time.monotonic() - began:.0f} s, {used:.0f} s of processor time"
    print(f"{took}; written to {asked.to}", file=sys.stderr)
    wrong = [one for one in claims(scores, entries(roster)) if one.holds is False]
    return int(asked.strict and bool(wrong))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.side_by_side")
    parser.add_argument("--rounds", type=int, default=5, help="how often each takes its turn")
    parser.add_argument("--share", type=int, default=1, help="do 1/SHARE of each work")
    parser.add_argument("--only", default="", help="contenders, with commas; ours is always one")
    parser.add_argument("--bound", type=float, default=240, help="seconds a turn may take")
    parser.add_argument("--to", type=Path, default=_HERE / "results.md", help="where it is written")
    parser.add_argument("--no-own", action="store_true", help="leave our own figures out")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a promise is broken")
    return parser


def page(
    scores: Scores, roster: Sequence[Contender], *, rounds: int, share: int, load: float
) -> str:
    """Write what was found."""
    return "\n".join(_lines(scores, roster, rounds, share, load))


def _lines(
    scores: Scores, roster: Sequence[Contender], rounds: int, share: int, load: float
) -> Iterator[str]:
    all_ = entries(roster)
    yield "# Side by side"
    yield ""
    yield "Written by `make bench`; [performance](../docs/performance.md) says how to read it."
    yield (
        "A cell is the median of the rounds, in µs of wall time for a unit, with the least and "
        "the most; a ratio is the median of the ratios of single rounds, and in brackets that of "
        "processor time."
    )
    yield ""
    for work in WORKS.values():
        size = work.size // share
        less = f" ({size:,} in this run)" if share > 1 else ""
        yield f"- {work.name}: {work.title}{less}."
    yield "- W5: W1 kept on SQLite. W6: start-up and import. W7: peak memory."
    yield ""
    yield "## What was promised"
    yield ""
    yield from claims_table(list(claims(scores, all_)))
    yield "## What was found"
    yield ""
    for group in GROUPS.values():
        yield from group_table(scores, group, all_)
    yield from start_table(scores, roster)
    yield from memory_table(scores, all_)
    yield from footnotes(scores, all_)
    yield "## Where"
    yield ""
    yield f"- {rounds} rounds; load of the machine at the end, over five minutes: {load:.1f}."
    yield f"- {_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}."
    yield f"- Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()} (ours)."
    versions = sorted(scores.versions.items())
    yield f"- {', '.join(f'{name} {version}' for name, version in versions)}."
    yield ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
