"""The joins, told directly what the lanes came to, and judged by the table of flow-ir.md §4."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any, cast

import pytest

from flowir.errors import FlowError
from flowir.exprs import Bounds
from flowir.joins import Fan
from flowir.lane import Lane
from flowir.nodes import JOINS, Join

JSON = Any
_NO_LANE = cast("Lane", None)


def fan(join: Join, count: int, quorum: int | None = None) -> Fan:
    return Fan(_NO_LANE, join, list(range(count)), 1_000, quorum)


def settle(fan: Fan, index: int, good: bool) -> None:
    if good:
        fan.succeed(index, f"v{index}")
    else:
        fan.fail(index, FlowError("x", f"e{index}", at=f"@{index}"))


def told(fan: Fan) -> JSON:
    """Tell what was decided: a value, an error's code, or None."""
    if not fan.decided:
        return None
    return fan.error.code if fan.error else fan.result


def expected(join: Join, order: list[tuple[int, bool]], count: int, quorum: int) -> JSON:
    """Say what the join has decided after *order*, by the table."""
    good = [index for index, success in order if success]
    bad = [index for index, success in order if not success]
    full = len(order) == count
    match join:
        case "all":
            return "x" if bad else [f"v{i}" for i in sorted(good)] if full else None
        case "any":
            return f"v{good[0]}" if good else "fanout.all_failed" if full else None
        case "race":
            first, success = order[0]
            return f"v{first}" if success else "x"
        case "all_settled":
            return [_settlement(i, i in good) for i in range(count)] if full else None
        case "quorum":
            if len(good) >= quorum:
                return [f"v{i}" for i in sorted(good[:quorum])]
            return "fanout.no_quorum" if count - len(bad) < quorum else None


def _settlement(index: int, good: bool) -> JSON:
    if good:
        return {"status": "fulfilled", "value": f"v{index}"}
    error = {"code": "x", "cause_code": None, "message": f"e{index}", "at": f"@{index}"}
    error |= {"step": None, "attempt": None, "data": None}
    return {"status": "rejected", "reason": f"e{index}", "error": error}


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_each_join_decides_as_the_table_says_in_every_order(join: Join, count: int) -> None:
    for indexes in permutations(range(count)):
        for goods in product((True, False), repeat=count):
            order = list(zip(indexes, goods, strict=True))
            running = fan(join, count, 2 if join == "quorum" and count > 1 else None)
            quorum = running.quorum or 1
            if join == "quorum" and running.quorum is None:
                running = fan(join, count, 1)
            decided: JSON = None
            for step, (index, good) in enumerate(order):
                settle(running, index, good)
                decided = decided or expected(join, order[: step + 1], count, quorum)
                assert told(running) == decided, order


@pytest.mark.parametrize(
    ("join", "quorum", "decided"),
    [
        ("all", None, []),
        ("all_settled", None, []),
        ("any", None, "fanout.empty"),
        ("race", None, "fanout.empty"),
        ("quorum", 1, "fanout.no_quorum"),
    ],
)
def test_without_items_the_join_is_decided_at_once(
    join: Join, quorum: int | None, decided: JSON
) -> None:
    running = fan(join, 0, quorum)
    assert told(running) == decided
    assert not running.open


def test_a_quorum_of_more_than_there_are_is_lost_at_once() -> None:
    assert told(fan("quorum", 2, 3)) == "fanout.no_quorum"
    assert told(fan("quorum", 3, 3)) is None


@pytest.mark.parametrize("code", ["run.cancelled", "fuel.exhausted", "budget.exhausted"])
@pytest.mark.parametrize("join", JOINS)
def test_what_ends_the_run_passes_every_join(join: Join, code: str) -> None:
    running = fan(join, 3, 1 if join == "quorum" else None)
    running.fail(1, FlowError(code, "end"))
    assert told(running) == code


def test_the_errors_stand_in_item_order() -> None:
    for join, quorum in (("any", None), ("quorum", 2)):
        running = fan(cast("Join", join), 2, quorum)
        for index in (1, 0):
            settle(running, index, good=False)
        error = running.error
        assert error is not None
        found = [e["message"] for e in error.data["errors"]]
        assert found == (["e0", "e1"] if join == "any" else ["e1"])


def test_an_abandoned_fan_has_no_value() -> None:
    running = fan("race", 2)
    running.succeed(0, "v")
    running.abandon(FlowError("run.cancelled", "stop"))
    assert (running.result, told(running)) == (None, "run.cancelled")


def test_the_bounds_grow_with_what_lanes_come_to() -> None:
    running = fan("all_settled", 2)
    running.fail(0, FlowError("x", "m" * 100, step="s" * 100, at="a" * 100, data=[["d" * 100]]))
    assert running.bounds > Bounds(500, 2 + 3)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_what_was_decided_is_bounded_by_its_lanes_and_the_words_around_them(count: int) -> None:
    """`{"ok": true, "value": …}` has some thirty characters, and one with an error more."""
    running = fan("all_settled", count)
    running.size, running.depth = 500, 7
    assert running.bounds == Bounds(500 + 64 * count, 10)
