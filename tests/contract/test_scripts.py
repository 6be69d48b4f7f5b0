"""What every place must do that runs scripts: one suite over this process and children.

Results, codes and sentences are compared literally, so they are the same in both.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from flowir.errors import WorkerFailure
from swarm.errors import Place, ScriptFailed
from swarm.lua.modules import MAX_SOURCE
from swarm.lua.pool import PooledScripts
from swarm.lua.runner import InlineScripts
from swarm.ports.scripts import HostFunction, Script, ScriptLimits, ScriptRunner

DEFAULT = ScriptLimits()
SMALL = ScriptLimits(instructions=100_000, memory_bytes=4 * 1024 * 1024)


@pytest.fixture(params=["inline", "pool"])
async def scripts(request: pytest.FixtureRequest) -> AsyncIterator[ScriptRunner]:
    if request.param == "inline":
        yield InlineScripts()
        return
    pool = PooledScripts()
    yield pool
    await pool.aclose()


class Bench:
    """Runs one script after the other, as short as it can be written."""

    def __init__(self, scripts: ScriptRunner) -> None:
        self.scripts = scripts

    async def run(
        self,
        source: str,
        input: Any = None,
        *,
        name: str = "w.lua",
        host: Mapping[str, HostFunction] | None = None,
        facts: Mapping[str, Any] | None = None,
        limits: ScriptLimits = DEFAULT,
    ) -> Any:
        script = Script(name, source)
        return await self.scripts.run(script, input, host=host, facts=facts, limits=limits)

    async def fail(self, source: str, input: Any = None, **options: Any) -> ScriptFailed:
        with pytest.raises(ScriptFailed) as e:
            await self.run(source, input, **options)
        return e.value

    async def author(self, source: str, folder: Path | None = None) -> Any:
        return await self.scripts.author(Script("b.lua", source), folder=folder)


@pytest.fixture
def bench(scripts: ScriptRunner) -> Bench:
    return Bench(scripts)


async def echo(value: Any) -> Any:
    return value


async def broken() -> None:
    raise KeyError("gone")


async def overloaded(agent: str) -> None:
    raise WorkerFailure("model.overloaded", f"{agent} is busy", permanent=True, data=[1])


async def odd() -> object:
    return {"a": {1, 2}}


@pytest.mark.parametrize(
    "value",
    [None, True, 7, -(2**63), 0.5, "é\0x", [], {}, [1, [None]], {"a": {"b": []}}, "x" * 300_000],
    ids=str,
)
async def test_a_value_comes_back_as_it_went_in(bench: Bench, value: Any) -> None:
    found = await bench.run("return input", value)
    assert found == value
    assert type(found) is type(value)


async def test_facts_and_functions_are_words_of_swarm(bench: Bench) -> None:
    source = "return { swarm.key, swarm.attempt, swarm.echo(3), swarm.other == nil }"
    facts = {"key": "$.body", "attempt": 2}
    assert await bench.run(source, facts=facts, host={"echo": echo}) == ["$.body", 2, 3, True]


@pytest.mark.parametrize(
    ("source", "code", "sentence"),
    [
        (
            "\nlocal x = nil + 1",
            "script.error",
            "w.lua:2: attempt to perform arithmetic on a nil value",
        ),
        ("error('plain', 0)", "script.error", "w.lua:1: plain"),
        ("error { message = 'bad' }", "script.error", "w.lua:1: bad"),
        (
            "return io.open('x')",
            "script.error",
            (
                "w.lua:1: attempt to index a nil value (global 'io') — scripts reach no files: "
                "let an agent of kind 'process' do it"
            ),
        ),
        ("return +", "script.syntax", "w.lua:1: unexpected symbol near '+'"),
        ("end return 1", "script.syntax", "w.lua:1: <eof> expected near 'end'"),
        ("return { f = pcall }", "script.result", "w.lua: value.f cannot leave Lua: a function"),
        (
            "return 0 / 0",
            "script.result",
            "w.lua: value cannot leave Lua: the number nan is not finite",
        ),
        ("while true do end", "script.budget", "w.lua:1: stopped after 100000 instructions"),
        (
            "while true do pcall(function() while true do end end) end",
            "script.budget",
            "w.lua:1: stopped after 100000 instructions",
        ),
        (
            "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end",
            "script.memory",
            "w.lua:1: needs more than 4194304 bytes of memory",
        ),
        ("\nswarm.broken()", "script.error", "w.lua:2: swarm.broken: KeyError: 'gone'"),
        (
            "swarm.odd()",
            "script.error",
            "w.lua:1: swarm.odd: CannotEnter: $.a cannot enter Lua: expected JSON, got a set",
        ),
        (
            "swarm.echo(pcall)",
            "script.error",
            "w.lua:1: swarm.echo: arguments[1] cannot leave Lua: a function",
        ),
        (
            "x" * (MAX_SOURCE + 1),
            "script.syntax",
            "w.lua: expected at most 262144 bytes of source, got more",
        ),
        (
            "return '\ud800'",
            "script.result",
            "w.lua: value cannot leave Lua: a string that is not valid UTF-8",
        ),
    ],
    ids=lambda v: v[:24] if isinstance(v, str) else None,
)
async def test_a_failure_has_a_code_and_a_sentence(
    bench: Bench, source: str, code: str, sentence: str
) -> None:
    host: dict[str, HostFunction] = {"echo": echo, "broken": broken, "odd": odd}
    failed = await bench.fail(source, host=host, limits=SMALL)
    assert (failed.code, str(failed)) == (code, sentence)
    assert await bench.run("return 1") == 1


async def test_an_error_has_its_frames_and_value(bench: Bench) -> None:
    source = "local function inner()\n  error({ message = 'm', extra = { 1 } })\nend\n\ninner()"
    failed = await bench.fail(source)
    assert failed.value == {"message": "m", "extra": [1]}
    assert failed.frames == ((Place("w.lua", 2), "inner"), (Place("w.lua", 5), "main chunk"))


async def test_an_input_that_is_no_json_is_refused(bench: Bench) -> None:
    failed = await bench.fail("return 1", object())
    assert str(failed) == "$ cannot enter Lua: expected JSON, got an object"


async def test_syntax_is_checked_without_running(scripts: ScriptRunner) -> None:
    failed = scripts.syntax_error(Script("w.lua", "local a = 1\nlocal = 2"))
    assert failed is not None
    assert (failed.code, failed.where) == ("script.syntax", Place("w.lua", 2))
    assert scripts.syntax_error(Script("w.lua", "error('never raised')")) is None
    long = scripts.syntax_error(Script("w.lua", "x" * (MAX_SOURCE + 1)))
    assert long is not None
    assert long.code == "script.syntax"


async def test_fail_leaves_as_a_workers_failure(bench: Bench) -> None:
    with pytest.raises(WorkerFailure) as e:
        await bench.run("swarm.fail('tea.cold', 'too late', { minutes = 9 })")
    assert (e.value.code, e.value.message, e.value.data) == ("tea.cold", "too late", {"minutes": 9})


async def test_a_host_functions_failure_keeps_its_code_and_is_the_cause(bench: Bench) -> None:
    with pytest.raises(WorkerFailure) as e:
        await bench.run("return swarm.call('writer')", host={"call": overloaded})
    assert (e.value.code, e.value.message) == ("model.overloaded", "writer is busy")
    assert (e.value.permanent, e.value.data) == (True, [1])
    assert isinstance(e.value.__cause__, WorkerFailure)
    source = "local ok, e = pcall(swarm.call, 'w') return { ok, e.code, e.message }"
    caught = await bench.run(source, host={"call": overloaded})
    assert caught == [False, "model.overloaded", "w is busy"]


async def test_a_host_function_may_be_called_below_pcall_and_coroutines(bench: Bench) -> None:
    source = """
    local co = coroutine.wrap(function()
      for i = 1, 3 do
        local inner = coroutine.wrap(function() return select(2, pcall(swarm.echo, i)) end)
        coroutine.yield(inner())
      end
    end)
    return { co(), co(), co() }
    """
    assert await bench.run(source, host={"echo": echo}) == [1, 2, 3]


async def test_a_script_may_ask_a_hundred_times_and_with_much(bench: Bench) -> None:
    source = "local n = 0 for i = 1, 100 do n = n + #swarm.echo(input) end return n"
    assert await bench.run(source, "x" * 20_000, host={"echo": echo}) == 2_000_000


async def test_the_budget_is_spent_at_the_same_place_in_every_run(bench: Bench) -> None:
    source = "local n = 0 while true do n = n + 1 if n % 1000 == 0 then swarm.tick(n) end end"
    ticks: list[int] = []

    async def tick(n: int) -> None:
        ticks.append(n)

    failed = await bench.fail(source, host={"tick": tick}, limits=SMALL)
    assert failed.code == "script.budget"
    assert ticks == [n * 1000 for n in range(1, len(ticks) + 1)]
    # A turn is three instructions, and to ask takes some two hundred.
    assert len(ticks) == 31


async def test_what_a_script_draws_depends_on_step_and_attempt_only(bench: Bench) -> None:
    source = "local t = {} for i = 1, 4 do t[i] = math.random(1000) end return t"
    facts = {"key": "$.a", "attempt": 1}
    assert await bench.run(source, facts=facts) == [295, 633, 194, 223]


async def test_nothing_stays_from_one_script_to_the_next(bench: Bench) -> None:
    await bench.run("left = 1 string.upper = nil rawset(table, 'x', 1) math.random()")
    source = "return { left == nil, ('a'):upper(), string.upper('b'), table.x == nil }"
    assert await bench.run(source) == [True, "A", "B", True]


async def test_scripts_that_wait_do_not_see_each_other(bench: Bench) -> None:
    """More of them than children may compute at a time."""
    turn = anyio.Event()
    asked: list[int] = []
    results: list[int] = []

    async def wait(n: int) -> None:
        asked.append(n)
        if len(asked) == 7:
            turn.set()
        await turn.wait()

    async def work(n: int) -> None:
        source = "mine = input swarm.wait(mine) return mine"
        results.append(await bench.run(source, n, host={"wait": wait}))

    async with anyio.create_task_group() as tasks:
        for n in range(7):
            tasks.start_soon(work, n)
    assert sorted(results) == list(range(7))


async def test_scripts_may_call_scripts_deeper_than_there_are_children(bench: Bench) -> None:
    async def call(depth: int) -> Any:
        return await bench.run(SOURCE, depth, host={"call": call})

    SOURCE = "if input == 0 then return 'end' end return swarm.call(input - 1) .. input"  # noqa: N806
    assert await call(8) == "end12345678"


async def test_a_cancelled_script_is_given_up_and_the_runner_goes_on(bench: Bench) -> None:
    started = anyio.Event()

    async def forever() -> None:
        started.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            lambda: bench.run("while true do pcall(swarm.forever) end", host={"forever": forever})
        )
        await started.wait()
        tasks.cancel_scope.cancel()
    assert await bench.run("return 1") == 1


async def test_a_blueprint_script_requires_the_library_and_its_folder(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "one.lua").write_text("return { n = 1 }")
    (tmp_path / "bad.lua").write_text("\nerror('no')")
    source = "local flow = require 'flow' return { require('parts.one').n, flow.fn('f').kind }"
    assert await bench.author(source, tmp_path) == [1, "function"]
    with pytest.raises(ScriptFailed) as e:
        await bench.author("\nrequire 'nowhere'", tmp_path)
    sentence = f"b.lua:2: require 'nowhere': no file {tmp_path}/nowhere.lua, "
    assert str(e.value) == f"{sentence}and nothing in the standard library"
    with pytest.raises(ScriptFailed) as e:
        await bench.author("require 'bad'", tmp_path)
    assert e.value.where == Place(f"{tmp_path}/bad.lua", 2)


async def test_two_versions_of_one_name_do_not_mix(bench: Bench) -> None:
    assert [await bench.run("return 1"), await bench.run("return 2")] == [1, 2]


async def test_no_descriptor_stays_behind(scripts: ScriptRunner, bench: Bench) -> None:
    async def used() -> int:
        for source in ("return 1", "error()", "while true do end", "return swarm.echo(1)"):
            with suppress(ScriptFailed):
                await bench.run(source, host={"echo": echo}, limits=SMALL)
        if isinstance(scripts, PooledScripts):
            await scripts.aclose()
        return len(os.listdir(DESCRIPTORS))

    counts = [await used() for _ in range(3)]
    assert counts[1] == counts[2]


DESCRIPTORS = "/proc/self/fd" if Path("/proc/self/fd").exists() else "/dev/fd"
