"""swarm: a host with the defaults of a fresh install, and async functions as agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import swarm

from .meter import Works, contend, payload

SETTINGS = {
    "memory": "Host.in_memory()",
    "stack": "Host.in_memory(), with audit, redact, retry, budget, limit and timeout at work",
    "normal": "Host(folder, durability='normal'): WAL, synchronous=NORMAL, a commit a step",
    "full": "Host(folder), the default: WAL, synchronous=FULL, a commit a step",
}
STACK: tuple[dict[str, Any], ...] = (
    {"use": "audit"},
    {"use": "redact"},
    {"use": "retry"},
    {"use": "budget", "tokens": 1_000_000_000},
    {"use": "limit", "concurrency": 256, "rate_per_s": 1e9, "burst": 1_000_000},
    {"use": "timeout", "seconds": 60},
)
_CHAIN = """
local flow = require "flow"
local bump = flow.fn "bump"
return flow.blueprint {
  id = "chain", agents = { bump },
  flow = flow.loop {
    counter = "ctx.turn", max = 1000000, when = "ctx.n < ctx.most",
    run = flow.step { agent = bump, input = "ctx.n", out = "ctx.n" },
  },
}
"""
_FAN = """
local flow = require "flow"
local double = flow.fn "double"
return flow.blueprint {
  id = "fan", agents = { double },
  flow = flow.fanout {
    over = "ctx.items", as = "ctx.item", join = "all", collect = "ctx.twice", out = "ctx.found",
    run = flow.step { agent = double, input = "ctx.item", out = "ctx.twice" },
  },
}
"""


def _host(mode: str, folder: Path) -> swarm.Host:
    if mode == "memory":
        return swarm.Host.in_memory()
    if mode == "stack":
        return swarm.Host.in_memory(layers=STACK)
    return swarm.Host(folder / "store", durability="normal" if mode == "normal" else "full")


@asynccontextmanager
async def opened(mode: str, folder: Path) -> AsyncGenerator[Works]:
    host = _host(mode, folder)

    @host.function("bump")
    async def bump(n: int) -> int:
        return n + 1

    @host.function("double")
    async def double(n: int) -> int:
        return 2 * n

    async with host:
        (folder / "chain.lua").write_text(_CHAIN)
        (folder / "fan.lua").write_text(_FAN)
        chained = await host.load(str(folder / "chain.lua"))
        fanned = await host.load(str(folder / "fan.lua"))

        async def done(context: dict[str, Any]) -> Any:
            return await (await host.start(chained, context)).result()

        async def chain(size: int) -> int:
            return (await done({"n": 0, "most": size}))["n"]

        async def fan(size: int) -> list[int]:
            run = await host.start(fanned, {"items": list(range(size))})
            return (await run.result())["found"]

        async def runs(size: int) -> list[int]:
            ends = await asyncio.gather(*(done({"n": 0, "most": 5}) for _ in range(size)))
            return [end["n"] for end in ends]

        async def carried(size: int) -> list[int]:
            end = await done({"n": 0, "most": size, "payload": payload()})
            return [end["n"], len(end["payload"])]

        yield {"W1": chain, "W2": fan, "W3": runs, "W4": carried}


if __name__ == "__main__":
    contend(opened, settings=SETTINGS, packages=("lua-swarm",))
