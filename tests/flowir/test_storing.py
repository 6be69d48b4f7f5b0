"""Bounds on a context's size, and lists and objects that grow in place."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

import flowir
from flowir import Machine, Success
from flowir.externs import STANDARD_EXTERNS
from flowir.lane import Lane
from flowir.limits import Limits
from flowir.values import measure
from tests.flowir.random_flows import RandomFlow
from tests.flowir.written import (
    assign,
    begin,
    call,
    deep,
    fanout,
    guarded,
    lit,
    loop,
    path,
    seq,
    step,
    told,
)

JSON = Any
# The same functions, as the host's own: flows that grow in place must mean what these say.
PLAIN = {name: STANDARD_EXTERNS[name].function for name in ("list.concat", "object.merge")}


def array(*items: JSON) -> JSON:
    return {"op": "array", "items": list(items)}


def both(document: JSON, ctx: JSON) -> JSON:
    """Run with the standard externs and with the host's, and return what both came to."""
    found = [told(begin(document, ctx, externs=externs)[0]) for externs in (None, PLAIN)]
    assert json.dumps(found[0]) == json.dumps(found[1])
    return found[0]


# --- growing -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (call("list.concat", path("$.l"), lit([2])), [1, 2]),
        (call("list.concat", path("$.l"), path("$.l")), [1, 1]),
        (call("list.concat", path("$.l"), path("$.l"), path("$.l")), [1, 1, 1]),
        (call("list.concat", path("$.l"), array(path("$.l"))), [1, [1]]),
        (call("list.concat", path("$.l"), array(path("$"))), [1, {"l": [1]}]),
        (call("list.concat", path("$.l"), lit([])), [1]),
        (call("list.concat", path("$.l")), [1]),
        (call("list.concat", path("$.l"), lit({})), "type.mismatch"),
        (call("list.concat", path("$.l"), path("$.nope")), "path.missing"),
        (call("list.concat"), "type.mismatch"),
        (call("object.merge", path("$.l"), lit({})), "type.mismatch"),
        (call("list.concat", lit([0]), path("$.l")), [0, 1]),
    ],
    ids=json.dumps,
)
def test_a_list_that_grows_is_what_the_extern_says(value: JSON, expected: JSON) -> None:
    found = both(assign("$.l", value), {"l": [1]})
    assert found == (expected if isinstance(expected, str) else {"l": expected})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (call("object.merge", path("$"), lit({"b": 2})), {"a": {"x": 1}, "b": 2}),
        (call("object.merge", path("$"), path("$.a")), {"a": {"x": 1}, "x": 1}),
        (call("object.merge", path("$"), path("$")), {"a": {"x": 1}}),
        (
            call("object.merge", path("$"), {"op": "object", "fields": {"old": path("$")}}),
            {"a": {"x": 1}, "old": {"a": {"x": 1}}},
        ),
    ],
    ids=json.dumps,
)
def test_the_whole_context_grows(value: JSON, expected: JSON) -> None:
    assert both(assign("$", value), {"a": {"x": 1}}) == expected


def test_a_list_grows_in_place() -> None:
    machine, _ = begin(
        seq(step(), assign("$.l", call("list.concat", path("$.l"), lit([2]))), step()), {"l": [1]}
    )
    grown = id(machine.main.ctx["l"])
    machine.resolve("$.children[0]", Success(None))
    assert machine.main.ctx == {"l": [1, 2]}
    assert id(machine.main.ctx["l"]) == grown


def test_a_list_that_a_try_keeps_grows_beside_it() -> None:
    grow = assign("$.l", call("list.concat", path("$.l"), lit([2])))
    body = seq(grow, grow, assign("$.x", path("$.nope")))
    assert both(guarded(body), {"l": [1]}) == {"l": [1]}
    assert both(guarded(body, restore=False), {"l": [1]}) == {"l": [1, 2, 2]}


def test_a_list_that_grows_in_a_lane_grows_in_no_other() -> None:
    grow = assign("$.l", call("list.concat", path("$.l"), array(path("$.x"))))
    lanes = fanout(lit([7, 8]), seq(grow, guarded(seq(grow, assign("$", path("$.q"))))))
    found = both({**lanes, "collect": path("$.l")}, {"l": [1]})
    assert found == {"l": [1], "r": [[1, 7], [1, 8]]}


class _Grower:
    """Random flows of writes that grow, keep, share and fail."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - drawn again from its seed

    def node(self, depth: int) -> JSON:
        makers = [self.grow, self.grow, self.grow, self.write]
        if depth:
            makers += [self.seq, self.seq, self.guard, self.lanes, self.turns]
        return self.random.choice(makers)(depth - 1)

    def place(self) -> str:
        return self.random.choice(("$.l", "$.l", "$.o.l", "$.o", "$.m[0]", "$.o.o"))

    def part(self) -> JSON:
        here = path(self.random.choice(("$", "$.l", "$.o", "$.o.l", "$.m", "$.x")))
        named = {"op": "object", "fields": {self.random.choice(("l", "k", "o")): here}}
        return self.random.choice((here, here, array(here), lit([1]), lit({"k": 1}), named))

    def grow(self, depth: int) -> JSON:
        at, ref = self.place(), self.random.choice(tuple(PLAIN))
        parts = [self.part() for _ in range(self.random.randint(1, 2))]
        return guarded(assign(at, call(ref, path(at), *parts)), restore=self.random.random() < 0.5)

    def write(self, depth: int) -> JSON:
        at = self.random.choice((self.place(), "$.l[0]", "$.o.l[-1]", "$.o.k"))
        return guarded(assign(at, self.part()))

    def seq(self, depth: int) -> JSON:
        return seq(*(self.node(depth) for _ in range(3)))

    def guard(self, depth: int) -> JSON:
        fails = assign("$.z", path("$.nope.nope"))
        return guarded(seq(self.node(depth), self.random.choice((fails, seq()))), err_at="$.e")

    def lanes(self, depth: int) -> JSON:
        ends = {"collect": path(self.random.choice(("$", "$.l", "$.o")))}
        node = fanout(lit([[1], [{"k": 1}]]), self.node(depth), "all_settled", **ends)
        return {**node, "out": self.random.choice(("$.l", "$.m"))}

    def turns(self, depth: int) -> JSON:
        return loop(self.node(depth), 2)


def test_random_flows_that_grow_mean_what_the_externs_say() -> None:
    ended = 0
    for seed in range(300):
        ctx = {"l": [1], "o": {"l": [2], "k": 1, "o": {}}, "m": [[3], {"k": 4}], "x": [0]}
        ended += not isinstance(both(_Grower(seed).node(4), ctx), str)
    assert ended > 200


# --- bounds --------------------------------------------------------------------------


def _lanes(machine: Machine) -> list[Lane]:
    found = [machine.main]
    for lane in found:
        if lane.waits is not None:
            found += lane.waits.live.values()
    return found


def _check_bounds(machine: Machine) -> None:
    for lane in _lanes(machine):
        if not lane.parked:
            size, depth = measure(lane.ctx)
            assert (size <= lane.size, depth <= lane.depth) == (True, True)


def test_a_lane_bounds_its_context_from_above() -> None:
    for seed in range(150):
        sample = RandomFlow(seed)
        machine, effects = begin(sample.document, sample.ctx)
        _check_bounds(machine)
        waiting = [e for e in effects if isinstance(e, flowir.Dispatch)]
        while waiting:
            asked = waiting.pop(0)
            if asked.key in machine.pending:
                outcome = sample.outcome(asked.ref, asked.input)
                more = machine.resolve(asked.key, outcome, asked.attempt)
                waiting += [e for e in more if isinstance(e, flowir.Dispatch)]
                _check_bounds(machine)
    for seed in range(100):
        ctx = {"l": [1], "o": {"l": [2], "k": 1, "o": {}}, "m": [[3], {"k": 4}], "x": [0]}
        machine, _ = begin(seq(_Grower(seed).node(4), step()), ctx)
        _check_bounds(machine)


def small(document: JSON, ctx: JSON, **limits: int) -> JSON:
    machine = Machine(flowir.load(document, limits=Limits(**limits)), ctx)
    machine.start()
    return told(machine)


def test_forty_doublings_end_cheaply() -> None:
    twice = array(path("$.l"), path("$.l"))
    assert told(begin(loop(assign("$.l", twice), 60), {"l": [1]})[0]) == "value.too_large"
    grown = call("list.concat", path("$.l"), path("$.l"))
    assert told(begin(loop(assign("$.l", grown), 60), {"l": [1]})[0]) == "value.too_large"


@pytest.mark.parametrize(("size", "fits"), [(59, True), (60, False)])
def test_a_context_is_as_large_as_its_limit_and_no_larger(size: int, fits: bool) -> None:
    """`{"a": "…"}` is of size 9 and the text's length."""
    found = small(assign("$.a", lit("x" * size)), {}, value_size=68)
    assert found == ({"a": "x" * size} if fits else "value.too_large")


def test_what_was_overwritten_no_longer_counts() -> None:
    flow = loop(assign("$.a", lit("x" * 50)), 100)
    assert small(flow, {}, value_size=200) == {"i": 100, "a": "x" * 50}


def test_a_list_grows_though_much_was_overwritten_before() -> None:
    grow = assign("$.l", call("list.concat", path("$.l"), lit(["x" * 90])))
    flow = seq(*[assign("$.a", lit("x" * 50))] * 14, grow)
    assert small(flow, {"l": []}, value_size=1_000)["l"] == ["x" * 90]


def test_a_write_that_is_too_large_leaves_the_context_as_it_was() -> None:
    grow = assign("$.o.l", call("list.concat", path("$.o.l"), lit(["x" * 90])))
    write = assign("$.o.k", lit("x" * 200))
    ctx = {"o": {"l": ["x" * 50]}}
    for node in (grow, write):
        assert small(guarded(node, restore=False), ctx, value_size=150) == ctx


def test_a_chain_of_levels_ends_at_the_limit() -> None:
    flow = loop(assign("$.o", {"op": "object", "fields": {"o": path("$.o")}}), 200)
    machine, _ = begin(guarded(flow, restore=False), {"o": 1})
    found = told(machine)
    assert found["i"] == 127
    assert measure(found)[1] == 128


def test_a_write_that_was_too_deep_does_not_let_the_next_one_pass() -> None:
    ways = ("$" + ".a" * 90, "$" + ".b" * 89)
    tries = [guarded(assign(way, path("$.v")), err_at="$.e", restore=False) for way in ways]
    found = told(begin(seq(*tries), {"v": deep(50)})[0])
    assert measure(found)[1] <= 128
    assert "at most 128 levels" in found["e"]


def test_a_path_beyond_the_limit_raises_it_for_no_other() -> None:
    tries = [guarded(assign("$" + ".a" * 200, lit(1))), assign("$" + ".b" * 89, path("$.v"))]
    assert told(begin(seq(*tries), {"v": deep(50)})[0]) == "value.too_deep"


def test_a_path_as_deep_as_the_limit_is_written() -> None:
    at = "$" + ".a" * 128
    assert measure(told(begin(assign(at, lit(1)))[0]))[1] == 128
    assert told(begin(assign(at, lit([])))[0]) == "value.too_deep"
    assert told(begin(assign(at + ".a", lit(1)))[0]) == "value.too_deep"


def test_what_grows_too_deep_is_refused() -> None:
    grow = call("list.concat", path("$.l"), array(path("$.v")))
    assert told(begin(assign("$.l", grow), {"l": [], "v": deep(126)})[0])["v"] == deep(126)
    assert told(begin(assign("$.l", grow), {"l": [], "v": deep(127)})[0]) == "value.too_deep"


@pytest.mark.parametrize("join", ["all_settled", "any", "quorum"])
def test_what_failing_lanes_say_counts_too(join: str) -> None:
    """A step's name stands in the error of each of its lanes."""
    more = {"quorum": 1} if join == "quorum" else {}
    lanes = fanout(lit(list(range(60))), step("r" * 1_000), join, **more)
    flow = flowir.load(guarded(lanes, error_at="$.e"), limits=Limits(value_size=50_000))
    machine = Machine(flow, {})
    for effect in machine.start():
        machine.resolve(effect.key, flowir.Failure("x", "no"))
    assert told(machine) == "value.too_large" or measure(told(machine))[0] <= 50_000


@pytest.mark.parametrize(("times", "fits"), [(3, True), (4, False)])
def test_a_step_is_not_asked_with_more_than_the_limit(times: int, fits: bool) -> None:
    flow = flowir.load(step("w", array(*[path("$.v")] * times)), limits=Limits(value_size=30_000))
    machine = Machine(flow, {"v": list(range(1_000))})  # 9,002 of size
    assert bool(machine.start()) is fits
    assert fits or told(machine) == "value.too_large"
