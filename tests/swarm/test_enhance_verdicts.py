"""Verdicts by themselves: what each axis says of one change, and when they are enough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swarm.enhance.verdicts import AXES, Change, Verdict, judged, missing, read_verdict

STEP: dict[str, Any] = {"kind": "step", "ref": "a", "in": {"op": "lit", "value": 1}}
EDITOR: dict[str, Any] = {"name": "editor", "kind": "human", "prompt": "may it?"}


def document(*nodes: dict[str, Any], agents: Any = (), **more: Any) -> dict[str, Any]:
    own = {"name": "a", "kind": "lua", "source": "return 1"}
    flow = {"kind": "seq", "children": list(nodes)}
    return {"swarm": 1, "id": "x", "agents": [own, EDITOR, *agents], "flow": flow, **more}


HEAD = document(STEP)
PROGRAM = {"name": "p", "kind": "process", "argv": ["lpr"]}


def verdict(axis: str, after: dict[str, Any], factor: float = 1.0, **more: Any) -> Verdict:
    found = judged(axis, replace(Change("b", "r", HEAD, HEAD, after), **more), factor)
    assert found is not None
    assert (found.axis, found.base, found.result) == (axis, "b", more.get("result", "r"))
    return found


OTHER = document(STEP, description="other")
NO_EDITOR = {**HEAD, "agents": HEAD["agents"][:1]}

HIGHER = "step at $.children[0]: retry.max_attempts is raised from 1 to 2"

JUDGED: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("schema", OTHER, ()),
    ("schema", {**OTHER, "id": "y"}, ("enhance.protected_path: 'id' is people's to change",)),
    ("noop", OTHER, ()),
    ("noop", HEAD, ("enhance.noop: nothing is changed",)),
    ("references", OTHER, ()),
    ("references", document({**STEP, "ref": "swarm.sleep"}), ()),
    (
        "references",
        document(STEP, {**STEP, "ref": "nobody"}),
        ("enhance.unknown_agent: $.children[1] asks 'nobody', who is not there",),
    ),
    ("power", OTHER, ()),
    (
        "power",
        document(STEP, agents=[PROGRAM]),
        ("enhance.capability_widened: agent 'p' of kind 'process' is new: {\"argv\":[\"lpr\"]}",),
    ),
    ("guards", OTHER, ()),
    ("guards", NO_EDITOR, ("enhance.guard_removed: guard 'editor' is gone",)),
    ("limits", OTHER, ()),
    (
        "limits",
        document({**STEP, "retry": {"max_attempts": 2}}),
        (f"enhance.limit_raised: {HIGHER}",),
    ),
    (
        "cost",
        document(STEP, STEP),
        ("enhance.cost_budget: a run may ask for 2 steps, expected at most 1",),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("axis", "after", "said"), JUDGED)
def test_an_axis_passes_what_it_has_nothing_against(
    axis: str, after: dict[str, Any], said: tuple[str, ...]
) -> None:
    found = verdict(axis, after)
    assert (found.passed, found.evidence) == (not said, said)


def test_an_objection_is_told_once_however_often_it_is_made() -> None:
    twice = document({**STEP, "ref": "p"}, {**STEP, "ref": "p", "id": "x"}, agents=[PROGRAM])
    assert len(verdict("power", twice).evidence) == 1
    assert verdict("noop", OTHER, result="b").evidence == ("enhance.noop: nothing is changed",)


def test_what_a_change_costs_is_told_where_it_may() -> None:
    assert verdict("cost", document(STEP, STEP), 2.0) == Verdict(
        "cost", "b", "r", True, ("at most 1 steps before, 2 now",)
    )


def test_an_axis_that_needs_a_host_is_not_judged_here() -> None:
    change = Change("b", "r", HEAD, HEAD, OTHER)
    pure = ("schema", "noop", "references", "power", "guards", "limits", "cost")
    assert tuple(axis for axis in AXES if judged(axis, change, 1.0) is not None) == pure
    assert judged("style", change, 1.0) is None


WIRE: dict[str, Any] = {
    "axis": "power", "base": "b", "result": "r", "pass": True, "evidence": ["fine"],
}  # fmt: skip


def test_a_verdict_is_read_and_written_as_it_was_said() -> None:
    assert read_verdict(WIRE) == Verdict("power", "b", "r", True, ("fine",))
    assert Verdict("power", "b", "r", True, ("fine",)).to_wire() == WIRE
    assert read_verdict({**WIRE, "pass": False, "evidence": (5,)}) == Verdict(
        "power", "b", "r", False, ("5",)
    )


@pytest.mark.parametrize(
    "wire",
    [
        None, [], "power", {}, {**WIRE, "more": 1}, {k: v for k, v in WIRE.items() if k != "base"},
        {**WIRE, "axis": 1}, {**WIRE, "base": None}, {**WIRE, "result": 1},
        {**WIRE, "evidence": "fine"}, {**WIRE, "evidence": {}},
        {**WIRE, "pass": 1}, {**WIRE, "pass": 0}, {**WIRE, "pass": None}, {**WIRE, "pass": "yes"},
    ],
)  # fmt: skip
def test_what_is_no_verdict_is_none(wire: Any) -> None:
    assert read_verdict(wire) is None
    assert missing([wire], "b", "r", ["power"]) == ("power",)


def test_a_verdict_on_something_else_or_one_too_many_is_not_enough() -> None:
    assert missing([WIRE], "b", "r", ["power"]) == ()
    assert missing([WIRE, WIRE], "b", "r", ["power"]) == ("power",)
    assert missing([WIRE], "b", "other", ["power"]) == ("power",)
    assert missing([WIRE], "other", "r", ["power"]) == ("power",)
    assert missing([WIRE, {**WIRE, "base": "x"}], "b", "r", ["style", "power"]) == ("style",)
    assert missing([], "b", "r") == AXES
