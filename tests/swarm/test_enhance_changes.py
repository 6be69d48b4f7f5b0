"""What kind of change a change is: each kind by itself, so that none passes for a lesser one."""

from __future__ import annotations

from typing import Any

import pytest

from swarm.enhance.changes import kinds_of

STEP = {"kind": "step", "ref": "a", "in": {"op": "lit", "value": 1}}
LOOP = {"kind": "loop", "body": STEP, "max": 3, "cond": {"op": "lit", "value": True}}
HEAD: dict[str, Any] = {
    "description": "one",
    "agents": [
        {"name": "a", "kind": "lua", "source": "return 1", "description": "a", "tags": ["x"]},
        {"name": "b", "kind": "human", "prompt": "why?"},
    ],
    "flow": {"kind": "seq", "children": [STEP, LOOP]},
}


def _agent(number: int, **changed: Any) -> dict[str, Any]:
    agents = [dict(agent) for agent in HEAD["agents"]]
    agents[number].update(changed)
    return {"agents": agents}


def _flow(*children: Any) -> dict[str, Any]:
    return {"flow": {"kind": "seq", "children": list(children)}}


@pytest.mark.parametrize(
    ("changed", "kinds"),
    [
        ({}, set()),
        ({"description": "two"}, {"text"}),
        ({"agents": HEAD["agents"][:1]}, {"agents"}),
        ({"agents": [*HEAD["agents"], {"name": "c", "kind": "lua", "source": ""}]}, {"agents"}),
        (_agent(0, name="c"), {"agents"}),
        (_agent(0, kind="process"), {"agents"}),
        (_agent(0, source="return 2"), {"script"}),
        (_agent(0, description="b"), {"prompt"}),
        (_agent(0, tags=["y"]), {"tags"}),
        (_agent(1, prompt="why not?"), {"prompt"}),
        (_flow(STEP, {**LOOP, "max": 2}), {"limits"}),
        (_flow(STEP), {"flow"}),
        (_flow(LOOP, STEP), {"flow"}),
        (_flow({**STEP, "ref": "b"}, LOOP), {"flow"}),
        (_flow(STEP, {**LOOP, "max": 2, "body": {**STEP, "ref": "b"}}), {"flow"}),
        ({**_agent(0, source="return 2"), "description": "two"}, {"script", "text"}),
    ],
)
def test_a_change_is_of_its_kinds(changed: dict[str, Any], kinds: set[str]) -> None:
    assert kinds_of(HEAD, {**HEAD, **changed}) == kinds
