from __future__ import annotations

from typing import Any

import pytest

from flowir import Dispatch, Failure, Machine, Success, load
from flowir.drive import run
from flowir.trace import Trace, nodes_of, traced, ways_of
from tests.flowir.written import assign, fanout, guarded, lit, path, seq, step


def _echo(ref: str, input: Any) -> Any:
    return input


def _traced(document: dict[str, Any], ctx: Any) -> Trace:
    flow, trace = traced(load(document))
    run(flow, ctx, _echo)
    return trace


def _branch(cond: bool, **more: Any) -> dict[str, Any]:
    return {"kind": "branch", "cond": lit(cond), "then": assign("$.a", lit(1)), **more}


def test_each_node_that_was_entered_is_counted_seqs_where_they_begin() -> None:
    trace = _traced(seq(seq(assign("$.x", lit(1))), seq()), {})
    assert trace.nodes == {
        "$": 1,
        "$.children[0]": 1,
        "$.children[0].children[0]": 1,
        "$.children[1]": 1,
    }


@pytest.mark.parametrize(
    ("document", "way"),
    [
        (_branch(True), "then"),
        (_branch(False), "else"),
        (_branch(True, **{"else": seq()}), "then"),
        (_branch(False, **{"else": seq()}), "else"),
    ],
)
def test_the_way_through_a_branch_is_counted(document: dict[str, Any], way: str) -> None:
    assert _traced(document, {}).ways == {("$", way): 1}
    assert _traced(seq(document, seq()), {}).ways == {("$.children[0]", way): 1}


@pytest.mark.parametrize(("most", "turns"), [(0, 0), (3, 3)])
def test_the_turns_of_a_loop_are_counted_and_its_end(most: int, turns: int) -> None:
    loop = {
        "kind": "loop",
        "counter": "$.n",
        "cond": lit(True),
        "body": assign("$.x", path("$.n")),
        "max": most,
    }
    ways = _traced(loop, {}).ways
    assert (ways["$", "turn"], ways["$", "end"]) == (turns, 1)


def test_a_try_goes_well_or_is_caught() -> None:
    fails = {"op": "fail", "code": "x.y", "message": lit("no")}
    well = guarded(assign("$.x", lit(1)))
    caught = guarded(assign("$.x", fails))
    assert _traced(well, {}).ways == {("$", "well"): 1}
    trace = _traced(caught, {})
    assert trace.ways == {("$", "caught"): 1}
    assert trace.nodes["$.catch"] == 1


def test_lanes_are_counted_each() -> None:
    trace = _traced(fanout(lit([1, 2, 3]), step("a", path("$.x"), out="$.y")), {})
    assert trace.nodes["$.body"] == 3


def test_what_was_taken_is_not_there_any_more_and_can_be_added() -> None:
    flow, trace = traced(load(assign("$.x", lit(1))))
    sum_of_all = Trace()
    for _ in range(2):
        run(flow, {}, _echo)
        sum_of_all.add(trace.take())
    assert trace.nodes == {}
    assert sum_of_all.nodes == {"$": 2}


def test_only_a_node_with_several_ways_has_ways() -> None:
    flow = load(seq(assign("$.x", lit(1)), _branch(True)))
    told = {place: ways_of(node) for place, node in nodes_of(flow)}
    assert told == {
        "$": (),
        "$.children[0]": (),
        "$.children[1]": ("then", "else"),
        "$.children[1].then": (),
    }


FLOW = seq(
    {
        "kind": "loop",
        "counter": "$.round",
        "cond": {"op": "lt", "lhs": path("$.round"), "rhs": path("$.n")},
        "body": guarded(step("a", path("$.round"), out="$.a"), catch=assign("$.a", lit(0))),
        "max": 7,
    },
    guarded(
        fanout(path("$.items"), step("b", path("$.x"), out="$.y"), "all_settled"),
        catch=assign("$.r", lit([])),
        **{"finally": step("c", lit(1))},
    ),
    {"kind": "branch", "cond": lit(False), "then": seq()},
)


def _told(machine: Machine) -> list[Any]:
    """Answer every step by its input, each third one with a failure; return all that was said."""
    told: list[Any] = []
    pending = list(machine.start())
    while pending:
        effect = pending.pop(0)
        told.append(effect)
        assert isinstance(effect, Dispatch)
        answer = Failure("x.y", "no") if len(told) % 3 == 0 else Success(effect.input)
        pending += machine.resolve(effect.key, answer, effect.attempt)
    return [*told, machine.fuel, machine.result]


@pytest.mark.parametrize("n", [0, 2, 9])
def test_a_traced_flow_does_what_the_flow_does_for_the_same_fuel(n: int) -> None:
    ctx = {"n": n, "items": [1] * n}
    followed, trace = traced(load(FLOW))
    assert _told(Machine(load(FLOW), ctx)) == _told(Machine(followed, ctx))
    assert trace.nodes["$"] == 1


def test_a_machine_of_a_traced_flow_is_restored_with_its_plain_snapshot() -> None:
    ctx = {"n": 2, "items": [1]}
    followed, trace = traced(load(FLOW))
    machine = Machine(load(FLOW), ctx)
    machine.start()
    again = Machine.restore(followed, machine.snapshot())
    again.resolve("$.children[0].body#0.body", Success(1))
    assert trace.ways == {("$.children[0].body", "well"): 1, ("$.children[0]", "turn"): 1}
