"""What the durable host costs: `python -m bench.host_bench [--strict] [FOLDER]`.

Beside a plain await and bare commits of the same file: medians of rounds, in which the
rivals take turns.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - what apps use
import gc
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import anyio
import apsw

from bench.rounds import Figure, in_folder, ratio
from flowir.wire import load
from swarm.blueprint.frozen import thawed
from swarm.core.replay import Replay
from swarm.host.host import Host
from swarm.host.parts import Parts
from swarm.host.serving import quieten_collector
from swarm.ports.worker import Call, Outcome, StepLink
from swarm.stores.sqlite import Durability, open_store
from swarm.testing import scripted_blueprint

ROUNDS = 5
STEPS = 2_000
RUNS = 1_000
LANES = 1_000
DURABILITIES: tuple[Durability, ...] = ("memory", "normal", "full")


async def work(call: Call, link: StepLink) -> Outcome:
    return Outcome(call.input)


def lit(value: Any) -> dict[str, Any]:
    return {"op": "lit", "value": value}


def chain(steps: int) -> dict[str, Any]:
    body = {"kind": "step", "ref": "w", "in": {"op": "path", "at": "$.n"}, "out": "$.x"}
    return {"kind": "loop", "counter": "$.n", "cond": lit(True), "max": steps, "body": body}


FIVE = {"kind": "seq", "children": [{"kind": "step", "ref": "w", "in": lit(1)}] * 5}
FAN = {
    "kind": "fanout",
    "items": lit(list(range(LANES))),
    "bind": "$.i",
    "body": {"kind": "step", "ref": "w", "in": {"op": "path", "at": "$.i"}, "out": "$.x"},
    "join": "all",
    "out": "$.all",
    "collect": {"op": "path", "at": "$.x"},
}


async def timed(
    act: Callable[[], Awaitable[Any]], clock: Callable[[], float] = time.perf_counter
) -> float:
    gc.collect()
    began = clock()
    await act()
    return clock() - began


def raw_commits(folder: Path, durability: str, commits: int) -> float:
    """Return the time of commits of one row of a step's size."""
    connection = apsw.Connection(str(folder / f"raw-{time.monotonic_ns()}.db"))
    connection.execute("pragma journal_mode = wal")
    connection.execute(f"pragma synchronous = {durability}")
    connection.execute("create table event (pos integer primary key, body blob)")
    body = b"x" * 400
    began = time.perf_counter()
    for _ in range(commits):
        connection.execute("insert into event (body) values (?)", (body,))
    took = time.perf_counter() - began
    connection.close()
    return took


async def plain(steps: int) -> None:
    call = Call("r", "k", "w", 1)
    link: Any = None
    for _ in range(steps):
        await work(call, link)


async def hosted(flow: dict[str, Any], durability: Durability, folder: Path, runs: int) -> float:
    blueprint = scripted_blueprint(flow, {"w": work})
    store = folder / f"{durability}-{time.monotonic_ns()}"
    async with Host(Parts.at(store, durability)) as host:

        async def all_runs() -> None:
            started = [await host.start(blueprint) for _ in range(runs)]
            for run in started:
                await run.result()

        return await timed(all_runs)


async def started_together(
    durability: Durability, folder: Path, clock: Callable[[], float] = time.perf_counter
) -> float:
    blueprint = scripted_blueprint(FIVE, {"w": work})
    store = folder / f"{durability}-{time.monotonic_ns()}"
    async with Host(Parts.at(store, durability)) as host:

        async def one() -> None:
            await (await host.start(blueprint)).result()

        async def all_runs() -> None:
            # As an app would: a group of anyio's takes as long to start a task as two steps do.
            await asyncio.gather(*(one() for _ in range(RUNS)))

        return await timed(all_runs, clock)


async def resumed(
    folder: Path, steps: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the time it takes to bring a run of *steps* back, reading included."""
    store = folder / f"resumed-{steps}"
    blueprint = scripted_blueprint(chain(steps), {"w": work})
    async with Host(Parts.at(store, "normal")) as host:
        run = await host.start(blueprint, run_id="long")
        await run.result()
    opened = open_store(store, "normal")
    took: list[float] = []
    for _ in range(3):
        began = clock()
        rows = await opened.journal.read(run.log.run_id, 0, 1_000_000)
        replay = Replay(load(thawed(blueprint.document["flow"])), rows[0])
        replay.feed(rows[1:])
        took.append(clock() - began)
    opened.close()
    return median(took)


def figures(folder: Path) -> Iterator[Figure]:
    """Measure everything, one figure after the other."""
    anyio.run(plain, STEPS)
    awaited = median(anyio.run(timed, lambda: plain(STEPS)) for _ in range(ROUNDS)) / STEPS
    yield Figure("plain await of the worker", awaited * 1e6, "µs")
    for durability in DURABILITIES:
        yield from _sequential(durability, folder, awaited)
    for durability in DURABILITIES:
        took = median(anyio.run(started_together, durability, folder) for _ in range(ROUNDS))
        yield Figure(f"{RUNS} runs of 5 steps, {durability}", RUNS * 5 / took, "steps/s")
    for durability in DURABILITIES:
        took = median(anyio.run(hosted, FAN, durability, folder, 1) for _ in range(ROUNDS))
        yield Figure(f"fanout item, {durability}", took / LANES * 1e6, "µs")
    yield from resuming(folder)
    yield from _processor(folder)


def _processor(folder: Path) -> Iterator[Figure]:
    """Measure the processor's time of a step of many runs: others on the machine add little.

    The collector is left as `swarm serve` sets it, so this comes last.
    """
    for how in ("", ", collector as in `swarm serve`"):
        if how:
            quieten_collector()
        for durability in DURABILITIES:
            taken = [
                anyio.run(started_together, durability, folder, time.process_time)
                for _ in range(ROUNDS)
            ]
            name = f"a step of {RUNS} runs, CPU, {durability}{how}"
            yield Figure(name, median(taken) / RUNS / 5 * 1e6, "µs")


def _sequential(durability: Durability, folder: Path, awaited: float) -> Iterator[Figure]:
    """Measure a step of a chain, with bare commits of the same file in turns."""
    steps = STEPS if durability != "full" else STEPS // 4
    ours: list[float] = []
    raws: list[float] = []
    for _ in range(ROUNDS):
        if durability != "memory":
            raws.append(raw_commits(folder, durability, steps) / steps)
        ours.append(anyio.run(hosted, chain(steps), durability, folder, 1) / steps)
    name = f"sequential step, {durability}"
    yield Figure(name, median(ours) * 1e6, "µs")
    yield Figure(f"{name}, to a plain await", median(ours) / awaited, "times")
    if raws:
        most = 2 if durability == "full" else None
        yield Figure(f"{name}, to a bare commit", ratio(ours, raws), "times", most)


def resuming(folder: Path) -> Iterator[Figure]:
    """Measure how long a run of many steps takes to be where it was."""
    yield Figure("resume of 10,000 steps", anyio.run(resumed, folder, 10_000), "s", 0.3)


def main() -> int:
    """Print every figure as it is found."""
    return in_folder(figures)


if __name__ == "__main__":
    sys.exit(main())
