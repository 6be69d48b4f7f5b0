from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flowir
from tests.flowir.written import answer_nothing, assign, call, fanout, guarded, lit, path, seq, step

JSON = Any


def twice(n: int) -> int:
    return n * 2


def test_steps_are_done_one_after_the_other() -> None:
    done: list[tuple[str, JSON]] = []

    def dispatch(ref: str, input: JSON) -> JSON:
        done.append((ref, input))
        return len(done)

    document = seq(step("a", lit(1), out="$.x"), step("b", path("$.x"), out="$.y"))
    assert flowir.run(document, {}, dispatch) == {"x": 1, "y": 2}
    assert done == [("a", 1), ("b", 1)]


def test_a_document_may_be_text() -> None:
    text = '{"kind": "step", "ref": "w", "in": {"op": "lit", "value": 2}, "out": "$"}'
    assert flowir.run(text, None, lambda _, given: given * 3) == 6


def test_lanes_run_in_item_order_those_of_a_nested_fanout_too() -> None:
    done: list[JSON] = []

    def dispatch(ref: str, input: JSON) -> JSON:
        done.append((ref, input))

    pair = {"op": "array", "items": [path("$.x"), path("$.z")]}
    inner = {**fanout(lit([0, 1]), seq(step("a", pair), step("b", pair))), "bind": "$.z"}
    document = fanout(lit([0, 1]), {**inner, "collect": lit(0)}, collect=lit(0))
    flowir.run(document, {}, dispatch)
    order = [(x, z) for x in range(2) for z in range(2)]
    assert done == [(ref, [x, z]) for x, z in order for ref in ("a", "b")]


@pytest.mark.parametrize(("join", "result"), [("race", 10), ("any", 10)])
def test_race_and_any_mean_first_in_item_order(join: str, result: JSON) -> None:
    done: list[JSON] = []

    def dispatch(ref: str, input: JSON) -> JSON:
        done.append(input)
        return input * 10

    document = fanout(lit([1, 2, 3]), step("w", path("$.x"), out="$.y"), join)
    assert flowir.run(document, {}, dispatch) == {"r": result}
    assert done == [1]


def test_what_was_cancelled_is_not_done() -> None:
    done: list[JSON] = []

    def dispatch(ref: str, input: JSON) -> JSON:
        done.append(input)
        return input

    race = {**fanout(lit(["a", "b"]), step("w", path("$.z"), out="$.y"), "race"), "bind": "$.z"}
    document = fanout(lit([0, 1, 2]), race, collect=path("$.r"))
    assert flowir.run(document, {}, dispatch) == {"r": ["a", "a", "a"]}
    assert done == ["a", "a", "a"]


def test_an_exception_is_a_failure_of_the_worker() -> None:
    def dispatch(ref: str, input: JSON) -> JSON:
        raise {"key": KeyError("k"), "silent": RuntimeError()}[ref]

    body = seq(step("key"))
    document = seq(
        guarded(body, error_at="$.first"),
        guarded(step("silent"), error_at="$.second"),
    )
    result = flowir.run(document, {}, dispatch)
    first, second = result["first"], result["second"]
    assert (first["code"], first["cause_code"]) == ("step.failed", "worker.error")
    assert (first["message"], second["message"]) == ("'k'", "RuntimeError")


def test_a_worker_failure_says_more() -> None:
    def dispatch(ref: str, input: JSON) -> JSON:
        raise flowir.WorkerFailure("net.down", "no route", permanent=True, data={"host": "h"})

    tried = step("w", retry={"max_attempts": 3})
    error = flowir.run(guarded(tried, error_at="$.e"), {}, dispatch)["e"]
    assert (error["cause_code"], error["data"], error["attempt"]) == ("net.down", {"host": "h"}, 1)


def test_what_no_text_can_hold_is_escaped_in_a_message() -> None:
    """The message of an OSError names files, and a file's name may be any bytes."""

    def dispatch(ref: str, input: JSON) -> JSON:
        raise OSError("no file 'caf\udce9', nor 'é'")

    result = flowir.run(guarded(step(), err_at="$.e"), {}, dispatch)
    assert result == {"e": "no file 'caf\\udce9', nor 'é'"}


def test_a_keyboard_interrupt_passes_through() -> None:
    def dispatch(ref: str, input: JSON) -> JSON:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flowir.run(guarded(step()), {}, dispatch)


def test_delays_are_waited_for_where_somebody_can_sleep() -> None:
    def dispatch(ref: str, input: JSON) -> JSON:
        raise flowir.WorkerFailure("x", "no")

    policy = {"max_attempts": 3, "delay_s": 2, "jitter": 0}
    document = guarded(step("w", retry=policy))
    slept: list[float] = []
    flowir.run(document, {}, dispatch, sleep=slept.append)
    assert slept == [2, 4]
    assert flowir.run(document, {}, dispatch) == {}


def test_the_error_that_ended_the_run_is_raised() -> None:
    with pytest.raises(flowir.FlowError) as caught:
        flowir.run(assign("$.a", path("$.b")), {}, answer_nothing)
    assert (caught.value.code, caught.value.at) == ("path.missing", "$")


def test_externs_and_fuel_are_the_callers() -> None:
    document = assign("$.a", call("twice", lit(2)))
    externs: dict[str, Callable[..., Any]] = {"twice": twice}
    assert flowir.run(document, {}, answer_nothing, externs=externs) == {"a": 4}
    with pytest.raises(flowir.FlowError, match="fuel"):
        flowir.run(document, {}, answer_nothing, externs=externs, fuel=2)
