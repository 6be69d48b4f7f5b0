"""The loop's agents by setting: whoever proposes, and none of those that decide."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from swarm.enhance.policy import Policy
from swarm.errors import Refused
from swarm.host.enhance import Enhancer
from swarm.host.host import Host
from swarm.testing import FakeOperators
from tests.swarm import improving as i


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


LUA = """
for _, agent in ipairs(input.document.agents) do
  if agent.name == "helper" then agent.tags[#agent.tags + 1] = "lua" end
end
return {
  ops = { { op = "replace", path = "/agents", value = input.document.agents } },
  rationale = "asked: " .. input.issue.intent,
}
"""
PROGRAM = """
import json, sys
asked = json.load(sys.stdin)
where = [a["name"] for a in asked["document"]["agents"]].index("helper")
op = {"op": "add", "path": f"/agents/{where}/tags/-", "value": "program"}
print(json.dumps({"ops": [op], "rationale": asked["quoted"][:40], "bump": "minor"}))
"""


def tagging(tag: str) -> Any:
    return i.patching(lambda document: document["agents"][4]["tags"].append(tag))


def with_agents(agents: Mapping[str, Any], policy: Policy = i.OPEN) -> Enhancer:
    people = FakeOperators({"ada": lambda order: tagging("operator")(order.body)})
    host = Host.in_memory(scripts="inline", operators=people)
    return Enhancer(host, policy, agents=agents)


@pytest.mark.parametrize("kind", ["lua", "process", "function", "operator"])
async def test_an_agent_of_any_kind_may_propose(kind: str, tmp_path: Path) -> None:
    program = tmp_path / "propose.py"
    program.write_text(PROGRAM)
    agents: dict[str, Any] = {
        "lua": {"kind": "lua", "source": LUA},
        "process": {"kind": "process", "argv": [sys.executable, str(program)], "input": "json",
                    "output": "json"},
        "function": {"kind": "function", "function": "suggest"},
        "operator": {"kind": "operator", "seat": "ada"},
    }  # fmt: skip
    enhancer = with_agents({"enhance_propose": agents[kind]})

    @enhancer.host.function("suggest")
    async def suggest(brief: dict[str, Any]) -> Any:
        return tagging("function")(brief)

    async with enhancer.host as host:
        await i.registered(host)
        done = i.outcome_of(await i.improved(enhancer, "be found"))
        assert done["state"] == "applied", done
        tags = (await host.blueprints.read("review")).document["agents"][4]["tags"]
        assert list(tags) == ["text", kind if kind != "process" else "program"]
        assert done["label"] == ("1.1.0" if kind == "process" else "1.0.1")


@pytest.mark.parametrize(
    "source", ["return 'no proposal'", "return { problem = 'no idea' }", "return { ops = 1 }"]
)
async def test_what_another_agent_answers_is_read_as_strictly(source: str) -> None:
    enhancer = with_agents({"enhance_propose": {"kind": "lua", "source": source}})
    async with enhancer.host as host:
        await i.registered(host)
        done = i.outcome_of(await i.improved(enhancer))
        assert done["state"] == "rejected"
        expected = "no idea" if "problem" in source else "enhance.parse_error"
        assert done["reasons"][0].startswith(expected)


async def test_an_agent_in_the_place_of_the_senior_approves_nothing() -> None:
    yes = {"kind": "lua", "source": "return { approve = true, token = 'v1.k.e.t' }"}
    tags = 'agent.tags[#agent.tags + 1] = "lua"'
    propose = {"kind": "lua", "source": LUA.replace(tags, 'agent.instructions = "be kind"')}
    enhancer = with_agents({"senior": yes, "enhance_propose": propose})
    async with enhancer.host as host:
        await i.registered(host)
        done = i.outcome_of(await i.improved(enhancer))
        assert i.codes(done) == {"enhance.unapproved"}, done
        assert await i.labels(host) == ["1.0.0"]


@pytest.mark.parametrize("name", ["enhance_commit", "enhance_decide", "enhance_verify", "nobody"])
async def test_who_decides_is_not_to_be_had_by_setting(name: str) -> None:
    enhancer = with_agents({name: {"kind": "lua", "source": "return 1"}})
    async with enhancer.host as host:
        await i.registered(host)
        with pytest.raises(Refused, match="expected one of enhance_propose, senior") as caught:
            await i.improved(enhancer)
        assert caught.value.code == "enhance.agents"


@pytest.mark.parametrize(
    ("hours", "hour", "asks"),
    [
        ((0, 24), 3, False),
        ((9, 17), 9, False),
        ((9, 17), 16, False),
        ((9, 17), 17, True),
        ((9, 17), 3, True),
        ((22, 6), 23, False),
        ((22, 6), 5, False),
        ((22, 6), 12, True),
    ],
)
async def test_at_odd_hours_somebody_has_to_look(
    hours: tuple[int, int], hour: int, asks: bool
) -> None:
    policy = i.OPEN.model_copy(update={"hours": hours})
    change = i.patching(lambda d: d["agents"][4].__setitem__("tags", ["x"]))
    enhancer = i.in_memory(change, policy, clock=lambda: (4_000_008 + hour) * 3600.0)
    async with enhancer.host as host:
        await i.registered(host)
        if asks:
            run = await i.asked(enhancer)
            (view,) = await enhancer.issues()
            assert "none of the hours" in view.decision["reasons"][0]
            await run.cancel()
        else:
            assert i.outcome_of(await i.improved(enhancer))["state"] == "applied"
