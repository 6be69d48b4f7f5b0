"""Watching a run: by kind, by place, from any number; and what always comes in pairs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import pytest

from swarm.blueprint.budget import Budget
from swarm.core.driver import Driver
from swarm.core.events import STEP_ENDS
from swarm.core.log import EventStream, RunLog
from swarm.core.watching import Wanted
from swarm.errors import Refused
from swarm.host.host import Host
from swarm.ids import RunId
from swarm.ports.worker import Call, Outcome, StepLink, Worker
from swarm.testing import FakeClock, MemoryJournal, scripted_blueprint
from tests.flowir.random_flows import RandomFlow
from tests.swarm.test_core_replay import drawn, refs

PAIRS = 150


def lit(value: Any) -> dict[str, Any]:
    return {"op": "lit", "value": value}


def step(ref: str, **more: Any) -> dict[str, Any]:
    return {"kind": "step", "ref": ref, "in": lit(1), "out": "$.x", **more}


FLOW = {
    "kind": "seq",
    "children": [
        step("a", id="first"),
        {
            "kind": "fanout",
            "id": "fan",
            "items": lit([1, 2]),
            "bind": "$.i",
            "join": "all",
            "out": "$.all",
            "body": {"kind": "seq", "id": "lane", "children": [step("b"), step("c")]},
        },
        step("a"),
    ],
}


async def watched(**choice: Any) -> list[Any]:
    blueprint = scripted_blueprint(FLOW, dict.fromkeys("abc", lambda _: 1))
    async with Host.in_memory() as host:
        run = await host.start(blueprint, {})
        await run.wait()
        return [event async for event in run.events(**choice)]


def keys(events: list[Any]) -> list[str]:
    return [event["key"] for event in events]


async def test_kinds_are_exact_or_a_family() -> None:
    everything = await watched()
    started = await watched(kinds=["step.started"])
    assert {event["kind"] for event in started} == {"step.started"}
    assert len(started) == 6
    both = await watched(kinds=["step.*", "run.finished"])
    assert len(both) == len(everything) - 1
    assert [event["seq"] for event in await watched(kinds="run.*")] == [1, len(everything)]


@pytest.mark.parametrize(
    ("at", "found"),
    [
        ("first", ["$.children[0]"] * 2),
        ("$.children[0]", ["$.children[0]"] * 2),
        ("$.children[2]", ["$.children[2]"] * 2),
        ("$.children[1].body@1", 4),
        ("$.children[1].body", 8),
        ("fan", 8),
        ("lane", 8),
        ("$.children[1].body.children[0]", 4),
        ("$.child", 0),
        ("$.children[1].body@1.children[1]", 2),
    ],
)
async def test_a_place_takes_all_that_is_below_it(at: str, found: Any) -> None:
    events = await watched(at=at)
    if isinstance(found, int):
        assert len(events) == found
    else:
        assert keys(events) == found


async def test_a_choice_counts_from_any_number_and_ends_with_the_run() -> None:
    late = await watched(since=8, at="fan", kinds=["step.finished"])
    assert all(event["seq"] > 8 and event["kind"] == "step.finished" for event in late)
    assert late


@pytest.mark.parametrize("kind", ["step.fnished", "*", "step", "nope.*", ""])
def test_an_unknown_kind_is_refused_at_once(kind: str) -> None:
    with pytest.raises(Refused) as caught:
        Wanted([kind])
    assert caught.value.code == "events.kind"


async def test_an_unknown_node_is_refused_with_what_was_meant() -> None:
    with pytest.raises(Refused, match="did you mean 'first'"):
        await watched(at="frist")


async def test_a_slow_watcher_misses_nothing_and_nothing_is_kept_for_him() -> None:
    """He reads the journal at his own pace: there is no queue that could overflow."""
    flow = {
        "kind": "loop",
        "counter": "$.n",
        "cond": lit(True),
        "max": 400,
        "body": step("a"),
    }
    blueprint = scripted_blueprint(flow, {"a": lambda _: 1})
    async with Host.in_memory() as host:
        run = await host.start(blueprint, {})
        stream = run.events()
        seen = [(await anext(stream))["seq"] for _ in range(3)]
        await run.wait()
        held = len(stream._ahead)  # pyright: ignore[reportPrivateUsage] - what is kept for him
        seen += [event["seq"] async for event in stream]
    assert held < 100  # what one look at the journal gave
    assert seen == list(range(1, 803))


class Storm:
    """A random flow with a random end: by itself, cancelled, out of budget, or too slow."""

    def __init__(self, seed: int) -> None:
        self.chance = drawn(seed)
        self.clock = FakeClock(jumps=True)
        self.flow = RandomFlow(seed)
        document = timed(self.flow.document, self.chance.choice([None, 0.02]))
        self.blueprint = scripted_blueprint(
            document, {ref: self.worker(ref) for ref in refs(document)}
        )

    def worker(self, ref: str) -> Worker:
        async def work(call: Call, link: StepLink) -> Outcome:
            await self.clock.sleep(self.chance.choice([0, 0, 0.01, 0.05]))
            return Outcome(self.flow.dispatch(ref, call.input))

        return work

    async def events(self) -> list[Any]:
        journal = MemoryJournal()
        log = RunLog(RunId("r_1"), journal, self.clock)
        budget = self.chance.choice([None, Budget.of({"attempts": self.chance.randint(1, 6)})])
        driver = Driver(
            self.blueprint, self.flow.ctx, log=log, clock=self.clock, budget=budget, max_tasks=4
        )
        await driver.begin()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(driver.drive)
            if self.chance.random() < 0.4:
                await self.clock.sleep(self.chance.choice([0, 0.01, 0.03]))
                await driver.cancel("enough")
        return [event async for event in EventStream(log)]


def timed(node: Any, timeout_s: float | None) -> Any:
    if isinstance(node, list):
        return [timed(one, timeout_s) for one in node]
    if not isinstance(node, dict):
        return node
    changed = {name: timed(value, timeout_s) for name, value in node.items()}
    if changed.get("kind") == "step" and timeout_s is not None:
        changed["timeout_s"] = timeout_s
    return changed


def unpaired(events: list[Any]) -> list[tuple[str, int]]:
    """Return the attempts that began and did not end once, or ended and never began."""
    balance = Counter[tuple[str, int]]()
    for event in events:
        if event["kind"] == "step.started":
            balance[event["key"], event["attempt"]] += 1
        elif event["kind"] in STEP_ENDS:
            balance[event["key"], event["attempt"]] -= 1
    return [attempt for attempt, count in balance.items() if count]


async def test_whatever_begins_ends_once_however_the_run_ends() -> None:
    ends = Counter[str]()
    for seed in range(PAIRS):
        events = await Storm(seed).events()
        assert unpaired(events) == [], seed
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        ends[events[-1]["kind"]] += 1
        ends.update(event["kind"] for event in events if event["kind"] in STEP_ENDS)
        ends.update((event.get("error") or {}).get("cause_code") or "" for event in events)
    assert {"run.finished", "run.failed", "run.cancelled"} <= set(ends)
    assert {"step.finished", "step.failed", "step.cancelled"} <= set(ends)


def test_a_start_without_an_end_is_seen() -> None:
    row = {"kind": "step.started", "key": "$", "attempt": 1}
    assert unpaired([row]) == [("$", 1)]
    assert unpaired([row, {**row, "kind": "step.failed"}]) == []


async def test_what_is_committed_and_not_shown_yet_is_not_seen_before_its_status() -> None:
    """Another run's commit may land these rows, while who appended them waits for a turn."""
    journal = MemoryJournal()
    log = RunLog(RunId("r"), journal, FakeClock())
    log.append([{"kind": "run.started"}])
    await log.commit()
    log.append([{"kind": "run.waiting"}])
    log.flush()
    await journal.commit()
    seen = [(event["kind"], log.status) for event in await log.read(0, follow=False)]
    assert seen == [("run.started", "running")]
    await log.commit()
    seen = [(event["kind"], log.status) for event in await log.read(1)]
    assert seen == [("run.waiting", "waiting")]
