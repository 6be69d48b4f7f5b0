"""The layer that remembers answers."""

from __future__ import annotations

import random
from typing import Any

import pytest

from flowir import WorkerFailure
from flowir.values import measure
from swarm import Outcome, StepContext, Usage
from swarm.middleware.cache import CACHE
from swarm.ports.worker import Call, StepLink
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


class Plain:
    """What the cache does, as plainly as can be: a list, the one that was used last behind."""

    def __init__(self, entries: int, size: int, ttl_s: float | None) -> None:
        self.entries, self.size, self.ttl_s = entries, size, ttl_s
        self.kept: list[tuple[int, str, float]] = []

    def get(self, key: int, now_s: float) -> str | None:
        for at, (name, value, since_s) in enumerate(self.kept):
            if name == key and (self.ttl_s is None or now_s - since_s < self.ttl_s):
                self.kept.append(self.kept.pop(at))
                return value
        return None

    def put(self, key: int, value: str, now_s: float) -> None:
        self.kept = [one for one in self.kept if one[0] != key]
        if _size(value) > self.size:
            return
        self.kept.append((key, value, now_s))
        while len(self.kept) > self.entries or sum(_size(v) for _, v, _ in self.kept) > self.size:
            self.kept.pop(0)


def _size(value: str) -> int:
    return measure([value, {}, []])[0]


@pytest.mark.parametrize("seed", range(12))
async def test_it_keeps_what_a_plain_list_would_keep(seed: int) -> None:
    chance, clock = random.Random(seed), FakeClock()  # noqa: S311 - repeatable
    least = _size("")
    entries, size = chance.randrange(1, 6), least * chance.randrange(1, 5) + chance.randrange(3)
    ttl_s = chance.choice([None, 5.0])
    params = {"max_entries": entries, "max_bytes": size} | ({} if ttl_s is None else {"ttl_s": 5})
    said: list[str] = []

    def answer(key: int) -> str:
        said.append(chance.choice("abc") * chance.randrange(size - least + 2))
        return said[-1]

    layer, plain = built_layer(CACHE, params, clock=clock), Plain(entries, size, ttl_s)
    for _ in range(250):
        key = chance.randrange(8)
        await clock.advance(chance.choice([0, 0, 1, 5]))
        asked, known = len(said), plain.get(key, clock.monotonic())
        got = (await call_through(layer, ScriptedWorker(answer), input=key)).value
        assert (len(said) == asked, got) == (
            known is not None,
            said[-1] if known is None else known,
        )
        if known is None:
            plain.put(key, got, clock.monotonic())


async def test_who_hands_a_part_over_has_its_reference() -> None:
    async def work(call: Call, link: StepLink) -> Outcome:
        return Outcome(await link.part("log", [1]))

    layer, link = built_layer(CACHE), RecordedLink()
    outcome = await call_through(layer, work, link=link)
    assert await link.read(outcome.value) == [1]
