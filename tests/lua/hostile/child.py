"""Runs hostile scripts for tests/swarm/test_lua_hostile.py: a case a line in, a line out.

The arguments are the place, "inline" or "pool", and what is planted into the parts of the
sandbox in process: pairs of texts by part, as JSON.

A process of its own, so that a script which hangs or crashes its host costs one test.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from time import process_time
from typing import Any

import anyio

from flowir.errors import FlowError
from swarm.errors import SwarmError
from swarm.lua import sandbox
from swarm.lua.pool import PooledScripts
from swarm.lua.runner import InlineScripts
from swarm.ports.scripts import Script, ScriptLimits, ScriptRunner

INPUT = {"list": [1, 2], "empty": [], "nothing": None}
MEMORY = 64 * 1024 * 1024
PLENTY = ScriptLimits(memory_bytes=MEMORY, seconds=30.0)
# What the next script of the same runner must find, whatever the one before it did.
PROBE = """
local all = {}
for name in pairs(_G) do all[#all + 1] = name end
table.sort(all, function(a, b) return a > b end)
return {
  ("x"):upper(), string.format("%d", 7), math.floor(1.5), #all, left_behind == nil,
  tostring(null), next(null) == nil, #array {}, pcall(error), swarm.echo(1), math.random(1000000),
}
"""


async def echo(value: Any) -> Any:
    return value


async def broken() -> Any:
    raise RuntimeError("no luck")


async def outcome(
    scripts: ScriptRunner, source: str, limits: ScriptLimits = PLENTY
) -> dict[str, Any]:
    host = {"echo": echo, "broken": broken}
    try:
        value = await scripts.run(Script("a.lua", source), INPUT, host=host, limits=limits)
    except (SwarmError, FlowError) as e:
        return {"code": e.code, "message": str(e)}
    return {"value": value}


def plant(changes: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """Replace texts of the sandbox's parts."""
    read = sandbox._source  # pyright: ignore[reportPrivateUsage]

    def planted(part: str) -> bytes:
        source = read(part)
        for old, new in changes.get(part, ()):
            assert source.count(old.encode()) == 1, old
            source = source.replace(old.encode(), new.encode())
        return source

    sandbox._source = planted  # pyright: ignore[reportPrivateUsage]


async def main(place: str) -> None:
    scripts = InlineScripts() if place == "inline" else PooledScripts()
    expected = await outcome(scripts, PROBE)
    for line in sys.stdin:
        case = json.loads(line)
        began = process_time()
        limits = PLENTY._replace(**case["limits"])
        told = await outcome(scripts, case["source"], limits)
        told["spent_s"] = process_time() - began
        told["clean"] = await outcome(scripts, PROBE) == expected and "value" in expected
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


plant(json.loads(sys.argv[2]))
anyio.run(main, sys.argv[1])
