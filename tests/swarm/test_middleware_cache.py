"""The layer that remembers answers."""

from __future__ import annotations

from typing import Any

import pytest

from flowir import WorkerFailure
from swarm import Outcome, StepContext, Usage
from swarm.middleware.cache import CACHE
from swarm.testing import FakeClock, RecordedLink, ScriptedWorker, built_layer, call_through
from tests.swarm.layered import Bench, Flaky, document, seq, step

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


TWO = seq(step("work", "$.a"), step("work", "$.b"))


async def test_an_answer_is_given_again() -> None:
    work = Flaky(0)
    bench = Bench(functions={"work": work})
    outcome = await bench.run(["cache"], flow=TWO, input={"n": [1]})
    assert outcome.ctx["a"] == outcome.ctx["b"] == {"n": [1]}
    assert work.asked == 1


async def test_without_it_the_agent_is_asked_again() -> None:
    work = Flaky(0)
    await Bench(functions={"work": work}).run(flow=TWO)
    assert work.asked == 2


async def test_it_remembers_over_runs_of_a_host_and_not_for_another_agent() -> None:
    work = Flaky(0)
    bench = Bench(functions={"work": work})
    async with bench.host() as host:
        for settings in ({}, {}, {"description": "another"}):
            made = document({"work": settings}, step("work"), ["cache"])
            await (await host.start(await host.load(made), {"given": 1})).wait()
    assert work.asked == 2


async def test_failures_are_not_kept() -> None:
    worker = ScriptedWorker([WorkerFailure("net.reset", "no"), "yes", "never"])
    layer = built_layer(CACHE)
    with pytest.raises(WorkerFailure):
        await call_through(layer, worker, input=1)
    assert (await call_through(layer, worker, input=1)).value == "yes"
    assert (await call_through(layer, worker, input=1)).value == "yes"


async def test_a_kept_answer_costs_nothing_and_nobody_can_change_it() -> None:
    worker = ScriptedWorker([Outcome({"n": [1]}, {"log": "x"}, Usage(tokens=5))])
    layer = built_layer(CACHE)
    first = await call_through(layer, worker, input=1)
    first.value["n"].append(2)
    second = await call_through(layer, worker, input=1)
    assert (second.value, second.parts, second.usage) == ({"n": [1]}, {"log": "x"}, Usage())
    second.value["n"].append(3)
    assert (await call_through(layer, worker, input=1)).value == {"n": [1]}


async def test_parts_are_handed_over_again() -> None:
    async def work(value: object, context: StepContext) -> object:
        await context.part("log", {"n": 1})
        return value

    bench = Bench(functions={"work": work})  # type: ignore[dict-item]
    await bench.run(["cache"], flow=TWO)
    assert bench.parts == [{"n": 1}, {"n": 1}]


@pytest.mark.parametrize(
    ("params", "inputs", "asked"),
    [
        ({"max_entries": 2}, [1, 2, 1, 3, 1, 2], 4),
        ({"max_bytes": 100}, ["a" * 60, "b" * 60, "a" * 60], 3),
        ({"max_bytes": 10}, ["a" * 60, "a" * 60], 2),
        ({"max_bytes": 100}, ["small", "a" * 600, "small"], 2),
        ({}, [1, 1.0, True, "1", None], 5),
        ({}, [{"a": 1, "b": 2}, {"b": 2, "a": 1}], 1),
    ],
)
async def test_it_is_bounded_and_exact(params: Any, inputs: list[Any], asked: int) -> None:
    worker, layer = ScriptedWorker(lambda value: value), built_layer(CACHE, params)
    for value in inputs:
        assert (await call_through(layer, worker, input=value)).value == value
    assert len(worker.calls) == asked


async def test_what_is_too_old_is_asked_again() -> None:
    clock, worker = FakeClock(), ScriptedWorker(["old", "new"])
    layer = built_layer(CACHE, {"ttl_s": 10}, clock=clock)
    link = RecordedLink()
    for seconds, value in ((0, "old"), (9, "old"), (2, "new")):
        await clock.advance(seconds)
        assert (await call_through(layer, worker, input=1, link=link)).value == value
