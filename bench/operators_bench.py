"""What an operator costs: a step to one and back, and one that only waits.

Prints one line for each. The host, uvicorn and the operators share one process and one
loop, so the figures hold all three; beside the round trip stands a bare echo over the same
stack, for the ratio, and the processor time of a step, which a busy machine does not change.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import anyio
from websockets.asyncio.client import connect as bare
from websockets.typing import Subprotocol

from bench.rounds import Figure, report
from swarm.operators import Bounds, Operators, Task
from swarm.operators.frames import PROTOCOL
from tests.swarm.operating import House, house

BOUNDS = Bounds(per_address=10_000, connections=10_000, rate=1_000_000, burst=1_000_000, tick_s=0.5)
STEPS = 500
_SPOKEN = Subprotocol(PROTOCOL)


def _resident_kb() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4


async def _echo(one: House) -> float:
    """Return the median of a heartbeat and its echo, in seconds: the line alone."""
    headers = {"Authorization": f"Bearer {one.token('echo')}"}
    times: list[float] = []
    async with bare(
        one.url, additional_headers=headers, subprotocols=[_SPOKEN], compression=None, proxy=None
    ) as line:
        await line.send('{"type":"hello","name":"echo"}')
        await line.recv()
        for _ in range(STEPS):
            began = time.perf_counter()
            await line.send('{"type":"heartbeat"}')
            await line.recv()
            times.append(time.perf_counter() - began)
    return median(times)


async def _steps(one: House) -> list[tuple[float, float]]:
    """Return, of a step by an operator and of one by a function: median, processor time."""
    operator = one.operator(capacity=64)

    @operator.handler
    async def work(task: Task) -> Any:
        return task.input

    here = {
        "swarm": 1,
        "id": "here",
        "agents": [{"name": "same", "kind": "function", "function": "same"}],
        "flow": {"kind": "step", "ref": "same", "in": "$.given", "out": "$.out"},
    }
    async with operator.running():
        await operator.welcomed()
        found: list[tuple[float, float]] = []
        for blueprint in (await one.load(), await one.host.load(here)):
            times: list[float] = []
            spent = time.process_time()
            for n in range(STEPS):
                began = time.perf_counter()
                run = await one.host.start(blueprint, {"given": n})
                await run.result()
                times.append(time.perf_counter() - began)
            found.append((median(times), (time.process_time() - spent) / STEPS))
    return found


async def _idle(one: House, many: int) -> tuple[float, float]:
    """Return KiB that an idle operator takes, both ends of it, and the lag of the loop (p99)."""
    headers = {"Authorization": f"Bearer {one.token('idle')}"}
    gc.collect()
    before, lines = _resident_kb(), list[Any]()
    for n in range(many):
        line = await bare(
            one.url, additional_headers=headers, subprotocols=[_SPOKEN], compression=None,
            proxy=None, max_queue=1,
        )  # fmt: skip
        await line.send(f'{{"type":"hello","name":"idle{n}"}}')
        await line.recv()
        lines.append(line)
    gc.collect()
    both_kb = (_resident_kb() - before) / many
    lags: list[float] = []
    for _ in range(200):
        began = time.perf_counter()
        await anyio.sleep(0.005)
        lags.append(time.perf_counter() - began - 0.005)
    for line in lines:
        await line.close()
    return both_kb, quantiles(lags, n=100)[98]


async def _many(one: House, operators: int, steps: int) -> float:
    """Return steps a second over many operators."""
    clients = [one.operator(f"op{n}", capacity=4) for n in range(operators)]
    took: list[float] = []
    async with anyio.create_task_group() as tasks:
        for client in clients:

            @client.handler
            async def work(task: Task) -> Any:
                return task.input

            tasks.start_soon(client.run)
        for client in clients:
            await client.welcomed()
        blueprint = await one.load()

        async def some(most: int) -> None:
            for n in range(most):
                await (await one.host.start(blueprint, {"given": n})).result()

        began = time.perf_counter()
        async with anyio.create_task_group() as runs:
            for _ in range(50):
                runs.start_soon(some, steps // 50)
        took.append(time.perf_counter() - began)
        tasks.cancel_scope.cancel()
    return steps / took[0]


async def _measured(idle: int, steps: int) -> list[Figure]:
    async with house(bounds=BOUNDS, operators=Operators(BOUNDS)) as one:

        @one.host.function("same")
        def same(value: Any) -> Any:
            return value

        found = await _round_trip(one)
        if idle:
            kb, lag_s = await _idle(one, idle)
            name = f"operator: both ends of one of {idle:,} idle lines"
            found.append(Figure(name, kb, "KiB", 100))
            found.append(Figure("operator: lag of the loop meanwhile, p99", lag_s * 1e3, "ms", 50))
            rate = await _many(one, 50, steps)
            found.append(Figure(f"operator: {steps:,} steps by 50 of them", rate, "steps/s"))
        return found


async def _round_trip(one: House) -> list[Figure]:
    echo_s = await _echo(one)
    (there_s, spent_s), (here_s, own_s) = await _steps(one)
    return [
        Figure("operator: a step there and back", there_s * 1e3, "ms", 2),
        Figure("operator: its processor time", spent_s * 1e3, "ms"),
        Figure("operator: to a bare echo over the same line", there_s / echo_s, "times"),
        Figure("operator: to a step by a function", there_s / here_s, "times"),
        Figure("operator: the same in processor time", spent_s / own_s, "times"),
    ]


def figures(idle: int = 1_000, steps: int = 2_000) -> Iterator[Figure]:
    """Measure everything; without *idle* lines, the round trip alone."""
    yield from anyio.run(_measured, idle, steps)


def main() -> int:
    """Print every figure; two words are the idle lines and the steps by many."""
    return report(figures(*(int(word) for word in sys.argv[1:3] if word.isdigit())))


if __name__ == "__main__":
    sys.exit(main())
