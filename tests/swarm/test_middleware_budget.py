"""The layer that counts what is used over all runs."""

from __future__ import annotations

from typing import Any

import pytest

from flowir.errors import WorkerFailure
from swarm import Outcome, Usage
from swarm.middleware.budget import BUDGET
from swarm.ports.worker import CostlyFailure
from swarm.testing import built_layer, call_through
from tests.swarm.layered import Bench, Flaky, document, lanes, seq, step

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def costly(tokens: int = 10) -> Bench:
    async def work(value: object) -> Outcome:
        return Outcome(value, usage=Usage(tokens=tokens, cost=0.5))

    return Bench(functions={"work": work})


async def twice(bench: Bench, layers: Any, *, agents: Any = None, pause_s: float = 0) -> list[Any]:
    """Run a blueprint of two steps twice, in one host; return the codes of its ends."""
    codes: list[Any] = []
    flow = seq(step("work", "$.a"), step("work", "$.b"))
    async with bench.host() as host:
        for _ in range(2):
            loaded = await host.load(document(agents or {"work": {}}, flow, layers))
            outcome = await (await host.start(loaded, {"given": 1})).wait()
            codes.append(None if outcome.error is None else outcome.error["cause_code"])
            await bench.clock.advance(pause_s)
    return codes


@pytest.mark.parametrize(
    ("limit", "codes"),
    [
        ({"tokens": 40}, [None, None]),
        ({"tokens": 30}, [None, "budget.spent"]),
        ({"cost": 0.5}, ["budget.spent", "budget.spent"]),
        ({"attempts": 3}, [None, "budget.spent"]),
        ({"attempts": 4}, [None, None]),
        ({"attempts": 1}, ["budget.spent", "budget.spent"]),
        ({"cost": 2.0}, [None, None]),
        ({"cost": 1.5}, [None, "budget.spent"]),
        ({"attempts": 2, "window_s": 60}, [None, None]),
    ],
)
async def test_it_counts_over_all_runs(limit: dict[str, Any], codes: list[Any]) -> None:
    assert await twice(costly(), [{"use": "budget", **limit}], pause_s=100) == codes


async def test_without_it_nothing_is_refused() -> None:
    assert await twice(costly(), None) == [None, None]


async def test_what_an_attempt_takes_at_most_is_held_back() -> None:
    agents = {"work": {"reserve": {"tokens": 15}}}
    assert await twice(costly(10), [{"use": "budget", "tokens": 45}], agents=agents) == [None, None]
    assert await twice(costly(10), [{"use": "budget", "tokens": 44}], agents=agents) == [
        None,
        "budget.spent",
    ]


async def test_what_goes_on_at_a_time_is_held_back_together() -> None:
    bench = Bench()

    async def work(value: object) -> object:
        await bench.clock.sleep(1)
        return value

    bench.functions["work"] = work
    agents = {"work": {"reserve": {"tokens": 10}}}
    outcome = await bench.run(
        [{"use": "budget", "tokens": 25}], agents=agents, flow=lanes("work", 3)
    )
    # Which lane begins last is the scheduler's affair.
    settled = sorted(lane["status"] for lane in outcome.ctx["out"])
    assert settled == ["fulfilled", "fulfilled", "rejected"]


async def test_each_try_counts_and_the_sentence_says_whose_budget_it_is() -> None:
    bench = Bench(functions={"work": Flaky(9)})
    retry = {"use": "retry", "max_attempts": 5, "delay_s": 0}
    outcome = await bench.run([retry, {"use": "budget", "attempts": 2}])
    assert outcome.error is not None
    assert outcome.error["cause_code"] == "budget.spent"
    assert outcome.error["data"] == {"of": "attempts", "limit": 2, "used": 3}
    assert (
        "the budget of 'work': expected at most 2 of 'attempts', got 3" in outcome.error["message"]
    )


async def test_what_a_failure_cost_counts_as_well() -> None:
    layer = built_layer(BUDGET, {"tokens": 20})
    gone = CostlyFailure.of(WorkerFailure("net.away", "away"), Usage(tokens=10))
    for _ in range(2):
        with pytest.raises(CostlyFailure) as failed:
            await call_through(layer, [gone])
        assert (failed.value.code, failed.value.usage) == ("net.away", Usage(tokens=10))
    with pytest.raises(WorkerFailure) as spent:
        await call_through(layer, [1])
    assert (spent.value.code, spent.value.permanent) == ("budget.spent", True)
    assert spent.value.data == {"of": "tokens", "limit": 20, "used": 20}
    assert spent.value.message == (
        "the budget of 'worker': expected at most 20 of 'tokens', got 20"
    )


def test_a_budget_has_at_least_one_limit() -> None:
    with pytest.raises(AssertionError) as wrong:
        built_layer(BUDGET, {"window_s": 5})
    assert str(wrong.value) == ": expected a field 'attempts', 'tokens' or 'cost', got none"
    for limit in ("attempts", "tokens", "cost"):
        built_layer(BUDGET, {limit: 0})
