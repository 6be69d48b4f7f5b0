"""What remembering costs: `python -m bench.journal_bench [--strict] [FOLDER]`.

Each figure of the journal stands beside SQLite alone: the same tables and settings, a
file of the same folder, rows of the same size, commits of the same rows. FOLDER chooses
the disk. With `--strict` it exits with 1 if a target was missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import anyio

from bench.rounds import Figure, Round, in_folder, interleave, ratio
from swarm.ids import RunId
from swarm.ports.journal import Journal
from swarm.stores.sqlite import Durability, open_store
from swarm.stores.sqlite.connection import Source, connect_writer

__all__ = ("figures", "main")

_COMMITS = 400
_RUNS = 1_000
_STEPS = 5
_LONG = 10_000
_BODY = b"x" * 210  # what `_row` takes
_ROUNDS = 9
_INSERT = "insert into event (run, seq, hash, body) values (?, ?, ?, ?)"


def figures(folder: Path) -> Iterator[Figure]:
    """Measure everything, one figure after the other."""
    yield from _alone(folder, "normal", None)
    yield from _alone(folder, "full", 2)
    yield from _together(folder, "normal", 40)
    yield from _together(folder, "full", 60)
    yield from _reading(folder)


def main() -> int:
    """Print every figure as it is found."""
    return in_folder(figures)


def _row(kind: str, seq: int) -> dict[str, Any]:
    return {
        "kind": kind,
        "key": "$.children[0].body#12",
        "attempt": 1,
        "step": "review",
        "value": {"verdict": "APPROVED", "notes": 3},
        "tokens": 0,
        "cost": 0.0,
        "duration_s": 0.000123,
        "seq": seq,
        "run": "r_0190c2a5f0b17e0fa2a1d4c5",
        "time_s": 1790000000.123456,
    }


def _opened(folder: Path, durability: Durability) -> Journal:
    return open_store(folder, durability).journal


# -- a run alone -----------------------------------------------------------------------


def _alone(folder: Path, durability: Durability, target: float | None) -> Iterator[Figure]:
    raw, ours = interleave(
        _raw(folder / f"raw-{durability}", durability, _COMMITS, 2),
        _ours(folder / f"ours-{durability}", durability),
        times=_ROUNDS,
    )
    name = f"{durability}: a commit of two rows"
    yield Figure(f"{name}, SQLite alone", median(raw) * 1e6, "µs")
    yield Figure(f"{name}, the journal", median(ours) * 1e6, "µs")
    yield Figure(f"{name}, the journal to SQLite alone", ratio(ours, raw), "times", target)


def _raw(folder: Path, durability: Durability, commits: int, rows: int) -> Round:
    """Build a round: seconds of a commit of *rows* rows by SQLite alone."""
    folder.mkdir()
    connection = connect_writer(Source(str(folder / "journal.db"), durability))
    connection.execute("insert into run (no, id, status) values (1, 'r', 'running')")
    numbers = count(1)

    def one() -> float:
        before = perf_counter()
        for _ in range(commits):
            values = [(1, next(numbers), b"h" * 32, _BODY) for _ in range(rows)]
            connection.execute("begin immediate")
            connection.executemany(_INSERT, values)
            connection.execute("commit")
        return (perf_counter() - before) / commits

    return one


def _ours(folder: Path, durability: Durability) -> Round:
    journal = _opened(folder, durability)
    run_id = RunId("r")
    journal.append(run_id, [_row("run.started", 1)])
    numbers = count(2)

    async def work() -> float:
        await journal.commit()
        before = perf_counter()
        for _ in range(_COMMITS):
            rows = [_row("step.finished", next(numbers)), _row("step.started", next(numbers))]
            journal.append(run_id, rows)
            await journal.commit()
        return (perf_counter() - before) / _COMMITS

    return lambda: anyio.run(work)


# -- many runs -------------------------------------------------------------------------


def _together(folder: Path, durability: Durability, target: float) -> Iterator[Figure]:
    rows = _RUNS * (_STEPS + 1) * 2
    group = 500
    raw, ours = interleave(
        _raw(folder / f"raw-group-{durability}", durability, rows // group, group),
        _many(folder / f"ours-group-{durability}", durability),
        times=5,
    )
    per_row = [seconds / group for seconds in raw]
    name = f"{durability}: a row among 1,000 runs of five steps"
    yield Figure(f"{name}, SQLite alone", median(per_row) * 1e6, "µs")
    yield Figure(f"{name}, the journal", median(ours) * 1e6, "µs")
    yield Figure(f"{name}, the journal to SQLite alone", ratio(ours, per_row), "times")
    step = median(ours) * rows / (_RUNS * _STEPS)
    yield Figure(f"{durability}: the journal's part of such a step", step * 1e6, "µs", target)


def _many(folder: Path, durability: Durability) -> Round:
    """Build a round: seconds a row, of many runs that share commits."""
    journal = _opened(folder, durability)
    names = (RunId(f"r{number}") for number in count())

    async def run(run_id: RunId) -> None:
        journal.append(run_id, [_row("run.started", 1), _row("step.started", 2)])
        await journal.commit()
        for step in range(1, _STEPS + 1):
            last = "run.finished" if step == _STEPS else "step.started"
            rows = [_row("step.finished", 2 * step + 1), _row(last, 2 * step + 2)]
            journal.append(run_id, rows)
            await journal.commit()

    async def work() -> float:
        before = perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(_RUNS):
                tasks.start_soon(run, next(names))
        return (perf_counter() - before) / (_RUNS * (_STEPS + 1) * 2)

    return lambda: anyio.run(work)


# -- reading ---------------------------------------------------------------------------


def _reading(folder: Path) -> Iterator[Figure]:
    journal = _opened(folder / "reading", "normal")
    run_id = RunId("r")

    async def fill() -> None:
        journal.append(run_id, [_row("run.started", 1)])
        for seq in range(2, 2 * _LONG + 1, 100):
            rows = [_row("step.finished", n) for n in range(seq, min(seq + 100, 2 * _LONG + 1))]
            journal.append(run_id, rows)
        await journal.commit()

    async def read() -> float:
        before = perf_counter()
        await journal.read(run_id, 0, 2 * _LONG)
        return perf_counter() - before

    async def verify() -> float:
        before = perf_counter()
        await journal.verify(run_id)
        return perf_counter() - before

    anyio.run(fill)
    reading, verifying = interleave(lambda: anyio.run(read), lambda: anyio.run(verify), times=5)
    name = "a run of 10,000 steps (20,000 rows)"
    yield Figure(f"{name}: read, chain checked", median(reading), "s", 0.2)
    yield Figure(f"{name}: verified", median(verifying), "s")


if __name__ == "__main__":
    raise SystemExit(main())
