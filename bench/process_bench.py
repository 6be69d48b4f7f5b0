"""What a program as an agent costs beside a bare start of it: `python -m bench.process_bench`.

The rivals take turns, and a ratio is the median of the ratios of single rounds. A step is
an attempt of an agent without a host around it: its directory, its keeper, its pipes, its
end. A bare start is what `anyio` offers: started, read, waited for.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from statistics import median
from typing import Any

import anyio

from bench.rounds import Figure, ratio, report
from swarm.blueprint.agent import AgentSpec
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import Call, Toolbox
from swarm.workers.process.factory import ProcessFactory
from swarm.workers.process.house import ProcessHouse

__all__ = ("figures", "main")

ROUNDS = 7
STEPS = 20
_TRUE = ["true"]
_PYTHON = [sys.executable, "-c", "pass"]


class _NoLink:
    """What an attempt without a run has: a link that nobody listens to."""

    async def progress(self, text: str) -> None: ...


async def _bare(argv: list[str]) -> None:
    await anyio.run_process(argv)


def _step(house: ProcessHouse, argv: list[str]) -> Callable[[], Awaitable[Any]]:
    agent = AgentSpec("tool", "process", {"argv": argv})
    worker = ProcessFactory(house).build(agent, Toolbox(InlineScripts(), {}))
    call = Call("r_1", "$", "tool", "x", spec=agent)
    link: Any = _NoLink()
    return lambda: worker(call, link)


async def _seconds(act: Callable[[], Awaitable[Any]]) -> float:
    gc.collect()
    began = time.perf_counter()
    for _ in range(STEPS):
        await act()
    return (time.perf_counter() - began) / STEPS


async def _measured() -> list[Figure]:
    house, found = ProcessHouse(), list[Figure]()
    try:
        for name, argv in (("true", _TRUE), ("python -c pass", _PYTHON)):
            step = _step(house, argv)
            await step()  # the nursery starts with the first
            steps: list[float] = []
            bare: list[float] = []
            for _ in range(ROUNDS):
                bare.append(await _seconds(lambda argv=argv: _bare(argv)))
                steps.append(await _seconds(step))
            found += (
                Figure(f"{name}: a bare start", median(bare) * 1e3, "ms"),
                Figure(f"{name}: a step", median(steps) * 1e3, "ms"),
                Figure(f"{name}: a step to a bare start", ratio(steps, bare), "times"),
            )
    finally:
        house.close()
    return found


def figures() -> Iterator[Figure]:
    """Measure everything."""
    yield from anyio.run(_measured)


def main() -> int:
    """Print every figure."""
    return report(figures())


if __name__ == "__main__":
    sys.exit(main())
