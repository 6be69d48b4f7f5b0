"""How what we do grows: `python -m bench.curves [--small]`.

Measures processor time over sizes, fits an exponent to each curve, and writes a picture of
each and a table of all into `docs/performance`. Every curve goes through the public API.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import anyio

import swarm
from bench.audit_bench import verifying, written
from bench.host_bench import resumed
from bench.operators_bench import BOUNDS
from bench.plot import Series, svg
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.operators import Operators, Task, connect
from tests.swarm.operating import house

__all__ = ("CURVES", "Curve", "drawn", "main", "table")

_TO = Path(__file__).parents[1] / "docs" / "performance"
_TIMES = 3
_LOOP = {
    "kind": "loop", "counter": "$.turn", "max": 1_000_000,
    "cond": {"op": "lt", "lhs": {"op": "path", "at": "$.n"}, "rhs": {"op": "path", "at": "$.most"}},
    "body": {"kind": "step", "ref": "bump", "in": {"op": "path", "at": "$.n"}, "out": "$.n"},
}  # fmt: skip
_FAN = {
    "kind": "fanout", "items": {"op": "path", "at": "$.items"}, "bind": "$.item", "join": "all",
    "body": {"kind": "step", "ref": "bump", "in": {"op": "path", "at": "$.item"}, "out": "$.x"},
    "collect": {"op": "path", "at": "$.x"}, "out": "$.found",
}  # fmt: skip
# Looking after a line costs by the second, not by the step: here nobody does.
_QUIET = replace(BOUNDS, tick_s=60)
_AGENTS = [{"name": "bump", "kind": "function", "function": "bump"}]


@dataclass(frozen=True, slots=True)
class Curve:
    """One picture: each series measures seconds of processor time at every size."""

    name: str
    title: str
    x_name: str
    y_name: str
    sizes: tuple[int, ...]
    series: tuple[tuple[str, Callable[[int, Path], float]], ...]


def main(words: Sequence[str] | None = None) -> int:
    """Measure, draw, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.curves")
    parser.add_argument("--only", default="", help="curves, with commas; the table is left alone")
    parser.add_argument("--small", action="store_true", help="leave the two largest sizes out")
    parser.add_argument("--to", type=Path, default=_TO, help="the folder of the pictures")
    asked = parser.parse_args(words)
    asked.to.mkdir(parents=True, exist_ok=True)
    found: list[tuple[Curve, list[Series]]] = []
    names = asked.only.split(",") if asked.only else [curve.name for curve in CURVES]
    for curve in CURVES:
        if curve.name not in names:
            continue
        print(curve.title, file=sys.stderr, flush=True)
        sizes = curve.sizes[:-2] if asked.small else curve.sizes
        found.append((curve, drawn(curve, sizes, asked.to)))
    text = "\n".join(table(found))
    if not asked.only:
        (asked.to / "curves.md").write_text(text)
    print(text)
    return 0


def drawn(curve: Curve, sizes: Sequence[int], to: Path, *, times: int = _TIMES) -> list[Series]:
    """Measure *curve* at *sizes*, each the least of *times*, and draw it into *to*."""
    with TemporaryDirectory() as folder:
        series = [
            Series(name, sizes, [_least(measure, size, Path(folder), times) for size in sizes])
            for name, measure in curve.series
        ]
    scaled = [Series(one.name, one.xs, [y * 1e3 for y in one.ys]) for one in series]
    (to / f"{curve.name}.svg").write_text(svg(curve.title, curve.x_name, curve.y_name, scaled))
    return series


def _least(measure: Callable[[int, Path], float], size: int, folder: Path, times: int) -> float:
    """Return the least of some: nothing but other work makes processor time longer."""
    took: list[float] = []
    for _ in range(times):
        with TemporaryDirectory(dir=folder) as place:
            gc.collect()
            took.append(measure(size, Path(place)))
    return max(min(took), 1e-9)


def table(found: Sequence[tuple[Curve, Sequence[Series]]]) -> Iterator[str]:
    """Write what the curves say."""
    yield "# Curves"
    yield ""
    yield "Written by `make bench-curves`; [performance](../performance.md) says how to read it."
    yield "The exponent is that of the upper half of the sizes: 0 is flat, 1 is linear."
    yield ""
    yield "| | sizes | exponent | |"
    yield "|---|---|---:|---|"
    for curve, series in found:
        for one in series:
            sizes = f"{one.xs[0]:,} to {one.xs[-1]:,} {curve.x_name}"
            exponent = one.fit.exponent
            said = "flat" if exponent < 0.2 else "linear" if exponent < 1.1 else "**worse**"
            picture = f"[{curve.title}]({curve.name}.svg): {one.name}"
            yield f"| {picture} | {sizes} | {exponent:.2f} | {said} |"
    yield ""


# -- what is measured --------------------------------------------------------------------

Act = Callable[[swarm.Host, CompiledBlueprint], Awaitable[float]]


def _hosted(flow: dict[str, Any], store: Path | None, act: Act) -> float:
    """Open a host with a function and *flow*, and do *act* in it."""

    async def opened() -> float:
        host = swarm.Host.in_memory() if store is None else swarm.Host(store, durability="normal")

        @host.function("bump")
        async def bump(n: int) -> int:
            return n + 1

        async with host:
            document = {"swarm": 1, "id": "curve", "agents": _AGENTS, "flow": flow}
            return await act(host, await host.load(document))

    return anyio.run(opened)


async def _timed(host: swarm.Host, blueprint: CompiledBlueprint, first: Any) -> float:
    began = process_time()
    await (await host.start(blueprint, first)).result()
    return process_time() - began


def _steps(durable: bool) -> Callable[[int, Path], float]:
    def measure(size: int, folder: Path) -> float:
        first = {"n": 0, "most": size}
        return _hosted(_LOOP, folder if durable else None, lambda h, b: _timed(h, b, first))

    return measure


def _context(size: int, folder: Path) -> float:
    """Measure a step among members of 100 bytes, without what starting a run costs."""
    payload = {f"key{number:06}": "x" * 86 for number in range(max(size // 100, 1))}

    async def act(host: swarm.Host, blueprint: CompiledBlueprint) -> float:
        none = await _timed(host, blueprint, {"n": 0, "most": 0, "payload": payload})
        many = await _timed(host, blueprint, {"n": 0, "most": 2_000, "payload": payload})
        return max(many - none, 1e-9) / 2_000

    return _hosted(_LOOP, folder, act)


def _width(durable: bool) -> Callable[[int, Path], float]:
    def measure(size: int, folder: Path) -> float:
        first = {"items": list(range(size))}
        return _hosted(_FAN, folder if durable else None, lambda h, b: _timed(h, b, first))

    return measure


async def _together(host: swarm.Host, blueprint: CompiledBlueprint, runs: int) -> float:
    async def one() -> None:
        await (await host.start(blueprint, {"n": 0, "most": 5})).result()

    began = process_time()
    async with anyio.create_task_group() as tasks:
        for _ in range(runs):
            tasks.start_soon(one)
    return process_time() - began


def _runs(durable: bool) -> Callable[[int, Path], float]:
    def measure(size: int, folder: Path) -> float:
        return _hosted(_LOOP, folder if durable else None, lambda h, b: _together(h, b, size))

    return measure


def _resume(size: int, folder: Path) -> float:
    return anyio.run(resumed, folder, size, process_time)


def _behind(size: int, folder: Path) -> float:
    """Measure twenty runs of five steps in a store that has *size* others."""

    async def act(host: swarm.Host, blueprint: CompiledBlueprint) -> float:
        await _together(host, blueprint, size)
        return sum([await _timed(host, blueprint, {"n": 0, "most": 5}) for _ in range(20)]) / 20

    return _hosted(_LOOP, folder, act)


def _audit(size: int, folder: Path) -> float:
    return verifying(written(folder / "log", size), size)() * size


def _operators(size: int, folder: Path) -> float:
    """Measure a step that an operator does, while *size* of them are there."""
    steps = 200

    async def measured() -> float:
        took = 0.0
        async with (
            house(bounds=_QUIET, operators=Operators(_QUIET)) as one,
            anyio.create_task_group() as tasks,
        ):
            clients = [
                connect(
                    one.url, name=f"op{number}", token=one.token(f"op{number}"), bounds=_QUIET,
                    seats=["reviewer"], capacity=4,
                )
                for number in range(size)
            ]  # fmt: skip
            for client in clients:

                @client.handler
                async def work(task: Task) -> Any:
                    return task.input

                tasks.start_soon(client.run)
            for client in clients:
                await client.welcomed()
            blueprint = await one.load()
            began = process_time()
            for number in range(steps):
                await (await one.host.start(blueprint, {"given": number})).result()
            took = (process_time() - began) / steps
            tasks.cancel_scope.cancel()
        return took

    return anyio.run(measured)


_TENS = (100, 300, 1_000, 3_000, 10_000)
_BOTH = "nothing kept", "kept, `normal`"
CURVES: tuple[Curve, ...] = (
    Curve(
        "steps", "A run, by its steps", "steps", "ms", (*_TENS, 20_000),
        ((_BOTH[0], _steps(False)), (_BOTH[1], _steps(True))),
    ),
    Curve(
        "context", "A step, by the size of its context", "bytes", "ms a step",
        (1_000, 10_000, 100_000, 1_000_000, 10_000_000), ((_BOTH[1], _context),),
    ),
    Curve(
        "width", "A fanout, by its items", "items", "ms", _TENS,
        ((_BOTH[0], _width(False)), (_BOTH[1], _width(True))),
    ),
    Curve(
        "runs", "Runs of five steps at a time", "runs", "ms", (10, 30, 100, 300, 1_000, 3_000),
        ((_BOTH[0], _runs(False)), (_BOTH[1], _runs(True))),
    ),
    Curve(
        "resume", "A resume, by the steps behind it", "steps", "ms", (*_TENS, 20_000),
        (("read and replayed", _resume),),
    ),
    Curve(
        "history", "A run of five steps, by the runs of its store", "earlier runs", "ms a run",
        (10, 30, 100, 300, 1_000, 3_000), ((_BOTH[1], _behind),),
    ),
    Curve(
        "audit", "Verifying an audit log, by its entries", "entries", "ms",
        (100, 1_000, 3_000, 10_000, 30_000), (("every entry, chain and tree", _audit),),
    ),
    Curve(
        "operators", "A step by an operator, by those who are there", "operators", "ms a step",
        (1, 3, 10, 30, 100, 300), (("there and back", _operators),),
    ),
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
