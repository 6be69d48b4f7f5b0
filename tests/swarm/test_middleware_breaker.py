"""The layer that leaves an agent alone that fails again and again."""

from __future__ import annotations

import random
from typing import Any

import anyio
import pytest

from flowir import WorkerFailure
from swarm import BlueprintInvalid
from swarm.middleware.breaker import BREAKER
from swarm.testing import FakeClock, ScriptedWorker, built_layer, call_through
from tests.swarm.layered import Bench, Flaky, document, seq, step

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


FAILS = WorkerFailure("net.reset", "no")


async def codes(clock: FakeClock, layer: Any, worker: Any, times: int) -> list[str]:
    found: list[str] = []
    for _ in range(times):
        try:
            found.append((await call_through(layer, worker)).value)
        except WorkerFailure as failure:
            found.append(failure.code)
    return found


async def test_five_failures_open_it_for_thirty_seconds_and_two_answers_close_it() -> None:
    clock = FakeClock()
    worker = ScriptedWorker([*[FAILS] * 5, "ok", "ok", *[FAILS] * 5])
    layer = built_layer(BREAKER, clock=clock)
    assert await codes(clock, layer, worker, 7) == ["net.reset"] * 5 + ["breaker.open"] * 2
    await clock.advance(29)
    assert await codes(clock, layer, worker, 1) == ["breaker.open"]
    await clock.advance(1)
    assert await codes(clock, layer, worker, 2) == ["ok", "ok"]
    assert await codes(clock, layer, worker, 6) == ["net.reset"] * 5 + ["breaker.open"]


async def test_a_failure_on_trial_opens_it_again() -> None:
    clock = FakeClock()
    worker = ScriptedWorker([*[FAILS] * 5, "ok", FAILS, "ok", "ok"])
    layer = built_layer(BREAKER, clock=clock)
    await codes(clock, layer, worker, 5)
    await clock.advance(30)
    assert await codes(clock, layer, worker, 3) == ["ok", "net.reset", "breaker.open"]
    await clock.advance(30)
    assert await codes(clock, layer, worker, 2) == ["ok", "ok"]


async def test_an_answer_in_between_begins_the_count_anew() -> None:
    worker = ScriptedWorker([*[FAILS] * 4, "ok", *[FAILS] * 4, "ok"])
    layer = built_layer(BREAKER)
    assert "breaker.open" not in await codes(FakeClock(), layer, worker, 10)


@pytest.mark.parametrize(
    ("params", "opens"),
    [({"on": ["disk.*"]}, False), ({"never": ["net.reset"]}, False), ({}, True)],
)
async def test_codes_decide_what_counts(params: Any, opens: bool) -> None:
    worker, layer = ScriptedWorker([FAILS] * 9), built_layer(BREAKER, params)
    found = await codes(FakeClock(), layer, worker, 9)
    assert ("breaker.open" in found) is opens


async def test_one_at_a_time_is_on_trial_and_a_cancelled_trial_is_over() -> None:
    clock, stays = FakeClock(), anyio.Event()
    layer = built_layer(BREAKER, {"failures": 1}, clock=clock)
    await codes(clock, layer, [FAILS], 1)
    await clock.advance(30)

    async def stay(input: Any) -> Any:
        stays.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: call_through(layer, stay))
        await stays.wait()
        assert await codes(clock, layer, ["ok"], 1) == ["breaker.open"]
        tasks.cancel_scope.cancel()
    assert await codes(clock, layer, ["ok"], 1) == ["ok"]


async def test_in_a_run_the_fallback_is_asked_and_counts_as_used() -> None:
    work, other = Flaky(99), Flaky(0)
    bench = Bench(functions={"work": work, "other": other})
    risky = {"kind": "try", "body": step("work", "$.x"), "catch": seq(), "err_at": "$.e"}
    flow = {"kind": "loop", "counter": "$.n", "max": 4, "cond": "true", "body": risky}
    breaker = {"use": "breaker", "failures": 2, "fallback": "other", "agents": ["work"]}
    outcome = await bench.run([breaker], flow=flow)
    assert outcome.ctx["x"] == 1
    assert (work.asked, other.asked) == (2, 2)
    assert bench.texts == ["breaker: 'work' is left alone, 'other' is asked"] * 2


async def test_without_it_the_agent_is_asked_each_time() -> None:
    work = Flaky(99)
    risky = {"kind": "try", "body": step("work", "$.x"), "catch": seq(), "err_at": "$.e"}
    flow = {"kind": "loop", "counter": "$.n", "max": 9, "cond": "true", "body": risky}
    await Bench(functions={"work": work}).run(flow=flow)
    assert work.asked == 9


async def test_all_runs_of_a_host_share_it() -> None:
    work = Flaky(99)
    bench = Bench(functions={"work": work})
    async with bench.host() as host:
        for _ in range(4):
            made = document({"work": {}}, step("work"), [{"use": "breaker", "failures": 2}])
            await (await host.start(await host.load(made), {"given": 1})).wait()
    assert work.asked == 2


async def test_a_fallback_is_another_agent_of_the_blueprint() -> None:
    for name in ("work", "nobody"):
        with pytest.raises(BlueprintInvalid, match="expected another agent of this blueprint"):
            await Bench(functions={"work": Flaky(0)}).run([{"use": "breaker", "fallback": name}])


class Plain:
    """What the layer does, told again as plainly as can be."""

    def __init__(self, failures: int, successes: int) -> None:
        self.failures, self.successes = failures, successes
        self.in_a_row, self.good = 0, 0
        self.opened_s: float | None = None

    def ask(self, now_s: float, comes: str) -> str:
        """Say what is seen of a call in which the agent would do this."""
        if self.opened_s is not None and now_s < self.opened_s + 30:
            return "breaker.open"
        if comes == "ok":
            self.in_a_row, self.good = 0, self.good + 1
            if self.opened_s is not None and self.good >= self.successes:
                self.opened_s = None
        elif comes == "net.reset":
            self.in_a_row, self.good = self.in_a_row + 1, 0
            if self.opened_s is not None or self.in_a_row >= self.failures:
                self.opened_s = now_s
        return comes


@pytest.mark.parametrize("seed", range(12))
async def test_it_does_what_is_told_of_it(seed: int) -> None:
    chance, clock = random.Random(seed), FakeClock()  # noqa: S311 - repeatable
    failures, successes = chance.randrange(1, 5), chance.randrange(1, 5)
    params = {"failures": failures, "successes": successes, "never": ["mine.*"]}
    layer, plain = built_layer(BREAKER, params, clock=clock), Plain(failures, successes)
    answers = {"ok": "ok", "net.reset": FAILS, "mine.not": WorkerFailure("mine.not", "no")}
    for _ in range(250):
        await clock.advance(chance.choice([0, 0, 0, 1, 29, 30]))
        comes = chance.choices(list(answers), [3, 3, 1])[0]
        seen = plain.ask(clock.monotonic(), comes)
        assert await codes(clock, layer, [answers[comes]], 1) == [seen]


async def test_it_says_how_long_it_stays_open() -> None:
    clock = FakeClock()
    layer = built_layer(BREAKER, {"failures": 1}, clock=clock)
    await codes(clock, layer, [FAILS], 1)
    await clock.advance(10)
    with pytest.raises(WorkerFailure) as caught:
        await call_through(layer, ["ok"])
    assert caught.value.message == "'worker' failed too often: it is left alone for 20 s"
    assert caught.value.data == {"left_s": 20}


async def test_what_was_asked_before_it_opened_says_nothing_afterwards() -> None:
    clock, both, go = FakeClock(), list[str](), anyio.Event()
    layer = built_layer(BREAKER, {"failures": 1, "successes": 1}, clock=clock)

    async def late(answer: Any) -> None:
        async def stay(input: Any) -> Any:
            await go.wait()
            return answer

        both.extend(await codes(clock, layer, ScriptedWorker(stay), 1))

    async with anyio.create_task_group() as tasks:
        for answer in ("ok", FAILS):
            tasks.start_soon(late, answer)
        await anyio.wait_all_tasks_blocked()
        await codes(clock, layer, [FAILS], 1)
        await clock.advance(20)
        go.set()
    # Neither has closed it, nor opened it anew.
    assert sorted(both) == ["net.reset", "ok"]
    assert await codes(clock, layer, ["ok"], 1) == ["breaker.open"]
    await clock.advance(10)
    assert await codes(clock, layer, ["ok"], 1) == ["ok"]
