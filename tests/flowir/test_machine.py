"""The machine's protocol: what it asks for, what it accepts, what it promises."""

from __future__ import annotations

import copy
import gc
import json
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

import flowir
from flowir import Cancel, Dispatch, Failure, Machine, ProtocolError, Success
from flowir.door import admit_measured
from flowir.effects import Admitted
from tests.flowir.random_flows import RandomFlow
from tests.flowir.written import (
    LANE,
    answer_nothing,
    asked,
    assign,
    begin,
    fanout,
    guarded,
    keys,
    lit,
    loop,
    path,
    seq,
    step,
)

JSON = Any


# --- effects -------------------------------------------------------------------------


def test_a_flow_without_steps_ends_at_its_start() -> None:
    machine, effects = begin(assign("$.a", lit(1)))
    assert effects == ()
    assert machine.done
    assert machine.result == {"a": 1}


def test_a_dispatch_says_everything_a_driver_needs() -> None:
    document = seq(step("w", path("$.a"), timeout_s=2, id="draft"))
    _, effects = begin(document, {"a": [1]})
    dispatch = asked(effects)
    assert dispatch == Dispatch(
        key="$.children[0]",
        ref="w",
        input=[1],
        attempt=1,
        node_id="draft",
        timeout_s=2,
        delay_s=0,
    )


def test_effects_are_values_that_cannot_be_changed() -> None:
    _, effects = begin(step())
    with pytest.raises(AttributeError):
        asked(effects).key = "$.other"  # type: ignore[misc]


def test_lanes_are_asked_in_item_order() -> None:
    _, effects = begin(fanout(lit([1, 2, 3]), LANE))
    assert keys(effects) == [("Dispatch", f"$.body@{n}") for n in range(3)]


def test_cancels_come_first_and_in_item_order() -> None:
    body = guarded(LANE, **{"finally": step("clean")})
    machine, _ = begin(fanout(lit([0, 1, 2]), body, "race", limit=3))
    effects = machine.resolve("$.body@1.body", Success("b"), attempt=1)
    assert keys(effects) == [("Dispatch", "$.body@1.finally")]
    effects = machine.resolve("$.body@1.finally", Success(None), attempt=1)
    assert keys(effects) == [
        ("Cancel", "$.body@0.body"),
        ("Cancel", "$.body@2.body"),
        ("Dispatch", "$.body@0.finally"),
        ("Dispatch", "$.body@2.finally"),
    ]


def test_a_fanout_waits_for_the_finally_of_its_cancelled_lanes() -> None:
    body = guarded(LANE, **{"finally": step("clean")})
    machine, _ = begin(seq(fanout(lit([0, 1]), body, "race"), step("after")))
    machine.resolve("$.children[0].body@0.body", Success("a"), attempt=1)
    machine.resolve("$.children[0].body@0.finally", Success(None), attempt=1)
    effects = machine.resolve("$.children[0].body@1.finally", Success(None), attempt=1)
    assert keys(effects) == [("Dispatch", "$.children[1]")]


@pytest.mark.parametrize("lanes", [1, 7, 2_500])
def test_at_most_limit_lanes_of_a_big_fanout_are_in_flight(lanes: int) -> None:
    machine, effects = begin(fanout(path("$.l"), LANE, limit=100), {"l": list(range(lanes))})
    waiting = list(effects)
    assert len(waiting) == min(lanes, 100)
    while waiting:
        dispatch = asked((waiting.pop(),))
        waiting += machine.resolve(dispatch.key, Success(dispatch.input), attempt=1)
        assert len(waiting) <= 100
    assert machine.result["r"] == list(range(lanes))


def test_a_thousand_lanes_are_in_flight_where_no_limit_is_given() -> None:
    _, effects = begin(fanout(path("$.l"), LANE), {"l": list(range(1_200))})
    assert len(effects) == 1_000


# --- the protocol --------------------------------------------------------------------


def test_an_answer_to_what_was_never_asked_is_refused() -> None:
    machine, _ = begin(step())
    with pytest.raises(ProtocolError):
        machine.resolve("$.body", Success(1), attempt=1)


def test_a_second_answer_is_refused() -> None:
    machine, _ = begin(seq(step(), step()))
    machine.resolve("$.children[0]", Success(1), attempt=1)
    with pytest.raises(ProtocolError):
        machine.resolve("$.children[0]", Success(1), attempt=1)


def test_a_second_answer_after_the_end_is_refused() -> None:
    machine, _ = begin(step())
    machine.resolve("$", Success(1), attempt=1)
    with pytest.raises(ProtocolError):
        machine.resolve("$", Success(1), attempt=1)


def test_the_answer_to_an_attempt_to_come_is_refused() -> None:
    machine, _ = begin(step())
    with pytest.raises(ProtocolError):
        machine.resolve("$", Success(1), attempt=2)


def test_an_answer_before_the_start_is_refused() -> None:
    machine = Machine(flowir.load(step()), {})
    with pytest.raises(ProtocolError):
        machine.resolve("$", Success(1), attempt=1)


def test_a_second_start_is_refused() -> None:
    machine, _ = begin(step())
    with pytest.raises(ProtocolError):
        machine.start()


@pytest.mark.parametrize("started", [False, True])
def test_the_result_before_the_end_is_refused(started: bool) -> None:
    machine = Machine(flowir.load(step()), {})
    if started:
        machine.start()
    assert not machine.done
    with pytest.raises(ProtocolError):
        _ = machine.result


def test_a_refused_answer_changes_nothing() -> None:
    machine, _ = begin(step("w", out="$.r"))
    with pytest.raises(ProtocolError):
        machine.resolve("$.nope", Success(1), attempt=1)
    machine.resolve("$", Success(2), attempt=1)
    assert machine.result == {"r": 2}


def test_the_late_answer_of_an_older_attempt_gives_nothing() -> None:
    machine, _ = begin(step("w", out="$.r", retry={}))
    machine.resolve("$", Failure("x", "no"), attempt=1)
    assert machine.resolve("$", Success("old"), attempt=1) == ()
    machine.resolve("$", Success("new"), attempt=2)
    assert machine.result == {"r": "new"}


def test_the_late_answer_of_a_cancelled_lane_gives_nothing() -> None:
    machine, _ = begin(fanout(lit([1, 2]), LANE, "race"))
    machine.resolve("$.body@0", Success("a"), attempt=1)
    assert machine.resolve("$.body@1", Failure("x", "late"), attempt=1) == ()
    assert machine.result == {"r": "a"}


def test_the_result_is_raised_each_time_it_is_asked_for() -> None:
    machine, _ = begin(assign("$.a", path("$.nope")))
    for _ in range(2):
        with pytest.raises(flowir.FlowError) as caught:
            _ = machine.result
        assert caught.value.code == "path.missing"


# --- retry ---------------------------------------------------------------------------


def _delays(document: JSON, key: str, attempts: int) -> list[float]:
    machine, _ = begin(document)
    found: list[float] = []
    for attempt in range(1, attempts):
        again = asked(machine.resolve(key, Failure("x", "no"), attempt=attempt))
        assert (again.key, again.attempt) == (key, attempt + 1)
        found.append(again.delay_s)
    return found


def test_delays_grow_within_the_bounds_of_jitter() -> None:
    document = step("w", retry={"max_attempts": 6, "delay_s": 1, "jitter": 0.5})
    for n, delay in enumerate(_delays(document, "$", 6)):
        assert 0.5 * 2**n <= delay <= 1.5 * 2**n


def test_delays_are_the_same_in_every_replay() -> None:
    document = step("w", retry={"max_attempts": 9, "jitter": 1})
    assert _delays(document, "$", 9) == _delays(document, "$", 9)


def test_delays_differ_between_keys_and_attempts() -> None:
    policy = {"max_attempts": 5, "delay_s": 1, "factor": 1}
    lanes = fanout(lit(list(range(20))), step("w", retry=policy))
    machine, effects = begin(lanes)
    found: set[float] = set()
    for effect in effects:
        for attempt in range(1, 4):
            again = machine.resolve(effect.key, Failure("x", "no"), attempt=attempt)
            found.add(asked(again).delay_s)
    assert len(found) == 60


def test_delays_without_jitter_are_exact() -> None:
    document = step("w", retry={"max_attempts": 4, "delay_s": 1, "max_delay_s": 3, "jitter": 0})
    assert _delays(document, "$", 4) == [1, 2, 3]


def test_a_huge_factor_does_not_overflow() -> None:
    policy = {"max_attempts": 900, "delay_s": 1, "factor": 1e300, "jitter": 0}
    assert _delays(step("w", retry=policy), "$", 900)[-1] == 60


# --- cancellation --------------------------------------------------------------------


def test_cancel_ends_what_is_in_flight() -> None:
    machine, _ = begin(fanout(lit([1, 2]), LANE))
    assert keys(machine.cancel("stop")) == [("Cancel", "$.body@0"), ("Cancel", "$.body@1")]
    assert machine.done
    with pytest.raises(flowir.FlowError, match="stop") as caught:
        _ = machine.result
    assert caught.value.code == "run.cancelled"


def test_cancel_runs_finally_bodies_innermost_first() -> None:
    inner = guarded(step("w"), **{"finally": step("inner")})
    machine, _ = begin(guarded(inner, **{"finally": step("outer")}))
    assert keys(machine.cancel("stop")) == [
        ("Cancel", "$.body.body"),
        ("Dispatch", "$.body.finally"),
    ]
    effects = machine.resolve("$.body.finally", Success(1), attempt=1)
    assert keys(effects) == [("Dispatch", "$.finally")]
    assert machine.resolve("$.finally", Success(1), attempt=1) == ()
    assert machine.done


def test_a_loop_within_finally_runs_to_its_end_after_a_cancel() -> None:
    machine, _ = begin(guarded(step("w"), **{"finally": loop(step("f"), 2)}))
    machine.cancel("stop")
    effects = machine.resolve("$.finally.body#0", Success(1), attempt=1)
    assert keys(effects) == [("Dispatch", "$.finally.body#1")]
    machine.resolve("$.finally.body#1", Success(1), attempt=1)
    assert machine.done


def test_a_cancel_after_the_end_changes_nothing() -> None:
    machine, _ = begin(assign("$.a", lit(1)))
    assert machine.cancel("late") == ()
    assert machine.result == {"a": 1}


def test_a_second_cancel_does_not_interrupt_a_finally() -> None:
    machine, _ = begin(guarded(step("w"), **{"finally": step("f")}))
    machine.cancel("first")
    assert machine.cancel("second") == ()
    assert not machine.done
    machine.resolve("$.finally", Success(1), attempt=1)
    with pytest.raises(flowir.FlowError, match="first"):
        _ = machine.result


# --- private copies ------------------------------------------------------------------


def test_a_dispatch_that_spoils_its_input_cannot_change_the_context() -> None:
    def spoil(ref: str, input: JSON) -> JSON:
        input["list"].append("spoilt")
        input["more"] = True

    ctx = {"o": {"list": [1]}}
    assert flowir.run(flowir.load(step("w", path("$.o"))), ctx, spoil) == {"o": {"list": [1]}}


def test_a_dispatch_that_keeps_its_answer_cannot_change_the_context() -> None:
    kept: list[JSON] = []

    def keep(ref: str, input: JSON) -> JSON:
        for answer in kept:
            answer["list"].append("spoilt")
        kept.append({"list": []})
        return kept[-1]

    document = seq(step("w", out="$.a"), step("w", out="$.b"))
    result = flowir.run(flowir.load(document), {}, keep)
    assert result == {"a": {"list": []}, "b": {"list": []}}


def test_a_dispatch_never_sees_its_answer_change() -> None:
    kept = {"list": [1]}
    document = seq(step("w", out="$.a"), assign("$.a.list[0]", lit(9)))

    def answer(ref: str, input: JSON) -> JSON:
        return kept

    assert flowir.run(flowir.load(document), {}, answer) == {"a": {"list": [9]}}
    assert kept == {"list": [1]}


def test_the_first_context_is_the_callers_and_stays_so() -> None:
    ctx = {"list": [1, {"a": 1}], "o": {"n": 0}}
    before = copy.deepcopy(ctx)
    document = seq(
        assign("$.list[1].a", lit(2)), assign("$.o.n", lit(3)), assign("$.list[2]", lit(4))
    )
    result = flowir.run(flowir.load(document), ctx, answer_nothing)
    assert result == {"list": [1, {"a": 2}, 4], "o": {"n": 3}}
    assert ctx == before


def test_a_change_of_the_first_context_after_the_start_is_not_seen() -> None:
    ctx = {"list": [1]}
    machine, _ = begin(step("w", out="$.r"), ctx)
    ctx["list"].append(2)
    machine.resolve("$", Success(None), attempt=1)
    assert machine.result == {"list": [1], "r": None}


def test_the_document_is_the_callers_and_stays_so() -> None:
    document = assign("$.a", lit([1]))
    flow = flowir.load(document)
    document["value"]["value"].append(2)
    assert flowir.run(flow, {}, answer_nothing) == {"a": [1]}


def test_two_runs_of_one_flow_share_nothing() -> None:
    flow = flowir.load(seq(assign("$.l", lit([])), assign("$.l[0]", path("$.n"))))
    first, second = (flowir.run(flow, {"n": n}, answer_nothing) for n in (1, 2))
    assert (first["l"], second["l"]) == ([1], [2])


def test_a_caller_who_spoils_a_result_does_not_spoil_the_flow() -> None:
    flow = flowir.load(assign("$.l", lit([1])))
    flowir.run(flow, {}, answer_nothing)["l"].append(2)
    assert flowir.run(flow, {}, answer_nothing) == {"l": [1]}


# --- fuel ----------------------------------------------------------------------------


def test_fuel_left_goes_down_by_nodes_and_ops() -> None:
    total = {"op": "add", "lhs": path("$.a"), "rhs": lit(1)}
    machine, _ = begin(seq(assign("$.a", lit(1)), assign("$.b", total)), fuel=100)
    assert machine.fuel_left == 100 - 1 - (1 + 1) - (1 + 3)


def test_a_run_has_ten_million_by_default() -> None:
    machine, _ = begin(seq())
    assert machine.fuel_left == 10_000_000 - 1


def test_exhausted_fuel_cancels_what_is_in_flight() -> None:
    body = {
        "kind": "branch",
        "cond": {"op": "eq", "lhs": path("$.x"), "rhs": lit(0)},
        "then": LANE,
        "else": seq(LANE, loop(seq(), 1_000)),
    }
    machine, _ = begin(fanout(lit([0, 1]), body), fuel=200)
    effects = machine.resolve("$.body@1.else.children[0]", Success(1), attempt=1)
    assert keys(effects) == [("Cancel", "$.body@0.then")]
    with pytest.raises(flowir.FlowError) as caught:
        _ = machine.result
    assert caught.value.code == "fuel.exhausted"


def test_fuel_is_kept_by_a_snapshot() -> None:
    flow = flowir.load(seq(step(), assign("$.a", lit(1))))
    machine = Machine(flow, {}, fuel=10)
    machine.start()
    again = _restored(machine, flow)
    assert again.fuel_left == machine.fuel_left
    again.resolve("$.children[0]", Success(1), attempt=1)
    assert again.fuel_left == 10 - 1 - 2 - 2


# --- snapshots -----------------------------------------------------------------------


def _restored(machine: Machine, flow: flowir.Flow) -> Machine:
    text = json.dumps(machine.snapshot(), allow_nan=False)
    return Machine.restore(flow, json.loads(text))


def test_a_snapshot_is_json_and_stores_shared_parts_once() -> None:
    flow = flowir.load(fanout(lit(list(range(50))), LANE))
    machine = Machine(flow, {"big": ["x" * 100] * 100})
    machine.start()
    assert json.dumps(machine.snapshot()).count("x" * 100) <= 100


def test_a_restored_machine_shares_what_was_shared() -> None:
    flow = flowir.load(fanout(lit(list(range(200))), LANE))
    machine = Machine(flow, {"big": list(range(1_000))})
    machine.start()
    first = json.dumps(machine.snapshot())
    second = json.dumps(_restored(machine, flow).snapshot())
    assert len(second) <= len(first) * 1.1


def test_a_snapshot_changes_nothing() -> None:
    flow = flowir.load(seq(step("w", out="$.l"), assign("$.l[1]", lit(2)), step()))
    machine = Machine(flow, {})
    machine.start()
    machine.snapshot()
    machine.resolve("$.children[0]", Success([1]), attempt=1)
    before = json.dumps(machine.snapshot())
    assert json.dumps(machine.snapshot()) == before
    machine.resolve("$.children[2]", Success(1), attempt=1)
    assert machine.result == {"l": [1, 2]}


def test_a_snapshot_is_of_then() -> None:
    flow = flowir.load(seq(step("w", out="$.l[0]"), step("w", out="$.l[0]")))
    machine = Machine(flow, {"l": [0]})
    machine.start()
    kept = machine.snapshot()
    machine.resolve("$.children[0]", Success("live"), attempt=1)
    again = Machine.restore(flow, kept)
    again.resolve("$.children[0]", Success("again"), attempt=1)
    again.resolve("$.children[1]", Success("end"), attempt=1)
    machine.resolve("$.children[1]", Success("other"), attempt=1)
    assert (again.result, machine.result) == ({"l": ["end"]}, {"l": ["other"]})


def test_an_ended_machine_is_restored_as_ended() -> None:
    flow = flowir.load(assign("$.a", lit(1)))
    machine = Machine(flow, {})
    machine.start()
    again = _restored(machine, flow)
    assert again.done
    assert again.result == {"a": 1}


def test_a_failed_machine_is_restored_with_its_error() -> None:
    flow = flowir.load(step("w"))
    machine = Machine(flow, {})
    machine.start()
    machine.resolve("$", Failure("net.down", "no route", data=[1]), attempt=1)
    again = _restored(machine, flow)
    with pytest.raises(flowir.FlowError) as caught:
        _ = again.result
    error = caught.value
    assert (error.code, error.cause_code, error.data) == ("step.failed", "net.down", [1])


def test_a_restored_machine_knows_late_answers() -> None:
    flow = flowir.load(seq(fanout(lit([1, 2]), LANE, "race"), step()))
    machine = Machine(flow, {})
    machine.start()
    machine.resolve("$.children[0].body@0", Success("a"), attempt=1)
    again = _restored(machine, flow)
    assert again.resolve("$.children[0].body@1", Success("b"), attempt=1) == ()


# --- random flows --------------------------------------------------------------------

SEEDS = range(100)
Choose = Callable[[list[Dispatch]], int]
Answers = list[tuple[str, int, Success | Failure]]


def _play(
    sample: RandomFlow, choose: Choose, *, restoring: bool = False
) -> tuple[str, list[Dispatch | Cancel], Answers]:
    """Run to the end; return the outcome as text, all effects, and the answers given."""
    flow = flowir.load(sample.document)
    machine = Machine(flow, sample.ctx)
    effects = list(machine.start())
    waiting = _standing([], effects)
    answers: Answers = []
    while not machine.done:
        if restoring:
            machine = _restored(machine, flow)
        dispatch = waiting.pop(choose(waiting))
        outcome = sample.outcome(dispatch.ref, dispatch.input)
        answers.append((dispatch.key, dispatch.attempt, outcome))
        more = machine.resolve(dispatch.key, outcome, attempt=dispatch.attempt)
        effects += more
        waiting = _standing(waiting, more)
    assert waiting == []
    return _told(lambda: machine.result), effects, answers


def _standing(waiting: list[Dispatch], effects: Any) -> list[Dispatch]:
    """What still waits for an answer, after *effects*."""
    gone = {effect.key for effect in effects if isinstance(effect, Cancel)}
    kept = [dispatch for dispatch in waiting if dispatch.key not in gone]
    return kept + [effect for effect in effects if isinstance(effect, Dispatch)]


def _told(run: Callable[[], JSON]) -> str:
    """Tell a result, or the error in its place, as text that can be compared."""
    try:
        return json.dumps(run(), sort_keys=True)
    except flowir.FlowError as error:
        return json.dumps({**error.to_json(), "permanent": error.permanent}, sort_keys=True)


def _oldest(waiting: list[Dispatch]) -> int:
    return 0


def _any_order(seed: int) -> Choose:
    random = Random(seed)  # noqa: S311 - drawn again from its seed
    return lambda waiting: random.randrange(len(waiting))


@pytest.fixture(scope="module")
def racing() -> list[RandomFlow]:
    return [RandomFlow(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def settling() -> list[RandomFlow]:
    return [RandomFlow(seed, racing=False) for seed in SEEDS]


def test_random_flows_are_worth_running(racing: list[RandomFlow]) -> None:
    outcomes = [_play(sample, _oldest) for sample in racing]
    assert sum(len(answers) > 3 for _, _, answers in outcomes) > 40
    assert sum('"code":' in told for told, _, _ in outcomes) < 70
    cancels = [e for _, effects, _ in outcomes for e in effects if isinstance(e, Cancel)]
    assert len(cancels) > 40


def test_where_nothing_races_every_order_gives_the_same(settling: list[RandomFlow]) -> None:
    for sample in settling:
        expected, _, _ = _play(sample, _oldest)
        for order in range(3):
            assert _play(sample, _any_order(order))[0] == expected, sample


def test_where_nothing_races_the_blocking_driver_gives_the_same(
    settling: list[RandomFlow],
) -> None:
    for sample in settling:
        flow = flowir.load(sample.document)
        told = _told(lambda flow=flow, s=sample: flowir.run(flow, s.ctx, s.dispatch))
        assert told == _play(sample, _oldest)[0], sample


def test_a_snapshot_after_every_answer_changes_nothing(racing: list[RandomFlow]) -> None:
    for sample in racing:
        live = _play(sample, _any_order(sample.seed))
        assert _play(sample, _any_order(sample.seed), restoring=True) == live, sample


def test_the_recorded_answers_give_the_same_effects_again(racing: list[RandomFlow]) -> None:
    for sample in racing:
        told, effects, answers = _play(sample, _any_order(sample.seed))
        machine = Machine(flowir.load(sample.document), sample.ctx)
        again = list(machine.start())
        for key, attempt, outcome in answers:
            again += machine.resolve(key, outcome, attempt=attempt)
        assert again == effects, sample
        assert _told(lambda machine=machine: machine.result) == told, sample


def test_a_cancel_at_any_moment_ends_the_run(racing: list[RandomFlow]) -> None:
    for sample in racing:
        random = Random(sample.seed)  # noqa: S311 - drawn again from its seed
        machine = Machine(flowir.load(sample.document), sample.ctx)
        waiting = _standing([], machine.start())
        turn = random.randrange(4)
        while not machine.done:
            if turn == 0:
                waiting = _standing(waiting, machine.cancel("stop"))
            turn -= 1
            if machine.done:
                break
            dispatch = waiting.pop(random.randrange(len(waiting)))
            outcome = sample.outcome(dispatch.ref, dispatch.input)
            more = machine.resolve(dispatch.key, outcome, attempt=dispatch.attempt)
            waiting = _standing(waiting, more)
        assert waiting == [], sample


def test_keys_name_each_piece_of_work_once(racing: list[RandomFlow]) -> None:
    for sample in racing:
        _, effects, _ = _play(sample, _oldest)
        asked_for = [(e.key, e.attempt) for e in effects if isinstance(e, Dispatch)]
        assert len(asked_for) == len(set(asked_for)), sample


# --- one flow, many machines ---------------------------------------------------------


def test_two_machines_on_one_context_and_one_answer_share_nothing() -> None:
    document = seq(
        step("w", out="$.a"), assign("$.a.l[0]", path("$.n")), assign("$.o.n", path("$.n")), step()
    )
    flow, shared = flowir.load(document), {"l": [0]}
    first_answer = {"a": shared, "l": [0]}
    machines: list[Machine] = []
    for n in (1, 2):
        machine = Machine(flow, {"n": n, "o": shared, "p": shared})
        machine.start()
        machines.append(machine)
    for machine in machines:
        machine.resolve("$.children[0]", Success(first_answer))
    for n, machine in zip((1, 2), machines, strict=True):
        machine.resolve("$.children[3]", Success(None))
        assert machine.result == {
            "n": n,
            "o": {"l": [0], "n": n},
            "p": {"l": [0]},
            "a": {"a": {"l": [0]}, "l": [n]},
        }
    assert (shared, first_answer) == ({"l": [0]}, {"a": {"l": [0]}, "l": [0]})


def test_many_threads_run_one_flow() -> None:
    document = loop(seq(assign("$.l", path("$.l")), step("w", path("$.i"), out="$.l[0]")), 50)
    flow = flowir.load(document)
    ctx = {"l": [None], "i": 0}

    def run(number: int) -> JSON:
        return flowir.run(flow, ctx, lambda _, given: [number, given])

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(run, range(64)))
    assert results == [{"l": [[n, 49]], "i": 50} for n in range(64)]
    assert ctx == {"l": [None], "i": 0}


def test_whoever_holds_a_context_sees_it_as_it_was() -> None:
    """A debugger's frame, a generator, another thread: each holder counts."""
    document = loop(seq(step("w", path("$.i"), out="$.o.l[0]")), 5)
    machine, _ = begin(document, {"o": {"l": [None]}})
    holders: list[JSON] = []
    for n in range(5):
        held = [machine.main.ctx, machine.main.ctx["o"], machine.main.ctx["o"]["l"]][n % 3]
        values = (value for value in [held])
        holders.append((values, copy.deepcopy(held)))
        del held
        machine.resolve(f"$.body#{n}.children[0]", Success(n))
    assert all(next(values) == before for values, before in holders)
    assert machine.result == {"o": {"l": [4]}, "i": 5}


def test_a_worker_that_keeps_its_input_and_answers_with_it_changes_nothing() -> None:
    kept: list[JSON] = []

    def answer(ref: str, input: JSON) -> JSON:
        kept.append(input)
        for given in kept:
            given["l"].append(len(kept))
        return kept[0]

    document = loop(step("w", path("$.o"), out="$.o"), 3)
    result = flowir.run(document, {"o": {"l": []}}, answer)
    assert result["o"] == {"l": [1, 2, 3]}


# --- outcomes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "outcome",
    [None, 5, (1,), {"value": 1}, Failure(5, "m"), Failure("c", None)],  # type: ignore[arg-type]
)
def test_what_is_no_outcome_is_refused_and_changes_nothing(outcome: Any) -> None:
    machine, _ = begin(step("w", out="$.r"))
    with pytest.raises(ProtocolError, match=r"resolve: expected (Success or|a) Failure"):
        machine.resolve("$", outcome)
    machine.resolve("$", Success(1))
    assert machine.result == {"r": 1}


def test_an_answer_without_its_attempt_is_of_the_last_one() -> None:
    machine, _ = begin(step("w", out="$.r", retry={}))
    machine.resolve("$", Failure("x", "no"))
    machine.resolve("$", Success(2))
    assert machine.result == {"r": 2}
    with pytest.raises(ProtocolError, match=r"got '\$'$"):
        machine.resolve("$", Success(3))
    assert machine.resolve("$", Success(3), attempt=1) == ()


def test_a_document_is_loaded_where_it_is_met() -> None:
    machine = Machine(json.dumps(step("w", out="$.r")), {})
    machine.start()
    machine.resolve("$", Success(1))
    assert machine.result == {"r": 1}
    with pytest.raises(flowir.Malformed):
        Machine({"kind": "sequence"}, {})


def test_an_error_that_ended_a_run_keeps_no_frames() -> None:
    machine, _ = begin(assign("$.a", path("$.b")))
    for _ in range(3):
        with pytest.raises(flowir.FlowError) as caught:
            _ = machine.result
        assert len(caught.traceback) == 2


# --- what nodes check when they run --------------------------------------------------


@pytest.mark.parametrize(
    ("document", "code", "says"),
    [
        ({"kind": "branch", "cond": lit(1), "then": seq()}, "cond.not_boolean", "got number 1"),
        (fanout(lit({}), seq()), "type.mismatch", "items to be an array, got object {}"),
        (fanout(lit([1]), seq(), limit=lit(0)), "type.mismatch", "limit to be an integer"),
        (fanout(lit([1]), seq(), "quorum", quorum=lit(1.0)), "type.mismatch", "quorum to be"),
        (fanout(lit([0] * 5), seq()), "fanout.too_many", "at most 4 items, got 5"),
    ],
)
def test_what_a_node_cannot_use_fails_it(document: JSON, code: str, says: str) -> None:
    machine = Machine(flowir.load(document, limits=flowir.Limits(lanes=4)), {})
    machine.start()
    with pytest.raises(flowir.FlowError) as caught:
        _ = machine.result
    assert caught.value.code == code
    assert says in str(caught.value)


def test_a_fanout_counts_its_lanes_and_reads_its_limits() -> None:
    numbers = {"op": "array", "items": [path("$.n"), path("$.x")]}
    lanes = fanout(lit(["a", "b", "c"]), LANE, index="$.n", limit=path("$.two"), collect=numbers)
    machine, effects = begin(lanes, {"two": 2})
    assert len(effects) == 2
    for n in range(3):
        machine.resolve(f"$.body@{n}", Success(None))
    assert machine.result["r"] == [[0, "a"], [1, "b"], [2, "c"]]


def test_a_fanout_without_items_goes_on_at_once() -> None:
    machine, _ = begin(seq(fanout(lit([]), LANE), assign("$.s", lit(1))))
    assert machine.result == {"r": [], "s": 1}


def test_a_loop_says_whether_more_was_wanted() -> None:
    base = {**loop(seq(), 3), "exhausted_at": "$.e"}
    less = {"op": "lt", "lhs": path("$.i"), "rhs": lit(2)}
    for document, expected in (
        (base, {"i": 3, "e": True}),
        ({**base, "max": 0}, {"i": 0, "e": False}),
        ({**base, "cond": less}, {"i": 2, "e": False}),
        ({**base, "cond": {**less, "rhs": lit(3)}}, {"i": 3, "e": False}),
    ):
        machine, _ = begin(document)
        assert machine.result == expected


def test_keys_count_every_loop_on_the_way() -> None:
    inner = {**loop(seq(step("w")), 2), "counter": "$.j"}
    machine, effects = begin(loop(seq(loop(seq(inner), 2)), 2))
    found: list[str] = []
    while effects:
        found.append(asked(effects).key)
        effects = machine.resolve(found[-1], Success(None))
    places = "$.body#{}.children[0].body#{}.children[0].body#{}.children[0]"
    assert found == [places.format(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]


def test_budget_is_caught_by_its_name_only() -> None:
    spent = Failure("budget.exhausted", "no money left")
    for on, caught in ((None, False), (["budget.*"], False), (["budget.exhausted"], True)):
        document = guarded(step(), err_at="$.e", **({"on": on} if on else {}))
        machine, _ = begin(document)
        machine.resolve("$.body", spent)
        assert (machine.error is None) is caught


@pytest.mark.parametrize("fuel", range(12))
def test_fuel_ends_a_run_wherever_it_stands(fuel: int) -> None:
    document = seq(
        assign("$.a", lit(1)),
        guarded(assign("$.l", lit([])), catch=seq()),
        {"kind": "branch", "cond": lit(True), "then": seq()},
        step("w"),
    )
    machine, effects = begin(document, fuel=fuel)
    assert (effects == ()) is (fuel < 11)
    assert machine.fuel_left == max(fuel - 11, 0)
    assert (machine.error is not None and machine.error.code == "fuel.exhausted") is (fuel < 11)


def test_an_extern_of_the_hosts_cannot_bring_in_what_is_no_json() -> None:
    def fail() -> JSON:
        raise flowir.FlowError("tax.unknown", "no such tax", data={"at": object()})

    call = {"op": "call_extern", "ref": "tax.of", "args": []}
    machine, _ = begin(guarded(assign("$.a", call), error_at="$.e"), externs={"tax.of": fail})
    assert machine.result["e"]["code"] == "extern.failed"


def test_what_was_admitted_is_neither_checked_nor_copied_again() -> None:
    flow = {"kind": "step", "ref": "r", "in": lit(1), "out": "$.x"}
    machine = Machine(flow, {})
    machine.start()
    value = {"a": [1]}
    machine.resolve("$", Admitted(value, *admit_measured(value)[1:]))
    assert machine.result == {"x": {"a": [1]}}
    assert machine.result["x"] is value


def test_a_machine_that_is_closed_is_gone_with_its_last_name() -> None:
    """Lanes and machine refer to each other; nobody waits for the collector."""
    gc.collect()
    gc.disable()
    try:
        machine = Machine(assign("$.x", lit(1)), {})
        machine.start()
        machine.close()
        assert machine.result == {"x": 1}
        alive = weakref.ref(machine)
        del machine
        assert alive() is None
    finally:
        gc.enable()
