"""Limits on how much goes on at a time, fair between runs."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from swarm import Host, Run
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.core.driver import Driver
from swarm.core.gates import Gates, Needs, Ticket, kind_needs, needs_of
from swarm.core.log import RunLog
from swarm.ids import RunId
from swarm.ports.questions import Ask
from swarm.ports.worker import Call, Outcome, StepLink
from swarm.testing import CountedIds, FakeClock, MemoryJournal, Parts, scripted_blueprint

pytestmark = pytest.mark.anyio

Json = dict[str, Any]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Shop:
    """A worker that takes a second of the fake clock, and notes who was served when."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.served: list[str] = []
        self.inside = self.most = 0

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        self.served.append(call.run_id)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.clock.sleep(1)
            return Outcome(call.input)
        finally:
            self.inside -= 1


class Street:
    """A host on a fake clock, with a shop as every agent."""

    def __init__(self, concurrency: int | None = None) -> None:
        self.clock = FakeClock(jumps=True)
        parts = Parts(MemoryJournal(), self.clock, CountedIds())
        self.host = Host(parts, concurrency=concurrency)
        self.shop = Shop(self.clock)

    def blueprint(self, lanes: int, *, id: str = "street", **agent: Any) -> CompiledBlueprint:
        step = {"kind": "step", "ref": "shop", "in": {"op": "path", "at": "$.i"}, "out": "$.x"}
        flow = {
            "kind": "fanout",
            "items": {"op": "lit", "value": list(range(lanes))},
            "bind": "$.i",
            "body": step,
            "join": "all",
            "out": "$.all",
            "collect": {"op": "path", "at": "$.x"},
        }
        return scripted_blueprint(flow, {"shop": self.shop}, id=id, settings={"shop": agent})

    async def run(self, *blueprints: CompiledBlueprint) -> list[Run]:
        async with self.host as host:
            runs = [
                await host.start(blueprint, run_id=f"r{i}")
                for i, blueprint in enumerate(blueprints)
            ]
            for run in runs:
                assert (await run.wait()).status == "succeeded"
            return runs


async def test_without_a_limit_all_go_at_once() -> None:
    street = Street()
    await street.run(street.blueprint(20))
    assert street.shop.most == 20


async def test_a_host_has_a_limit_for_all_its_runs() -> None:
    street = Street(concurrency=3)
    await street.run(street.blueprint(10), street.blueprint(10))
    assert street.shop.most == 3
    assert len(street.shop.served) == 20


async def test_an_agent_has_a_limit_for_all_runs_of_its_blueprint() -> None:
    street = Street()
    await street.run(*[street.blueprint(5, concurrency=2)] * 3)
    assert street.shop.most == 2


async def test_agents_of_other_blueprints_have_limits_of_their_own() -> None:
    street = Street()
    one = street.blueprint(5, id="one", concurrency=2)
    two = street.blueprint(5, id="two", concurrency=2)
    await street.run(one, two)
    assert street.shop.most == 4


async def test_a_long_queue_delays_another_run_by_one_place() -> None:
    street = Street(concurrency=1)
    await street.run(street.blueprint(50), street.blueprint(3))
    places = [i for i, run_id in enumerate(street.shop.served) if run_id == "r1"]
    assert places == [2, 4, 6] or places == [1, 3, 5]


async def test_a_blueprint_has_a_limit_for_all_its_runs() -> None:
    served: list[int] = []
    clock = FakeClock(jumps=True)
    host = Host(Parts(MemoryJournal(), clock, CountedIds()))

    @host.function("work")
    async def work(n: int) -> int:
        served.append(1)
        await clock.sleep(1)
        most.append(len(served))
        served.pop()
        return n

    most: list[int] = []
    assert work is not None
    document: Json = {
        "swarm": 1,
        "id": "limited",
        "agents": [{"name": "work", "kind": "function", "function": "work"}],
        "flow": {"kind": "step", "ref": "work", "in": "1", "out": "$.n"},
        "limits": {"concurrency": 2},
    }
    async with host:
        blueprint = await host.load(document)
        runs = [await host.start(blueprint) for _ in range(6)]
        for run in runs:
            assert (await run.wait()).status == "succeeded"
    assert max(most) == 2


async def test_who_waits_for_a_person_holds_no_place() -> None:
    async def asks(call: Call, link: StepLink) -> Outcome:
        return Outcome(await link.ask(Ask("sure?")))

    street = Street(concurrency=1)
    blueprint = scripted_blueprint(
        {"kind": "step", "ref": "asks", "in": {"op": "lit", "value": 1}, "out": "$.x"},
        {"asks": asks},
        id="asking",
    )
    async with street.host as host:
        first = await host.start(blueprint, run_id="first")
        await street.clock.settle()
        assert first.status == "waiting"
        second = await host.start(street.blueprint(3), run_id="second")
        assert (await second.wait()).status == "succeeded"
        await first.answer("first:1", "yes")
        assert await first.result() == {"x": "yes"}


async def test_an_agent_that_is_called_takes_a_place_of_its_kind() -> None:
    async def asks(call: Call, link: StepLink) -> Outcome:
        return Outcome(await link.call("shop", call.input))

    clock, journal = FakeClock(jumps=True), MemoryJournal()
    shop = Shop(clock)
    flow = {
        "kind": "fanout",
        "items": {"op": "lit", "value": [0, 1, 2, 3, 4]},
        "bind": "$.i",
        "body": {"kind": "step", "ref": "asks", "in": {"op": "path", "at": "$.i"}, "out": "$.x"},
        "join": "all",
        "out": "$.all",
        "collect": {"op": "path", "at": "$.x"},
    }
    made = scripted_blueprint(flow, {"asks": asks, "shop": shop})
    made = replace(made, agents={**made.agents, "shop": AgentSpec("shop", "process", {})})
    log = RunLog(RunId("r"), journal, clock)
    driver = Driver(made, {}, log=log, clock=clock, gates=Gates(kinds={"process": 2}))
    await driver.begin()
    await driver.drive()
    assert driver.outcome is not None
    assert driver.outcome.ctx == {"all": [0, 1, 2, 3, 4]}
    assert shop.most == 2


async def test_a_cancelled_run_leaves_the_queue_and_gives_its_places_back() -> None:
    street = Street(concurrency=1)
    async with street.host as host:
        first = await host.start(street.blueprint(50), run_id="first")
        second = await host.start(street.blueprint(2), run_id="second")
        await first.cancel()
        assert (await first.wait()).status == "cancelled"
        assert (await second.wait()).status == "succeeded"


def ticket(run: str, *names: str, limit: int = 1) -> Ticket:
    return Ticket(RunId(run), tuple((name, limit) for name in names))


async def test_nobody_holds_a_place_while_it_waits_for_another() -> None:
    gates = Gates()
    holder, both, single = ticket("a", "x"), ticket("b", "x", "y"), ticket("c", "y")
    assert gates.enter(holder)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gates.wait, both)
        await FakeClock().settle()
        assert not both.inside
        # It waits for `y` too, and nobody overtakes it there.
        assert not gates.enter(single)
        gates.leave(holder)
        assert both.inside
    gates.leave(both)
    assert gates.enter(single)


async def test_a_run_gives_back_at_its_end_whatever_it_still_has() -> None:
    gates = Gates()
    mine = [ticket("a", "x", limit=3), ticket("a", "x", "y", limit=3)]
    other = ticket("b", "x", limit=3)
    for one in (*mine, other):
        assert gates.enter(one)
    late = ticket("c", "x", "y", limit=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gates.wait, late)
        await FakeClock().settle()
        gates.release(RunId("a"))
        assert [one.inside for one in (*mine, other, late)] == [False, False, True, False]
        gates.release(RunId("a"))
        gates.release(RunId("nobody"))
        gates.release(RunId("b"))
        assert late.inside
    gates.leave(late)
    assert gates.enter(ticket("d", "x", "y", limit=1))


async def test_what_a_broken_run_had_for_lanes_that_never_began_is_free_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = Street(concurrency=3)

    async def broken(self: Driver, admitted: list[Any]) -> None:
        raise RuntimeError("no task was made")

    async with street.host as host:
        with monkeypatch.context() as patched:
            patched.setattr(Driver, "_go", broken)
            run = await host.start(street.blueprint(10), run_id="first")
            assert (await run.wait()).status == "failed"
        assert street.shop.served == []
        second = await host.start(street.blueprint(5), run_id="second")
        assert (await second.wait()).status == "succeeded"
        assert street.shop.most == 3


async def test_who_gives_up_waiting_is_forgotten() -> None:
    gates = Gates()
    holder, late = ticket("a", "x"), ticket("b", "x")
    assert gates.enter(holder)
    with anyio.move_on_after(0):
        await gates.wait(late)
    gates.leave(holder)
    assert not late.inside
    assert gates.enter(ticket("c", "x"))


def test_a_run_that_gave_its_places_back_is_forgotten() -> None:
    gates, needs = Gates(), (("", 1),)
    tracemalloc.start()
    for number in range(1000):
        ticket = Ticket(RunId(f"r{number}"), needs)
        assert gates.enter(ticket)
        gates.leave(ticket)
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept_bytes < 20_000


async def test_a_run_that_has_waited_is_forgotten_with_its_last_ticket() -> None:
    gates = Gates()
    first, second = (Ticket(RunId(name), (("host", 1),)) for name in ("r_1", "r_2"))
    assert gates.enter(first)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gates.wait, second)
        await anyio.wait_all_tasks_blocked()
        assert gates.runs_waiting == 1
        gates.leave(first)
    assert second.inside
    assert gates.runs_waiting == 0


class Model:
    """The rules of gates, done slowly: who waits stands in one list, who is inside in another."""

    def __init__(self) -> None:
        self.inside: list[Ticket] = []
        self.slipped: list[str] = []
        self.waiting: list[Ticket] = []
        self.turns: list[RunId] = []

    def taken(self, name: str) -> int:
        slipped = self.slipped.count(name)
        return slipped + sum(n == name for one in self.inside for n, _ in one.needs)

    def has_room(self, one: Ticket) -> bool:
        return all(self.taken(name) < limit for name, limit in one.needs)

    def may_enter(self, one: Ticket) -> bool:
        wanted = {name for other in self.waiting for name, _ in other.needs}
        return self.has_room(one) and not any(name in wanted for name, _ in one.needs)

    def wait(self, one: Ticket) -> None:
        self.waiting.append(one)
        if one.run_id not in self.turns:
            self.turns.append(one.run_id)

    def forget(self, one: Ticket) -> None:
        self.waiting.remove(one)
        if all(other.run_id != one.run_id for other in self.waiting):
            self.turns.remove(one.run_id)

    def call(self) -> None:
        """Let in whoever has room: a run after the other, of each the first of its kind."""
        while (one := self.next()) is not None:
            self.forget(one)
            self.inside.append(one)
            if one.run_id in self.turns:
                self.turns.remove(one.run_id)
                self.turns.append(one.run_id)

    def next(self) -> Ticket | None:
        for run in self.turns:
            kinds: set[Any] = set()
            for one in (one for one in self.waiting if one.run_id == run):
                if one.needs not in kinds and self.has_room(one):
                    return one
                kinds.add(one.needs)
        return None


@pytest.mark.parametrize("seed", range(60))
async def test_who_goes_in_is_who_the_rules_let_in(seed: int) -> None:
    chance, gates, model = Random(seed), Gates(), Model()  # noqa: S311 - drawn again
    names = ("", "kind:x", "b/agent")
    scopes: dict[int, anyio.CancelScope] = {}

    async def wait(one: Ticket, scope: anyio.CancelScope) -> None:
        with scope:
            await gates.wait(one)

    async with anyio.create_task_group() as tasks:
        for _ in range(60):
            some = chance.sample(names, chance.randrange(1, 4))
            one = Ticket(RunId(chance.choice("pqr")), tuple((n, 2) for n in some))
            act = chance.choice(
                ("enter", "wait", "wait", "take", "leave", "leave", "slip", "give up")
            )
            if act == "enter":
                expected = model.may_enter(one)
                assert gates.enter(one) is expected
                model.inside += [one] * expected
            elif act == "take":
                gates.take(one)
                model.inside.append(one)
            elif act == "wait":
                if model.may_enter(one):
                    model.inside.append(one)
                else:
                    model.wait(one)
                scopes[id(one)] = anyio.CancelScope()
                tasks.start_soon(wait, one, scopes[id(one)])
            elif act == "leave" and model.inside:
                one = model.inside.pop(chance.randrange(len(model.inside)))
                model.call()
                gates.leave(one)
                gates.leave(one)  # again: it has nothing to give back
            elif act == "slip" and model.slipped and chance.random() < 0.5:
                name = model.slipped.pop()
                model.call()
                gates.slip_out(name)
            elif act == "slip":
                expected = not model.waiting and model.taken(some[0]) < 2
                assert gates.slip_in(some[0], 2) is expected
                model.slipped += some[:1] * expected
            elif act == "give up" and model.waiting:
                one = chance.choice(model.waiting)
                model.forget(one)
                scopes[id(one)].cancel()
            await anyio.wait_all_tasks_blocked()
            assert gates.runs_waiting == len(model.turns)
            assert all(one.inside for one in model.inside)
            assert not any(one.inside for one in model.waiting)
        for scope in scopes.values():
            scope.cancel()


# -- what an agent needs -------------------------------------------------------------------


@pytest.mark.parametrize("idle", ["flow", "human", "sleep"])
def test_who_works_needs_a_place_of_the_host_and_of_its_blueprint(idle: str) -> None:
    agents = {"work": AgentSpec("work", "lua"), "wait": AgentSpec("wait", idle)}
    own = {"mine": AgentSpec("mine", "lua", {"concurrency": 2})}
    own["rest"] = AgentSpec("rest", idle, {"concurrency": 3})

    def needs(agent: str, gates: Gates, **limits: int) -> Needs:
        found: Any = SimpleNamespace(id="b", agents={**agents, **own}, document={"limits": limits})
        return needs_of(found, agent, gates)

    free, full = Gates(), Gates(9, {"lua": 4, idle: 5})
    assert [needs(agent, free) for agent in ("work", "wait", "stranger")] == [(), (), ()]
    assert needs("work", full, concurrency=7) == (("", 9), ("b", 7), ("kind:lua", 4))
    assert needs("wait", full, concurrency=7) == ((f"kind:{idle}", 5),)
    assert needs("stranger", full, concurrency=7) == (("", 9), ("b", 7))
    assert needs("mine", full) == (("", 9), ("kind:lua", 4), ("b/mine", 2))
    assert needs("rest", free, concurrency=7) == (("b/rest", 3),)
    assert (kind_needs(agents["work"], full), kind_needs(agents["work"], free)) == (
        (("kind:lua", 4),), (),
    )  # fmt: skip
    assert kind_needs(None, full) == ()
    bare: Any = SimpleNamespace(id="b", agents=agents, document={})
    assert needs_of(bare, "work", Gates(1)) == (("", 1),)
