"""What our own parts cost, for one table: a choice of the figures of the other benches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bench import (
    audit_bench,
    flowir_bench,
    host_bench,
    lua_bench,
    middleware_bench,
    operators_bench,
    versions_bench,
)
from bench.rounds import Figure
from bench.tables import number

__all__ = ("figures", "table")


def figures(folder: Path) -> Iterator[Figure]:
    """Measure it, one figure after the other."""
    yield from host_bench.resuming(folder)
    yield from flowir_bench.expressions()
    yield from lua_bench.figures()
    yield from middleware_bench.figures()
    yield from operators_bench.figures(idle=0)
    yield from versions_bench.figures(folder)
    yield from audit_bench.figures(folder)


def table(found: Iterable[Figure]) -> Iterator[str]:
    """Write figures as Markdown."""
    yield "## Ours only"
    yield ""
    yield "| | | | at most | |"
    yield "|---|---:|---|---:|---|"
    for one in found:
        target = "" if one.target is None else f"{one.target:g}"
        said = "" if one.target is None else "**missed**" if one.missed else "ok"
        yield f"| {one.name.strip()} | {number(one.value)} | {one.unit} | {target} | {said} |"
    yield ""
