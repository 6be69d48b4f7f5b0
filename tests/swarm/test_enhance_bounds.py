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


STEPS: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({"timeout_s": 5}, {"timeout_s": 5}, None),
    ({"timeout_s": 5}, {"timeout_s": 4}, None),
    ({"timeout_s": 5}, {"timeout_s": 6}, "timeout_s is raised from 5 to 6"),
    ({"timeout_s": 5}, {}, "timeout_s is raised from 5 to no limit"),
    ({}, {"timeout_s": 6}, None),
    ({}, {"retry": {"max_attempts": 1}}, None),
    ({}, {"retry": {"max_attempts": 2}}, "retry.max_attempts is raised from 1 to 2"),
    ({}, {"retry": {"delay_s": 1}}, "retry.max_attempts is raised from 1 to 3"),
    ({"retry": {"delay_s": 1}}, {"retry": {"max_attempts": 3}}, None),
    ({"retry": {"max_attempts": 2}}, {}, None),
    ({"retry": {"max_attempts": 2, "delay_s": 9}}, {"retry": {"max_attempts": 2}}, None),
]


@pytest.mark.parametrize(("had", "has", "said"), STEPS)
def test_what_bounds_a_step_is_no_higher_than_it_was(
    had: dict[str, Any], has: dict[str, Any], said: str | None
) -> None:
    found = list(raised(_document({**STEP, **had}), _document({**STEP, **has})))
    assert [one.code for one in found] == ([] if said is None else ["enhance.limit_raised"])
    if said is not None:
        assert str(found[0]).endswith(f": step at $.children[0]: {said}")


def test_steps_that_say_the_same_are_compared_one_after_the_other() -> None:
    """So is one more of them, with the last; the wider of two lends its bound to no other."""
    short, long = {**STEP, "timeout_s": 1}, {**STEP, "timeout_s": 9}
    had = _document(long, short)
    for children, places in (
        ((long, short), []),
        ((short, short), []),
        ((short, long), ["$.children[1]"]),
        ((long, long), ["$.children[1]"]),
        ((long, short, short), []),
        ((long, short, long), ["$.children[2]"]),
    ):
        found = [str(one) for one in raised(had, _document(*children))]
        assert [one.split(" at ")[1].split(": ")[0] for one in found] == places


@pytest.mark.parametrize(("had", "has", "codes"), [(4, 4, 0), (4, 3, 0), (4, 5, 1), (None, 5, 0)])
def test_a_fanout_has_no_more_lanes_in_flight_than_it_had(
    had: int | None, has: int, codes: int
) -> None:
    def of(most: int | None) -> dict[str, Any]:
        wide = _fanout({"op": "path", "at": "$.files"})
        return _document(wide if most is None else {**wide, "limit": most})

    assert len(list(raised(of(had), of(has)))) == codes
    assert len(list(raised(of(4), of(None)))) == 1


def test_a_loop_that_is_there_goes_round_no_more_than_it_did() -> None:
    assert list(raised(_document(_loop(3, STEP)), _document(_loop(2, STEP)))) == []
    (found,) = raised(_document(_loop(3, STEP)), _document(_loop(4, STEP)))
    assert str(found).endswith(": loop at $.children[0]: max is raised from 3 to 4")
