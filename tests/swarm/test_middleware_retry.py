"""The layer that asks again: when, how often, and what it tells."""

from __future__ import annotations

import anyio
import pytest

from flowir import WorkerFailure
from swarm import Outcome, Usage
from swarm.middleware.retry import RETRY
from swarm.testing import FakeClock, RecordedLink, ScriptedWorker, built_layer, call_through
from tests.swarm.layered import Bench, Flaky

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_it_tries_again_within_the_attempt_and_says_so() -> None:
    bench = Bench(functions={"work": Flaky(2)})
    began = bench.clock.monotonic()
    outcome = await bench.run([{"use": "retry", "max_attempts": 3, "delay_s": 4, "factor": 3}])
    assert outcome.ctx["out"] == 1
    assert bench.kinds.count("step.started") == 1
    assert bench.texts == [
        "retry: try 2 of 3 in 4 s — worker.error: ConnectionError: away",
        "retry: try 3 of 3 in 12 s — worker.error: ConnectionError: away",
    ]
    assert bench.clock.monotonic() - began == 16


async def test_without_it_the_step_fails() -> None:
    work = Flaky(2)
    outcome = await Bench(functions={"work": work}).run()
    assert outcome.status == "failed"
    assert work.asked == 1


async def test_when_tries_run_out_the_last_failure_is_the_steps() -> None:
    work = Flaky(9)
    outcome = await Bench(functions={"work": work}).run(["retry"])
    assert outcome.error is not None
    assert outcome.error["cause_code"] == "worker.error"
    assert work.asked == 3


@pytest.mark.parametrize(
    ("params", "code", "tries"),
    [
        ({}, "net.reset", 3),
        ({"on": ["net.*"]}, "net.reset", 3),
        ({"on": ["net.*"]}, "disk.full", 1),
        ({"on": ["*"], "never": ["net.reset"]}, "net.reset", 1),
        ({"max_attempts": 1}, "net.reset", 1),
    ],
)
async def test_codes_decide(params: dict[str, object], code: str, tries: int) -> None:
    worker = ScriptedWorker([WorkerFailure(code, "no")] * 5)
    layer = built_layer(RETRY, params, clock=FakeClock(jumps=True))
    with pytest.raises(WorkerFailure) as caught:
        await call_through(layer, worker)
    assert caught.value.code == code
    assert len(worker.calls) == tries


async def test_what_is_permanent_is_not_tried_again() -> None:
    worker = ScriptedWorker([WorkerFailure("net.gone", "no", True)] * 5)
    with pytest.raises(WorkerFailure):
        await call_through(built_layer(RETRY), worker)
    assert len(worker.calls) == 1


async def test_what_was_refused_is_paid_for() -> None:
    answers = ["PAS", "PASS"]

    async def work(value: object) -> Outcome:
        return Outcome(answers.pop(0), usage=Usage(tokens=10))

    agents = {"work": {"verdict": ["PASS", "BLOCKED"]}}
    bench = Bench(functions={"work": work})
    outcome = await bench.run(["retry"], agents=agents)
    assert outcome.ctx["out"] == "PASS"
    assert [e["tokens"] for e in bench.events if e["kind"] == "step.finished"] == [20]


async def test_a_cancelled_wait_ends_at_once() -> None:
    worker, link = ScriptedWorker([WorkerFailure("net.reset", "no")] * 5), RecordedLink()
    layer = built_layer(RETRY, {"delay_s": 60}, clock=FakeClock())
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: call_through(layer, worker, link=link))
            while not link.texts:
                await anyio.lowlevel.checkpoint()
            scope.cancel()
    assert scope.cancelled_caught
    assert len(worker.calls) == 1
