"""A runner that cannot go red proves nothing: wrong expectations, planted, are found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import flowir
from tests.spec import test_spec as runner
from tests.spec.cases import CASES, Case
from tests.spec.orders import Run, every_order, oldest, play
from tests.spec.verdict import Outcome, is_expected, judge

JSON = Any

# What each kind of expectation is turned into, and must then be refused.
_WRONG: dict[str, JSON] = {
    "value": {"value": {"planted": "wrong"}},
    "value_at": {"value_at": {"$": "planted"}},
    "fails": {"fails": {"code": "planted.wrong"}},
    "one_of": {"one_of": [{"value": "planted"}, {"fails": {"code": "planted.wrong"}}]},
}


def _first_of_each_chapter(kind: str) -> list[Case]:
    found = {case.chapter: case for case in CASES if case.runs and kind in case.expect}
    return list(found.values())


SAMPLES = [(kind, case) for kind in _WRONG for case in _first_of_each_chapter(kind)]


def _with(case: Case, **changes: JSON) -> Case:
    return replace(case, raw={**case.raw, **changes})


@pytest.mark.parametrize(("kind", "case"), SAMPLES, ids=lambda x: getattr(x, "name", x))
def test_a_wrong_expectation_is_found(kind: str, case: Case) -> None:
    outcomes = [runner.run_blocking(case), play(case, oldest).outcome]
    for outcome in outcomes:
        judge(outcome, case.expect)
        with pytest.raises(AssertionError, match="expected"):
            judge(outcome, _WRONG[kind])


@pytest.mark.parametrize("fact", ["cause_code", "message", "at", "step", "attempt", "data"])
def test_each_wrong_fact_of_an_error_is_found(fact: str) -> None:
    case = next(c for c in CASES if c.name == "a failure is step.failed with the worker's code")
    outcome = play(case, oldest).outcome
    assert is_expected(outcome, case.expect)
    assert not is_expected(outcome, {"fails": {"code": "step.failed", fact: "planted"}})


def test_an_integer_is_not_taken_for_a_float() -> None:
    assert not is_expected(Outcome(value={"a": 1}), {"value": {"a": 1.0}})


def test_a_wrong_place_of_a_malformed_document_is_found() -> None:
    case = next(c for c in CASES if "at" in c.expect.get("malformed", {}))
    with pytest.raises(AssertionError, match="expected"):
        runner.test_a_malformed_document_is_refused_at_its_place(
            _with(case, expect={"malformed": {"at": "$.planted"}})
        )


def test_wrong_effects_are_found() -> None:
    case = next(c for c in CASES if c.raw.get("effects") and c.runs)
    with pytest.raises(AssertionError):
        runner.test_the_machine_asks_for(_with(case, effects=[{"dispatch": "$.planted"}]))


def test_a_wrong_turn_is_found() -> None:
    case = next(c for c in CASES if "turns" in c.raw)
    turns: list[JSON] = [{**case.raw["turns"][0], "effects": []}, *case.raw["turns"][1:]]
    with pytest.raises(AssertionError):
        runner.test_the_machine_does_as_it_is_told(_with(case, turns=turns), restoring=False)


def test_an_evaluator_that_confuses_lanes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in the machine itself: answers of two lanes change places."""
    case = next(c for c in CASES if c.name == "all: the values in item order")
    resolve = flowir.Machine.resolve

    def confused(self: Any, key: str, outcome: Any, *, attempt: int) -> Any:
        other = flowir.Success("c" if outcome.value == "a" else "a")
        return resolve(self, key, other if outcome.value != "b" else outcome, attempt=attempt)

    monkeypatch.setattr(flowir.Machine, "resolve", confused)
    with pytest.raises(AssertionError, match="expected"):
        judge(play(case, oldest).outcome, case.expect)


def test_every_order_of_three_lanes_is_six_orders() -> None:
    case = next(c for c in CASES if c.name == "all: the values in item order")
    runs: list[Run] = list(every_order(case, 200))
    assert len(runs) == 6
