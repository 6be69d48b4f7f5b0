"""The layer that hands an agent's work to an operator, and the one that watches it being held."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from swarm import BlueprintInvalid
from swarm.host.run import Run
from swarm.middleware.delegate import DELEGATE
from swarm.middleware.long_hold import LongHoldParams
from swarm.testing import FakeClock, FakeOperators, built_layer, call_through
from tests.swarm.layered import Bench, Flaky, document, durable, step, until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


TO_ADA = {"use": "delegate", "to": "ada"}
HOLD = {"use": "long_hold", "to": "ada", "beat_s": 10, "lost_s": 60}


class Held:
    """A run whose step is with an operator, on a clock that the test moves."""

    def __init__(self, layers: Any, operators: FakeOperators | None, work: Flaky) -> None:
        self.clock = FakeClock()
        self.operators = operators
        self.bench = Bench(clock=self.clock, operators=operators, functions={"work": work})
        self.layers = layers

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[Run]:
        async with self.bench.host() as host:
            made = document({"work": {}}, step("work"), self.layers)
            run = await host.start(await host.load(made), {"given": 1})
            await self.clock.settle()
            yield run
            await self.bench.look(run)


async def test_an_operator_does_the_work_and_nobody_else() -> None:
    work = Flaky(0)
    held = Held([TO_ADA], FakeOperators(), work)
    assert held.operators is not None
    async with held.run() as run:
        assert run.status == "waiting"
        ((seat, order),) = held.operators.orders
        assert (seat, order.moment, order.key, order.body) == ("ada", "do", "r_1/$/1", 1)
        held.operators.reply(order.key, "by hand")
        assert (await run.result())["out"] == "by hand"
    assert work.asked == 0


async def test_without_it_the_agent_does_it() -> None:
    work = Flaky(0)
    await Bench(functions={"work": work}).run()
    assert work.asked == 1


async def test_without_operators_it_is_a_question() -> None:
    held = Held([TO_ADA], None, Flaky(0))
    async with held.run() as run:
        (question,) = await run.questions()
        assert (question.to, question.ask.input) == ("ada", 1)
        await run.answer(question.id, "by hand")
        assert (await run.result())["out"] == "by hand"


async def test_a_refusal_is_the_steps_failure() -> None:
    held = Held([TO_ADA], FakeOperators(), Flaky(0))
    assert held.operators is not None
    async with held.run() as run:
        held.operators.refuse("r_1/$/1")
        outcome = await run.wait()
    assert outcome.error is not None
    assert outcome.error["cause_code"] == "operator.refused"


@pytest.mark.parametrize("operators", [True, False])
@pytest.mark.parametrize(("then", "asked"), [("fail", 0), ("agent", 1)])
async def test_at_the_deadline_it_fails_or_the_agent_is_asked(
    operators: bool, then: str, asked: int
) -> None:
    work = Flaky(0)
    layers = [{**TO_ADA, "deadline_s": 60, "on_deadline": then}]
    held = Held(layers, FakeOperators() if operators else None, work)
    async with held.run() as run:
        await held.clock.advance(61)
        outcome = await run.wait()
    assert work.asked == asked
    assert (outcome.error is None) is (then == "agent")


async def test_a_run_that_is_cancelled_lets_go_of_what_is_held() -> None:
    held = Held([TO_ADA, HOLD], FakeOperators(), Flaky(0))
    async with held.run() as run:
        with anyio.fail_after(10):
            await run.cancel("enough")
            assert (await run.wait()).status == "cancelled"


async def test_an_answer_that_was_given_while_no_host_was_there_is_there_at_once(
    tmp_path: Path,
) -> None:
    operators = FakeOperators()
    made = document({"work": {}}, step("work"), [TO_ADA])
    async with durable(tmp_path, operators, work=Flaky(0)) as host:
        run = await host.start(await host.load(made), {"given": 1}, run_id="held")
        await until(lambda: bool(operators.orders))
        assert run.status == "waiting"
    operators.reply("held/$/1", "meanwhile")
    async with durable(tmp_path, operators, work=Flaky(0)) as host:
        run = await host.resume("held")
        assert (await run.result())["out"] == "meanwhile"
    assert len(operators.orders) == 1


async def test_a_held_step_takes_no_place_of_others() -> None:
    operators, clock = FakeOperators(), FakeClock()
    bench = Bench(clock=clock, operators=operators, functions={"work": Flaky(0), "b": Flaky(0)})
    async with bench.host() as host:
        agents = {"work": {"layers": [TO_ADA]}, "b": {}}
        limits = {"limits": {"concurrency": 1}}
        held = await host.load(
            document(
                agents,
                {"kind": "seq", "children": [step("work", "$.a"), step("b", "$.b")]},
                **limits,
            )
        )
        first, second = [await host.start(held, {"given": n}) for n in (1, 2)]
        await clock.settle()
        assert len(operators.orders) == 2
        for run in (first, second):
            operators.reply(f"{run.id}/$.children[0]/1", "done")
            assert (await run.result())["b"]


async def test_a_deadline_needs_seconds() -> None:
    with pytest.raises(BlueprintInvalid, match="expected seconds, for on_deadline 'agent'"):
        await Bench(functions={"work": Flaky(0)}).run([{**TO_ADA, "on_deadline": "agent"}])


# -- long_hold ---------------------------------------------------------------------------


async def test_who_stays_away_too_long_loses_the_step() -> None:
    held = Held([TO_ADA, HOLD], FakeOperators(), Flaky(0))
    assert held.operators is not None
    async with held.run() as run:
        await held.clock.advance(1000)
        assert run.status == "waiting"
        assert held.operators.beats == 100
        held.operators.detach("ada")
        await held.clock.advance(71)
        outcome = await run.wait()
    assert outcome.error is not None
    assert outcome.error["cause_code"] == "long_hold.lost"
    assert held.bench.texts == ["long_hold: ada is detached"]


async def test_without_it_nobody_notices() -> None:
    held = Held([TO_ADA], FakeOperators(), Flaky(0))
    assert held.operators is not None
    async with held.run() as run:
        held.operators.detach("ada")
        await held.clock.advance(10_000)
        assert run.status == "waiting"
        await run.cancel("enough")


async def test_who_comes_back_in_time_goes_on() -> None:
    held = Held([TO_ADA, HOLD], FakeOperators(), Flaky(0))
    assert held.operators is not None
    async with held.run() as run:
        for _ in range(3):
            held.operators.detach("ada")
            await held.clock.advance(55)
            held.operators.attach("ada")
            await held.clock.advance(10)
        held.operators.reply("r_1/$/1", "done")
        assert (await run.result())["out"] == "done"
    assert (
        held.bench.texts
        == [
            "long_hold: ada is detached",
            "long_hold: ada is attached again",
        ]
        * 3
    )


async def test_a_link_that_is_down_is_no_sign_of_life() -> None:
    class Down(FakeOperators):
        async def beat(self, seat: str, key: str) -> bool:
            raise OSError("down")

    held = Held([TO_ADA, HOLD], Down(), Flaky(0))
    async with held.run() as run:
        await held.clock.advance(100)
        outcome = await run.wait()
    assert outcome.error is not None
    assert outcome.error["cause_code"] == "long_hold.lost"


@pytest.mark.parametrize("operators", [True, False])
async def test_it_is_held_for_so_long_and_no_longer(operators: bool) -> None:
    fake = FakeOperators() if operators else None
    held = Held([TO_ADA, {**HOLD, "hold_s": 300}], fake, Flaky(0))
    async with held.run() as run:
        await held.clock.advance(299)
        assert run.status == "waiting"
        await held.clock.advance(2)
        outcome = await run.wait()
    assert outcome.error is not None
    assert outcome.error["cause_code"] == "long_hold.expired"


async def test_a_failure_of_what_is_held_is_the_steps() -> None:
    held = Held([TO_ADA, HOLD], FakeOperators(), Flaky(0))
    assert held.operators is not None
    async with held.run() as run:
        held.operators.refuse("r_1/$/1")
        outcome = await run.wait()
    assert outcome.error is not None
    assert outcome.error["cause_code"] == "operator.refused"


@pytest.mark.parametrize(
    ("params", "settings", "prompt"),
    [
        ({}, {}, "worker"),
        ({}, {"description": "Writes."}, "Writes."),
        ({"prompt": "Write."}, {"description": "Writes."}, "Write."),
        ({"prompt": ""}, {"description": ""}, "worker"),
    ],
)
async def test_an_operator_is_told_what_to_do(
    params: dict[str, Any], settings: dict[str, Any], prompt: str
) -> None:
    operators = FakeOperators({"ada": lambda order: "done"})
    agents = {"worker": settings}
    layer = built_layer(DELEGATE, {"to": "ada", **params}, agents=agents, operators=operators)
    assert (await call_through(layer, [], input=5)).value == "done"
    ((seat, order),) = operators.orders
    assert (seat, order.prompt, order.agent, order.body) == ("ada", prompt, "worker", 5)


@pytest.mark.parametrize("operators", [True, False])
async def test_that_nobody_did_it_in_time_is_told(operators: bool) -> None:
    for then in ("fail", "agent"):
        layers = [{**TO_ADA, "deadline_s": 60, "on_deadline": then}]
        held = Held(layers, FakeOperators() if operators else None, Flaky(0))
        async with held.run() as run:
            await held.clock.advance(61)
            outcome = await run.wait()
        if then == "agent":
            assert outcome.ctx["out"] == 1
            told = "delegate: ada did not answer, the agent is asked"
            assert held.bench.texts[-1] == told
        else:
            assert outcome.error is not None
            assert outcome.error["cause_code"] == "delegate.silent"
            said = "'work': expected 'ada' to do it in time, got nothing"
            assert outcome.error["message"].endswith(said)


async def test_what_is_lost_or_takes_too_long_says_so(caplog: pytest.LogCaptureFixture) -> None:
    class Down(FakeOperators):
        async def beat(self, seat: str, key: str) -> bool:
            raise OSError("down")

    held = Held([TO_ADA, {**HOLD, "hold_s": 300}], FakeOperators(), Flaky(0))
    async with held.run() as run:
        await held.clock.advance(301)
        outcome = await run.wait()
    assert outcome.error is not None
    said = "'work': expected it within 300 s, it is still held"
    assert outcome.error["message"].endswith(said)
    held = Held([TO_ADA, HOLD], Down(), Flaky(0))
    async with held.run() as run:
        await held.clock.advance(65)
        assert run.status == "waiting", "first seen to be away after ten seconds"
        await held.clock.advance(10)
        outcome = await run.wait()
    assert outcome.error is not None
    assert outcome.error["cause_code"] == "long_hold.lost"
    assert "order r_1/$/1: no beat: down" in caplog.messages


@pytest.mark.parametrize(
    ("params", "good"),
    [
        ({"beat_s": 0.1}, True), ({"beat_s": 0.09}, False), ({"beat_s": float("inf")}, False),
        ({"beat_s": float("nan")}, False), ({"lost_s": 0.001}, True), ({"lost_s": 0}, False),
        ({"hold_s": None}, True), ({"hold_s": 0}, False), ({"hold_s": float("inf")}, False),
        ({"to": ""}, False), ({"to": "x" * 100}, True), ({"to": "x" * 101}, False),
    ],
)  # fmt: skip
def test_times_are_seconds_that_pass(params: dict[str, Any], good: bool) -> None:
    if good:
        found = LongHoldParams.model_validate({"to": "ada", **params})
        assert {name: getattr(found, name) for name in params} == params
    else:
        with pytest.raises(ValidationError):
            LongHoldParams.model_validate({"to": "ada", **params})
