"""Lua agents: what a script is given, and how its failures are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from flowir import WorkerFailure
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.lua.runner import InlineScripts
from swarm.ports.questions import Ask
from swarm.ports.worker import Call, Toolbox
from swarm.workers.lua import LuaFactory

pytestmark = pytest.mark.anyio


class Diary:
    """A link that writes down what it is told."""

    cancelled = False

    def __init__(self) -> None:
        self.said: list[Any] = []

    async def progress(self, text: str) -> None:
        self.said.append(text)

    async def part(self, name: str, value: Any) -> Mapping[str, Any]:
        self.said.append((name, value))
        return {"part": name}

    async def read(self, reference: Any) -> Any:
        return b"\xff" if reference == "bytes" else [reference]

    async def call(self, agent: str, input: Any) -> Any:
        if agent == "busy":
            raise WorkerFailure("rate.limited", "slow down")
        return {"agent": agent, "input": input}

    async def ask(self, ask: Ask) -> Any:
        return {"asked": ask.prompt}

    async def run(self, blueprint: CompiledBlueprint, input: Any) -> Any:
        return {"ran": blueprint.id}

    async def sleep(self, seconds: float) -> None:
        self.said.append(seconds)

    def held(self) -> Any:
        raise AssertionError("nobody is asked elsewhere")


TOOLS = Toolbox(InlineScripts(), {})


async def run(source: str, input: Any = None, link: Diary | None = None) -> Any:
    worker = LuaFactory().build(AgentSpec("writer", "lua", {"source": source}), TOOLS)
    call = Call("r_1", "$.body#1", "writer", input, 3)
    return (await worker(call, link or Diary())).value


async def test_a_script_gets_its_input_and_returns_its_answer() -> None:
    assert await run('return input.topic .. ": draft"', {"topic": "tea"}) == "tea: draft"


async def test_a_script_knows_its_key_and_attempt() -> None:
    assert await run("return { swarm.key, swarm.attempt }") == ["$.body#1", 3]


async def test_a_script_uses_its_link() -> None:
    diary = Diary()
    script = (
        'swarm.progress("half") swarm.part("note", { n = 1 }) return swarm.call("other", input)'
    )
    assert await run(script, 7, diary) == {"agent": "other", "input": 7}
    assert diary.said == ["half", ("note", {"n": 1})]


async def test_a_script_fails_with_a_code_of_its_own() -> None:
    with pytest.raises(WorkerFailure) as caught:
        await run('swarm.fail("too.short", "write more")')
    assert (caught.value.code, caught.value.message) == ("too.short", "write more")


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("error('no')", "script.error"),
        ("while true do end", "script.budget"),
        ("return function() end", "script.result"),
    ],
)
async def test_a_script_that_fails_is_a_failed_step(source: str, code: str) -> None:
    with pytest.raises(WorkerFailure) as caught:
        await run(source)
    assert (caught.value.code, caught.value.permanent) == (code, False)
    assert caught.value.message.startswith("writer")


def problems(source: Any) -> list[tuple[str, str]]:
    agent = AgentSpec("writer", "lua", {"source": source})
    return [(p.code, p.field) for p in LuaFactory().problems(agent, TOOLS)]


def test_wrong_settings_are_found() -> None:
    assert problems("return 1") == []
    assert problems("return return") == [("script.syntax", "source")]
    assert problems({"a": 1}) == [("lua.source", "source")]


def test_a_source_that_does_not_compile_has_its_line() -> None:
    agent = AgentSpec("a", "lua", {"source": "local n = 1\nreturn return"})
    (problem,) = LuaFactory().problems(agent, TOOLS)
    assert (problem.line, problem.message) == (2, "unexpected symbol near 'return'")
