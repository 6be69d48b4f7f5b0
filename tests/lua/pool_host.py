"""A host that prints the processes of its scripts, and then waits to be killed.

Run by tests/swarm/test_lua_pool.py; one of its children computes, the other is idle.
"""

from __future__ import annotations

import sys

import anyio

from swarm.lua.pool import PooledScripts
from swarm.ports.scripts import Script, ScriptLimits

LIMITS = ScriptLimits(instructions=10**12, seconds=60.0)


async def main() -> None:
    pool = PooledScripts()

    async def told() -> None:
        sys.stdout.write(f"{' '.join(map(str, pool.children.pids))}\n")
        sys.stdout.flush()

    async with anyio.create_task_group() as tasks:
        for source in ("swarm.wait()", "swarm.told() while true do end"):
            script = Script("a.lua", source)
            host = {"told": told, "wait": anyio.sleep_forever}
            tasks.start_soon(lambda s=script, h=host: pool.run(s, None, host=h, limits=LIMITS))
            await anyio.sleep(0.5)


anyio.run(main)
