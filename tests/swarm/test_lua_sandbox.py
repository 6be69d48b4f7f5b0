from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from lupa import lua54  # pyright: ignore[reportMissingTypeStubs]

from flowir.errors import FlowError, WorkerFailure
from swarm.errors import Place, ScriptFailed
from swarm.lua import sandbox
from swarm.lua.runner import InlineScripts
from swarm.lua.wire import author_fields
from swarm.ports.scripts import HostFunction, Script, ScriptLimits

BRIM = Path(__file__).parents[1] / "lua" / "brim.py"
DEFAULT = ScriptLimits()
ROOT = Path(__file__).parents[2]


async def run(
    source: str,
    input: Any = None,
    *,
    name: str = "w.lua",
    scripts: InlineScripts | None = None,
    host: Mapping[str, HostFunction] | None = None,
    facts: Mapping[str, Any] | None = None,
    limits: ScriptLimits = DEFAULT,
) -> Any:
    runner = scripts or InlineScripts()
    return await runner.run(Script(name, source), input, host=host, facts=facts, limits=limits)


async def failure(source: str, **options: Any) -> ScriptFailed:
    with pytest.raises(ScriptFailed) as e:
        await run(source, **options)
    return e.value


async def echo(value: Any) -> Any:
    return value


async def test_a_script_gets_its_input_and_answers_with_its_result() -> None:
    assert await run("return input.topic .. '!'", {"topic": "tea"}) == "tea!"


async def test_facts_are_plain_values_of_swarm() -> None:
    facts = {"key": "$.body", "attempt": 2}
    assert await run("return { swarm.key, swarm.attempt }", facts=facts) == ["$.body", 2]


async def test_an_error_names_its_line_and_its_frames() -> None:
    failed = await failure(
        "local function inner(t)\n  return t.field + 1\nend\n\nlocal x = inner()\nreturn x"
    )
    assert failed.code == "script.error"
    assert failed.where == Place("w.lua", 2)
    assert failed.bare == "attempt to index a nil value (local 't')"
    assert str(failed) == "w.lua:2: attempt to index a nil value (local 't')"
    assert failed.frames == ((Place("w.lua", 2), "inner"), (Place("w.lua", 5), "main chunk"))


async def test_a_long_name_is_shown_whole() -> None:
    name = "blueprints/" + "a-rather-long-folder/" * 5 + "w.lua"
    assert (await failure("\nerror('x')", name=name)).where == Place(name, 2)
    assert (await failure("x = = 1", name=name)).where == Place(name, 1)


async def test_an_error_blamed_on_the_caller_has_the_callers_line() -> None:
    failed = await failure("local function f() error('no', 2) end\n\nf()")
    assert failed.where == Place("w.lua", 3)


async def test_a_wrong_argument_is_blamed_on_the_scripts_line() -> None:
    failed = await failure("\n\nlocal t = table.concat(1) return t")
    assert str(failed) == "w.lua:3: bad argument #1 to 'concat' (table expected, got number)"


async def test_a_missing_library_is_explained() -> None:
    failed = await failure("return io.open('x')")
    assert "scripts reach no files" in str(failed)


async def test_a_raised_table_leaves_as_value() -> None:
    failed = await failure("error { code = 'a.b', message = 'bad', extra = { 1 } }")
    assert failed.code == "script.error"
    assert failed.bare == "bad"
    assert failed.value == {"code": "a.b", "message": "bad", "extra": [1]}


async def test_a_syntax_error_is_found_without_running() -> None:
    scripts = InlineScripts()
    failed = scripts.syntax_error(Script("w.lua", "local a = 1\nlocal = 2"))
    assert failed is not None
    assert failed.code == "script.syntax"
    assert failed.where == Place("w.lua", 2)
    assert scripts.syntax_error(Script("w.lua", "error('never raised')")) is None


async def test_a_syntax_error_is_raised_when_run() -> None:
    assert (await failure("return +")).code == "script.syntax"


async def test_text_cannot_leave_the_chunk_it_is_in() -> None:
    assert (await failure("end return function() end")).code == "script.syntax"


async def test_a_result_that_is_no_json_is_refused() -> None:
    failed = await failure("return { f = pcall }")
    assert failed.code == "script.result"
    assert str(failed) == "w.lua: value.f cannot leave Lua: a function"


async def test_the_budget_is_the_same_in_every_run() -> None:
    source = "local n = 0 while true do n = n + 1 if n % 1000 == 0 then swarm.tick(n) end end"
    ticks: list[list[int]] = [[], []]
    for seen in ticks:

        async def tick(n: int, seen: list[int] = seen) -> None:
            seen.append(n)

        failed = await failure(
            source, host={"tick": tick}, limits=ScriptLimits(instructions=100_000)
        )
        assert failed.code == "script.budget"
    assert ticks[0] == ticks[1]
    assert len(ticks[0]) > 5


async def test_nothing_is_asked_of_the_host_after_the_stop() -> None:
    asked: list[int] = []

    async def note() -> None:
        asked.append(1)

    source = """
    local co = coroutine.create(function() while true do end end)
    coroutine.resume(co)
    swarm.note()
    """
    failed = await failure(source, host={"note": note}, limits=ScriptLimits(instructions=10_000))
    assert failed.code == "script.budget"
    assert asked == []


async def test_a_script_within_its_budget_ends() -> None:
    source = "for _ = 1, input do end return 'done'"
    limits = ScriptLimits(instructions=100_000)
    assert await run(source, 99_900, limits=limits) == "done"
    assert (await failure(source, input=100_100, limits=limits)).code == "script.budget"


async def test_memory_is_limited() -> None:
    source = "local t = {} for i = 1, input do t[i] = ('x'):rep(1000) .. i end return #t"
    limits = ScriptLimits(memory_bytes=4 * 1024 * 1024)
    assert await run(source, 1_000, limits=limits) == 1_000
    failed = await failure(source, input=10_000, limits=limits)
    assert failed.code == "script.memory"
    assert "4194304 bytes" in str(failed)


async def test_fail_leaves_as_a_workers_failure() -> None:
    with pytest.raises(WorkerFailure) as e:
        await run("swarm.fail('tea.cold', 'too late', { minutes = 9 })")
    assert (e.value.code, e.value.message) == ("tea.cold", "too late")
    assert e.value.data == {"minutes": 9}


async def test_fail_can_be_caught_and_read() -> None:
    source = (
        "local ok, e = pcall(swarm.fail, 'a.b', 'm', 7) return { ok, e.code, e.message, e.data }"
    )
    assert await run(source) == [False, "a.b", "m", 7]


async def test_a_host_function_is_awaited_and_answers() -> None:
    async def slow(a: int, b: int) -> dict[str, int]:
        await anyio.lowlevel.checkpoint()
        return {"sum": a + b}

    assert await run("return swarm.add(1, 2).sum", host={"add": slow}) == 3


async def test_a_host_function_may_be_called_below_pcall_and_coroutines() -> None:
    source = """
    local co = coroutine.wrap(function()
      for i = 1, 3 do
        local ok, v = pcall(swarm.echo, i)
        coroutine.yield(v)
      end
    end)
    return { co(), co(), co() }
    """
    assert await run(source, host={"echo": echo}) == [1, 2, 3]


async def test_a_host_functions_exception_is_an_error_at_the_callers_line() -> None:
    async def broken() -> None:
        raise KeyError("gone")

    failed = await failure("\nlocal x = swarm.broken()", host={"broken": broken})
    assert str(failed) == "w.lua:2: swarm.broken: KeyError: 'gone'"
    assert isinstance(failed.__cause__, KeyError)


async def test_a_host_functions_failure_keeps_its_code_and_data() -> None:
    async def call(agent: str) -> None:
        raise WorkerFailure("model.overloaded", f"{agent} is busy", permanent=True, data=[1])

    with pytest.raises(WorkerFailure) as e:
        await run("return swarm.call('writer')", host={"call": call})
    assert (e.value.code, e.value.message) == ("model.overloaded", "writer is busy")
    assert e.value.permanent is True
    assert e.value.data == [1]
    source = "local ok, e = pcall(swarm.call, 'w') return e.code"
    assert await run(source, host={"call": call}) == "model.overloaded"


async def test_a_host_functions_answer_must_be_json() -> None:
    async def odd() -> object:
        return {"a": {1, 2}}

    failed = await failure("swarm.odd()", host={"odd": odd})
    assert "$.a cannot enter Lua: expected JSON, got a set" in str(failed)


async def test_an_input_that_is_no_json_is_refused() -> None:
    failed = await failure("return 1", input=object())
    assert "$ cannot enter Lua" in str(failed)


async def test_a_cancelled_script_is_given_up_and_the_runner_goes_on() -> None:
    scripts = InlineScripts()
    started = anyio.Event()

    async def forever() -> None:
        started.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:

        async def work() -> None:
            source = "while true do pcall(swarm.forever) end"
            await run(source, scripts=scripts, host={"forever": forever})

        tasks.start_soon(work)
        await started.wait()
        tasks.cancel_scope.cancel()
    assert await run("return 1", scripts=scripts) == 1


async def test_scripts_that_wait_do_not_see_each_other() -> None:
    scripts = InlineScripts()
    turn = anyio.Event()
    results: list[Any] = []

    async def wait() -> None:
        await turn.wait()

    async def work(n: int) -> None:
        source = "mine = input swarm.wait() return { mine, math.random(1000000) }"
        results.append(await run(source, n, scripts=scripts, host={"wait": wait}))

    async with anyio.create_task_group() as tasks:
        for n in range(8):
            tasks.start_soon(work, n)
        await anyio.wait_all_tasks_blocked()
        turn.set()
    assert sorted(r[0] for r in results) == list(range(8))
    assert len({r[1] for r in results}) == 1


async def test_nothing_stays_from_one_script_to_the_next() -> None:
    scripts = InlineScripts()
    await run("left = 1 string.upper = nil rawset(table, 'x', 1) math.random()", scripts=scripts)
    source = "return { left == nil, ('a'):upper(), string.upper('b'), table.x == nil }"
    assert await run(source, scripts=scripts) == [True, "A", "B", True]


async def test_random_numbers_depend_on_step_and_attempt_only() -> None:
    async def draw(**facts: Any) -> int:
        return await run("return math.random(1000000000)", facts=facts)

    first = await draw(key="$.a", attempt=1)
    assert await draw(key="$.a", attempt=1) == first
    assert await draw(key="$.b", attempt=1) != first
    assert await draw(key="$.a", attempt=2) != first


async def test_two_versions_of_one_name_do_not_mix() -> None:
    scripts = InlineScripts()
    assert await run("return 1", scripts=scripts) == 1
    assert await run("return 2", scripts=scripts) == 2


async def test_an_odd_source_is_refused_politely() -> None:
    assert (await failure("return '\ud800'")).code == "script.result"
    assert (await failure("\0")).code == "script.syntax"
    assert (await failure("x" * 262_145)).code == "script.syntax"


async def test_errors_have_the_two_roots() -> None:
    assert issubclass(WorkerFailure, FlowError)
    assert (await failure("error()")).code == "script.error"


def test_a_full_memory_never_takes_the_process_down() -> None:
    """Scripts that fill a megabyte to the brim, ask the host, and try again."""
    done = subprocess.run(  # noqa: S603 - our own child
        [sys.executable, str(BRIM), "60"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["survived"] == told["tried"] == 60
    assert told["starved"] > 20


async def test_a_script_that_has_ended_holds_nothing_any_more() -> None:
    scripts = InlineScripts()
    await run("return 1", scripts=scripts)
    (seat,) = scripts._idle  # pyright: ignore[reportPrivateUsage]
    sandbox: Any = seat._sandbox  # pyright: ignore[reportPrivateUsage]
    before = sandbox.memory_used
    await run("large = string.rep('x', 4000000) return #large", scripts=scripts)
    assert scripts._idle == [seat]  # pyright: ignore[reportPrivateUsage]
    sandbox._lua.gccollect()
    assert sandbox.memory_used < before + 1_000_000


def test_a_runtime_has_nothing_of_python_before_anything_is_put_into_it() -> None:
    runtime = sandbox._runtime()  # pyright: ignore[reportPrivateUsage]
    assert runtime.execute(b"return python == nil and package.loaded.python == nil") is True
    with pytest.raises(AttributeError, match="denied"):
        runtime.execute(b"local o = ... return o.__class__", object())


def test_a_script_that_was_left_goes_on_no_more() -> None:
    lua = sandbox.Sandbox()
    begun = author_fields(Script("a.lua", "require 'x' return 1"), DEFAULT)
    for _ in range(2):
        assert lua.author(*begun) is None
        assert lua.step().kind == "ask"
        lua.leave()
        with pytest.raises(lua54.LuaError):
            lua.step()
