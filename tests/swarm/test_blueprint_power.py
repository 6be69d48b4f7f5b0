"""What the agents of a blueprint may do outside of the sandbox, line by line."""

from __future__ import annotations

from typing import Any

import pytest

from swarm.blueprint.power import powers

NOTHING: dict[str, Any] = {"kind": "seq", "children": []}


def step(ref: str, **more: Any) -> dict[str, Any]:
    return {"kind": "step", "ref": ref, "in": {"op": "lit", "value": 1}, **more}


def lines(*agents: dict[str, Any], flow: dict[str, Any] = NOTHING) -> list[str]:
    return sorted(powers({"id": "a", "agents": list(agents), "flow": flow}))


TR: dict[str, Any] = {"name": "tr", "kind": "process", "argv": ["tr", "a"], "description": "x"}
ASK: dict[str, Any] = {"name": "ada", "kind": "human", "tags": ["x"], "verdict": ["YES"]}
LUA: dict[str, Any] = {"name": "lu", "kind": "lua", "source": "return 1", "timeout_s": 5}


def test_an_agent_is_told_by_its_settings_or_by_its_kind_alone() -> None:
    assert lines(TR, ASK, LUA, {"name": "z", "kind": "sleep"}) == [
        "human 'ada'",
        'process \'tr\': argv ["tr","a"]',
    ]
    assert lines({**TR, "env": {"A": "1"}, "source": "x", "concurrency": 2}) == [
        'process \'tr\': argv ["tr","a"]',
        'process \'tr\': env {"A":"1"}',
    ]
    assert powers({"flow": NOTHING}) == frozenset()


def test_a_step_is_told_where_it_asks_somebody_with_power() -> None:
    nested = {
        "kind": "branch",
        "cond": {"op": "lit", "value": True},
        "then": {"kind": "seq", "children": [step("lu"), step("tr")]},
        "else": step("ada", id="last"),
    }
    flow = {"kind": "seq", "children": [step("tr"), step("nobody"), nested, step("lu")]}
    found = [line for line in lines(TR, ASK, LUA, flow=flow) if line.startswith("step")]
    assert found == [
        "step $.children[0] asks process 'tr'",
        "step $.children[2].then.children[1] asks process 'tr'",
        "step last asks human 'ada'",
    ]


@pytest.mark.parametrize("name", ["body", "catch", "finally", "then", "else"])
def test_a_step_is_found_in_every_part_of_a_node(name: str) -> None:
    flow = {"kind": "try", name: {"kind": "seq", "children": [step("tr")]}, "at": "$.kind"}
    assert f"step $.{name}.children[0] asks process 'tr'" in lines(TR, flow=flow)


def test_what_looks_like_a_step_in_data_is_none() -> None:
    data = {"op": "array", "items": [step("tr")], "children": {"x": step("tr")}}
    flow = {"kind": "assign", "at": "$.a", "value": data}
    assert [line for line in lines(TR, flow=flow) if line.startswith("step")] == []


def test_what_an_agent_may_do_that_is_a_blueprint_is_told_as_his() -> None:
    inner = {"agents": [TR], "flow": step("tr")}
    outer = {"name": "sub", "kind": "flow", "document": inner, "blueprint": "b.lua"}
    assert lines(outer, flow=step("sub")) == [
        "flow 'sub': blueprint \"b.lua\"",
        "flow 'sub': process 'tr': argv [\"tr\",\"a\"]",
        "flow 'sub': step $ asks process 'tr'",
        "step $ asks flow 'sub'",
    ]
    assert lines({**outer, "document": "none"}) == ["flow 'sub': blueprint \"b.lua\""]
