"""Lua agents in a host: what a script does to it by what it may call, and what is written down.

Each abuse has a benign twin, one change away; both run in both places. A run of them may
have 200 events, so that a flood meets its end soon.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

import swarm
from swarm.core import link
from swarm.ids import RunId
from swarm.stores.sqlite.connection import Source
from swarm.stores.sqlite.reader import Reader

pytestmark = pytest.mark.anyio

EVENTS = 200
PLACES = ("inline", "children")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True)
class Abuse:
    """What a script does, with which code it fails, and the twin with what that answers.

    Shape: *code* None: it ends well, and the host has kept it from what it wanted.
    """

    name: str
    hostile: str
    code: str | None
    twin: str
    answer: Any


ABUSES = [
    Abuse(
        "an agent that calls itself",
        "return swarm.call('w', input)",
        "call.depth",
        "if input == 'asked' then return 'end' end return swarm.call('w', 'asked')",
        "end",
    ),
    Abuse(
        "two agents that call each other, each catching what it can",
        "local ok, e = pcall(swarm.call, 'other', input) if not ok then error(e, 0) end return e",
        "call.depth",
        "local ok, e = pcall(swarm.call, 'echo', input) return e",
        "given",
    ),
    Abuse(
        "an agent that is not there, asked again and again",
        "for _ = 1, 1000 do pcall(swarm.call, 'nobody', 1) end return 'ended'",
        None,
        "return (pcall(swarm.call, 'nobody', 1))",
        False,
    ),
    Abuse(
        "a flood of calls",
        "while true do swarm.call('echo', 1) end",
        "journal.too_long",
        "local n = 0 for _ = 1, 50 do n = n + swarm.call('echo', 1) end return n",
        50,
    ),
    Abuse(
        "a flood of progress",
        "while true do swarm.progress('x') end",
        "journal.too_long",
        "for i = 1, 50 do swarm.progress('step ' .. i) end return 'told'",
        "told",
    ),
    Abuse(
        "a flood of progress, each refusal caught",
        "for _ = 1, 1000 do pcall(swarm.progress, 'x') end swarm.progress('x')",
        "journal.too_long",
        "pcall(swarm.progress, 'x') return 'told'",
        "told",
    ),
    Abuse(
        "progress of a megabyte",
        "swarm.progress(('x'):rep(1000000)) return 'told'",
        None,
        "swarm.progress(('x'):rep(2000)) return 'told'",
        "told",
    ),
    Abuse(
        "progress that is no text",
        "swarm.progress({ deep = { 1, 2, { 3 } } }) swarm.progress() return 'told'",
        "script.error",
        "swarm.progress(42) return 'told'",
        "told",
    ),
    Abuse(
        "a flood of parts",
        "local n = 0 while true do n = n + 1 swarm.part('p' .. n, n) end",
        "journal.too_long",
        "for i = 1, 50 do swarm.part('p' .. i, i) end return 'kept'",
        "kept",
    ),
    Abuse(
        "parts of more bytes than an attempt may hand over",
        "local big = ('x'):rep(1000000) for i = 1, 9 do swarm.part('p' .. i, big .. i) end",
        "part.too_much",
        "swarm.part('p', ('x'):rep(1000000)) return 'kept'",
        "kept",
    ),
    Abuse(
        "parts of more bytes by way of others, each refusal caught",
        "while true do if not pcall(swarm.call, 'parts', 1) then return 'no more' end end",
        None,
        "swarm.call('parts', 1) return 'no more'",
        "no more",
    ),
    Abuse(
        "a part whose name is none",
        "swarm.part(nil, 1) swarm.part('\\255', 1)",
        "script.error",
        "swarm.part('a name of its own', 1) return 'kept'",
        "kept",
    ),
    Abuse(
        "a part that is no JSON",
        "swarm.part('f', function() end)",
        "script.error",
        "swarm.part('f', { 1 }) return 'kept'",
        "kept",
    ),
    Abuse(
        "a call with more than may leave",
        "swarm.call('echo', ('x'):rep(3000000))",
        "script.error",
        "return #swarm.call('echo', ('x'):rep(1000000))",
        1000000,
    ),
    Abuse(
        "a call of what is no name",
        "return swarm.call({ 'echo' }, 1)",
        "script.error",
        "return swarm.call('echo', { 'echo' })",
        ["echo"],
    ),
    Abuse(
        "a call with arguments without end",
        "return swarm.call('echo', table.unpack({}, 1, 7999))",
        "script.error",
        "return swarm.call('echo', 1)",
        1,
    ),
    Abuse(
        "a failure whose code is none",
        "local _, e = pcall(swarm.fail, ('x'):rep(101), 'x') assert(not e.code)"
        " swarm.fail('', 'x')",
        "script.error",
        "return (pcall(swarm.fail, 'a.b', 'x'))",
        False,
    ),
    Abuse(
        "a failure that poses as the host's own",
        "error({ code = 'run.cancelled', message = 'x', permanent = true })",
        "script.error",
        "return 1",
        1,
    ),
    Abuse(
        "a coroutine that stays behind with a call to make",
        "kept = coroutine.wrap(function() coroutine.yield() swarm.part('late', 1) end)"
        " kept() return 'ended'",
        None,
        "local f = coroutine.wrap(function() swarm.part('late', 1) return 'ended' end) return f()",
        "ended",
    ),
    Abuse(
        "a closer that calls when all is over",
        "local x <close> = setmetatable({}, { __close = function() while true do"
        " swarm.progress('x') end end })"
        " return 'ended'",
        "journal.too_long",
        "local x <close> = setmetatable({}, { __close = function() swarm.progress('x')"
        " end }) return 'ended'",
        "ended",
    ),
    Abuse(
        "a result that calls the host as it is read",
        "return setmetatable({}, { __index = function() swarm.progress('x') end, __len ="
        " swarm.progress,"
        " __pairs = function() swarm.progress('x') end })",
        None,
        "return {}",
        {},
    ),
    Abuse(
        "a call out of a callback that C holds",
        "return (('x'):gsub('x', function() return swarm.call('echo', 'y') end))",
        "script.error",
        "local y = swarm.call('echo', 'y') return (('x'):gsub('x', function() return y end))",
        "y",
    ),
    Abuse(
        "calls from a thousand coroutines, none of them ended",
        "for _ = 1, 1100 do coroutine.wrap(function() swarm.call('echo', 1)"
        " coroutine.yield() end)() end",
        "journal.too_long",
        "local n = 0 for _ = 1, 20 do"
        " n = n + coroutine.wrap(function() return swarm.call('echo', 1) end)() end return n",
        20,
    ),
]  # fmt: skip


@asynccontextmanager
async def open_host(place: str, store: Path | None = None) -> AsyncGenerator[swarm.Host]:
    settings: Any = {"scripts": "inline"} if place == "inline" else {}
    host = swarm.Host.in_memory(**settings) if store is None else swarm.Host(store, **settings)

    @host.function("echo")
    async def echo(value: Any) -> Any:  # pyright: ignore[reportUnusedFunction] - registered
        return value

    @host.function("parts")
    async def parts(n: Any, context: swarm.StepContext) -> Any:  # pyright: ignore[reportUnusedFunction] - registered
        await context.part("large", "y" * 1_000_000)
        return n

    async with host:
        yield host


def document(source: str) -> dict[str, Any]:
    agents: list[dict[str, Any]] = [
        {"name": "w", "kind": "lua", "source": source},
        {"name": "other", "kind": "lua", "source": "return swarm.call('w', input)"},
        *({"name": name, "kind": "function", "function": name} for name in ("echo", "parts")),
    ]
    flow = {"kind": "step", "ref": "w", "in": "'given'", "out": "ctx.out"}
    # What a script calls cannot be seen from outside.
    return {
        "swarm": 1,
        "id": "abuse",
        "agents": agents,
        "flow": flow,
        "limits": {"events": EVENTS},
        "allow": {f"$.agents[{number}]": ["agent.unused"] for number in (1, 2, 3)},
    }


async def told(host: swarm.Host, source: str) -> tuple[str | None, Any, list[Any]]:
    """Run a script as an agent; return its code or its answer, and the events of the run."""
    run = await host.start(await host.load(document(source)), {})
    with anyio.fail_after(120):
        outcome = await run.wait()
    events = [event async for event in run.events()]
    code = None
    if outcome.error is not None:
        code = outcome.error.get("cause_code") or outcome.error["code"]
    return code, (outcome.ctx or {}).get("out"), events


def wrong_with(abuse: Abuse, code: str | None, events: list[Any]) -> str | None:
    """Say what the host should not have let happen, if anything."""
    if code != abuse.code:
        return f"{abuse.name}: expected {abuse.code}, got {code}"
    if len(events) > EVENTS + 20:
        return f"{abuse.name}: {len(events)} events"
    longest = max((len(e["text"]) for e in events if e["kind"] == "step.progress"), default=0)
    if longest > 2000:
        return f"{abuse.name}: progress of {longest} characters"
    if any(e["kind"] == "step.part" and e["name"] == "late" for e in events):
        return f"{abuse.name}: heard what came too late"
    return None


async def survived(host: swarm.Host, abuses: Sequence[Abuse] = ABUSES) -> list[str]:
    lost: list[str] = []
    for abuse in abuses:
        code, _, events = await told(host, abuse.hostile)
        wrong = wrong_with(abuse, code, events)
        lost += [wrong] if wrong else []
    return lost


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "MOST_HANDED_BYTES", 5_000_000)


@pytest.mark.parametrize("place", PLACES)
async def test_abuse_of_what_a_script_may_call_is_bounded_and_has_its_code(place: str) -> None:
    async with open_host(place) as host:
        lost = await survived(host)
    sys.stdout.write(f"survived {len(ABUSES) - len(lost)} / {len(ABUSES)} in {place}\n")
    assert lost == []


@pytest.mark.parametrize("place", PLACES)
async def test_its_benign_twin_is_answered(place: str) -> None:
    async with open_host(place) as host:
        for abuse in ABUSES:
            code, answer, _ = await told(host, abuse.twin)
            assert (abuse.name, code, answer) == (abuse.name, None, abuse.answer)


async def test_a_link_that_counts_nothing_turns_it_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "MOST_HANDED_BYTES", 1 << 60)
    monkeypatch.setattr(link, "_MOST_TOLD", 1 << 60)
    async with open_host("inline") as host:
        bytes_of = [abuse for abuse in ABUSES if "byte" in abuse.name]
        lost = " ".join(await survived(host, bytes_of))
    assert "progress of a megabyte: progress of 1000000 characters" in lost
    assert "parts of more bytes than an attempt may hand over: expected part.too_much" in lost


COUNTED = "local n = 0 while true do n = n + 1 pcall(error, n) swarm.array {} end"


async def test_the_instructions_that_a_script_paid_are_journaled_as_the_reason(
    tmp_path: Path,
) -> None:
    """The row of the journal has the same number in two runs, and in both places."""
    seen: list[Any] = []
    for place in PLACES:
        store = tmp_path / place
        async with open_host(place, store) as host:
            for number in range(2):
                run_id = f"run-{number}"
                run = await host.start(await host.load(document(COUNTED)), {}, run_id=run_id)
                await run.wait()
        reader = Reader(Source(str(store / "journal.db")))
        try:
            for number in range(2):
                rows = reader.read(RunId(f"run-{number}"), 0, 1000)
                seen += [row for row in rows if row["kind"] == "step.failed"]
        finally:
            reader.close()
    assert [row["code"] for row in seen] == ["script.budget"] * 4
    paid = [row["data"]["instructions"] for row in seen]
    assert paid == paid[:1] * 4
    assert 10_000_000 < paid[0] < 10_000_300
