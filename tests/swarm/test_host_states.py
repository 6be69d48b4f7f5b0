"""Every command in every state of a run, once and twice, against real hosts.

What is expected is read from the printed table: a cell that is empty is a command that
changes nothing, or is refused; one that is not is where the run must come to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm import Host, Refused, StepContext, SwarmError
from swarm.core.run import ENDED, EVENTS, TRANSITIONS, RunStatus, next_status, table
from swarm.host.parts import Parts, SystemClock, TimedIds
from swarm.host.run import Run
from swarm.ports.journal import Journal
from swarm.testing import MemoryJournal

pytestmark = pytest.mark.anyio

STATES: tuple[RunStatus, ...] = tuple(state for state in TRANSITIONS if state != "pending")
COMMANDS = ("pause", "cancel", "interrupt", "resume", "rerun", "answer")
STORES = ("memory", "sqlite")
# Two lanes: one asks a person, one works until it is let go on.
DOCUMENT = {
    "swarm": 1,
    "id": "states",
    "agents": [
        {"name": "first", "kind": "function", "function": "first"},
        {"name": "lane", "kind": "function", "function": "lane"},
    ],
    "flow": {
        "kind": "seq",
        "children": [
            {"kind": "step", "ref": "first", "in": "0", "id": "first"},
            {
                "kind": "fanout",
                "items": {"op": "lit", "value": ["asks", "works"]},
                "bind": "$.what",
                "join": "all",
                "out": "$.all",
                "body": {"kind": "step", "ref": "lane", "in": "ctx.what", "out": "$.did"},
                "collect": "ctx.did",
            },
        ],
    },
}
# Cells that take more than a command: a run that ends before it has begun, what breaks
# while it goes on or only waits, and a host that dies (`tests/acceptance/test_kill.py`).
# A run that rests and cannot go on is blocked before it is cancelled.
NO_COMMAND: set[tuple[str, str]] = {
    ("pending", "run.failed"),
    ("pending", "run.cancelled"),
    ("running", "run.blocked"),
    ("paused", "run.cancelled"),
    ("interrupted", "run.cancelled"),
    ("waiting", "run.failed"),
    ("waiting", "run.cancelled"),
    ("waiting", "run.interrupted"),
}
SEEN: Counter[tuple[str, str]] = Counter()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class World:
    """A store that outlives its hosts, and a function that does as it is told."""

    def __init__(self, store: str, folder: Path) -> None:
        self._folder = folder if store == "sqlite" else None
        self._memory = MemoryJournal()
        self.journal: Journal = self._memory
        self.go_on = anyio.Event()
        self.fails = self.holds_first = False
        self.working = False

    @asynccontextmanager
    async def host(self, *, knows: bool = True) -> AsyncGenerator[Host]:
        parts = (
            Parts(self._memory, SystemClock(), TimedIds(), durable=True)
            if self._folder is None
            else Parts.at(self._folder, "normal")
        )
        self.journal = parts.journal
        host = Host(parts, resume="manual")
        host.function("first")(self._first)
        if knows:
            host.function("lane")(self._lane)
        async with host:
            yield host

    async def _first(self, n: int) -> int:
        self.working = self.holds_first
        if self.holds_first:
            await self.go_on.wait()
        return n

    async def _lane(self, what: str, context: StepContext) -> Any:
        if what == "asks":
            return await context.ask("well?")
        self.working = True
        await self.go_on.wait()
        self.working = False
        if self.fails:
            raise ValueError("as told")
        return "worked"


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - whatever leads there
            await anyio.sleep(0.001)


async def rows_of(world: World, run: Run) -> list[Any]:
    return list(await world.journal.read(run.log.run_id, 0, 10_000))


async def started(world: World, host: Host) -> Run:
    run = await host.start(await host.load(DOCUMENT), {}, run_id="mine")
    with anyio.fail_after(20):
        while not (world.working and await run.questions()):  # noqa: ASYNC110 - as above
            await anyio.sleep(0.001)
    return run


async def bring(world: World, run: Run, state: str) -> None:
    """Bring a run whose lanes are both in flight into a state that a live host can have."""
    if state == "cancelled":
        await run.cancel("enough")
        await run.wait()
    if state in ("waiting", "paused", "succeeded", "failed"):
        world.fails = state == "failed"
        world.go_on.set()
        await until(lambda: run.status == ("failed" if world.fails else "waiting"))
    if state == "paused":
        await run.pause()
        await run.wait()
    if state == "succeeded":
        await run.answer("mine:1", "yes")
        await run.wait()


@asynccontextmanager
async def run_in(world: World, state: str) -> AsyncGenerator[tuple[Host, Run]]:
    """Open a host with one run, `mine`, in a state, and its question unanswered."""
    if state in ("interrupted", "blocked"):
        async with world.host() as host:
            await started(world, host)
    if state == "blocked":
        async with world.host(knows=False) as host:
            with pytest.raises(SwarmError):
                await host.resume("mine")
    async with world.host() as host:
        if state in ("interrupted", "blocked"):
            run = await host.run("mine")
        else:
            run = await started(world, host)
            await bring(world, run, state)
        assert run.status == state
        yield host, run


async def act(command: str, host: Host, run: Run) -> str | None:
    """Give a command; return the code with which it was refused."""
    acts: dict[str, Callable[[], Awaitable[Any]]] = {
        "pause": run.pause,
        "cancel": lambda: run.cancel("enough"),
        "interrupt": run.interrupt,
        "resume": lambda: host.resume("mine"),
        "rerun": lambda: host.rerun("mine", from_step="first"),
        "answer": lambda: run.answer("mine:1", "yes"),
    }
    try:
        await acts[command]()
    except Refused as refused:
        return refused.code
    return None


def refusal(command: str, state: RunStatus) -> str | None:
    """Read from the table whether a command is refused in a state, and how."""
    if command == "pause" and state != "paused" and "run.paused" not in TRANSITIONS[state]:
        return "run.state"
    if state in ENDED and command == "resume":
        return "run.state"
    if state in ENDED and command == "answer":
        return "question.answered" if state == "succeeded" else "question.closed"
    return None


def comes_to(command: str, state: RunStatus) -> frozenset[str]:
    """Read from the table where a command leads, once what it waits for is done."""
    row = TRANSITIONS[state]
    if refusal(command, state) is not None or state in ENDED or command == "rerun":
        return frozenset({state})
    if command == "pause":
        return frozenset({row.get("run.paused", state)})
    if command == "cancel":
        return frozenset({"cancelled"})
    if command == "resume" and state != "running":
        return frozenset({row["run.resumed"], "waiting"})
    if command == "interrupt" and state == "running":
        return frozenset({row["run.interrupted"]})
    if command == "answer" and state == "waiting":
        return frozenset({"succeeded"})
    return frozenset({state})


def folded(rows: list[Any]) -> str:
    """Read a run's state from its rows; a row that cannot follow raises."""
    status: Any = "pending"
    for row in rows:
        after = next_status(status, row["kind"])
        if row["kind"] in EVENTS:
            SEEN[status, row["kind"]] += 1
        status = after
    return status


async def settled(world: World, command: str, run: Run) -> None:
    """Let what the command waits for happen, and nothing else."""
    if command == "pause" and run.status == "running":
        world.go_on.set()
    if command in ("pause", "cancel") and run.status == "running":
        with anyio.fail_after(20):
            await run.wait()


async def one_case(world: World, state: RunStatus, command: str, times: int) -> None:
    async with run_in(world, state) as (host, run):
        before = await rows_of(world, run)
        codes: list[str | None] = []

        async def give() -> None:
            codes.append(await act(command, host, run))

        async with anyio.create_task_group() as tasks:
            for _ in range(times):
                tasks.start_soon(give)
        expected = [refusal(command, state)] * times
        if command == "answer" and expected[0] is None:
            expected[1:] = ["question.answered"] * (times - 1)
        assert sorted(map(str, codes)) == sorted(map(str, expected))
        await settled(world, command, run)
        with anyio.fail_after(20):
            while run.status not in comes_to(command, state):  # noqa: ASYNC110 - as above
                await anyio.sleep(0.001)
        await anyio.wait_all_tasks_blocked()
        rows = await rows_of(world, run)
        assert folded(rows) == run.status
        assert rows[: len(before)] == before
        if expected[0] is not None or state in ENDED:
            assert rows == before
        if command == "rerun":
            assert rows == before or state in ("running", "waiting")
            assert len(await host.runs()) == 1 + times
        await finish(world, host, run)


async def finish(world: World, host: Host, run: Run) -> None:
    """Whatever was done to it: the run can still be brought to an end, legally."""
    world.go_on.set()
    with anyio.fail_after(20):
        while run.status not in ENDED:
            if not run.live:
                await host.resume("mine")
            for question in await run.questions():
                await run.answer(question.id, "yes")
            await anyio.sleep(0.001)
        await run.wait()
    assert folded(await rows_of(world, run)) == run.status


async def failures_of(store: str, folder: Path) -> tuple[list[str], int]:
    found: list[str] = []
    tried = 0
    for state in STATES:
        for command in COMMANDS:
            for times in (1, 2):
                tried += 1
                try:
                    await one_case(World(store, folder / f"{tried}"), state, command, times)
                except Exception as error:  # noqa: BLE001 - each case is told
                    found.append(f"{command} x{times} when {state}: {error!r}")
    return found, tried


REST: tuple[RunStatus, ...] = ("waiting", "paused", "interrupted", "blocked")


async def one_helpless_case(world: World, state: RunStatus, command: str) -> None:
    """Give a command to a host that cannot go on with the run: it lacks the function."""
    async with run_in(world, state) as (_, run):
        pass
    async with world.host(knows=False) as host:
        run = await host.run("mine")
        assert run.status == state
        if command == "resume":
            with pytest.raises(SwarmError):
                await host.resume("mine")
            expected = TRANSITIONS[run.status].get("run.blocked")
        else:
            assert await act(command, host, run) == refusal(command, state)
            # Nobody carries it on: an answer waits for who does.
            expected = state if command == "answer" else next(iter(comes_to(command, state)))
        assert run.status == expected
        assert folded(await rows_of(world, run)) == expected
    async with world.host() as host:
        await finish(world, host, await host.run("mine"))


async def helpless_failures_of(store: str, folder: Path) -> tuple[list[str], int]:
    found: list[str] = []
    tried = 0
    for state in REST:
        for command in ("pause", "cancel", "resume", "answer"):
            tried += 1
            try:
                await one_helpless_case(World(store, folder / f"h{tried}"), state, command)
            except Exception as error:  # noqa: BLE001 - each case is told
                found.append(f"{command} when {state}, helpless: {error!r}")
    return found, tried


async def paused_before_anybody_is_asked(world: World) -> None:
    """Pause while nobody is waited for: the run rests when the step has ended."""
    world.holds_first = True
    async with world.host() as host:
        run = await host.start(await host.load(DOCUMENT), {}, run_id="mine")
        await until(lambda: world.working)
        await run.pause()
        assert run.status == "running"
        world.go_on.set()
        await run.wait()
        assert run.status == folded(await rows_of(world, run)) == "paused"


@pytest.mark.parametrize("store", STORES)
async def test_every_command_in_every_state_does_what_the_table_says(
    store: str, tmp_path: Path
) -> None:
    SEEN.clear()
    failures, tried = await failures_of(store, tmp_path)
    helpless, more = await helpless_failures_of(store, tmp_path)
    await paused_before_anybody_is_asked(World(store, tmp_path / "first"))
    tried += more
    failures += helpless
    print(f"{tried - len(failures)} survived / {tried} tried")  # noqa: T201
    assert failures == []
    legal = {(state, event) for state, row in TRANSITIONS.items() for event in row}
    assert legal - SEEN.keys() == NO_COMMAND


async def test_a_host_that_forgets_what_has_ended_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swarm.host.run.ENDED", frozenset[str]())
    monkeypatch.setattr("swarm.host.runs.ENDED", frozenset[str]())
    failures, _ = await failures_of("memory", tmp_path)
    assert failures


def test_the_states_tried_are_those_of_the_printed_table() -> None:
    printed = table().splitlines()[0].split()
    assert set(printed) - {"pending"} | ENDED == set(STATES)
