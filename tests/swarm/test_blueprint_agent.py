"""An agent's own words: what of them reaches whoever does its steps."""

from __future__ import annotations

from typing import Any

import pytest

from swarm import Host, StepContext
from swarm.blueprint.agent import AgentSpec

WORDS: Any = {
    "model": "large",
    "instructions": "Be brief.",
    "tools": ["search"],
    "tags": ["editor"],
    "description": "Edits.",
    "verdict": ["PASS"],
    "extra": {"owner": "Ada"},
}


def document(agent: dict[str, Any]) -> dict[str, Any]:
    flow = {"kind": "step", "ref": "editor", "in": "null", "out": "$.said"}
    return {"swarm": 1, "id": "a", "agents": [{"name": "editor", **agent}], "flow": flow}


async def said(host: Host, agent: dict[str, Any]) -> Any:
    run = await host.start(await host.load(document(agent)))
    return (await run.result())["said"]


def test_an_agent_without_words_has_empty_ones() -> None:
    bare = AgentSpec("editor", "lua", {"source": "return 1"})
    assert (bare.model, bare.instructions, bare.description) == ("", "", "")
    assert (bare.tools, bare.tags, bare.verdict, bare.extra) == ((), (), (), {})
    assert bare.told() == {"name": "editor", "kind": "lua"}


@pytest.mark.anyio
async def test_a_script_is_told_of_its_agent() -> None:
    source = "swarm.part('told', swarm.agent) return 'PASS'"
    async with Host.in_memory(scripts="inline") as host:
        run = await host.start(
            await host.load(document({"kind": "lua", "source": source, **WORDS}))
        )
        assert (await run.result())["said"] == "PASS"
        parts = [await run.output("told")]
    assert parts == [{"name": "editor", "kind": "lua", **WORDS}]


@pytest.mark.anyio
async def test_a_function_is_told_of_its_agent() -> None:
    async with Host.in_memory() as host:

        @host.function("edit")
        def edit(context: StepContext) -> dict[str, Any]:
            agent = context.agent
            return {
                "verdict": "PASS",
                "words": [agent.name, agent.model, agent.instructions, agent.description],
                "lists": [*agent.tools, *agent.tags, *agent.verdict],
                "owner": agent.extra["owner"],
            }

        answer = await said(host, {"kind": "function", "function": "edit", **WORDS})
    assert answer["words"] == ["editor", "large", "Be brief.", "Edits."]
    assert answer["lists"] == ["search", "editor", "PASS"]
    assert answer["owner"] == "Ada"


@pytest.mark.anyio
async def test_a_function_that_another_agent_calls_is_told_of_its_own() -> None:
    async with Host.in_memory(scripts="inline") as host:

        @host.function("who")
        def who(context: StepContext) -> str:
            return context.agent.model

        script = "return swarm.call('other', 1)"
        spec = document({"kind": "lua", "source": script, "model": "small"})
        spec["agents"] += [{"name": "other", "kind": "function", "function": "who", "model": "big"}]
        run = await host.start(await host.load(spec))
        assert (await run.result())["said"] == "big"


@pytest.mark.anyio
async def test_a_person_reads_the_instructions_where_there_is_no_prompt() -> None:
    async with Host.in_memory() as host:
        blueprint = await host.load(document({"kind": "human", "instructions": "Is it sound?"}))
        run = await host.start(blueprint)
        async for event in run.events():
            if event["kind"] == "question.asked":
                assert event["prompt"] == "Is it sound?"
                await run.answer(event["id"], "yes")
        assert (await run.result())["said"] == "yes"


@pytest.mark.anyio
async def test_an_agent_s_policy_is_that_of_its_steps_which_have_none() -> None:
    script = "if swarm.attempt < 3 then error('no') end return swarm.attempt"
    agent = {"kind": "lua", "source": script, "retry": {"max_attempts": 3, "delay_s": 0}}
    async with Host.in_memory(scripts="inline") as host:
        assert await said(host, agent) == 3
        own = document(agent)
        own["flow"]["retry"] = {"max_attempts": 2, "delay_s": 0}
        outcome = await (await host.start(await host.load(own))).wait()
        assert outcome.error is not None
        assert outcome.error["attempt"] == 2
