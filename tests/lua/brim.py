"""Fills a small memory to the brim in many ways; prints how many were survived.

Run by tests/swarm/test_lua_sandbox.py in a process of its own.
"""

from __future__ import annotations

import json
import random
import sys

import anyio

from flowir.errors import WorkerFailure
from swarm.errors import ScriptFailed
from swarm.lua.runner import InlineScripts
from swarm.ports.scripts import Script, ScriptLimits

LIMITS = ScriptLimits(instructions=300_000, memory_bytes=1024 * 1024, seconds=2.0)
FILLERS = (
    "t[#t + 1] = string.rep('x', {n}) .. #t",
    "t[#t + 1] = {{ #t, {{}}, {{ {n} }} }}",
    "t[#t + 1] = function() return t, {n} end",
    "t[#t + 1] = string.format('%{w}d', #t)",
    "t[#t + 1] = coroutine.wrap(function() coroutine.yield({n}) end)",
    "t['k' .. #t .. '{n}'] = true t[#t + 1] = {n}",
    "t[#t + 1] = table.concat({{ #t, string.rep('y', {n}) }}, ',')",
)
SHAPES = (
    "while true do {fill} end",
    "while true do pcall(function() while true do {fill} end end) end",
    "while true do {fill} if #t % 50 == 0 then swarm.echo({{ #t, string.rep('z', {n}) }}) end end",
    "pcall(function() while true do {fill} end end) return swarm.echo(t)",
    "for i = 1, {n} do {fill} end return t",
    "c = coroutine.wrap(function() ::b:: {fill} coroutine.yield() goto b end) repeat until c()",
)


async def echo(value: object) -> object:
    return value


async def main(count: int) -> None:
    chance = random.Random(7)  # noqa: S311 - the same scripts each time
    scripts = InlineScripts()
    survived = starved = 0
    for _ in range(count):
        n = chance.choice((1, 10, 99, 1_000, 5_000, 100_000))
        fill = chance.choice(FILLERS).format(n=n, w=chance.randint(1, 99))
        source = "local t = {} " + chance.choice(SHAPES).format(fill=fill, n=n)
        try:
            await scripts.run(Script("b.lua", source), None, host={"echo": echo}, limits=LIMITS)
        except ScriptFailed as e:
            starved += e.code == "script.memory"
        except WorkerFailure:
            continue
        survived += await scripts.run(Script("c.lua", "return 6 * 7"), None) == 42
    sys.stdout.write(json.dumps({"tried": count, "survived": survived, "starved": starved}))


anyio.run(main, int(sys.argv[1]))
