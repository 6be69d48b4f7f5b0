"""A cancel at every moment of many flows: what was begun is cleaned up, once, from the inside."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

import flowir
from flowir import Cancel, Dispatch, Failure, FlowError, Machine, Success
from flowir.errors import ProtocolError
from tests.flowir.random_flows import RandomFlow
from tests.flowir.written import (
    LANE,
    assign,
    begin,
    fanout,
    guarded,
    keys,
    lit,
    path,
    seq,
    step,
    told,
)

JSON = Any


def _watched(node: JSON) -> JSON:
    """Let every `try` say that it was entered, and clean up with a step that may fail."""
    node = {
        name: _watched(part) if isinstance(part, dict) and "kind" in part else part
        for name, part in node.items()
    }
    if node["kind"] == "seq":
        node["children"] = [_watched(child) for child in node["children"]]
    if node["kind"] == "try":
        node["body"] = seq(step("enter"), node["body"])
        node["finally"] = step("clean", lit("clean"))
    return node


class _Host:
    """Carries a flow out, oldest step first; notes in what order steps were begun and ended."""

    def __init__(self, sample: RandomFlow, restoring: bool) -> None:
        self.sample = sample
        self.restoring = restoring
        self.flow = flowir.load(_watched(sample.document))
        self.machine = Machine(self.flow, sample.ctx)
        self.waiting: dict[str, Dispatch] = {}
        self.asked: list[Dispatch] = []
        self.take(self.machine.start())

    def take(self, effects: tuple[Dispatch | Cancel, ...]) -> None:
        for effect in effects:
            if isinstance(effect, Cancel):
                assert self.waiting.pop(effect.key).attempt == effect.attempt
            else:
                self.waiting[effect.key] = effect
                self.asked.append(effect)

    def answer_oldest(self) -> None:
        if self.restoring:
            text = json.dumps(self.machine.snapshot())
            self.machine = Machine.restore(self.flow, json.loads(text))
        asked = self.waiting.pop(next(iter(self.waiting)))
        outcome: Success | Failure = Success(None)
        if asked.ref != "enter":
            outcome = self.sample.outcome(asked.ref, [asked.input, asked.key])
        self.take(self.machine.resolve(asked.key, outcome, asked.attempt))

    def finish(self) -> None:
        while self.waiting:
            self.answer_oldest()
        assert self.machine.done

    def tries(self, ref: str, ending: str) -> list[str]:
        """List the places of the tries that asked for *ref*, in the order they did."""
        asked = [d.key for d in self.asked if d.ref == ref and d.attempt == 1]
        return [key.removesuffix(ending) for key in asked]


@pytest.mark.parametrize("restoring", [False, True])
def test_a_cancel_at_any_rest_cleans_up_once_and_innermost_first(restoring: bool) -> None:
    moments = 0
    for seed in range(12 if restoring else 45):
        sample = RandomFlow(seed)
        turn, through = 0, False
        while not through and turn < 40:
            host = _Host(sample, restoring)
            for _ in range(turn):
                if host.waiting:
                    host.answer_oldest()
            through = host.machine.done
            if not through:
                moments += 1
                _check_cancelled(host)
            _check_cleaned(host)
            turn += 1 + turn // 10
    assert moments > (100 if restoring else 400)


def _check_cancelled(host: _Host) -> None:
    before = len(host.asked)
    host.take(host.machine.cancel("stop"))
    host.finish()
    assert {d.ref for d in host.asked[before:]} <= {"clean"}
    error: BaseException | None = host.machine.error
    codes: list[str] = []
    while isinstance(error, FlowError):
        codes.append(error.code)
        error = error.__cause__
    assert "run.cancelled" in codes


def _check_cleaned(host: _Host) -> None:
    entered = host.tries("enter", ".body.children[0]")
    cleaned = host.tries("clean", ".finally")
    assert max(Counter(cleaned).values(), default=1) == 1
    assert set(entered) <= set(cleaned)
    for i, outer in enumerate(cleaned):
        for inner in cleaned[i:]:
            assert not inner.startswith((outer + ".body", outer + ".catch"))


# --- what a failing finally may do ---------------------------------------------------


def test_a_finally_that_fails_does_not_undo_a_cancellation() -> None:
    cleaned = guarded(step("w"), **{"finally": step("f")})
    machine, _ = begin(seq(guarded(cleaned, catch=step("c")), step("after")))
    machine.cancel("stop")
    assert machine.resolve("$.children[0].body.finally", Failure("disk.full", "no")) == ()
    error = machine.error
    assert error is not None
    assert (error.cause_code, str(error.__cause__)) == (
        "disk.full",
        "$.children[0].body.body: stop",
    )


def test_a_finally_in_flight_that_fails_does_not_undo_a_cancellation() -> None:
    cleaned = guarded(seq(), **{"finally": step("f")})
    machine, _ = begin(seq(guarded(cleaned, catch=step("c")), step("after")))
    assert machine.cancel("stop") == ()
    assert machine.resolve("$.children[0].body.finally", Failure("x", "no")) == ()
    assert told(machine) == "step.failed"


def test_a_finally_that_fails_does_not_let_a_lane_go_on_that_lost() -> None:
    cleaned = guarded(LANE, **{"finally": step("f")})
    body = seq(guarded(cleaned), step("after"))
    machine, _ = begin(fanout(lit([0, 1]), guarded(body), "race"))
    machine.resolve("$.body@0.body.children[0].body.body", Success("won"))
    machine.resolve("$.body@0.body.children[0].body.finally", Success(None))
    machine.resolve("$.body@0.body.children[1]", Success(None))
    assert machine.resolve("$.body@1.body.children[0].body.finally", Failure("x", "no")) == ()
    assert machine.result == {"r": "won"}


def test_an_error_that_was_no_cancellation_may_be_replaced_and_caught() -> None:
    cleaned = guarded(step("w"), on=["none"], **{"finally": step("f")})
    machine, _ = begin(guarded(cleaned, err_at="$.e"))
    machine.resolve("$.body.body", Failure("x", "first"))
    machine.resolve("$.body.finally", Failure("x", "second"))
    assert machine.result == {"e": "second"}


def test_within_a_finally_errors_are_caught_as_anywhere() -> None:
    cleaning = seq(guarded(step("f"), catch=step("again")), step("end"))
    machine, _ = begin(guarded(step("w"), **{"finally": cleaning}))
    machine.cancel("stop")
    effects = machine.resolve("$.finally.children[0].body", Failure("x", "no"))
    assert keys(effects) == [("Dispatch", "$.finally.children[0].catch")]
    machine.resolve("$.finally.children[0].catch", Success(None))
    machine.resolve("$.finally.children[1]", Success(None))
    assert told(machine) == "run.cancelled"


# --- fanouts -------------------------------------------------------------------------


def test_a_cancelled_fanout_waits_for_every_lane_and_every_nested_one() -> None:
    inner = guarded(step("w"), **{"finally": step("f")})
    lanes = {**fanout(lit([0, 1]), inner), "bind": "$.z"}
    document = guarded(fanout(lit([0, 1]), lanes), **{"finally": step("end")})
    machine, _ = begin(document)
    effects = machine.cancel("stop")
    places = [f"$.body.body@{a}.body@{b}" for a in range(2) for b in range(2)]
    assert keys(effects) == [
        *(("Cancel", f"{place}.body") for place in places),
        *(("Dispatch", f"{place}.finally") for place in places),
    ]
    for place in places[:-1]:
        assert machine.resolve(f"{place}.finally", Success(None)) == ()
    last = machine.resolve(f"{places[-1]}.finally", Success(None))
    assert keys(last) == [("Dispatch", "$.finally")]


def test_a_decided_fanout_that_still_cleans_up_may_be_cancelled() -> None:
    body = guarded(LANE, **{"finally": step("f")})
    machine, _ = begin(seq(fanout(lit([0, 1]), body, "race"), step("after")))
    machine.resolve("$.children[0].body@0.body", Success("a"))
    machine.resolve("$.children[0].body@0.finally", Success(None))
    assert machine.cancel("stop") == ()
    assert machine.resolve("$.children[0].body@1.finally", Success(None)) == ()
    assert told(machine) == "run.cancelled"


def test_a_step_that_was_never_told_of_is_not_cancelled() -> None:
    """The last lane decides while the others are on their way to be asked for."""
    last = {"op": "eq", "lhs": path("$.x"), "rhs": lit(2)}
    body = {"kind": "branch", "cond": last, "then": assign("$.y", lit("won")), "else": LANE}
    machine, effects = begin(fanout(lit([0, 1, 2]), body, "race"))
    assert effects == ()
    assert machine.result == {"r": "won"}
    assert machine.resolve("$.body@0.else", Success(1)) == ()


def test_a_machine_that_never_started_is_cancelled_at_once() -> None:
    machine = Machine(flowir.load(guarded(step(), **{"finally": step()})), {})
    assert machine.cancel("early") == ()
    assert told(machine) == "run.cancelled"


def test_a_decision_reaches_a_nested_fanout_that_is_decided_and_not_yet_joined() -> None:
    """Both fanouts are decided by the same answer: nothing is joined twice."""
    inner = {**fanout(lit([0]), LANE, "all"), "bind": "$.z", "collect": lit(1)}
    outer = fanout(lit([0, 1]), inner, "race", collect=path("$.r"))
    machine, _ = begin(outer)
    machine.resolve("$.body@0.body@0", Success(1))
    assert machine.result == {"r": [1]}


def test_a_machine_that_is_cancelled_before_it_starts_has_ended_for_good() -> None:
    machine = Machine({"kind": "step", "ref": "a", "in": {"op": "lit", "value": 1}}, {})
    assert machine.cancel("why") == ()
    assert machine.done
    assert machine.error is not None
    assert (machine.error.code, machine.error.message) == ("run.cancelled", "why")
    with pytest.raises(ProtocolError, match="expected a machine that has not started"):
        machine.start()
    assert machine.cancel("again") == ()
    state = machine.snapshot()
    assert (state["started"], state["ended"], state["cancelling"]) == (True, True, True)
    # It goes on with nothing, whoever restores it.
    assert [lane["op"] for lane in state["lanes"]] == [None]
    again = Machine.restore({"kind": "step", "ref": "a", "in": {"op": "lit", "value": 1}}, state)
    assert (again.done, again.snapshot()) == (True, state)


def test_a_cancellation_that_waited_for_a_finally_knows_what_it_came_over() -> None:
    fail = {"op": "fail", "code": "a.b", "message": {"op": "lit", "value": "no"}}
    tidy = {"kind": "step", "ref": "tidy", "in": {"op": "lit", "value": 1}}
    flow = {
        "kind": "try", "body": {"kind": "assign", "at": "$.x", "value": fail}, "on": ["x.y"],
        "catch": {"kind": "seq", "children": []}, "error_at": "$.e", "finally": tidy,
    }  # fmt: skip
    machine = Machine(flow, {})
    (asked,) = machine.start()
    assert isinstance(asked, Dispatch)
    assert machine.cancel("why") == machine.resolve(asked.key, Success(1)) == ()
    assert machine.error is not None
    assert machine.error.code == "run.cancelled"
    cause = machine.error.__cause__
    assert isinstance(cause, FlowError)
    assert cause.code == "a.b"
