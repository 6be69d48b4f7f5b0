"""What is promised of the contest, and whether it was so: each claim with its worst case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.contest import Scores, Start
from bench.roster import GROUPS, OURS, Entry
from bench.tables import BASES, Standing, number

__all__ = ("Verdict", "claims", "claims_table")

_FLOOR = "plain"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim and what was found; `holds` is None where nothing could be compared."""

    claim: str
    found: str
    holds: bool | None


def claims(scores: Scores, all_: Sequence[Entry]) -> Iterator[Verdict]:
    """Judge each claim."""
    for work in ("W1", "W2", "W3"):
        yield _ahead(scores, all_, "memory", work, 1)
    yield _at_most("W1 with nothing kept: at most 40 µs a step", 40, _us(scores, "memory", "W1"))
    for work, least in (("W1", 8), ("W2", 10), ("W3", 20)):
        yield _ahead(scores, all_, "normal", work, least)
    yield _ahead(scores, all_, "default", "W1", 8, base=BASES["normal"])
    yield _ahead(scores, all_, "default", "W1", 1)
    yield _ahead(scores, all_, "full", "W1", 1)
    yield _commits(scores)
    for group in ("memory", "normal"):
        yield _carried(scores, group)
    states = [entry for entry in all_ if entry.contender.name in ("burr", "langgraph")]
    yield _ahead(scores, states, "normal", "W4", 10)
    yield _among(
        "start-up", {e.contender.name for e in all_}, lambda name: _start_s(scores.starts, name)
    )
    yield _among(
        "import", {e.contender.name for e in all_}, lambda name: _start_s(scores.imports, name)
    )
    for group in ("memory", "normal"):
        peaks = {e.contender.name: e for e in reversed(all_) if group in e.mode.groups}
        yield _among(
            f"peak memory after W1 to W3, {group}",
            set(peaks),
            lambda name, peaks=peaks: _peak_mb(scores, peaks[name]),
        )


def claims_table(found: Sequence[Verdict]) -> Iterator[str]:
    """Write the claims as Markdown."""
    yield "| promised | found | holds |"
    yield "|---|---|---|"
    for one in found:
        said = "not measured" if one.holds is None else "yes" if one.holds else "**no**"
        yield f"| {one.claim} | {one.found} | {said} |"
    yield ""


def _ahead(
    scores: Scores, all_: Sequence[Entry], group: str, work: str, least: float, base: str = ""
) -> Verdict:
    ours = base or BASES[group]
    beside = f", against our `{base.partition(':')[2]}`" if base else ""
    claim = (
        f"{work}, {GROUPS[group].title}{beside}: every peer takes at least {least:g} times as long"
    )
    found = {
        entry.title: standing.times
        for entry in all_
        if group in entry.mode.groups and entry.contender.name not in (OURS, _FLOOR)
        if (standing := Standing.of(scores, entry.name, ours, work)) is not None
    }
    if not found:
        return Verdict(claim, "—", None)
    nearest = min(found, key=lambda title: found[title])
    said = f"{nearest}: {number(found[nearest])}"
    return Verdict(claim, said, found[nearest] >= least)


def _us(scores: Scores, group: str, work: str) -> float | None:
    standing = Standing.of(scores, BASES[group], BASES[group], work)
    return None if standing is None else standing.median_s * 1e6


def _at_most(claim: str, most: float, found: float | None) -> Verdict:
    if found is None:
        return Verdict(claim, "—", None)
    return Verdict(claim, number(found), found <= most)


def _commits(scores: Scores) -> Verdict:
    claim = "W1 with fsync at every step: at most the time of 2 bare commits a step"
    standing = Standing.of(scores, BASES["full"], f"{_FLOOR}:full", "W1")
    return _at_most(claim, 2, None if standing is None else standing.times)


def _carried(scores: Scores, group: str) -> Verdict:
    claim = f"our W4 ({group}) takes at most 1.5 times our W1"
    found = [
        four.wall_s / one.wall_s
        for one, four in zip(
            scores.samples.get((BASES[group], "W1"), []),
            scores.samples.get((BASES[group], "W4"), []),
            strict=False,
        )
    ]
    return _at_most(claim, 1.5, median(found) if found else None)


def _among(what: str, names: set[str], of: Callable[[str], float | None]) -> Verdict:
    claim = f"{what}: ours is among the two best"
    found = {name: value for name in names if name != _FLOOR and (value := of(name)) is not None}
    if OURS not in found or len(found) < 3:
        return Verdict(claim, "—", None)
    order = sorted(found, key=lambda name: found[name])
    said = ", ".join(f"{name} {number(found[name])}" for name in order)
    better = sum(value < found[OURS] for value in found.values())
    return Verdict(claim, said, better < 2)


def _start_s(starts: dict[str, list[Start]], name: str) -> float | None:
    found = starts.get(name)
    return median(start.wall_s for start in found) * 1e3 if found else None


def _peak_mb(scores: Scores, entry: Entry) -> float | None:
    samples = scores.samples.get((entry.name, "W3"))
    return median(sample.peak_mb for sample in samples) if samples else None
