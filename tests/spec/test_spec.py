"""Every case of the specification, through every way there is to run it.

The blocking driver, the machine in every order of answers, the machine written down and
read back after each answer, the wire form and its JSON Schema, the written form.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import jsonschema
import pytest

import flowir
from tests.spec.cases import CASES, Case, is_array, make
from tests.spec.orders import (
    ORDERS,
    Effect,
    Run,
    every_order,
    new_machine,
    newest,
    oldest,
    play,
    restored,
)
from tests.spec.script import Workers
from tests.spec.verdict import Outcome, judge, observe, same

JSON = Any


def _cases(*, where: Callable[[Case], bool]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [c for c in CASES if where(c)], ids=lambda c: c.name)


@pytest.fixture(scope="module")
def validate() -> Callable[[JSON], None]:
    validator: Any = jsonschema.Draft202012Validator(flowir.schema())
    return validator.validate


def run_blocking(case: Case) -> Outcome:
    """Run *case* with the blocking driver."""
    workers = Workers(case)
    options = {"fuel": case.raw["fuel"]} if "fuel" in case.raw else {}
    return observe(
        lambda: flowir.run(
            flowir.load(case.flow), case.ctx, workers.answer, externs=case.externs, **options
        )
    )


@_cases(where=lambda c: c.runs)
def test_the_blocking_driver_gives(case: Case) -> None:
    outcome = run_blocking(case)
    judge(outcome, case.raw.get("blocking", case.expect))
    judge(outcome, case.expect)


@_cases(where=lambda c: "expr" in c.raw and c.loads)
def test_the_evaluator_gives(case: Case) -> None:
    expr = make(case.raw["expr"])
    judge(observe(lambda: flowir.evaluate(expr, case.ctx, externs=case.externs)), case.expect)


@_cases(where=lambda c: c.runs)
def test_the_machine_gives_in_every_order(case: Case) -> None:
    limit = case.raw.get("orders", ORDERS)
    runs = [*every_order(case, limit), play(case, newest)]
    for run in runs:
        judge(run.outcome, case.expect)
    if "in_flight" in case.raw:
        assert max(run.in_flight for run in runs) == case.raw["in_flight"]
    if choices := case.expect.get("one_of"):
        _assert_each_is_possible(choices, runs, case)


def _assert_each_is_possible(choices: list[JSON], runs: list[Run], case: Case) -> None:
    """A set of legal results is a promise too, except where the specification is unclear."""
    if "note" in case.raw or case.raw.get("orders"):
        return
    for choice in choices:
        assert any(_holds(run.outcome, choice) for run in runs), f"no order gives {choice}"


def _holds(outcome: Outcome, expect: dict[str, JSON]) -> bool:
    try:
        judge(outcome, expect)
    except AssertionError:
        return False
    return True


@_cases(where=lambda c: c.runs)
def test_the_machine_does_the_same_again_and_when_restored(case: Case) -> None:
    first = play(case, oldest)
    assert play(case, oldest).told() == first.told()
    assert play(case, oldest, restoring=True).told() == first.told()
    assert play(case, newest, restoring=True).told() == play(case, newest).told()


@_cases(where=lambda c: "effects" in c.raw and c.runs)
def test_the_machine_asks_for(case: Case) -> None:
    _assert_effects(play(case, oldest).effects, case.raw["effects"], complete=False)


@_cases(where=lambda c: "fuel_left" in c.raw)
def test_the_fuel_left_is(case: Case) -> None:
    assert play(case, oldest).fuel_left == case.raw["fuel_left"]


@pytest.mark.parametrize("restoring", [False, True], ids=["live", "restored"])
@_cases(where=lambda c: "turns" in c.raw)
def test_the_machine_does_as_it_is_told(case: Case, restoring: bool) -> None:
    flow = flowir.load(case.flow)
    machine = new_machine(flow, case)
    for turn in case.raw["turns"]:
        if turn.get("protocol"):
            with pytest.raises(flowir.ProtocolError):
                _turn(machine, turn)
        else:
            _assert_effects(list(_turn(machine, turn)), turn["effects"], complete=True)
        if restoring:
            machine = restored(machine, flow, case)
    assert machine.done
    judge(observe(lambda: machine.result), case.expect)


def _turn(machine: flowir.Machine, turn: dict[str, JSON]) -> tuple[Effect, ...]:
    if "start" in turn:
        return machine.start()
    if "cancel" in turn:
        return machine.cancel(turn["cancel"])
    failure = turn.get("fail")
    outcome = flowir.Failure(**failure) if failure else flowir.Success(turn["value"])
    return machine.resolve(turn["answer"], outcome, attempt=turn.get("attempt", 1))


def _assert_effects(effects: list[Effect], expected: list[JSON], *, complete: bool) -> None:
    """Compare effects with what the case lists; a list may break off if not *complete*."""
    told = [_told(effect) for effect in effects]
    if not complete and expected:
        told = told[: len(expected)]
    assert len(told) == len(expected), f"expected {expected}, got {told}"
    for got, wanted in zip(told, expected, strict=True):
        for name, value in wanted.items():
            assert name in got, f"expected {wanted}, got {got}"
            assert _is_close(name, got[name], value), f"{name}: expected {wanted}, got {got}"


def _told(effect: Effect) -> dict[str, JSON]:
    kind = "cancel" if isinstance(effect, flowir.Cancel) else "dispatch"
    fields = effect._asdict()
    return {kind: fields.pop("key"), **fields}


def _is_close(name: str, got: JSON, wanted: JSON) -> bool:
    if name == "delay_s" and is_array(wanted):
        return wanted[0] <= got <= wanted[1]
    if name == "delay_s":
        return got == pytest.approx(wanted)
    return same(got, wanted) if name == "input" else got == wanted


# --- documents -----------------------------------------------------------------------


@_cases(where=lambda c: "malformed" in c.expect and not c.loads and "parse" not in c.raw)
def test_a_malformed_document_is_refused_at_its_place(case: Case) -> None:
    with pytest.raises(flowir.Malformed) as caught:
        flowir.load(case.flow)
    places = case.expect["malformed"].get("at", [])
    for place in [places] if isinstance(places, str) else places:
        found = [problem.at for problem in caught.value.problems]
        assert any(at.startswith(place) for at in found), f"expected {place}, got {found}"
    for problem in caught.value.problems:
        assert "\n" not in str(problem)


@_cases(where=lambda c: c.loads)
def test_a_flow_is_dumped_and_loaded_as_itself(case: Case) -> None:
    flow = flowir.load(case.flow)
    wire = flowir.dump(flow)
    again = flowir.load(wire)
    assert again == flow
    assert same(flowir.dump(again), wire)
    if "dump" in case.raw:
        assert same(wire, case.raw["dump"])


@_cases(where=lambda c: c.loads)
def test_the_json_schema_admits(case: Case, validate: Callable[[JSON], None]) -> None:
    wire = flowir.dump(flowir.load(case.flow))
    with _deep_recursion():
        validate(wire)
        if "document" not in case.raw:
            validate(case.flow)


@contextmanager
def _deep_recursion() -> Generator[None]:
    """Give jsonschema room: it takes some twenty Python frames for one level of a document."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@_cases(where=lambda c: c.loads)
def test_check_finds(case: Case) -> None:
    expected: Counter[str] = Counter(case.expect.get("invalid", case.raw.get("invalid_too", [])))
    problems = flowir.check(flowir.load(case.flow), externs=case.externs)
    codes = Counter(problem.code for problem in problems)
    assert {code: codes[code] for code in expected} == dict(expected)
    assert not codes.keys() & set(case.raw.get("invalid_not", []))
    assert "malformed" not in codes
    if "at" in case.raw:
        assert any(problem.at.startswith(case.raw["at"]) for problem in problems)


# --- the written form ----------------------------------------------------------------


def _canonical(expr: JSON) -> JSON:
    return flowir.dump(flowir.load({"kind": "assign", "at": "$", "value": expr}))["value"]


@_cases(where=lambda c: "expr" in c.raw and c.loads)
def test_an_expression_is_printed_and_parsed_as_itself(case: Case) -> None:
    expr = _canonical(make(case.raw["expr"]))
    assert same(flowir.parse_expr(flowir.format_expr(expr)), expr)


@_cases(where=lambda c: "parse" in c.raw and "parsed" in c.expect)
def test_text_is_parsed_as(case: Case) -> None:
    parsed = flowir.parse_expr(case.raw["parse"])
    assert same(_canonical(parsed), _canonical(case.expect["parsed"]))
    assert same(flowir.parse_expr(flowir.format_expr(parsed)), parsed)


@_cases(where=lambda c: "parse" in c.raw and bool(c.expect.keys() & {"value", "fails"}))
def test_text_is_evaluated_as(case: Case) -> None:
    judge(observe(lambda: flowir.evaluate(case.raw["parse"], case.ctx)), case.expect)


@_cases(
    where=lambda c: "parse" in c.raw and bool(c.expect.keys() & {"malformed", "malformed_text"})
)
def test_text_is_refused(case: Case) -> None:
    with pytest.raises(flowir.Malformed) as caught:
        flowir.parse_expr(case.raw["parse"])
    wanted = case.expect.get("malformed_text", {})
    told = f"{caught.value.at} {caught.value}"
    for number in wanted.values():
        assert str(number) in told, f"expected {wanted} in {told}"
