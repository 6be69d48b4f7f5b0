"""The layer that stops what takes too long."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio import CancelScope

from swarm import Outcome, StepContext
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.testing import FakeClock
from tests.swarm.layered import Bench, document, lanes, seq, step

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def slow(clock: FakeClock, seconds: float, ends: list[str]) -> Bench:
    async def work(value: object) -> object:
        try:
            await clock.sleep(seconds)
        finally:
            ends.append("stopped")
        ends.append("done")
        return value

    return Bench(clock=clock, functions={"work": work})


@pytest.mark.parametrize(("seconds", "status"), [(3, "failed"), (7, "succeeded")])
async def test_work_has_so_many_seconds(seconds: float, status: str) -> None:
    ends: list[str] = []
    bench = slow(FakeClock(jumps=True), 5, ends)
    outcome = await bench.run([{"use": "timeout", "seconds": seconds}])
    assert outcome.status == status
    if outcome.error is not None:
        assert outcome.error["code"] == "step.timeout"
        assert outcome.error["message"] == "'work': no answer within 3 s"
        assert ends == ["stopped"]


async def test_without_it_nobody_stops_the_work() -> None:
    assert (await slow(FakeClock(jumps=True), 5, []).run()).status == "succeeded"


async def test_each_try_has_its_own_time() -> None:
    ends: list[str] = []
    bench = slow(FakeClock(jumps=True), 5, ends)
    retry = {"use": "retry", "max_attempts": 2, "delay_s": 1}
    outcome = await bench.run([retry, {"use": "timeout", "seconds": 3}])
    assert outcome.status == "failed"
    assert ends == ["stopped", "stopped"]


async def test_agents_that_only_wait_are_not_timed_unless_they_ask_for_it() -> None:
    timeout = {"use": "timeout", "seconds": 3}
    asker = {"person": {"kind": "human"}}
    for layers, base, waits in (
        ([timeout], (), True),
        (None, (timeout,), True),
        ([{**timeout, "agents": ["person"]}], (), False),
    ):
        bench = Bench(clock=FakeClock(), base=base)
        async with bench.host() as host:
            made = document(asker, step("person"), layers)
            run = await host.start(await host.load(made), {"given": 1})
            with anyio.fail_after(10):
                await bench.clock.settle()
                await bench.clock.advance(10)
            assert (run.status == "waiting") is waits


# -- in the scope of the lane --------------------------------------------------------------------


class Scopes(FakeClock):
    """Counts the scopes that are made."""

    def __init__(self) -> None:
        super().__init__(jumps=True)
        self.made = 0

    def deadline(self, seconds: float | None) -> CancelScope:
        self.made += 1
        return super().deadline(seconds)


def timed(seconds: float, **more: Any) -> dict[str, Any]:
    return {"use": "timeout", "seconds": seconds, **more}


class Slow:
    """Takes so many seconds, one time after the other."""

    def __init__(self, clock: FakeClock, *takes_s: float) -> None:
        self.clock = clock
        self.takes_s = list(takes_s)
        self.ends: list[str] = []

    async def __call__(self, value: object) -> object:
        takes_s = self.takes_s.pop(0)
        try:
            await self.clock.sleep(takes_s)
        except BaseException:
            self.ends.append("stopped")
            raise
        self.ends.append("done")
        return value


class Passing:
    """A layer of somebody's, who says nothing of how it awaits what is within."""

    def __init__(self, params: LayerParams, site: Site) -> None:
        self.clock = site.host.clock

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        with self.clock.deadline(100):
            return await next(call)
        raise AssertionError


class Placed(Passing):
    """One that awaits in place."""

    in_place = True

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        return await next(call)


@pytest.mark.parametrize(("layer", "scopes"), [(None, 0), ("passing", 10), ("placed", 0)])
async def test_a_step_in_time_takes_no_scope_of_its_own(layer: str | None, scopes: int) -> None:
    made: list[int] = []
    for timeout in ([], [timed(60)]):
        bench = Bench(clock=(clock := Scopes()))
        bench.functions["work"] = Slow(clock, *[1.0] * 5)
        async with bench.host() as host:
            host.layer(LayerFactory("passing", 5, LayerParams, Passing))
            host.layer(LayerFactory("placed", 5, LayerParams, Placed))
            # The one who watches the deadlines begins with the first turn.
            await clock.settle()
            layers = timeout + ([layer] if layer and timeout else [])
            loaded = await host.load(document({"work": {}}, seq(*[step("work")] * 5), layers))
            watching = clock.made
            assert (await (await host.start(loaded, {"given": 1})).wait()).status == "succeeded"
            made.append(clock.made - watching)
    # Whoever watches the deadlines makes a scope for each time that he waits.
    assert made[1] - made[0] - scopes in (0, 1)


async def test_behind_one_that_was_cut_off_another_try_may_wait() -> None:
    bench = Bench()
    bench.functions["work"] = work = Slow(bench.clock, 5, 5, 2)
    retry = {"use": "retry", "max_attempts": 3, "delay_s": 1}
    outcome = await bench.run([retry, timed(3)])
    assert outcome.status == "succeeded"
    assert work.ends == ["stopped", "stopped", "done"]


async def test_behind_one_that_was_cut_off_the_flow_goes_on_in_its_lane() -> None:
    bench = Bench()
    bench.functions["work"] = work = Slow(bench.clock, 5, 2, 5, 1)
    tried = {"kind": "try", "body": step("work"), "catch": seq()}
    outcome = await bench.run([timed(3)], flow=seq(tried, step("work"), tried, step("work")))
    assert outcome.status == "succeeded"
    assert work.ends == ["stopped", "done", "stopped", "done"]


@pytest.mark.parametrize(("outer_s", "inner_s", "said"), [(3, 9, "3 s"), (9, 3, "3 s")])
async def test_of_two_the_sooner_counts(outer_s: float, inner_s: float, said: str) -> None:
    bench = Bench(base=[timed(outer_s)])
    bench.functions["work"] = work = Slow(bench.clock, 20)
    outcome = await bench.run([timed(inner_s)])
    assert outcome.error is not None
    assert outcome.error["message"].endswith(said)
    assert work.ends == ["stopped"]
    assert bench.clock.monotonic() == 1_000_000 + 3


async def test_of_two_the_inner_one_leaves_the_outer_one_its_time() -> None:
    bench = Bench(base=[timed(9)])
    bench.functions["work"] = work = Slow(bench.clock, 20, 20, 20, 20)
    tried = {"kind": "try", "body": step("work"), "catch": step("work")}
    outcome = await bench.run([timed(3)], flow=seq(tried))
    assert outcome.error is not None
    assert work.ends == ["stopped", "stopped"]
    assert bench.clock.monotonic() == 1_000_000 + 6


async def test_a_layer_with_a_scope_between_is_no_harm() -> None:
    bench = Bench()
    bench.functions["work"] = work = Slow(bench.clock, 5, 1)
    async with bench.host() as host:
        host.layer(LayerFactory("passing", 5, LayerParams, Passing))
        retry = {"use": "retry", "max_attempts": 2, "delay_s": 1}
        loaded = await host.load(document({"work": {}}, step("work"), ["passing", retry, timed(3)]))
        assert (await (await host.start(loaded, {"given": 1})).wait()).status == "succeeded"
    assert work.ends == ["stopped", "done"]


async def test_what_another_agent_is_called_for_has_a_scope_of_its_own() -> None:
    bench = Bench()
    work = Slow(bench.clock, 9, 1, 2)
    told: list[str] = []

    async def ask(given: Any, step: StepContext) -> Any:
        try:
            await step.call("work", given)
        except Exception as failure:  # noqa: BLE001 - what it is, is looked at
            told.append(str(failure))
        return await step.call("work", given)

    bench.functions["work"] = work
    layers = [timed(3, agents=["work"]), timed(7, agents=["ask"])]
    flow = seq(step("ask"), step("work", "$.more"))
    async with bench.host() as host:
        host.function("ask")(ask)
        loaded = await host.load(document({"work": {}, "ask": {}}, flow, layers))
        outcome = await (await host.start(loaded, {"given": 1})).wait()
    assert outcome.status == "succeeded"
    assert told[0].endswith("no answer within 3 s")
    assert work.ends == ["stopped", "done", "done"]


async def test_each_lane_has_its_own_time() -> None:
    bench = Bench()
    bench.functions["work"] = Slow(bench.clock, 1, 9, 2, 9, 1)
    outcome = await bench.run([timed(3)], flow=lanes("work", 5))
    settled = sorted(lane["status"] for lane in outcome.ctx["out"])
    assert settled == ["fulfilled"] * 3 + ["rejected"] * 2


async def test_a_worker_that_answers_although_it_is_too_late_has_answered() -> None:
    async def deaf(value: object) -> object:
        try:
            await bench.clock.sleep(5)
        except BaseException:  # noqa: BLE001 - what no worker should do
            return "late"
        return value

    bench = Bench(functions={"work": deaf})
    outcome = await bench.run([timed(3)], flow=seq(step("work"), step("work", "$.more")))
    assert outcome.ctx == {"given": 1, "out": "late", "more": "late"}


class Lingering(Passing):
    """One that awaits in place, and then something else."""

    in_place = True

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        outcome = await next(call)
        await self.clock.sleep(1)
        return outcome


async def test_behind_an_answer_that_was_too_late_to_be_cut_off_layers_may_wait() -> None:
    async def deaf(value: object) -> object:
        with CancelScope(shield=True):
            await bench.clock.sleep(5)
        return value

    bench = Bench(functions={"work": deaf})
    async with bench.host() as host:
        host.layer(LayerFactory("lingering", 5, LayerParams, Lingering))
        flow = seq(step("work"), step("work", "$.more"))
        loaded = await host.load(document({"work": {}}, flow, ["lingering", timed(3)]))
        outcome = await (await host.start(loaded, {"given": 1})).wait()
    assert outcome.ctx == {"given": 1, "out": 1, "more": 1}
    assert bench.clock.monotonic() == 1_000_000 + 12


async def test_a_run_that_is_cancelled_is_not_late() -> None:
    bench = Bench(clock=FakeClock())
    bench.functions["work"] = work = Slow(bench.clock, 60)
    async with bench.host() as host:
        retry = {"use": "retry", "max_attempts": 3, "delay_s": 1}
        loaded = await host.load(document({"work": {}}, step("work"), ["audit", retry, timed(30)]))
        run = await host.start(loaded, {"given": 1})
        await bench.clock.advance(10)
        await run.cancel("enough")
        assert (await run.wait()).status == "cancelled"
        await bench.clock.advance(100)
    assert work.ends == ["stopped"]
    assert [entry.decision for entry in bench.audit.entries if entry.verb == "do"] == [
        "begun",
        "cancelled",
    ]


async def test_a_run_that_is_cancelled_while_one_is_cut_off_is_cancelled() -> None:
    ends: list[str] = []
    leave = anyio.Event()

    async def tidy(value: object) -> object:
        try:
            await bench.clock.sleep(60)
        finally:
            ends.append("cut off")
            with CancelScope(shield=True):
                await leave.wait()
        return value

    bench = Bench(clock=FakeClock(), functions={"work": tidy})
    async with bench.host() as host:
        retry = {"use": "retry", "max_attempts": 3, "delay_s": 1}
        loaded = await host.load(document({"work": {}}, step("work"), ["audit", retry, timed(5)]))
        run = await host.start(loaded, {"given": 1})
        await bench.clock.advance(6)
        assert ends == ["cut off"]
        await run.cancel("enough")
        leave.set()
        with anyio.fail_after(20):
            assert (await run.wait()).status == "cancelled"
        await bench.clock.advance(100)
    assert ends == ["cut off"]
    decisions = [entry.decision for entry in bench.audit.entries if entry.verb == "do"]
    assert decisions == ["begun", "cancelled"]
