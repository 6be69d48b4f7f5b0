from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import flowir
from flowir import Failure, Machine, ProtocolError, Success
from tests.flowir.strategies import json_values
from tests.flowir.written import (
    LANE,
    assign,
    begin,
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
REF = "\u0001"


def restored(machine: Machine, document: JSON) -> Machine:
    text = json.dumps(machine.snapshot(), allow_nan=False)
    return Machine.restore(document, json.loads(text))


@pytest.mark.parametrize(
    "ctx",
    [
        {REF: 0},
        {REF: [{REF: 0}]},
        {"a": {REF: [1]}, "b": {REF: None, "c": 1}, "d": {REF: {REF: 3}}},
        [{REF: True}, {REF: "x"}, {REF: []}],
    ],
    ids=repr,
)
def test_an_object_of_the_authors_that_looks_like_a_reference_stays_what_it_is(ctx: JSON) -> None:
    document = seq(assign("$", {"op": "array", "items": [path("$"), path("$")]}), step())
    machine, _ = begin(document, ctx)
    again = restored(machine, document)
    again.resolve("$.children[1]", Success(None))
    assert again.result == [ctx, ctx]
    assert restored(again, document).result == [ctx, ctx]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(json_values)
def test_any_context_is_restored(ctx: JSON) -> None:
    document = seq(assign("$", {"op": "array", "items": [path("$"), path("$")]}), step())
    machine, _ = begin(document, ctx)
    again = restored(machine, document)
    assert repr(again.main.ctx) == repr([machine.main.ctx[0]] * 2)
    if isinstance(machine.main.ctx[0], (dict, list)):
        assert again.main.ctx[0] is again.main.ctx[1]


def test_the_deepest_context_is_restored() -> None:
    machine, _ = begin(step(), deep(128))
    assert restored(machine, step()).main.ctx == deep(128)


def test_a_machine_that_has_not_started_is_restored() -> None:
    document = step("w", out="$.r")
    again = restored(Machine(flowir.load(document), {"a": 1}), document)
    assert [effect.key for effect in again.start()] == ["$"]
    again.resolve("$", Success(2))
    assert again.result == {"a": 1, "r": 2}


def test_one_snapshot_is_restored_twice_and_the_two_share_nothing() -> None:
    """Not through JSON: both get what the snapshot holds, and neither changes it."""
    document = seq(
        guarded(step("w"), error_at="$.e", on=["step.*"]),
        assign("$.e.data.l[0]", path("$.n")),
        step("w", out="$.n"),
        assign("$.o.l[0]", path("$.n")),
        assign("$.e.data.l[0]", path("$.n")),
    )
    machine, _ = begin(document, {"n": 0, "o": {"l": [0]}})
    machine.resolve("$.children[0].body", Failure("x", "no", data={"l": [9]}))
    kept = machine.snapshot()
    before = copy.deepcopy(kept)
    results: list[JSON] = []
    for n in (1, 2, 3):
        again = Machine.restore(document, kept)
        again.resolve("$.children[2]", Success(n))
        results.append(again.result)
    assert [(r["n"], r["o"]["l"][0], r["e"]["data"]["l"][0]) for r in results] == [
        (n, n, n) for n in (1, 2, 3)
    ]
    assert kept == before


def test_an_error_that_waits_for_a_finally_is_restored_with_its_cause() -> None:
    cleaning = guarded(step("w"), on=["none"], **{"finally": step("f")})
    document = guarded(cleaning, on=["none"], **{"finally": step("g")})
    machine, _ = begin(document)
    machine.resolve("$.body.body", Failure("first", "one", data=[1], permanent=True))
    machine = restored(machine, document)
    machine.resolve("$.body.finally", Failure("second", "two"))
    machine = restored(machine, document)
    machine.resolve("$.finally", Success(None))
    machine = restored(machine, document)
    error = machine.error
    assert error is not None
    cause = error.__cause__
    assert isinstance(cause, flowir.FlowError)
    assert [(e.cause_code, e.data, e.permanent, e.at) for e in (error, cause)] == [
        ("second", None, False, "$.body.finally"),
        ("first", [1], True, "$.body.body"),
    ]
    assert told(machine) == "step.failed"


def test_a_snapshot_of_something_else_is_refused() -> None:
    machine, _ = begin(step("w"))
    snapshot = machine.snapshot()
    with pytest.raises(ProtocolError, match="a snapshot of version 1, got 2"):
        Machine.restore(step("w"), {**snapshot, "flowir": 2})
    with pytest.raises(ProtocolError, match="a snapshot of version 1, got None"):
        Machine.restore(step("w"), {})
    with pytest.raises(ProtocolError, match="got one of another"):
        Machine.restore(step("v"), snapshot)


def test_lanes_that_let_go_of_their_context_make_it_again_after_a_restore() -> None:
    wide = {f"k{n}": n for n in range(500)}
    lanes = fanout(lit([1, 2, 3]), seq(step("w", out="$.o.y"), LANE), collect=path("$.o.y"))
    document = {**lanes, "bind": "$.o.x", "body": seq(step("w", path("$.o.x"), out="$.o.y"))}
    machine, _ = begin(document, {"o": wide})
    assert all(lane.parked for lane in machine.pending.values())
    machine = restored(machine, document)
    for n in range(3):
        machine.resolve(f"$.body@{n}.children[0]", Success(n))
    assert machine.result["r"] == [0, 1, 2]
    assert machine.result["o"] == wide


def test_a_snapshot_in_the_middle_of_a_cancellation_goes_on() -> None:
    body = guarded(LANE, **{"finally": step("f")})
    document = fanout(lit([1, 2]), body)
    machine, _ = begin(document)
    machine.cancel("stop")
    for n in range(2):
        machine = restored(machine, document)
        assert machine.cancel("again") == ()
        machine.resolve(f"$.body@{n}.finally", Success(None))
    assert told(machine) == "run.cancelled"
