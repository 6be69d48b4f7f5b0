"""What operators cost: one that answers at once, a thousand that wait, a thousand that work.

    python -m bench.operators_bench [OPERATORS STEPS]

The operators are in a process of their own, as they are in life, and the host in this one.
A round trip is from the host's asking to the answer, with nothing of the step around it.
On a busy machine times are those of the machine; what a whole step takes of the processor,
at both ends, and how much of it the loop is kept from others at a time, are not.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, TypeAlias

import anyio
from websockets.asyncio.client import connect as bare
from websockets.typing import Subprotocol

from bench.flows import repeat
from bench.flows import step as one_step
from bench.rounds import Figure, report
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.operators import Bounds, Operators, Task, connect
from swarm.operators.frames import PROTOCOL
from swarm.ports.operators import Order, Reply
from swarm.ports.worker import StepLink
from tests.swarm.operating import House, house

BOUNDS = Bounds(per_address=10_000, connections=10_000, rate=1_000_000, burst=1_000_000)
STEPS = 1000
# Runs that go on at a time, while many operators work.
RUNS = 100
_SPOKEN = Subprotocol(PROTOCOL)
# By the clock, and of the processor. Units: seconds.
Lag: TypeAlias = tuple[float, float]


class Timed(Operators):
    """Operators of which it is noted how long they took."""

    def __init__(self) -> None:
        super().__init__(BOUNDS)
        self.times: list[float] = []

    async def ask(self, seat: str, order: Order, link: StepLink | None = None) -> Reply:
        began = time.perf_counter()
        try:
            return await super().ask(seat, order, link)
        finally:
            self.times.append(time.perf_counter() - began)


def _flow(steps: int) -> dict[str, Any]:
    agent = {"name": "work", "kind": "operator", "seat": "reviewer"}
    flow = repeat(steps, one_step("$.i", "$.n"))
    return {"swarm": 1, "id": "bench", "agents": [agent], "flow": flow}


def _spent_s(pid: int) -> float:
    """Return the processor time of another process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_kb(pid: int | str = "self") -> int:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * 4


# -- the other side ----------------------------------------------------------------------


async def operate(url: str, token: str, many: int) -> None:
    """Be so many operators, until this process is ended."""
    async with anyio.create_task_group() as tasks:
        for n in range(many):
            operator = connect(url, name=f"op{n}", token=token, seats=["reviewer"], capacity=4)

            @operator.handler
            async def work(task: Task) -> Any:
                return task.input

            tasks.start_soon(operator.run)
            # One after the other: a busy machine would let a crowd of handshakes run out of time.
            await operator.welcomed()


@asynccontextmanager
async def _operating(one: House, many: int) -> AsyncGenerator[int]:
    """Start so many operators; hand over the process they are in."""
    argv = [sys.executable, "-m", "bench.operators_bench", "--operate", one.url, str(many)]
    environment = {**os.environ, "BENCH_TOKEN": one.token("ada")}
    process = await anyio.open_process(argv, env=environment, stdout=None, stderr=None)
    try:
        with anyio.fail_after(900):
            while len(one.operators.desk.members) < many:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        await process.wait()
        await process.aclose()
        while one.endpoint.lines:  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.02)


# -- what is measured --------------------------------------------------------------------


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


async def _alone(one: House, operators: Timed) -> list[Figure]:
    """Measure one operator who does one step after the other."""
    echo_s = await _echo(one)
    async with _operating(one, 1) as pid:
        await _run(one, await one.host.load(_flow(50)))
        blueprint = await one.host.load(_flow(STEPS))
        operators.times.clear()
        spent, theirs = time.process_time(), _spent_s(pid)
        await _run(one, blueprint)
        spent, theirs = (time.process_time() - spent) / STEPS, (_spent_s(pid) - theirs) / STEPS
    found_s = median(operators.times)
    return [
        Figure("operator: a step there and back, median", found_s * 1e3, "ms", 2),
        Figure(
            "operator: the same, the quickest tenth",
            quantiles(operators.times, n=10)[0] * 1e3,
            "ms",
        ),
        Figure(
            "operator: processor time of a whole step, both ends", (spent + theirs) * 1e3, "ms", 2
        ),
        Figure("operator: of that, the host's", spent * 1e3, "ms"),
        Figure("operator: a bare echo over the same line", echo_s * 1e3, "ms"),
        Figure("operator: there and back, to a bare echo", found_s / echo_s, "times"),
    ]


async def _run(one: House, blueprint: CompiledBlueprint) -> None:
    await (await one.host.start(blueprint, {"n": 0})).result()


async def _many(one: House, operators: Timed, many: int, steps: int) -> list[Figure]:
    """Measure so many operators, idle and at work."""
    gc.collect()
    before = _resident_kb()
    async with _operating(one, many) as pid:
        gc.collect()
        idle_kb = (_resident_kb() - before) / many
        theirs_kb = _resident_kb(pid) / many
        idle = await _lags(0.5)
        operators.times.clear()
        blueprint = await one.host.load(_flow(steps // RUNS))
        lags: list[Lag] = []
        began, spent = time.perf_counter(), time.process_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_lagging, lags)
            async with anyio.create_task_group() as runs:
                for _ in range(RUNS):
                    run = await one.host.start(blueprint, {"n": 0})
                    runs.start_soon(run.result)
            tasks.cancel_scope.cancel()
        took, spent = time.perf_counter() - began, time.process_time() - spent
    return [
        Figure(f"operators: memory of the host for one of {many:,} that wait", idle_kb, "KiB", 100),
        Figure("operators: and of their own process", theirs_kb, "KiB"),
        Figure("operators: lag of the loop while they wait, p99", _p99(idle, 0) * 1e3, "ms", 50),
        Figure(
            f"operators: lag of the loop over {steps:,} steps, p99", _p99(lags, 0) * 1e3, "ms", 50
        ),
        Figure("operators: the same in processor time", _p99(lags, 1) * 1e3, "ms", 50),
        Figure(f"operators: steps, {RUNS} at a time", len(operators.times) / took, "steps/s"),
        Figure("operators: processor time of the host for one", spent / steps * 1e3, "ms"),
    ]


async def _lags(for_s: float) -> list[Lag]:
    lags: list[Lag] = []
    with anyio.move_on_after(for_s):
        await _lagging(lags)
    return lags


async def _lagging(lags: list[Lag]) -> None:
    """Note how late a sleeper is woken, and what others did with the processor meanwhile."""
    while True:
        began, spent = time.perf_counter(), time.process_time()
        await anyio.sleep(0.005)
        lags.append((time.perf_counter() - began - 0.005, time.process_time() - spent))


def _p99(lags: list[Lag], of: int) -> float:
    return quantiles([lag[of] for lag in lags], n=100)[98]


async def _measured(idle: int, steps: int) -> list[Figure]:
    operators = Timed()
    async with house(bounds=BOUNDS, operators=operators) as one:
        found = await _alone(one, operators)
        return found + (await _many(one, operators, idle, steps) if idle else [])


def figures(idle: int = 1_000, steps: int = 10_000) -> Iterator[Figure]:
    """Measure everything; without *idle* operators, the round trip alone."""
    yield from anyio.run(_measured, idle, steps)


def main() -> int:
    """Print every figure; two words are how many operators there are, and their steps."""
    return report(figures(*(int(word) for word in sys.argv[1:3] if word.isdigit())))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--operate"]:
        anyio.run(operate, sys.argv[2], os.environ["BENCH_TOKEN"], int(sys.argv[3]))
    else:
        sys.exit(main())
