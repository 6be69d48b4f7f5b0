"""The layer that lets a leader look before and after."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from flowir.errors import WorkerFailure
from swarm import Outcome, Usage
from swarm.middleware.main_ai import MAIN_AI
from swarm.ports.operators import Order
from swarm.ports.worker import CostlyFailure
from swarm.testing import FakeClock, FakeOperators, built_layer, call_through
from tests.swarm.layered import Bench, Flaky, document, step

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


LEAD = {"use": "main_ai", "to": "lead"}


async def led(
    answers: dict[str, dict[str, Any]], work: Any = None, **params: Any
) -> tuple[Any, list[Order], Any]:
    operators = FakeOperators({"lead": lambda order: answers[order.moment]})
    work = work or Flaky(0)
    bench = Bench(operators=operators, functions={"work": work})
    outcome = await bench.run([{**LEAD, **params}])
    return outcome, [order for _, order in operators.orders], work


NO = {"veto": False}


async def test_it_looks_before_and_after() -> None:
    outcome, orders, _ = await led({"before": NO, "after": NO})
    assert outcome.ctx["out"] == 1
    assert [(order.moment, order.body, order.key) for order in orders] == [
        ("before", {"input": 1}, "r_1/$/1/before"),
        ("after", {"input": 1, "value": 1}, "r_1/$/1/after"),
    ]


async def test_a_veto_before_stops_the_step_and_nobody_works() -> None:
    outcome, _, work = await led({"before": {"veto": True, "reason": "too dear"}})
    assert outcome.error["cause_code"] == "main_ai.vetoed"
    assert outcome.error["message"].endswith("'lead' vetoed 'work' before its work: too dear")
    assert work.asked == 0


async def test_without_it_the_work_is_done() -> None:
    work = Flaky(0)
    await Bench(functions={"work": work}).run()
    assert work.asked == 1


async def test_a_veto_after_takes_the_answer_away() -> None:
    outcome, _, work = await led({"before": NO, "after": {"veto": True}})
    assert outcome.error["cause_code"] == "main_ai.vetoed"
    assert work.asked == 1


async def test_it_may_change_what_goes_in() -> None:
    outcome, _, _ = await led({"before": {"veto": False, "input": 5}, "after": NO})
    assert outcome.ctx["out"] == 5


async def test_it_sees_failures_and_they_stay_failures() -> None:
    outcome, orders, _ = await led({"before": NO, "after": NO}, Flaky(9))
    assert outcome.error["cause_code"] == "worker.error"
    assert orders[1].body["failure"]["code"] == "worker.error"


async def test_moments_can_be_left_out() -> None:
    _, orders, _ = await led({"after": NO}, before=False)
    assert [order.moment for order in orders] == ["after"]
    _, orders, _ = await led({"before": NO}, after=False)
    assert [order.moment for order in orders] == ["before"]


async def test_a_reply_of_another_form_fails_the_step() -> None:
    for reply in ({}, {"veto": "no"}, {"veto": False, "more": 1}, None):
        outcome, _, work = await led({"before": reply})  # type: ignore[dict-item]
        assert outcome.error["cause_code"] == "operator.reply"
        assert work.asked == 0


@pytest.mark.parametrize(("silence", "code"), [("veto", "main_ai.vetoed"), ("allow", None)])
async def test_silence_means_what_was_said(silence: str, code: str | None) -> None:
    clock, work = FakeClock(), Flaky(0)
    bench = Bench(clock=clock, operators=FakeOperators(), functions={"work": work})
    async with bench.host() as host:
        made = document({"work": {}}, step("work"), [{**LEAD, "on_silence": silence}])
        run = await host.start(await host.load(made), {"given": 1})
        await clock.settle()
        await clock.advance(130)
        with anyio.fail_after(10):
            outcome = await run.wait()
    assert (outcome.error and outcome.error["cause_code"]) == code
    assert work.asked == (0 if code else 1)


async def test_an_answer_that_was_taken_away_is_paid_for() -> None:
    operators = FakeOperators({"lead": lambda order: {"veto": order.moment == "after"}})
    layer = built_layer(MAIN_AI, {"to": "lead"}, operators=operators)
    with pytest.raises(CostlyFailure) as caught:
        await call_through(layer, [Outcome(1, usage=Usage(tokens=7))])
    assert (caught.value.code, caught.value.usage) == ("main_ai.vetoed", Usage(tokens=7))


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ({"veto": True, "reason": "too dear"}, "too dear"),
        ({"veto": True, "reason": ""}, "no reason was given"),
        ({"veto": True}, "no reason was given"),
        (None, "no answer within 60 s"),
    ],
)
async def test_a_veto_is_for_good_and_says_why(
    moment: str, reply: dict[str, Any] | None, why: str
) -> None:
    def answer(_order: Order) -> Any:
        return reply

    clock = FakeClock()
    operators = FakeOperators({"lead": answer} if reply else {})
    params = {"to": "lead", "before": moment == "before", "after": moment == "after"}
    layer = built_layer(MAIN_AI, params, operators=operators, clock=clock)

    async def move() -> None:
        await clock.settle()
        await clock.advance(61)

    failed: list[WorkerFailure] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(move)
        try:
            await call_through(layer, [1])
        except WorkerFailure as failure:
            failed.append(failure)
    (vetoed,) = failed
    assert (vetoed.code, vetoed.permanent) == ("main_ai.vetoed", True)
    assert vetoed.message == f"'lead' vetoed 'worker' {moment} its work: {why}"
    ((_, order),) = operators.orders
    assert order.prompt == (
        "worker is to begin: a veto?" if moment == "before" else "worker has ended: a veto?"
    )


async def test_a_leader_says_a_veto_and_no_more_than_it_may() -> None:
    operators = FakeOperators({"lead": lambda order: NO})
    layer = built_layer(MAIN_AI, {"to": "lead"}, operators=operators)
    assert (await call_through(layer, [1])).value == 1
    schemas = {order.moment: order.schema for _, order in operators.orders}
    veto, reason = {"type": "boolean"}, {"type": "string"}
    for moment, more in (("before", {"input": True}), ("after", {})):
        assert schemas[moment] == {
            "type": "object",
            "properties": {"veto": veto, "reason": reason, **more},
            "required": ["veto"],
            "additionalProperties": False,
        }
