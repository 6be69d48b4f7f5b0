"""What kind of change a change is: each kind by itself, so that none passes for a lesser one."""

from __future__ import annotations

from typing import Any

import pytest

from swarm.enhance.changes import kinds_of, protected, reserved

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


OF_AGENT = {
    "tags": "tags", "skills": "tags", "timeout_s": "limits", "retry": "limits",
    "concurrency": "limits", "budget": "limits", "reserve": "limits", "deadline_s": "limits",
    "source": "script", "instructions": "prompt", "description": "prompt", "prompt": "prompt",
    "extra": "prompt", "argv": "agents", "layers": "agents", "verdict": "agents",
}  # fmt: skip


@pytest.mark.parametrize(("setting", "kind"), OF_AGENT.items())
def test_a_setting_of_an_agent_is_of_its_kind_added_changed_or_gone(
    setting: str, kind: str
) -> None:
    bare = {**HEAD, "agents": [{"name": "a"}]}
    one, other = ({**HEAD, "agents": [{"name": "a", setting: value}]} for value in (1, 2))
    for before, after in ((bare, one), (one, other), (one, bare)):
        assert kinds_of(before, after) == {kind}


@pytest.mark.parametrize(("member", "kind"), [("limits", "limits"), ("layers", "flow")])
def test_a_member_of_a_blueprint_is_of_its_kind(member: str, kind: str) -> None:
    assert kinds_of(HEAD, {**HEAD, member: 1}) == kinds_of({**HEAD, member: 1}, HEAD) == {kind}


@pytest.mark.parametrize("bound", ["max", "limit", "timeout_s", "retry"])
def test_a_bound_of_a_node_is_a_limit_however_deep_it_stands(bound: str) -> None:
    assert kinds_of(HEAD, {**HEAD, **_flow(STEP, {**LOOP, bound: 1})}) == {"limits"}
    deep = {**LOOP, "body": {**STEP, bound: 1}}
    assert kinds_of(HEAD, {**HEAD, **_flow(STEP, deep)}) == {"limits"}


@pytest.mark.parametrize("name", ["swarm", "id", "allow", "files", "inputs"])
def test_what_is_people_s_to_change_is_told_by_name(name: str) -> None:
    for before, after in ((HEAD, {**HEAD, name: 1}), ({**HEAD, name: 1}, HEAD)):
        (found,) = protected(before, after)
        assert (found.code, str(found)) == (
            "enhance.protected_path",
            f"enhance.protected_path: {name!r} is people's to change",
        )
    assert list(protected(HEAD, {**HEAD, "description": "other"})) == []


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/verdicts", "verdicts"), ("/commit/0", "commit"), ("/decision", "decision"),
        ("/approval/x/y", "approval"), ("/flow/verdicts", None), ("/verdict", None), ("", None),
        ("verdicts", None), (5, None), (None, None),
    ],
)  # fmt: skip
def test_what_the_loop_says_no_operation_says(path: Any, name: str | None) -> None:
    operation = {"op": "add"} if path is None else {"op": "add", "path": path}
    found = [str(one) for one in reserved([{"path": "/flow"}, operation])]
    assert found == ([f"enhance.reserved_path: {name!r} is the loop's to say"] if name else [])
