"""Limits and cost, asked by themselves: what is new is bounded by what there was."""

from __future__ import annotations

from typing import Any

import pytest

from flowir.limits import DEFAULT_LIMITS
from swarm.blueprint.model import EVENTS
from swarm.enhance.bounds import cost_of, dearer, raised

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
    assert cost_of(_document(_fanout({"op": "path", "at": "$.files"}))) == 100
    assert cost_of(_document(_fanout({"op": "lit", "value": "files"}))) == 100


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


def _said(had: dict[str, Any], has: dict[str, Any]) -> list[str]:
    found = list(raised(had, has))
    assert {one.code for one in found} <= {"enhance.limit_raised"}
    return [str(one).removeprefix("enhance.limit_raised: ") for one in found]


LIMITS: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    # What is absent is the language's own, or the host's.
    ({}, {"fuel": 10_000_000}, []),
    ({}, {"fuel": 10_000_001}, ["limits: fuel is raised from 1e+07 to 1e+07"]),
    ({"fuel": 10}, {"fuel": 10}, []),
    ({"fuel": 10}, {"fuel": 11}, ["limits: fuel is raised from 10 to 11"]),
    ({"lanes": 2}, {}, [f"limits: lanes is raised from 2 to {DEFAULT_LIMITS.lanes:g}"]),
    ({"in_flight": 2}, {}, [f"limits: in_flight is raised from 2 to {DEFAULT_LIMITS.in_flight:g}"]),
    ({"events": 2}, {}, [f"limits: events is raised from 2 to {EVENTS:g}"]),
    ({"lanes": 2, "fuel": 9}, {"lanes": 3, "fuel": 10},
     ["limits: fuel is raised from 9 to 10", "limits: lanes is raised from 2 to 3"]),
]  # fmt: skip


@pytest.mark.parametrize(("had", "has", "said"), LIMITS)
def test_the_limits_of_a_blueprint_are_no_higher_than_they_were(
    had: dict[str, Any], has: dict[str, Any], said: list[str]
) -> None:
    assert DEFAULT_LIMITS.fuel == 10_000_000
    assert _said({**_document(STEP), "limits": had}, {**_document(STEP), "limits": has}) == said


OWN: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({"timeout_s": 5}, {"timeout_s": 6}, ["timeout_s is raised from 5 to 6"]),
    ({"concurrency": 1}, {"concurrency": 2}, ["concurrency is raised from 1 to 2"]),
    ({"deadline_s": 1}, {}, ["deadline_s is raised from 1 to no limit"]),
    ({"budget": {"usd": 1}}, {"budget": {"usd": 2}}, ["budget.usd is raised from 1 to 2"]),
    ({"budget": {"usd": 1}}, {}, ["budget.usd is raised from 1 to no limit"]),
    # When one is warned limits nothing.
    ({"budget": {"usd": 1, "warn_at": 0.5}}, {"budget": {"usd": 1, "warn_at": 0.9}}, []),
    ({"budget": {"usd": 1}}, {"budget": {"usd": 1, "warn_at": 0.9}}, []),
    # A reserve is held back: less of it is more.
    ({"reserve": {"usd": 2}}, {"reserve": {"usd": 1}}, ["reserve.usd is raised from 2 to 1"]),
    ({"reserve": {"usd": 2}}, {"reserve": {"usd": 2}}, []),
    ({"reserve": {"usd": 2}}, {"reserve": {"usd": 3}}, []),
    ({"reserve": {"usd": 0.5}}, {}, ["reserve.usd is raised from 0.5 to 0"]),
    ({}, {"reserve": {"usd": 0.5}}, []),
    ({"retry": {"max_attempts": 2, "factor": 9}}, {"retry": {"max_attempts": 2}}, []),
    ({"retry": {"max_attempts": 2, "jitter": True}}, {"retry": {"max_attempts": 2}}, []),
    # What is no limit, and what is no number.
    ({"description": "3", "tags": [3]}, {"description": "4", "tags": [4]}, []),
    ({"budget": {"hard": True}}, {"budget": {}}, []),
]


@pytest.mark.parametrize(("had", "has", "said"), OWN)
def test_the_limits_of_an_agent_are_no_higher_than_they_were(
    had: dict[str, Any], has: dict[str, Any], said: list[str]
) -> None:
    expected = [f"agent 'a': {one}" for one in said]
    assert _said(_document(STEP, **had), _document(STEP, **has)) == expected


def test_an_agent_that_is_new_or_gone_has_no_limits_to_compare() -> None:
    had, has = _document(STEP, timeout_s=1), _document(STEP)
    has["agents"][0]["name"] = "b"
    assert _said(had, has) == []


LOOPS: list[tuple[list[int], list[int], list[str]]] = [
    ([], [0], []),
    ([], [1], ["loop at $.children[0] is new, and goes round up to 1 times"]),
    ([2, 5], [2, 5, 5], []),
    ([5, 2], [5, 2, 6], ["loop at $.children[2] is new, and goes round up to 6 times"]),
]


@pytest.mark.parametrize(("had", "has", "said"), LOOPS)
def test_a_loop_that_is_new_goes_round_no_more_than_the_longest_of_before(
    had: list[int], has: list[int], said: list[str]
) -> None:
    def loops(rounds: list[int]) -> list[dict[str, Any]]:
        return [{**_loop(most), "counter": f"$.i{i}"} for i, most in enumerate(rounds)]

    assert _said(_document(*loops(had)), _document(*loops(has))) == said


COSTS: list[tuple[int, int, float, str | None]] = [
    (4, 4, 1.0, None),
    (4, 5, 1.25, None),
    (4, 6, 1.25, "a run may ask for 6 steps, expected at most 5"),
    (4, 1, 1.25, None),
    # Of a baseline that asked for nothing: as of one that asked for one.
    (0, 1, 1.0, None),
    (0, 2, 1.0, "a run may ask for 2 steps, expected at most 0"),
    (0, 2, 2.0, None),
    (1, 2, 1.5, "a run may ask for 2 steps, expected at most 1.5"),
]


@pytest.mark.parametrize(("before", "after", "factor", "said"), COSTS)
def test_a_flow_costs_no_more_than_so_many_times_what_it_cost(
    before: int, after: int, factor: float, said: str | None
) -> None:
    found = list(dearer(_document(*[STEP] * before), _document(*[STEP] * after), factor))
    expected = [] if said is None else [("enhance.cost_budget", f"enhance.cost_budget: {said}")]
    assert [(one.code, str(one)) for one in found] == expected


def _branch(then: dict[str, Any], otherwise: dict[str, Any] | None = None) -> dict[str, Any]:
    cond = {"op": "path", "at": "$.long"}
    made = {"kind": "branch", "cond": cond, "then": then}
    return made if otherwise is None else {**made, "else": otherwise}


def _of(*children: Any) -> dict[str, Any]:
    return {"kind": "seq", "children": list(children)}


FLOWS: list[tuple[dict[str, Any], float]] = [
    (_of(), 0),
    (_of(STEP, STEP), 2),
    (_branch(STEP), 1),
    (_branch(_of()), 0),
    (_branch(STEP, _of(STEP, STEP)), 2),
    (_branch(_of(STEP, STEP), STEP), 2),
    (_loop(3, STEP, STEP), 6),
    (_loop(0, STEP), 0),
    (_loop(3, _loop(4, STEP)), 12),
    ({"kind": "try", "body": STEP, "catch": STEP, "finally": STEP}, 3),
    (_fanout({"op": "path", "at": "$.files"}), 100),
    (_fanout({"op": "lit", "value": "no list"}), 100),
    (_fanout({"op": "lit", "value": []}), 0),
    (_fanout({"op": "array", "items": []}), 0),
    ({"kind": "assign", "at": "$.a", "value": {"op": "lit", "value": 1}}, 0),
    ({**STEP, "retry": {"delay_s": 1}}, 3),
    ({**STEP, "ref": "nobody"}, 1),
    ({**STEP, "ref": "nobody", "retry": {"max_attempts": 4}}, 4),
]


@pytest.mark.parametrize(("flow", "cost"), FLOWS)
def test_what_a_flow_costs_is_the_most_steps_that_it_could_ask_for(
    flow: dict[str, Any], cost: float
) -> None:
    assert cost_of({**_document(), "flow": flow}) == cost


def test_a_step_that_runs_a_blueprint_costs_what_that_costs() -> None:
    within = _document(STEP, STEP, STEP)
    assert cost_of(_document(STEP, document=within)) == 3
    assert cost_of(_document({**STEP, "retry": {"max_attempts": 2}}, document=within)) == 6
