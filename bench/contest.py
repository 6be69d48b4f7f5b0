"""The contest: every entry is checked before it is timed, and then they take turns.

A turn is a fresh process that does the works of one entry in one mode; a round is a turn of
each, begun one place further every time, so that nobody always comes first. A slow minute of
the machine falls on a round, and what is reported are ratios within rounds.

An entry whose result is wrong, whose process dies or takes too long, is out, with a
sentence: in the check, or in a round.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from bench.roster import WORKS, Entry
from bench.setups import Environment

__all__ = ("Course", "Sample", "Scores", "Start", "compete")


@dataclass(frozen=True, slots=True)
class Sample:
    """One work, done once: seconds a unit, and the peak of the process so far."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Start:
    """What it takes from nothing to the end of a process, in seconds."""

    wall_s: float
    cpu_s: float


@dataclass(slots=True)
class Scores:
    """What was found: by entry and work, one for each round."""

    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    imports: dict[str, list[Start]] = field(default_factory=dict)
    starts: dict[str, list[Start]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    sizes: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Course:
    """Where the contest takes place.

    *home* is the folder with `peers`; *scratch* is on the disk that is measured; *share*
    asks for 1/n of each work; *bound_s* is the most a turn may take.
    """

    environments: Mapping[str, Environment]
    home: Path
    scratch: Path
    share: int = 1
    bound_s: float = 240


class Wrong(Exception):
    """Why an entry is out."""


def compete(course: Course, entries: Sequence[Entry], rounds: int) -> Scores:
    """Check all *entries*, and time those that are right."""
    scores = Scores()
    able: list[Entry] = []
    for entry in entries:
        problem = course.environments[entry.contender.name].problem
        if problem is not None:
            scores.problems[entry.name] = f"not installed: {problem}"
        elif _held(scores, entry, lambda entry=entry: _check(course, entry, scores)):
            able.append(entry)
    for number in range(rounds):
        _tell(f"round {number + 1} of {rounds}")
        turn = number % max(len(able), 1)
        for entry in able[turn:] + able[:turn]:
            if entry.name not in scores.problems:
                _held(scores, entry, lambda entry=entry: _turn(course, entry, scores))
    return scores


def _held(scores: Scores, entry: Entry, act: Callable[[], None]) -> bool:
    try:
        act()
    except Wrong as wrong:
        _tell(f"{entry.name}: {wrong}")
        scores.problems[entry.name] = str(wrong)
    return entry.name not in scores.problems


# -- turns -------------------------------------------------------------------------------


def _check(course: Course, entry: Entry, scores: Scores) -> None:
    said, _ = _process(course, entry, {name: WORKS[name].check for name in entry.mode.works()})
    scores.settings[entry.name] = said["setting"]
    scores.versions.update(said["versions"])


def _turn(course: Course, entry: Entry, scores: Scores) -> None:
    sizes = {name: entry.size(WORKS[name], course.share) for name in entry.mode.works()}
    said, _ = _process(course, entry, sizes)
    for done in said["works"]:
        place = entry.name, done["work"]
        sample = Sample(
            done["wall_s"] / done["size"], done["cpu_s"] / done["size"], done["peak_mb"]
        )
        scores.samples.setdefault(place, []).append(sample)
        scores.sizes[place] = done["size"]
    if entry.mode is entry.contender.modes[0]:
        _, start = _process(course, entry, {"W1": 1})
        scores.starts.setdefault(entry.contender.name, []).append(start)
        imports = scores.imports.setdefault(entry.contender.name, [])
        imports.append(_ended(course, entry, ("-c", entry.contender.imports)))


def _process(
    course: Course, entry: Entry, sizes: Mapping[str, int]
) -> tuple[dict[str, Any], Start]:
    """Let *entry* do works in a process; return what it says, once the results are right.

    Raises: Wrong.
    """
    asked = [f"{name}={size}" for name, size in sizes.items()]
    with TemporaryDirectory(dir=course.scratch) as folder:
        words = ("-m", f"peers.on_{entry.contender.name}", entry.mode.name, folder, *asked)
        start = _ended(course, entry, words)
        try:
            said: dict[str, Any] = json.loads((Path(folder) / "result.json").read_text())
        except (OSError, ValueError) as error:
            raise Wrong(f"expected a result, got {type(error).__name__}: {error}") from error
    found = {done["work"]: done for done in said["works"]}
    for name, size in sizes.items():
        if name not in found:
            raise Wrong(f"{name}: expected a result, got none")
        _compare(name, size, found[name])
    return said, start


def _compare(name: str, size: int, done: Mapping[str, Any]) -> None:
    right = WORKS[name].right(size)
    if done["size"] != size or done["result"] != right:
        raise Wrong(f"{name} of {size}: expected {_short(right)}, got {_short(done['result'])}")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _ended(course: Course, entry: Entry, words: Sequence[str]) -> Start:
    """Run the entry's Python with *words*; return what that took.

    Raises: Wrong, where it fails, or does not end in time.
    """
    python = str(course.environments[entry.contender.name].python)
    with TemporaryFile("w+") as said, _timed() as took:
        process = subprocess.Popen(  # noqa: S603 - our own words
            (python, *words),
            cwd=course.home,
            env=_environment(course.scratch),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            code = process.wait(course.bound_s)
        except subprocess.TimeoutExpired as error:
            raise Wrong(f"did not end within {course.bound_s:g} s") from error
        finally:
            _end(process)
        if code:
            said.seek(0)
            lines = said.read().strip().splitlines() or ["nothing was said"]
            raise Wrong(f"ended with {code}: {lines[-1]}")
    return took[0]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a turn with all that it started; a framework's server may outlive it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def _timed() -> Generator[list[Start]]:
    took: list[Start] = []
    cpu, wall = _children_s(), time.perf_counter()
    yield took
    took.append(Start(time.perf_counter() - wall, _children_s() - cpu))


def _children_s() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _environment(scratch: Path) -> dict[str, str]:
    """Return the variables of a turn: bytecode is kept, and nothing is asked or sent."""
    ours = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    quiet = {
        "DO_NOT_TRACK": "1",
        "LANGSMITH_TRACING": "false",
        "PREFECT_HOME": str(scratch / "prefect"),
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    return {**ours, **quiet, "HOME": str(scratch), "PYTHONNOUSERSITE": "1"}


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
