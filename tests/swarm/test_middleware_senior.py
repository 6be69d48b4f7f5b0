"""The layer that puts what goes wrong to somebody more experienced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from flowir.errors import WorkerFailure
from swarm import BlueprintInvalid, Outcome, Usage
from swarm.middleware.senior import SENIOR
from swarm.ports.operators import Order
from swarm.ports.worker import CostlyFailure
from swarm.testing import FakeClock, FakeOperators, built_layer, call_through
from tests.swarm.layered import Bench, Flaky, document, durable, step, until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def seat(*decisions: dict[str, Any]) -> FakeOperators:
    left = list(decisions)
    return FakeOperators({"ada": lambda order: left.pop(0)})


async def decided(
    work: Callable[[Any], Any], *decisions: dict[str, Any], input: Any = 1, **params: Any
) -> tuple[Any, list[Order], Bench]:
    operators = seat(*decisions)
    bench = Bench(operators=operators, functions={"work": work})
    outcome = await bench.run([{"use": "senior", "to": "ada", **params}], input=input)
    return outcome, [order for _, order in operators.orders], bench


async def test_an_override_is_the_answer() -> None:
    outcome, orders, bench = await decided(Flaky(9), {"decision": "override", "value": 7})
    assert outcome.ctx["out"] == 7
    assert orders[0].moment == "advise"
    assert orders[0].body == {
        "input": 1,
        "failure": {"code": "worker.error", "message": "ConnectionError: away"},
    }
    assert bench.texts == [
        "senior: ada decided 'override', where failed with worker.error",
    ]


async def test_without_it_the_step_fails() -> None:
    assert (await Bench(functions={"work": Flaky(9)}).run()).status == "failed"


async def test_a_retry_has_the_guidance_in_its_input() -> None:
    seen: list[Any] = []

    async def work(value: object) -> object:
        seen.append(value)
        if len(seen) < 3:
            raise ConnectionError("away")
        return "done"

    retry = {"decision": "retry", "guidance": "knock twice"}
    outcome, orders, _ = await decided(work, retry, retry, input={"n": 1})
    assert outcome.ctx["out"] == "done"
    assert seen == [{"n": 1}, *[{"n": 1, "guidance": "knock twice"}] * 2]
    assert [order.key for order in orders] == ["r_1/$/1/senior/ada/0", "r_1/$/1/senior/ada/1"]


async def test_an_input_that_is_no_object_becomes_a_member_beside_the_guidance() -> None:
    seen: list[Any] = []

    async def work(value: object) -> object:
        seen.append(value)
        return value if len(seen) > 1 else None

    await decided(
        work, {"decision": "retry", "guidance": "g"}, when="ctx.value == null", input="text"
    )
    assert seen == ["text", {"input": "text", "guidance": "g"}]


async def test_after_so_many_rounds_no_retry_is_offered() -> None:
    retry = {"decision": "retry"}
    outcome, orders, _ = await decided(Flaky(9), retry, retry, max_rounds=1)
    assert outcome.error["cause_code"] == "operator.reply"
    enums = [order.schema["properties"]["decision"]["enum"] for order in orders]
    assert enums == [["fail", "keep", "override", "retry"], ["fail", "keep", "override"]]


async def test_it_may_fail_or_be_kept() -> None:
    outcome, _, _ = await decided(Flaky(9), {"decision": "fail", "message": "hopeless"})
    assert outcome.error["cause_code"] == "senior.failed"
    assert "hopeless" in outcome.error["message"]
    outcome, _, _ = await decided(Flaky(9), {"decision": "keep"})
    assert outcome.error["cause_code"] == "worker.error"


async def test_an_override_keeps_the_promise_of_the_agent() -> None:
    operators = seat({"decision": "override", "value": "PERHAPS"})
    bench = Bench(operators=operators, functions={"work": Flaky(9)})
    agents = {"work": {"verdict": ["PASS", "BLOCKED"]}}
    outcome = await bench.run([{"use": "senior", "to": "ada"}], agents=agents)
    assert outcome.error is not None
    assert "'PERHAPS'" in outcome.error["message"]


def says(value: Any) -> Callable[[Any], Any]:
    async def work(given: object) -> object:
        return value

    return work


@pytest.mark.parametrize(
    ("value", "params", "asked"),
    [
        ("BLOCKED", {"block": ["BLOCKED"]}, True),
        ({"verdict": "BLOCKED"}, {"block": ["BLOCKED"]}, True),
        ("PASS", {"block": ["BLOCKED"]}, False),
        ({"confidence": 0.4}, {"below": 0.5}, True),
        ({"confidence": 0.5}, {"below": 0.5}, False),
        ({"sure": 0.1}, {"below": 0.5, "confidence": "sure"}, True),
        ({"score": 3}, {"when": "ctx.value.score < ctx.input"}, True),
        ({"score": 9}, {"when": "ctx.value.score < ctx.input"}, False),
        ("fine", {}, False),
    ],
)
async def test_who_answers_is_looked_at_where_a_rule_says_so(
    value: Any, params: dict[str, Any], asked: bool
) -> None:
    outcome, orders, _ = await decided(
        says(value), {"decision": "override", "value": "!"}, input=5, **params
    )
    assert outcome.ctx["out"] == ("!" if asked else value)
    assert len(orders) == int(asked)


async def test_codes_decide_which_failures_are_put_to_it() -> None:
    _, orders, _ = await decided(Flaky(9), on=["net.*"])
    assert orders == []


async def test_a_rule_that_cannot_be_decided_fails_the_step() -> None:
    for rule in ("ctx.value.nothing > 1", "ctx.value"):
        outcome, _, _ = await decided(says(1), when=rule)
        assert outcome.error["cause_code"] == "senior.rule"


async def test_what_was_used_in_all_rounds_is_paid_for() -> None:
    async def work(value: object) -> Outcome:
        return Outcome("BLOCKED", usage=Usage(tokens=10))

    _, _, bench = await decided(
        work, {"decision": "retry"}, {"decision": "override", "value": 1}, block=["BLOCKED"]
    )
    assert [e["tokens"] for e in bench.events if e["kind"] == "step.finished"] == [20]


async def late(params: dict[str, Any], operators: FakeOperators | None) -> tuple[Any, Bench]:
    clock = FakeClock()
    bench = Bench(clock=clock, operators=operators, functions={"work": Flaky(9)})
    senior = {"use": "senior", "to": "ada", "deadline_s": 60, **params}
    async with bench.host() as host:
        run = await host.start(
            await host.load(document({"work": {}}, step("work"), [senior])), {"given": 1}
        )
        await clock.settle()
        assert run.status == "waiting"
        await clock.advance(61)
        if params.get("on_deadline") == "escalate":
            assert operators is not None
            name, order = operators.orders[-1]
            assert name == "bob"
            operators.reply(order.key, {"decision": "override", "value": "bob's"})
        with anyio.fail_after(10):
            outcome = await run.wait()
        return outcome, bench


async def test_at_the_deadline_it_fails_is_kept_or_goes_further_up() -> None:
    for operators in (FakeOperators(), None):
        outcome, _ = await late({}, operators)
        assert outcome.error["cause_code"] == "senior.silent"
        outcome, _ = await late({"on_deadline": "keep"}, operators)
        assert outcome.error["cause_code"] == "worker.error"
    outcome, _ = await late({"on_deadline": "escalate", "escalate_to": "bob"}, FakeOperators())
    assert outcome.ctx["out"] == "bob's"


async def test_without_operators_it_is_a_question_that_outlives_the_host(tmp_path: Path) -> None:
    made = document({"work": {}}, step("work"), [{"use": "senior", "to": "ada"}])
    async with durable(tmp_path, work=Flaky(9)) as host:
        run = await host.start(await host.load(made), {"given": 1}, run_id="asks")
        await until(lambda: run.status == "waiting")
        (question,) = await run.questions()
        assert (question.to, question.ask.input["failure"]["code"]) == ("ada", "worker.error")
    async with durable(tmp_path, work=Flaky(9)) as host:
        run = await host.resume("asks")
        await run.answer(question.id, {"decision": "override", "value": 7})
        assert (await run.result())["out"] == 7
        assert len([e async for e in run.events() if e["kind"] == "question.asked"]) == 1


async def test_an_operator_is_given_an_order_once_however_often_it_is_asked_for(
    tmp_path: Path,
) -> None:
    operators, key = FakeOperators(), "asks/$/1/senior/ada/0"
    made = document({"work": {}}, step("work"), [{"use": "senior", "to": "ada"}])
    async with durable(tmp_path, operators, work=Flaky(9)) as host:
        await host.start(await host.load(made), {"given": 1}, run_id="asks")
        await until(lambda: operators.asked[key] == 1)
    async with durable(tmp_path, operators, work=Flaky(9)) as host:
        run = await host.resume("asks")
        await until(lambda: operators.asked[key] == 2)
        assert len(operators.orders) == 1
        operators.reply(key, {"decision": "override", "value": 7}, by="ada")
        assert (await run.result())["out"] == 7


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"when": "ctx.value <"}, "when: expected an expression"),
        ({"on_deadline": "keep"}, "expected seconds, for on_deadline 'keep', got none"),
        ({"on_deadline": "escalate", "deadline_s": 1}, "expected 'escalate_to' together with"),
        ({"on_deadline": "ask"}, "expected one of 'fail', 'keep' or 'escalate', got 'ask'"),
    ],
)
async def test_what_is_wrong_is_told_first(params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BlueprintInvalid, match=sentence):
        await decided(Flaky(0), **params)


USED = Usage(tokens=10)


@pytest.mark.parametrize(
    ("params", "decision", "code", "said", "permanent"),
    [
        (
            {"block": ["NO"]}, {"decision": "fail"}, "senior.failed",
            "a senior decided that it failed, where it answered NO", True,
        ),
        ({"block": ["NO"]}, {"decision": "fail", "message": "hm"}, "senior.failed", "hm", True),
        (
            {"when": "ctx.value"}, {}, "senior.rule",
            "the rule 'ctx.value': expected true or false, got 'NO'", True,
        ),
        (
            {"when": "ctx.value > 5"}, {}, "senior.rule",
            "the rule 'ctx.value > 5': ", True,
        ),
    ],
)  # fmt: skip
async def test_a_failure_of_its_own_says_why_and_whether_another_try_may_help(
    params: dict[str, Any], decision: dict[str, Any], code: str, said: str, permanent: bool
) -> None:
    layer = built_layer(SENIOR, {"to": "ada", **params}, operators=seat(decision))
    with pytest.raises(WorkerFailure) as failed:
        await call_through(layer, [Outcome("NO", usage=USED)])
    assert (failed.value.code, failed.value.permanent) == (code, permanent)
    assert failed.value.message.startswith(said)
    assert said.endswith(": ") or failed.value.message == said
    if code == "senior.failed":
        assert isinstance(failed.value, CostlyFailure)
        assert failed.value.usage == USED


async def test_what_cost_nothing_fails_at_no_cost() -> None:
    for decision in ("fail", "keep"):
        layer = built_layer(SENIOR, {"to": "ada"}, operators=seat({"decision": decision}))
        with pytest.raises(WorkerFailure) as failed:
            await call_through(layer, [WorkerFailure("net.away", "away")])
        assert not isinstance(failed.value, CostlyFailure)
        assert failed.value.code == ("senior.failed" if decision == "fail" else "net.away")


async def test_what_is_kept_after_a_retry_is_paid_for_in_all() -> None:
    retry, keep = {"decision": "retry"}, {"decision": "keep"}
    params = {"to": "ada", "block": ["NO"]}
    layer = built_layer(SENIOR, params, operators=seat(retry, keep))
    outcome = await call_through(layer, [Outcome("NO", usage=USED)] * 2)
    assert (outcome.value, outcome.usage) == ("NO", Usage(tokens=20))
    layer = built_layer(SENIOR, params, operators=seat(retry, keep))
    with pytest.raises(CostlyFailure) as failed:
        await call_through(layer, [Outcome("NO", usage=USED), WorkerFailure("net.away", "away")])
    assert (failed.value.code, failed.value.usage) == ("net.away", USED)
    layer = built_layer(SENIOR, params, operators=seat(retry, keep))
    gone = CostlyFailure.of(WorkerFailure("net.away", "away"), USED)
    with pytest.raises(CostlyFailure) as failed:
        await call_through(layer, [gone, gone])
    assert failed.value.usage == Usage(tokens=20)


async def test_silence_is_told_and_another_try_may_help() -> None:
    clock = FakeClock()
    params = {"to": "ada", "deadline_s": 60}
    layer = built_layer(SENIOR, params, operators=FakeOperators(), clock=clock)
    failed: list[WorkerFailure] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_move, clock)
        try:
            await call_through(layer, [ConnectionError("away")])
        except WorkerFailure as failure:
            failed.append(failure)
    (silent,) = failed
    assert (silent.code, silent.permanent) == ("senior.silent", False)
    assert silent.message == (
        "'worker' failed with worker.error: expected 'ada' to decide in time, got nothing"
    )


async def _move(clock: FakeClock) -> None:
    await clock.settle()
    await clock.advance(61)


def test_without_a_word_it_is_asked_about_every_failure_three_times() -> None:
    params = SENIOR.params.model_validate({"to": "ada"})
    assert (params.on, params.block, params.below, params.max_rounds) == (("*",), (), None, 3)
    assert (params.deadline_s, params.on_deadline, params.escalate_to) == (None, "fail", None)


async def test_who_is_further_up_is_asked_about_nothing_that_was_decided() -> None:
    operators = seat({"decision": "override", "value": 7})
    params = {"to": "ada", "deadline_s": 60, "on_deadline": "escalate", "escalate_to": "bob"}
    layer = built_layer(SENIOR, params, operators=operators)
    assert (await call_through(layer, [ConnectionError("away")])).value == 7
    assert [who for who, _ in operators.orders] == ["ada"]
