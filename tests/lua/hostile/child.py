"""Runs hostile scripts for tests/swarm/test_lua_hostile.py: a case a line in, a line out.

The arguments are the place, "inline" or "pool", and what is planted, as JSON: pairs of texts by
part of the sandbox in process, or under "grace_s" what the pool gives a script beyond its seconds.

A process of its own, so that a script which hangs or crashes its host costs one test.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import anyio

from flowir.errors import FlowError
from swarm.errors import SwarmError
from swarm.lua import pool, sandbox
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


class Spent:
    """What this process and its children, living and gone, compute from now on.

    The time for which somebody computed is not longer where others use the machine too.
    """

    def __init__(self, pids: Collection[int]) -> None:
        self._before = {pid: computed_s(pid) for pid in pids}
        self._began = process_time() + reaped_s()

    def seconds(self, pids: Collection[int]) -> float:
        """Tell how much; *pids* are the children that live."""
        before = sum(s for pid, s in self._before.items() if pid not in pids)
        living = sum(computed_s(pid) - s for pid, s in self._before.items() if pid in pids)
        return process_time() + reaped_s() - self._began - before + living


def computed_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def reaped_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def children_of(scripts: ScriptRunner) -> Collection[int]:
    return scripts.children.pids if isinstance(scripts, PooledScripts) else ()


async def main(place: str) -> None:
    scripts = InlineScripts() if place == "inline" else PooledScripts()
    expected = await outcome(scripts, PROBE)
    for line in sys.stdin:
        case = json.loads(line)
        limits = PLENTY._replace(**case["limits"])
        spent = Spent(children_of(scripts))
        told = await outcome(scripts, case["source"], limits)
        told["spent_s"] = spent.seconds(children_of(scripts))
        told["clean"] = await outcome(scripts, PROBE) == expected and "value" in expected
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


planted = json.loads(sys.argv[2])
setattr(pool, "_GRACE_S", planted.pop("grace_s", pool._GRACE_S))  # noqa: B010 # pyright: ignore[reportPrivateUsage]
plant(planted)
anyio.run(main, sys.argv[1])
