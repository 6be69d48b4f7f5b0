"""Limits and cost, asked by themselves: what is new is bounded by what there was."""

from __future__ import annotations

from typing import Any

import pytest

from swarm.enhance.bounds import cost_of, raised

STEP: dict[str, Any] = {"kind": "step", "ref": "a", "in": {"op": "lit", "value": 1}}


def _loop(most: int, *children: Any) -> dict[str, Any]:
    body = {"kind": "seq", "children": list(children)}
    return {
        "kind": "loop", "counter": "$.i", "max": most, "cond": {"op": "lit", "value": True},
        "body": body,
    }  # fmt: skip


def _document(*children: Any, **agent: Any) -> dict[str, Any]:
    flow = {"kind": "seq", "children": list(children)}
    agents = [{"name": "a", "kind": "lua", "source": "return 1", **agent}]
    return {"swarm": 1, "id": "x", "agents": agents, "flow": flow}


@pytest.mark.parametrize(("most", "codes"), [(3, []), (4, ["enhance.limit_raised"])])
def test_a_new_loop_goes_round_no_more_than_one_that_there_was(most: int, codes: list[str]) -> None:
    had = _document(_loop(3, STEP))
    has = _document(_loop(3, STEP), _loop(most))
    assert [one.code for one in raised(had, has)] == codes


def test_a_step_costs_one_attempt_unless_something_says_more() -> None:
    assert cost_of(_document(STEP)) == 1
    assert cost_of(_document(STEP, retry={"max_attempts": 3})) == 3
    assert (
        cost_of(_document({**STEP, "retry": {"max_attempts": 2}}, retry={"max_attempts": 3})) == 2
    )


def _fanout(items: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "fanout", "items": items, "bind": "$.it", "body": STEP, "join": "all"}


def test_a_fanout_costs_as_many_bodies_as_it_is_seen_to_have() -> None:
    five: list[Any] = [*range(5)]
    said = {"op": "array", "items": [{"op": "lit", "value": one} for one in five]}
    assert cost_of(_document(_fanout({"op": "lit", "value": five}))) == 5
    assert cost_of(_document(_fanout(said))) == 5
    # How many there will be is not seen: as many as are assumed anywhere.
    assert cost_of(_document(_fanout({"op": "path", "at": "$.files"}))) == cost_of(
        _document(_fanout({"op": "path", "at": "$.pages"}))
    )
