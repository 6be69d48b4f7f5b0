"""The same script does the same: in both places, in other processes, under other hash seeds.

Told is what a script can see of order, chance, time and addresses, and the instruction at
which a budget ends it: the last number that it handed to the host before.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import swarm.lua.sandbox
from swarm.errors import ScriptFailed
from swarm.lua.pool import PooledScripts
from swarm.lua.runner import InlineScripts
from swarm.ports.scripts import Script, ScriptLimits, ScriptRunner

ROOT = Path(__file__).parents[2]
# Plenty of seconds: the instructions are to decide.
LIMITS = ScriptLimits(instructions=60_000, seconds=60.0)
FACTS = {"key": "$.step", "attempt": 1, "now": "2026-01-01T00:00:00Z"}

SEEN = """
local t, keys, numbers = {}, {}, {}
for _, word in ipairs({ "delta", "alpha", "ünder", "Z", "a", "10", "9" }) do t[word] = #word end
t[2.5], t[-1], t[true], t[false], t[1] = 1, 2, 3, 4, 5
for key in pairs(t) do keys[#keys + 1] = tostring(key) end
for i = 1, 8 do numbers[i] = math.random(1 << 40) end
local function f() end
local shown = { tostring({}), tostring(f), tostring(coroutine.create(f)), tostring(print or pcall) }
local _, why = pcall(function() return {} < f end)
local sorted = { "b2", "a1", "b1", "a2" }
table.sort(sorted, function(a, b) return a:sub(1, 1) < b:sub(1, 1) end)
return {
  keys = keys, numbers = numbers, shown = shown, why = why, sorted = sorted, first = (next(t)),
  now = swarm.now, clock = rawget(_G, "os") == nil, floats = { 0.1 + 0.2, 1e100, 2^53 },
  nan = string.format("%s %.1f", 0 / 0, -(0 / 0)), member = input.a,
}
"""

# Each ends at its budget, and has told how far it came.
ENDLESS = {
    "a loop": "local n = 0 while true do n = n + 1 if n % 10 == 0 then swarm.mark(n) end end",
    "pcall": """
        local n = 0
        while true do
          pcall(function() n = n + 1 error("x") end)
          if n % 5 == 0 then swarm.mark(n) end
        end""",
    "coroutines": """
        local n = 0
        local co = coroutine.wrap(function() while true do n = n + 1 coroutine.yield() end end)
        while true do co() if n % 5 == 0 then swarm.mark(n) end end""",
    "new coroutines": """
        local n = 0
        for _ = 1, 900 do
          coroutine.wrap(function() for _ = 1, 100 do n = n + 1 end end)() swarm.mark(n)
        end
        while true do n = n + 1 if n % 10 == 0 then swarm.mark(n) end end""",
    "long strings": """
        local big, n = string.rep("x", 100000), 0
        while true do n = n + 1 local _ = big .. n if n % 5 == 0 then swarm.mark(n) end end""",
    "libraries": """
        local n = 0
        while true do
          n = n + 1
          local t = { 3, 1, 2 } table.sort(t) local _ = ("x"):rep(100):gsub("x", "yz"):upper()
          if n % 10 == 0 then swarm.mark(n) end
        end""",
    "patterns": """
        local s, n = ("key = value, "):rep(300), 0
        while true do
          n = n + 1
          local _ = s:match("(%w+)%s*=%s*(%d+)") or s:gsub("%s+", "")
          swarm.mark(n)
        end""",
    "patterns that C is not given": """
        local s, n = ("a"):rep(300), 0
        for w in s:gmatch("(a-)a-(a-)a-a") do n = n + 1 swarm.mark(n) end
        while true do n = n + 1 local _ = s:find("a*a*a*a*b") end""",
}


async def told(scripts: ScriptRunner, source: str) -> Any:
    marks: list[int] = [0]

    async def mark(n: int) -> None:
        marks[0] = n

    script = Script("a.lua", source)
    try:
        return await scripts.run(
            script, {"a": {"y": 1, "b": 2}}, host={"mark": mark}, facts=FACTS, limits=LIMITS
        )
    except ScriptFailed as e:
        return [e.code, e.message, marks[0]]


async def all_told(scripts: ScriptRunner) -> dict[str, Any]:
    return {name: await told(scripts, source) for name, source in {"seen": SEEN, **ENDLESS}.items()}


async def test_what_patterns_cost_does_not_depend_on_who_came_before() -> None:
    scripts = InlineScripts()
    alone = await told(scripts, ENDLESS["patterns"])
    used = "return (('key = value, '):rep(300):match('(%w+)%s*=%s*(%d+)'))"
    assert await scripts.run(Script("b.lua", used), None) is None
    assert await told(scripts, ENDLESS["patterns"]) == alone


async def test_both_places_agree_and_so_does_every_run() -> None:
    pool, inline = PooledScripts(), InlineScripts()
    try:
        first = await all_told(inline)
        assert first == await all_told(inline)
        assert first == await all_told(pool)
    finally:
        await pool.aclose()
    assert all(first[name][0] == "script.budget" for name in ENDLESS), first
    assert all(first[name][2] > 0 for name in ENDLESS), first
    assert "60000 instructions" in first["a loop"][1]


_PRINTED = """
import anyio, json
from swarm.lua.runner import InlineScripts
from tests.swarm.test_lua_determinism import all_told
async def main(): print(json.dumps(await all_told(InlineScripts()), sort_keys=True))
anyio.run(main)
"""


def test_other_processes_and_hash_seeds_agree() -> None:
    printed = [
        subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", _PRINTED],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "TZ": zone},
            capture_output=True,
            check=True,
        ).stdout
        for seed, zone in (("0", "UTC"), ("1", "Asia/Tokyo"), ("4294967295", "UTC"))
    ]
    assert printed[0]
    assert printed[1:] == printed[:1] * 2


async def test_the_count_does_not_depend_on_how_closely_a_script_is_looked_at(
    sped: Callable[[str], None],
) -> None:
    sped("1e9")
    never = await all_told(InlineScripts())
    sped("-1")
    assert await all_told(InlineScripts()) == never


async def test_a_count_that_pays_for_every_close_look_would_show(
    planted: Callable[[bytes, bytes], None],
) -> None:
    never = await told(InlineScripts(), ENDLESS["a loop"])
    planted(b"SLOW_S <const> = 0.02", b"SLOW_S <const> = -1")
    planted(b"OWN_CLOSE <const> = 17, 17", b"OWN_CLOSE <const> = 17, 14")
    assert await told(InlineScripts(), ENDLESS["a loop"]) != never


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes, bytes], None]:
    """Change the source of the meter for the sandboxes made from now on."""
    source = swarm.lua.sandbox._source  # pyright: ignore[reportPrivateUsage]
    meter = [source("meter")]

    def changed(part: str) -> bytes:
        return meter[0] if part == "meter" else source(part)

    def plant(old: bytes, new: bytes) -> None:
        assert old in meter[0]
        meter[0] = meter[0].replace(old, new)
        monkeypatch.setattr("swarm.lua.sandbox._source", changed)

    return plant


@pytest.fixture
def sped(planted: Callable[[bytes, bytes], None]) -> Callable[[str], None]:
    """Set how long a stretch takes that makes the meter look closely."""
    now = [b"SLOW_S <const> = 0.02"]

    def set_to(seconds: str) -> None:
        planted(now[0], new := f"SLOW_S <const> = {seconds}".encode())
        now[0] = new

    return set_to
