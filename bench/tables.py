"""What the contest found, as Markdown: medians, spreads, and ratios within rounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.contest import Sample, Scores, Start
from bench.roster import OURS, ROSTER, WORKS, Contender, Entry, Group

__all__ = (
    "BASES",
    "Standing",
    "entries",
    "footnotes",
    "group_table",
    "memory_table",
    "number",
    "start_table",
)

# What of ours a group is measured by.
BASES = {
    "memory": f"{OURS}:memory",
    "normal": f"{OURS}:normal",
    "default": f"{OURS}:full",
    "full": f"{OURS}:full",
}


def entries(roster: Sequence[Contender] = ROSTER) -> list[Entry]:
    """Return every contender in each of its modes."""
    return [Entry(one, mode) for one in roster for mode in one.modes]


@dataclass(frozen=True, slots=True)
class Standing:
    """How an entry did in one work: seconds a unit, and how many times as long as ours."""

    median_s: float
    least_s: float
    most_s: float
    times: float
    cpu_times: float

    @classmethod
    def of(cls, scores: Scores, entry: str, base: str, work: str) -> Standing | None:
        """Compare *entry* with *base*; None where one of them was not measured."""
        ours = scores.samples.get((base, work), [])
        theirs = scores.samples.get((entry, work), [])
        both = list(zip(theirs, ours, strict=False))
        if not both:
            return None
        walls = [sample.wall_s for sample in theirs]
        return cls(
            median(walls),
            min(walls),
            max(walls),
            median(one.wall_s / other.wall_s for one, other in both),
            median(_cpu(one, other) for one, other in both),
        )


def _cpu(one: Sample, other: Sample) -> float:
    return one.cpu_s / max(other.cpu_s, 1e-9)


def group_table(scores: Scores, group: Group, all_: Sequence[Entry]) -> Iterator[str]:
    """Write the table of one group: µs a unit, and the ratio to ours."""
    heads = [f"{w} µs {WORKS[w].unit} | times ours" for w in group.works]
    yield f"### {group.title[0].upper()}{group.title[1:]}"
    yield ""
    yield f"| | {' | '.join(heads)} |"
    yield f"|---{'|---:' * 2 * len(group.works)}|"
    for entry in all_:
        if group.name in entry.mode.groups:
            cells = [cell for w in group.works for cell in _cells(scores, group, entry, w)]
            yield f"| {entry.title} | {' | '.join(cells)} |"
    yield ""


def _cells(scores: Scores, group: Group, entry: Entry, work: str) -> tuple[str, str]:
    problem = scores.problems.get(entry.name)
    standing = Standing.of(scores, entry.name, BASES[group.name], work)
    if problem is not None or standing is None:
        return ("out" if problem else "—"), "—"
    spread = f"{number(standing.least_s * 1e6)} to {number(standing.most_s * 1e6)}"
    times = f"{number(standing.times)} (CPU {number(standing.cpu_times)})"
    if entry.name == BASES[group.name]:
        times = "1"
    return f"{number(standing.median_s * 1e6)} ({spread})", times


def number(value: float) -> str:
    """Write three digits, and no exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def start_table(scores: Scores, roster: Sequence[Contender]) -> Iterator[str]:
    """Write what imports and a whole process cost."""
    yield "### W6: start-up and import"
    yield ""
    yield "| | import ms | CPU | a process that does one step, ms | CPU |"
    yield "|---|---:|---:|---:|---:|"
    for one in roster:
        cells = [*_start(scores.imports.get(one.name)), *_start(scores.starts.get(one.name))]
        yield f"| {one.title} | {' | '.join(cells)} |"
    yield ""


def _start(found: list[Start] | None) -> tuple[str, str]:
    if not found:
        return "—", "—"
    wall, cpu = (
        median(each) * 1e3 for each in ([s.wall_s for s in found], [s.cpu_s for s in found])
    )
    return number(wall), number(cpu)


def memory_table(scores: Scores, all_: Sequence[Entry]) -> Iterator[str]:
    """Write the peaks of the processes that did the works, one after the other."""
    yield "### W7: peak memory, MB, of a process that has done"
    yield ""
    yield "| | W1 | W1 to W3 | W1 to W4 |"
    yield "|---|---:|---:|---:|"
    for entry in all_:
        if "W4" in entry.mode.works():
            peaks = [_peak(scores, entry, work) for work in ("W1", "W3", "W4")]
            yield f"| {entry.title} | {' | '.join(peaks)} |"
    yield ""


def _peak(scores: Scores, entry: Entry, work: str) -> str:
    samples = scores.samples.get((entry.name, work))
    return number(median(sample.peak_mb for sample in samples)) if samples else "—"


def footnotes(scores: Scores, all_: Sequence[Entry]) -> Iterator[str]:
    """Write who is out and why, how each was set, and what to know of it."""
    out = [entry for entry in all_ if entry.name in scores.problems]
    if out:
        yield "## Out"
        yield ""
        for entry in out:
            yield f"- {entry.title} (`{entry.name}`): {scores.problems[entry.name]}"
        yield ""
    yield "## How each was set"
    yield ""
    for entry in all_:
        if entry.name in scores.settings:
            groups, setting = ", ".join(entry.mode.groups), scores.settings[entry.name]
            yield f"- {entry.title} ({groups}): {setting}.{_less(scores, entry)}"
    yield ""
    for one in {entry.contender.name: entry.contender for entry in all_}.values():
        for note in one.notes:
            yield f"- {one.title}: {note}"
    yield ""


def _less(scores: Scores, entry: Entry) -> str:
    full = {work: WORKS[work].size for work in entry.mode.works()}
    done = {work: scores.sizes.get((entry.name, work)) for work in full}
    less = [f"{work} {done[work]:,}" for work in full if done[work] not in (None, full[work])]
    return f" Size: {', '.join(less)}." if less else ""
