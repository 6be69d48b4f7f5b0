"""A fanout's lane: what it writes stays its own, also while it has let go of its context."""

from __future__ import annotations

from typing import Any

import pytest

from flowir import Failure, Success
from tests.flowir.written import (
    assign,
    begin,
    branch,
    deep,
    fanout,
    guarded,
    lit,
    path,
    seq,
    step,
    told,
)

JSON = Any
WIDE: JSON = {f"k{n}": n for n in range(300)}


def test_a_waiting_lane_lets_go_of_what_is_wide_and_makes_it_again() -> None:
    body = seq(step("w", out="$.o.y"), step("w", path("$.o"), out="$.o.z"))
    lanes = {**fanout(lit([1, 2]), body, collect=path("$.o")), "bind": "$.o.x"}
    machine, effects = begin(lanes, {"o": WIDE})
    assert [lane.parked for lane in machine.pending.values()] == [True, True]
    assert all(lane.ctx is None for lane in machine.pending.values())
    for effect in effects:
        (asked,) = machine.resolve(effect.key, Success("y"))
        machine.resolve(asked.key, Success("z"))
    found = machine.result["r"]
    assert found == [{**WIDE, "x": n, "y": "y", "z": "z"} for n in (1, 2)]


def test_a_lane_that_wrote_nothing_wide_keeps_its_context() -> None:
    machine, _ = begin(fanout(lit([1]), step()), {"a": 1})
    assert [lane.parked for lane in machine.pending.values()] == [False]


@pytest.mark.parametrize("index", [-3, 2])
def test_a_lane_may_wait_after_writing_into_a_list_that_its_parent_had_shorter(index: int) -> None:
    body = seq(assign("$.l", lit([1, 2, 3])), assign(f"$.l[{index}].a", lit(9)), step())
    document = fanout(lit([0]), guarded(body), collect=path("$.l"))
    machine, effects = begin(document, {"l": [5]})
    assert effects == ()  # 1 and 3 are no objects
    body = seq(assign("$.l", lit([{}, 2, {}])), assign(f"$.l[{index}].a", lit(9)), step())
    machine, (effect,) = begin(fanout(lit([0]), body, collect=path("$.l")), {"l": [5]})
    machine.resolve(effect.key, Success(None))
    assert machine.result["r"] == [[{"a": 9}, 2, {}] if index < 0 else [{}, 2, {"a": 9}]]


@pytest.mark.parametrize("writes", range(9))
@pytest.mark.parametrize("restore", [True, False])
def test_a_try_restores_a_lane_however_much_it_wrote(writes: int, restore: bool) -> None:
    """A few writes are remembered one by one, more by their outcome."""
    many = [assign(f"$.o.w{n}", lit([n])) for n in range(writes)]
    deeper = [assign(f"$.o.w{n}[0]", lit("changed")) for n in range(writes)]
    body = seq(*many, guarded(seq(*deeper, assign("$.q", lit(1)), step()), restore=restore))
    lanes = {**fanout(lit([1, 2]), body, collect=path("$.o")), "bind": "$.o.x"}
    machine, effects = begin(lanes, {"o": WIDE})
    for effect in effects:
        machine.resolve(effect.key, Failure("x", "no"))
    written = {f"w{n}": [n] if restore else ["changed"] for n in range(writes)}
    assert machine.result["r"] == [{**WIDE, "x": x, **written} for x in (1, 2)]
    assert machine.result["o"] == WIDE


def test_nested_tries_restore_each_to_its_own_moment() -> None:
    fails = step("w")
    inner = guarded(seq(assign("$.c", lit(3)), fails), err_at="$.inner")
    outer = guarded(seq(assign("$.b", lit(2)), inner, step("v")), err_at="$.outer")
    lanes = fanout(lit([1]), seq(assign("$.a", lit(1)), outer), collect=path("$"))
    machine, (effect,) = begin(lanes)
    (again,) = machine.resolve(effect.key, Failure("x", "no"))
    machine.resolve(again.key, Failure("x", "never"))
    assert machine.result["r"] == [{"x": 1, "a": 1, "outer": "never"}]


def test_a_lane_that_replaces_its_whole_context_is_restored() -> None:
    body = guarded(seq(assign("$", lit({"new": True})), step()))
    machine, (effect,) = begin(fanout(lit([1]), body, collect=path("$")), {"a": 1})
    machine.resolve(effect.key, Failure("x", "no"))
    assert machine.result["r"] == [{"a": 1, "x": 1}]


def test_a_parked_lane_is_cancelled_with_its_own_context() -> None:
    cleaned = step("f", path("$.o.x"))
    body = guarded(step("w"), **{"finally": cleaned})
    lanes = {**fanout(lit([7, 8]), body), "bind": "$.o.x"}
    machine, _ = begin(lanes, {"o": WIDE})
    inputs = [effect.input for effect in machine.cancel("stop")[2:]]  # type: ignore[union-attr]
    assert inputs == [7, 8]


def test_a_lane_without_collect_gives_its_whole_context() -> None:
    lanes = {k: v for k, v in fanout(lit([1, 2]), seq()).items() if k != "collect"}
    assert told(begin(lanes, {"a": 0})[0]) == {"a": 0, "r": [{"a": 0, "x": 1}, {"a": 0, "x": 2}]}


def test_an_item_that_cannot_be_bound_fails_its_lane() -> None:
    lanes = {**fanout(lit([1]), seq(), "all_settled"), "bind": "$.a.b"}
    (lane,) = told(begin(lanes, {"a": 5})[0])["r"]
    assert lane["error"]["code"] == "path.not_writable"


def test_a_collect_that_fails_fails_its_lane() -> None:
    only_first = branch({"op": "eq", "lhs": path("$.x"), "rhs": lit(0)}, assign("$.y", lit("y")))
    assert told(begin(fanout(lit([1, 0]), only_first, "any"))[0]) == {"r": "y"}


def test_an_answer_that_is_no_json_fails_the_step_with_its_place() -> None:
    machine, _ = begin(guarded(step("w", id="s"), error_at="$.e"))
    machine.resolve("$.body", Success({"a": [object()]}))
    error = machine.result["e"]
    assert (error["code"], error["step"], error["attempt"]) == ("malformed", "w", 1)
    assert error["message"].startswith("the answer of 'w' at .a[0]: expected a JSON value")


@pytest.mark.parametrize(
    ("answer", "code"),
    [(deep(129), "malformed"), (deep(128), "value.too_deep"), ("x" * 2**24, "value.too_large")],
    ids=["deep", "deeper than the place allows", "large"],
)
def test_an_answer_beyond_the_limits_fails_the_step(answer: JSON, code: str) -> None:
    machine, _ = begin(step("w", out="$.a"))
    machine.resolve("$", Success(answer))
    assert told(machine) == code


def test_the_data_of_a_failure_passes_the_door_too() -> None:
    machine, _ = begin(step("w"))
    machine.resolve("$", Failure("x", "no", data={1}))
    assert told(machine) == "malformed"


def test_an_answer_shares_nothing_with_the_context_or_the_worker() -> None:
    shared: JSON = {"l": [1]}
    document = seq(step("w", path("$.a"), out="$.b"), assign("$.b.l[0]", lit(2)), step())
    ctx = {"a": shared}
    machine, (effect,) = begin(document, ctx)
    given = effect.input  # type: ignore[union-attr]
    machine.resolve(effect.key, Success({"l": given["l"], "all": [given, shared, ctx]}))
    given["l"].append("spoilt")
    shared["l"].append("spoilt")
    machine.resolve("$.children[2]", Success(None))
    whole = {"a": {"l": [1]}}
    assert machine.result == {**whole, "b": {"l": [2], "all": [{"l": [1]}, {"l": [1]}, whole]}}
