"""Agents of kind `human`, and questions that functions and Lua scripts ask."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from swarm import BlueprintInvalid, Host, Run, StepContext
from swarm.blueprint.agent import AgentSpec
from swarm.lua.runner import InlineScripts
from swarm.ports.questions import Ask
from swarm.ports.worker import Toolbox
from swarm.workers.human import HumanFactory

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def document(agent: dict[str, Any]) -> dict[str, Any]:
    flow = {"kind": "step", "ref": agent["name"], "in": "ctx.topic", "out": "$.said"}
    return {"swarm": 1, "id": "asks", "agents": [agent], "flow": flow}


@asynccontextmanager
async def asking(host: Host, agent: dict[str, Any]) -> AsyncGenerator[Run]:
    """Run the agent on the topic `tea`, as far as its question."""
    async with host:
        run = await host.start(await host.load(document(agent)), {"topic": "tea"})
        with anyio.fail_after(20):
            async for event in run.events():
                if event["kind"] == "run.waiting":
                    break
            yield run
            assert (await run.wait()).status == "succeeded"


async def test_a_person_does_the_step() -> None:
    agent = {
        "name": "approve",
        "kind": "human",
        "prompt": "May it be published?",
        "schema": {"type": "boolean"},
        "to": "editor",
    }
    async with asking(Host.in_memory(), agent) as run:
        assert run.status == "waiting"
        [question] = await run.questions()
        wire = question.to_wire()
        assert (wire["prompt"], wire["input"]) == ("May it be published?", "tea")
        assert (wire["to"], wire["schema"]) == ("editor", {"type": "boolean"})
        await run.answer(question.id, True, by="ada")
        assert (await run.result())["said"] is True


async def test_verdicts_are_the_answers_it_takes() -> None:
    agent = {"name": "review", "kind": "human", "verdict": ["PASS", "BLOCKED"]}
    async with asking(Host.in_memory(), agent) as run:
        [question] = await run.questions()
        assert question.ask == Ask("review", "tea", {"enum": ["PASS", "BLOCKED"]})
        await run.answer(question.id, "PASS")
        assert (await run.result())["said"] == "PASS"


async def test_a_lua_script_asks() -> None:
    source = 'return swarm.ask("Which tea?", { schema = { type = "string" }, input = input })'
    async with asking(Host.in_memory(), {"name": "l", "kind": "lua", "source": source}) as run:
        [question] = await run.questions()
        assert question.ask == Ask("Which tea?", "tea", {"type": "string"})
        await run.answer(question.id, "green")
        assert (await run.result())["said"] == "green"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("7", "expected the question as a string, got 7"),
        ('"?", "now"', "expected a table of settings, got 'now'"),
        ('"?", { scheme = true }', "got 'scheme' — did you mean 'schema'?"),
        ('"?", { schema = { type = "text" } }', "schema: $.type"),
    ],
)
async def test_a_script_that_asks_wrongly_fails_for_good(arguments: str, sentence: str) -> None:
    agent = {"name": "l", "kind": "lua", "source": f"return swarm.ask({arguments})"}
    async with Host.in_memory() as host:
        run = await host.start(await host.load(document(agent)), {"topic": 1})
        error = (await run.wait()).error
    assert error is not None
    assert error["cause_code"] == "question.malformed"
    assert sentence in error["message"]


async def test_functions_ask_in_a_thread_and_outside() -> None:
    host = Host.in_memory()

    @host.function("inside")
    async def inside(topic: str, context: StepContext) -> Any:
        return await context.ask(f"{topic}?", schema={"type": "integer"})

    @host.function("thread")
    def thread(topic: str, context: StepContext) -> Any:
        return context.ask(f"{topic}!", to="ada")

    assert inside is not thread
    flow = {
        "kind": "fanout",
        "items": {"op": "lit", "value": ["inside", "thread"]},
        "bind": "$.who",
        "body": {
            "kind": "branch",
            "cond": "ctx.who == 'inside'",
            "then": {"kind": "step", "ref": "inside", "in": "ctx.who", "out": "$.said"},
            "else": {"kind": "step", "ref": "thread", "in": "ctx.who", "out": "$.said"},
        },
        "join": "all",
        "out": "$.all",
        "collect": "ctx.said",
    }
    agents = [{"name": n, "kind": "function", "function": n} for n in ("inside", "thread")]
    async with host:
        loaded = await host.load({"swarm": 1, "id": "both", "agents": agents, "flow": flow})
        run = await host.start(loaded)
        with anyio.fail_after(20):
            async for event in run.events():
                if event["kind"] == "question.asked":
                    inner = event["prompt"] == "inside?"
                    await run.answer(event["id"], 1 if inner else {"any": "thing"})
            assert (await run.result())["all"] == [1, {"any": "thing"}]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"schema": {"type": "text"}}, "schema"),
        ({"schema": {"$ref": "http://example.org/s"}}, "schema"),
        ({"deadline_s": -1}, "deadline_s"),
        ({"on_deadline": "default"}, "deadline_s"),
        ({"on_deadline": "maybe"}, "on_deadline"),
        ({"on_deadline": "escalate", "deadline_s": 5}, "escalate_to"),
        ({"prompt": 5}, "prompt"),
        ({"to": 5}, "to"),
    ],
)
def test_wrong_settings_are_found_before_anything_runs(
    settings: dict[str, Any], field: str
) -> None:
    agent = AgentSpec("approve", "human", settings)
    found = [*HumanFactory().problems(agent, Toolbox(InlineScripts(), {}))]
    assert [(problem.code, problem.field) for problem in found] == [("question.malformed", field)]


async def test_a_wrong_setting_is_a_problem_of_the_blueprint() -> None:
    agent = {"name": "approve", "kind": "human", "scheme": {}}
    async with Host.in_memory() as host:
        with pytest.raises(BlueprintInvalid) as caught:
            await host.load(document(agent))
    assert [problem.code for problem in caught.value.problems] == ["agent.field_unknown"]
