"""What a Lua script costs in both places: `python -m bench.lua_bench [--strict]`.

Prints one line a figure, with its target where there is one. With `--strict` it exits
with 1 if a target was missed. Beside the figures of the pool stands what the machine takes for
its least part: a few bytes over a pipe to another Python and back, in turns with the scripts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

import anyio

from bench.rounds import Figure, report
from swarm.errors import ScriptFailed
from swarm.lua.pool import PooledScripts
from swarm.lua.process import ScriptProcess
from swarm.lua.runner import InlineScripts
from swarm.ports.scripts import Script, ScriptLimits, ScriptRunner

__all__ = ("figures", "main", "page")

_STARTS = 15
_DEADLINES = 5
_TIMES = 2_000
_LARGE = 300
_STEP = Script("step.lua", "return input.n + 1")
_ECHO = Script("echo.lua", "return input")
_ASK = Script("ask.lua", "return swarm.echo(input)")
# What the other end of a bare pipe does: it gives back what comes.
_MIRROR = "import os\nwhile d := os.read(0, 65536): os.write(1, d)"
# C goes through zeros one by one, and no hook looks at a few instructions.
_ENDLESS = Script(
    "endless.lua",
    "local z = ('\\0'):rep(6000000) local a = z .. z .. z local b = a .. 'b' "
    "while true do local _ = a < b end",
)


def page() -> dict[str, Any]:
    """Return 10 KB of JSON as agents exchange it: some records, some prose."""
    record = {"id": 17, "title": "A review of the second draft", "score": 0.75, "done": False}
    return {
        f"section_{n}": {
            "text": "It reads well, and the argument is easy to follow. " * 6,
            "notes": ["shorter", "cite the source"],
            "of": record,
        }
        for n in range(20)
    }


def figures() -> Iterator[Figure]:
    """Measure everything."""
    yield from anyio.run(_measured)


async def _measured() -> list[Figure]:
    return [figure async for figure in _figures()]


async def _figures() -> AsyncIterator[Figure]:
    inline, pool = InlineScripts(), PooledScripts()
    large = page()
    size = len(json.dumps(large))
    small = {"n": 1}
    yield Figure("Lua in process: a step", await _us(inline, _STEP, small, _TIMES), "µs", 60)
    yield Figure(
        "Lua in process: a step that asks the host", await _us(inline, _ASK, 1, _TIMES), "µs"
    )
    yield Figure(
        f"Lua in process: {size} bytes both ways", await _us(inline, _ECHO, large, _LARGE), "µs"
    )
    warm_us, pipe_us = await _beside_a_pipe(pool)
    yield Figure("Lua in the pool: a step, warm", warm_us, "µs", 150)
    yield Figure("A bare pipe to another Python and back", pipe_us, "µs")
    yield Figure("Lua in the pool: a step, warm, in bare round trips", warm_us / pipe_us, "times")
    yield Figure(
        "Lua in the pool: a step that asks the host", await _us(pool, _ASK, 1, _TIMES), "µs"
    )
    yield Figure(
        f"Lua in the pool: {size} bytes both ways",
        await _us(pool, _ECHO, large, _LARGE),
        "µs",
        1000,
    )
    yield Figure(
        "Lua in the pool: from nothing to a child that is ready", await _cold_ms(), "ms", 40
    )
    yield Figure("Lua in the pool: beyond the deadline", await _late_ms(pool), "ms", 250)
    await pool.aclose()


def main() -> int:
    """Print every figure as it is found."""
    return report(figures())


async def _us(scripts: ScriptRunner, script: Script, input: Any, times: int) -> float:
    seconds: list[float] = []
    for _ in range(times):
        began = perf_counter()
        await scripts.run(script, input, host={"echo": _echo})
        seconds.append(perf_counter() - began)
    return median(seconds) * 1e6


async def _beside_a_pipe(pool: ScriptRunner) -> tuple[float, float]:
    """Return what a step and what a bare round trip takes, one after the other."""
    steps: list[float] = []
    trips: list[float] = []
    with _mirror() as trip:
        for _ in range(_TIMES):
            began = perf_counter()
            await pool.run(_STEP, {"n": 1}, host={"echo": _echo})
            between = perf_counter()
            trip()
            trips.append(perf_counter() - between)
            steps.append(between - began)
    return median(steps) * 1e6, median(trips) * 1e6


@contextmanager
def _mirror() -> Generator[Callable[[], None]]:
    """Start another Python that gives back what comes, with a call for one round trip."""
    argv = [sys.executable, "-I", "-S", "-c", _MIRROR]
    with subprocess.Popen(  # noqa: S603 - our own text
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as mirror:
        assert mirror.stdin is not None  # noqa: S101 - asked for above
        assert mirror.stdout is not None  # noqa: S101 - so is this
        there, back = mirror.stdin.fileno(), mirror.stdout.fileno()

        def trip() -> None:
            os.write(there, b"n = 1")
            os.read(back, 64)

        yield trip
        mirror.stdin.close()


async def _echo(value: Any) -> Any:
    return value


async def _cold_ms() -> float:
    seconds: list[float] = []
    for _ in range(_STARTS):
        began = perf_counter()
        process = ScriptProcess()
        await process.ready()
        seconds.append(perf_counter() - began)
        await process.end()
    return median(seconds) * 1e3


async def _late_ms(pool: PooledScripts) -> float:
    """Return the longest time by which a call that nothing stops outlived its second."""
    late: list[float] = []
    for _ in range(_DEADLINES):
        await pool.run(_STEP, {"n": 1})  # warm: the start of a child is not the script's
        began = perf_counter()
        try:
            await pool.run(_ENDLESS, None, limits=ScriptLimits(seconds=0.5))
        except ScriptFailed:
            late.append(perf_counter() - began - 0.5)
    return max(late) * 1e3


if __name__ == "__main__":
    sys.exit(main())
