"""Measuring: rounds that take turns, medians, and a line for each figure.

Rounds of the things compared are interleaved, so that a slow second of the machine falls
on all of them; what is compared is the ratio of one round, and the median of those.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

__all__ = ("Figure", "Round", "in_folder", "interleave", "ratio", "report")

Round = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One result; `target` is the most it may be, None where nothing was promised."""

    name: str
    value: float
    unit: str
    target: float | None = None

    @property
    def missed(self) -> bool:
        return self.target is not None and self.value > self.target

    def __str__(self) -> str:
        text = f"{self.name:<64}{self.value:>9.3g} {self.unit:<8}"
        if self.target is None:
            return text.rstrip()
        return f"{text}≤ {self.target:<6g}{'MISSED' if self.missed else 'ok'}"


def report(figures: Iterable[Figure]) -> int:
    """Print each figure as it is found; with `--strict`, 1 where a target was missed."""
    missed = 0
    for figure in figures:
        missed += figure.missed
        print(figure, flush=True)
    return int(bool(missed) and "--strict" in sys.argv[1:])


def in_folder(figures: Callable[[Path], Iterable[Figure]]) -> int:
    """Report what is measured in a new folder, below the one that the command names."""
    folders = [Path(word) for word in sys.argv[1:] if not word.startswith("-")]
    with TemporaryDirectory(dir=folders[0] if folders else None) as folder:
        return report(figures(Path(folder)))


def interleave(*rounds: Round, times: int) -> list[list[float]]:
    """Run each of *rounds* in turn, *times* times; return the seconds of each."""
    found: list[list[float]] = [[] for _ in rounds]
    for one, seconds in zip(rounds, found, strict=True):
        one()  # the first is not counted: caches fill, code specialises
        seconds.clear()
    for _ in range(times):
        for one, seconds in zip(rounds, found, strict=True):
            gc.collect()
            seconds.append(one())
    return found


def ratio(seconds: list[float], plain: list[float]) -> float:
    """Return the median of the ratios of rounds that were run side by side."""
    return median(one / other for one, other in zip(seconds, plain, strict=True))
