"""What the durable host costs, beside a plain await and raw commits of the same file.

Prints one line for each: medians of rounds, in which the rivals take turns.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import anyio
import apsw

from flowir.wire import load
from swarm.blueprint.frozen import thawed
from swarm.core.replay import Replay
from swarm.host.host import Host
from swarm.host.parts import Parts
from swarm.ports.worker import Call, Outcome, StepLink
from swarm.stores.sqlite import Durability, open_store
from swarm.testing import scripted_blueprint

ROUNDS = 5
STEPS = 2_000
RUNS = 1_000
LANES = 1_000


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


async def timed(act: Callable[[], Awaitable[Any]]) -> float:
    gc.collect()
    began = time.perf_counter()
    await act()
    return time.perf_counter() - began


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


async def started_together(durability: Durability, folder: Path) -> float:
    blueprint = scripted_blueprint(FIVE, {"w": work})
    store = folder / f"{durability}-{time.monotonic_ns()}"
    async with Host(Parts.at(store, durability)) as host:

        async def one() -> None:
            await (await host.start(blueprint)).result()

        async def all_runs() -> None:
            async with anyio.create_task_group() as tasks:
                for _ in range(RUNS):
                    tasks.start_soon(one)

        return await timed(all_runs)


async def resumed(folder: Path) -> float:
    """Return the time it takes to bring a run of 10,000 steps back, reading included."""
    store = folder / "resumed"
    blueprint = scripted_blueprint(chain(10_000), {"w": work})
    async with Host(Parts.at(store, "normal")) as host:
        run = await host.start(blueprint, run_id="long")
        await run.result()
    opened = open_store(store, "normal")
    took: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        rows = await opened.journal.read(run.log.run_id, 0, 1_000_000)
        replay = Replay(load(thawed(blueprint.document["flow"])), rows[0])
        replay.feed(rows[1:])
        took.append(time.perf_counter() - began)
    opened.close()
    return median(took)


def line(what: str, value: str, beside: str = "") -> None:
    print(f"{what:<46} {value:>16}  {beside}")


async def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        await plain(STEPS)
        awaited = median([await timed(lambda: plain(STEPS)) for _ in range(ROUNDS)]) / STEPS
        line("plain await of the worker", f"{awaited * 1e6:.2f} us")
        for durability in ("memory", "normal", "full"):
            steps = STEPS if durability != "full" else STEPS // 4
            ours: list[float] = []
            raws: list[float] = []
            for _ in range(ROUNDS):
                if durability != "memory":
                    raws.append(raw_commits(folder, durability, steps) / steps)
                ours.append(await hosted(chain(steps), durability, folder, 1) / steps)
            took = median(ours)
            ratio = median([a / b for a, b in zip(ours, raws, strict=False)]) if raws else 0
            beside = f"{took / awaited:.0f} x plain await"
            if raws:
                beside += f", {ratio:.2f} x a raw commit ({median(raws) * 1e6:.0f} us)"
            line(f"sequential step, {durability}", f"{took * 1e6:.1f} us", beside)
        for durability in ("memory", "normal", "full"):
            took = median([await started_together(durability, folder) for _ in range(ROUNDS)])
            line(f"{RUNS} runs of 5 steps, {durability}", f"{RUNS * 5 / took:,.0f} steps/s")
        for durability in ("memory", "normal", "full"):
            took = median([await hosted(FAN, durability, folder, 1) for _ in range(ROUNDS)])
            line(f"fanout item, {durability}", f"{took / LANES * 1e6:.1f} us")
        line("resume of 10,000 steps", f"{await resumed(folder):.3f} s")


if __name__ == "__main__":
    anyio.run(main)
