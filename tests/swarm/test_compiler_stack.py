"""Layers folded around a worker: order, cancellation, resume, and what passes through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from flowir.errors import WorkerFailure
from flowir.limits import DEFAULT_LIMITS as LIMITS
from swarm import Host, Outcome
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.canonical import digest_of
from swarm.blueprint.contract import Contract
from swarm.compiler.stack import Stack
from swarm.core.lane import Lane
from swarm.middleware.shipped import SHIPPED
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.worker import Call, KeptOutcome
from swarm.testing import FakeClock, FakeOperators, RecordedLink, built_layer, call_through
from tests.swarm.layered import Bench, Flaky, document, seq, step, until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


# What each layer needs to be built; the worker is then asked through it.
PARAMS: dict[str, dict[str, Any]] = {
    "main_ai": {"to": "ada"},
    "senior": {"to": "ada"},
    "lua": {"source": "return swarm.next(input)"},
    "resolver": {"skills": ["chess"]},
    "budget": {"tokens": 1000},
    "limit": {"concurrency": 1, "rate_per_s": 1000},
    "timeout": {"seconds": 100},
    "long_hold": {"to": "ada"},
    "delegate": {"to": "nobody"},
}


def built(factory: LayerFactory[Any], clock: FakeClock) -> Any:
    operators = FakeOperators({"ada": lambda order: {"veto": False}})
    others = {"other": {"tags": []}}
    params = PARAMS.get(factory.key, {})
    return built_layer(factory, params, clock=clock, operators=operators, agents=others)


@pytest.mark.parametrize("factory", SHIPPED, ids=lambda factory: factory.key)
async def test_a_cancellation_passes_through_every_layer(factory: LayerFactory[Any]) -> None:
    clock = FakeClock()
    layer, ends = built(factory, clock), list[str]()

    async def stay(call: Call, link: Any) -> Outcome:
        try:
            await anyio.sleep_forever()
            return Outcome(None)
        finally:
            ends.append("worker")

    async def through() -> None:
        try:
            await call_through(layer, stay, input=1)
        finally:
            ends.append("stack")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(through)
        await clock.settle()
        assert ends == []
        tasks.cancel_scope.cancel()
    assert ends == (["stack"] if factory.key == "delegate" else ["worker", "stack"])
    # The time of nobody has passed: nothing was waited for.
    assert clock.monotonic() == 1_000_000


async def test_a_cancelled_run_unwinds_the_whole_stack_at_once() -> None:
    clock, ends = FakeClock(), list[str]()

    async def stay(value: object) -> object:
        try:
            await anyio.sleep_forever()
        finally:
            ends.append("worker")

    operators = FakeOperators({"ada": lambda order: {"veto": False}})
    bench = Bench(clock=clock, operators=operators, functions={"work": stay})
    layers = [
        {"use": f.key, **PARAMS.get(f.key, {})}
        for f in SHIPPED
        if f.key not in ("delegate", "resolver")
    ]
    async with bench.host() as host:
        loaded = await host.load(document({"work": {}}, step("work"), layers))
        run = await host.start(loaded, {"given": 1})
        await clock.settle()
        with anyio.fail_after(20):
            await run.cancel("enough")
            assert (await run.wait()).status == "cancelled"
    assert ends == ["worker"]
    assert bench.audit.entries[-1].decision == "cancelled"


class Nothing(LayerParams):
    """No parameters."""


@pytest.mark.parametrize("in_place", [True, False])
async def test_what_a_worker_is_told_gets_through_the_stack_whole(in_place: bool) -> None:
    seen: list[Call] = []

    async def work(call: Call, link: Any) -> Outcome:
        seen.append(call)
        return Outcome(None)

    class Changing:
        def __init__(self, params: Nothing, site: Site) -> None:
            self.in_place = in_place

        async def __call__(self, call: LayerCall, next: Next) -> Outcome:
            return await next(call.with_link(RecordedLink()).with_input("new"))

    lane = Lane(FakeClock())
    call = Call("r", "k", "a", "old", 3, "node", 5.0, AgentSpec("a", "lua"), "digest", True, lane)
    assert all(getattr(call, name) != default for name, default in Call._field_defaults.items())
    layer = built_layer(LayerFactory("changing", 1, Nothing, Changing))
    await call_through(layer, work, call)
    kept = lane if in_place else None
    assert seen[0]._asdict() == {**call._asdict(), "input": "new", "digest": None, "lane": kept}


async def test_a_layer_cannot_give_what_the_agent_does_not_promise() -> None:
    class Loud:
        def __init__(self, params: Nothing, site: Site) -> None: ...

        async def __call__(self, call: LayerCall, next: Next) -> Outcome:
            outcome = await next(call)
            return Outcome(f"{outcome.value}!")

    bench = Bench(functions={"work": Flaky(0)})
    async with bench.host() as host:
        host.layer(LayerFactory("loud", 1, Nothing, Loud))
        made = document({"work": {"verdict": ["PASS"]}}, step("work"), ["loud"])
        run = await host.start(await host.load(made), {"given": "PASS"})
        outcome = await run.wait()
    assert outcome.error is not None
    assert "'PASS!'" in outcome.error["message"]


@pytest.mark.parametrize(
    ("odd", "layer", "seen"), [(True, "audit", []), (True, "seeing", []), (False, "seeing", [1])]
)
async def test_what_is_not_json_gets_neither_into_a_stack_nor_out_of_it(
    odd: bool, layer: str, seen: list[Any]
) -> None:
    found: list[Any] = []

    class Seeing:
        def __init__(self, params: Nothing, site: Site) -> None: ...

        async def __call__(self, call: LayerCall, next: Next) -> Outcome:
            found.append((await next(call)).value)
            return Outcome({1, 2})

    async def work(value: object) -> object:
        return {"odd": {1, 2}} if odd else value

    bench = Bench(functions={"work": work})
    async with bench.host() as host:
        host.layer(LayerFactory("seeing", 1, Nothing, Seeing))
        made = document({"work": {}}, step("work"), [layer])
        outcome = await (await host.start(await host.load(made), {"given": 1})).wait()
    assert outcome.error is not None
    assert "malformed" in (outcome.error["code"], outcome.error["cause_code"])
    assert found == seen


async def test_as_many_layers_as_there_may_be_still_work() -> None:
    lua = {"use": "lua", "source": "return swarm.next(input)"}
    bench = Bench(base=[lua] * 16, functions={"work": Flaky(0)})
    outcome = await bench.run([lua] * 16, agents={"work": {"layers": [lua] * 16}})
    assert outcome.ctx["out"] == 1


# -- the stack alone -----------------------------------------------------------------------

CALL = LayerCall.of(Call("r", "$", "a", "in"), RecordedLink())
PROMISE = Contract(AgentSpec("a", "lua", {"verdict": ["PASS"]}))


class Noting:
    """Notes beginnings under its name, and what its worker answered or failed with."""

    def __init__(self, name: str, seen: list[Any], gives: Any = None) -> None:
        self.name, self.seen, self.gives = name, seen, gives

    def begins(self, run_id: str, key: str, attempt: int, digest: str) -> None:
        self.seen.append((self.name, run_id, key, attempt, digest))

    async def __call__(self, call: LayerCall, next: Next) -> Any:
        try:
            outcome = await next(call)
        except WorkerFailure as failure:
            self.seen.append(failure.code)
            raise
        self.seen.append(outcome)
        return outcome if self.gives is None else self.gives


class Plain:
    """Records nothing of a beginning."""

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        return await next(call)


async def answers(call: Call, link: Any) -> Outcome:
    return Outcome(call.input)


def stacked(*layers: Any, worker: Any = answers, **more: Any) -> Stack:
    return Stack([(f"l{i}", layer) for i, layer in enumerate(layers)], worker, LIMITS, **more)


def test_the_layers_outside_of_all_others_are_told_of_a_beginning() -> None:
    seen: list[Any] = []
    one, two, three = (Noting(name, seen) for name in ("one", "two", "three"))
    began = ("r", "$", 2, "digest")
    for layers, told in (
        ((one,), ["one"]),
        ((one, two), ["one", "two"]),
        ((one, two, Plain(), three), ["one", "two"]),
        ((one, Plain()), ["one"]),
    ):
        seen.clear()
        begins = stacked(*layers).begins
        assert begins is not None
        begins(*began)
        assert seen == [(name, *began) for name in told]
    assert stacked().begins is None
    assert stacked(Plain(), one).begins is None


async def test_a_lane_gets_through_to_the_worker_where_every_layer_lets_it() -> None:
    lanes: list[Any] = []

    async def work(call: Call, link: Any) -> Outcome:
        lanes.append(call.lane)
        return Outcome(None)

    class InPlace(Plain):
        in_place = True

    lane = Lane(FakeClock())
    call = CALL._replace(lane=lane)
    for layers in (
        (),
        (InPlace(), InPlace()),
        (Plain(),),
        (InPlace(), Plain()),
        (Plain(), InPlace()),
    ):
        await stacked(*layers, worker=work)(call, RecordedLink())
    assert lanes == [lane, lane, None, None, None]


@pytest.mark.parametrize("own", [True, False])
async def test_a_layer_sees_that_the_agent_broke_its_promise(own: bool) -> None:
    seen: list[Any] = []
    stack = stacked(Noting("one", seen), contract=PROMISE, own=own)
    with pytest.raises(WorkerFailure) as caught:
        await stack(CALL, RecordedLink())
    assert (seen, caught.value.code) == (["agent.verdict"], "agent.verdict")
    seen.clear()
    assert (await stack(CALL._replace(input="PASS"), RecordedLink())).value == "PASS"
    assert [outcome.value for outcome in seen] == ["PASS"]


@pytest.mark.parametrize("contract", [None, PROMISE])
async def test_what_a_worker_answered_stays_admitted_behind_layers_of_our_own_alone(
    contract: Contract | None,
) -> None:
    for own, kind in ((True, KeptOutcome), (False, Outcome)):
        stack = stacked(Noting("one", []), contract=contract, own=own)
        found = await stack(CALL._replace(input="PASS"), RecordedLink())
        assert (type(found), found) == (kind, Outcome("PASS"))
    assert type(await stacked(Plain())(CALL, RecordedLink())) is Outcome


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
@pytest.mark.parametrize("own", [True, False])
async def test_what_a_worker_raises_is_a_failure_to_every_layer(
    own: bool, kind: type[BaseException]
) -> None:
    async def broken(call: Call, link: Any) -> Outcome:
        raise kind("odd")

    seen: list[Any] = []
    with pytest.raises(WorkerFailure, match=rf"^{kind.__name__}: odd$") as caught:
        await stacked(Noting("one", seen), worker=broken, own=own)(CALL, RecordedLink())
    assert seen == ["worker.error"]
    assert isinstance(caught.value.__cause__, kind)


async def test_a_strangers_layer_fails_with_its_name_and_for_good_if_it_returns_no_outcome() -> (
    None
):
    with pytest.raises(WorkerFailure) as caught:
        await stacked(Plain(), Noting("one", [], "odd"))(CALL, RecordedLink())
    said = "layer 'l1' around 'a' returned 'odd', not an Outcome"
    assert (caught.value.code, str(caught.value), caught.value.permanent) == (
        "layer.failed", said, True,
    )  # fmt: skip

    class Broken:
        async def __call__(self, call: LayerCall, next: Next) -> Outcome:
            raise ValueError("odd")

    with pytest.raises(WorkerFailure) as caught:
        await stacked(Broken(), Plain())(CALL, RecordedLink())
    said = "layer 'l0' around 'a': ValueError: odd"
    assert (caught.value.code, str(caught.value), caught.value.permanent) == (
        "layer.failed", said, False,
    )  # fmt: skip

    class Leaving:
        async def __call__(self, call: LayerCall, next: Next) -> Outcome:
            raise SystemExit(2)

    with pytest.raises(WorkerFailure, match=r"^layer 'l0' around 'a': SystemExit: 2$"):
        await stacked(Leaving(), Plain())(CALL, RecordedLink())
    # What it raises as a failure is one as it is.
    passing = stacked(Plain(), contract=PROMISE)
    with pytest.raises(WorkerFailure, match=r"^the answer of 'a'"):
        await passing(CALL, RecordedLink())


# -- order, through a run ------------------------------------------------------------------


async def test_what_is_audited_is_what_was_redacted() -> None:
    async def work(value: object) -> object:
        return {"password": "p"}

    bench = Bench(functions={"work": work})
    await bench.run(["redact", "audit"])
    assert bench.audit.entries[-1].output == digest_of({"password": "[redacted]"})


async def test_a_known_answer_is_audited_and_takes_no_budget() -> None:
    bench = Bench(functions={"work": Flaky(0)})
    layers = [{"use": "budget", "attempts": 1}, "cache", "audit"]
    flow = seq(step("work", "$.a"), step("work", "$.b"))
    assert (await bench.run(layers, flow=flow)).status == "succeeded"
    done = [entry.decision for entry in bench.audit.entries if entry.verb == "do"]
    assert done == ["begun", "done"] * 2


async def test_a_senior_is_asked_after_the_last_try() -> None:
    work = Flaky(9)
    operators = FakeOperators({"ada": lambda order: {"decision": "override", "value": 0}})
    bench = Bench(operators=operators, functions={"work": work})
    outcome = await bench.run(["retry", {"use": "senior", "to": "ada"}])
    assert (outcome.ctx["out"], work.asked, len(operators.orders)) == (0, 3, 1)


async def test_waiting_for_a_turn_takes_no_time_of_the_work() -> None:
    clock = FakeClock(jumps=True)

    async def work(value: object) -> object:
        await clock.sleep(8)
        return value

    bench = Bench(clock=clock, functions={"work": work})
    layers = [{"use": "timeout", "seconds": 10}, {"use": "limit", "concurrency": 1}]
    lanes = {
        "kind": "fanout",
        "items": {"op": "lit", "value": [1, 2, 3]},
        "bind": "$.i",
        "body": step("work", "$.x", "ctx.i"),
        "join": "all",
        "out": "$.out",
        "collect": "ctx.x",
    }
    assert (await bench.run(layers, flow=lanes)).ctx["out"] == [1, 2, 3]


# -- resume --------------------------------------------------------------------------------


async def test_a_resume_takes_no_layer_through_a_finished_step_again(tmp_path: Path) -> None:
    seen: list[str] = []

    class Counting:
        def __init__(self, params: Nothing, site: Site) -> None: ...

        async def __call__(self, call: LayerCall, next: Next) -> Outcome:
            seen.append(call.agent)
            return await next(call)

    stuck = [True]

    async def second(value: object) -> object:
        if stuck[0]:
            await anyio.sleep_forever()
        return value

    made = document(
        {"first": {}, "second": {}}, seq(step("first", "$.a"), step("second", "$.b")), ["counting"]
    )
    for last in (False, True):
        stuck[0] = not last
        host = Host(tmp_path, resume="manual")
        host.layer(LayerFactory("counting", 1, Nothing, Counting))
        host.function("first")(Flaky(0))
        host.function("second")(second)
        async with host:
            if last:
                run = await host.resume("long")
                assert (await run.result())["b"] == 1
            else:
                await host.start(await host.load(made), {"given": 1}, run_id="long")
                await until(lambda: "second" in seen)
    assert seen == ["first", "second", "second"]


@pytest.mark.parametrize("factory", SHIPPED, ids=lambda factory: factory.key)
def test_an_answer_is_admitted_again_behind_a_script_alone(factory: LayerFactory[Any]) -> None:
    assert getattr(factory.build, "in_place", False) is (factory.key != "lua")
