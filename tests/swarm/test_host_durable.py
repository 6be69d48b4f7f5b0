"""A host whose journal outlives it: interrupted, resumed, paused, cancelled, run again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm import Host, Refused, RunFailed, SwarmError
from swarm.host.run import Run
from swarm.stores.sqlite.writer import Batch, Writer
from swarm.testing import CountedIds, FakeClock, MemoryJournal, Parts

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def step(ref: str, value: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "step", "ref": ref, "in": value, **fields}


def document(*children: dict[str, Any], agents: tuple[str, ...] = ("work",)) -> dict[str, Any]:
    declared = [{"name": name, "kind": "function", "function": name} for name in agents]
    flow = {"kind": "seq", "children": list(children)}
    return {"swarm": 1, "id": "d", "agents": declared, "flow": flow}


FIVE = document(*(step("work", str(n), out=f"$.s{n}", id=f"n{n}") for n in range(5)))
DONE = {f"s{n}": n * 10 for n in range(5)}


def ten_times(n: int) -> int:
    return n * 10


class World:
    """A journal that outlives hosts, and a worker that stays at the steps it is told to."""

    def __init__(self) -> None:
        self.journal, self.clock, self.ids = MemoryJournal(), FakeClock(), CountedIds()
        self.stay_at: set[Any] = set()
        self.came: list[Any] = []

    def host(self, **settings: Any) -> Host:
        parts = Parts(self.journal, self.clock, self.ids, durable=True)
        host = Host(parts, **settings)

        @host.function("work")
        async def work(n: Any) -> Any:
            self.came.append(n)
            if n in self.stay_at:
                await anyio.sleep_forever()
            return n * 10

        return host

    async def until(self, condition: Callable[[], Any]) -> None:
        for _ in range(10_000):
            if condition():
                return
            await anyio.lowlevel.checkpoint()
        raise AssertionError("it never came to that")

    async def kinds(self, run: Run, prefix: str = "run.") -> list[str]:
        rows = await self.journal.read(run.log.run_id)
        return [row["kind"] for row in rows if row["kind"].startswith(prefix)]


async def interrupted(world: World, at: int = 2) -> Run:
    world.stay_at = {at}
    async with world.host() as host:
        run = await host.start(await host.load(FIVE), run_id="mine")
        await world.until(lambda: at in world.came)
    world.stay_at = set()
    return run


async def test_leaving_interrupts_and_the_next_host_goes_on_by_itself() -> None:
    world = World()
    run = await interrupted(world)
    assert run.status == "interrupted"
    outcome = await run.wait()
    assert outcome.error is not None
    assert outcome.error["code"] == "run.interrupted"
    async with world.host() as host:
        again = await host.run("mine")
        await world.until(lambda: again.status == "succeeded")
        assert await again.result() == DONE
    assert world.came == [0, 1, 2, 2, 3, 4]
    assert await world.kinds(run) == [
        "run.started",
        "run.interrupted",
        "run.resumed",
        "run.finished",
    ]


async def left_behind(world: World, number: int) -> list[str]:
    world.stay_at = {2}
    async with world.host() as host:
        blueprint = await host.load(FIVE)
        runs = [await host.start(blueprint) for _ in range(number)]
        await world.until(lambda: world.came.count(2) == number)
    world.stay_at = set()
    return [run.id for run in runs]


async def test_who_asks_for_a_run_that_was_left_waits_for_its_end() -> None:
    world = World()
    left = await left_behind(world, 20)
    async with world.host() as host:
        # The last to be gone on with comes first where somebody asks for it.
        last = await host.run(left[-1])
        assert last.status in ("running", "succeeded")
        assert [event["kind"] async for event in last.events()][-1] == "run.finished"
        for run_id in left:
            outcome = await (await host.run(run_id)).wait()
            assert (outcome.status, outcome.ctx) == ("succeeded", DONE)


async def test_who_resumes_a_run_that_was_left_is_not_told_that_it_has_ended() -> None:
    for _ in range(5):
        world = World()
        (left,) = await left_behind(world, 1)
        async with world.host() as host:
            assert await (await host.resume(left)).result() == DONE


async def test_a_host_that_leaves_lets_nobody_wait_for_what_was_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    left = await left_behind(world, 20)
    asked: list[Run] = []
    world.stay_at = {2}
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks, world.host() as host:

            async def ask(run_id: str) -> None:
                asked.append(await host.run(run_id))

            for run_id in left:
                tasks.start_soon(ask, run_id)
            await world.until(lambda: asked)
    assert len(asked) == 20
    assert {(await run.wait()).status for run in asked} == {"interrupted"}
    assert caplog.records == []


async def test_who_cancels_the_body_of_a_host_interrupts_its_runs_in_order() -> None:
    world = World()
    world.stay_at = {2}
    runs: list[Run] = []
    with anyio.CancelScope() as scope:
        async with world.host() as host:
            runs.append(await host.start(await host.load(FIVE), run_id="mine"))
            await world.until(lambda: 2 in world.came)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    run = runs[0]
    assert run.status == "interrupted"
    assert (await world.kinds(run))[-1] == "run.interrupted"
    assert (await world.kinds(run, "step."))[-1] == "step.interrupted"


async def test_a_host_may_wait_to_be_told() -> None:
    world = World()
    await interrupted(world)
    async with world.host(resume="manual") as host:
        assert [run.id for run in await host.runs("interrupted")] == ["mine"]
        run = await host.resume("mine")
        assert await host.resume("mine") is run
        assert await run.result() == DONE
        with pytest.raises(Refused, match=r"cannot resume from 'succeeded' \(only from") as e:
            await host.resume("mine")
        assert e.value.code == "run.state"


async def test_starting_again_goes_on_and_needs_the_same_blueprint_and_input() -> None:
    world = World()
    await interrupted(world)
    async with world.host(resume="manual") as host:
        blueprint = await host.load(FIVE)
        with pytest.raises(Refused, match="expected the input"):
            await host.start(blueprint, {"other": 1}, run_id="mine")
        with pytest.raises(Refused, match="expected the blueprint"):
            await host.start(await host.load(document(step("work", "1"))), run_id="mine")
        run = await host.start(blueprint, run_id="mine")
        assert await run.result() == DONE
        assert await (await host.start(blueprint, run_id="mine")).result() == DONE


async def test_a_run_whose_host_died_is_found_interrupted() -> None:
    world = World()
    run = await interrupted(world)
    rows = [dict(row) for row in await world.journal.read(run.log.run_id)]
    died = MemoryJournal()
    died.append(run.log.run_id, rows[:-2])
    await died.commit()
    world.journal = died
    async with world.host(resume="manual") as host:
        run = await host.run("mine")
        assert run.status == "interrupted"
        events = [event async for event in run.events()]
        assert events[-1]["kind"] == "run.interrupted"
        assert events[-1]["cause"] == "died"
        await host.resume("mine")
        assert await run.result() == DONE


async def test_a_function_that_is_missing_blocks_until_it_is_there() -> None:
    world = World()
    await interrupted(world)
    parts = Parts(world.journal, world.clock, world.ids, durable=True)
    async with Host(parts) as host:
        run = await host.run("mine")
        await world.until(lambda: run.status == "blocked")
        outcome = await run.wait()
        assert outcome.error is not None
        assert outcome.error["code"] == "run.blocked"
        assert "no function" in outcome.error["message"] or "work" in outcome.error["message"]
        (row,) = [e async for e in run.events() if e["kind"] == "run.blocked"]
        assert row["code"] == "function.unknown"
        with pytest.raises(RunFailed):
            await run.result()
        host.function("work")(ten_times)
        assert await (await host.resume("mine")).result() == DONE


async def test_a_pause_lets_what_is_in_flight_end_and_holds_over_hosts() -> None:
    world = World()
    async with world.host() as host:
        world.stay_at = {1}
        run = await host.start(await host.load(FIVE), run_id="mine")
        await world.until(lambda: 1 in world.came)
        await run.pause()
        assert run.status == "running"
    assert run.status == "interrupted"
    world.stay_at = set()
    async with world.host() as host:
        run = await host.run("mine")
        await world.until(lambda: run.status == "paused")
        assert world.came == [0, 1]
    async with world.host() as host:
        run = await host.resume("mine")
        await run.pause()
        assert (await run.wait()).status == "paused"
        assert world.came == [0, 1, 1]
        assert await (await host.resume("mine")).result() == DONE
        with pytest.raises(Refused, match="cannot pause from 'succeeded'"):
            await run.pause()


async def test_a_run_that_rests_is_paused_where_it_is() -> None:
    world = World()
    await interrupted(world)
    async with world.host(resume="manual") as host:
        run = await host.run("mine")
        await run.pause()
        await run.pause()
        assert run.status == "paused"
    assert (await world.kinds(run))[-1] == "run.paused"


CLEANED: dict[str, Any] = {
    "kind": "try",
    "body": step("work", "2"),
    "catch": {"kind": "seq", "children": []},
    "finally": step("work", "9"),
}


async def test_a_run_that_rests_goes_on_only_to_be_cancelled() -> None:
    world = World()
    world.stay_at = {2}
    async with world.host() as host:
        run = await host.start(await host.load(document(CLEANED)), run_id="mine")
        await world.until(lambda: 2 in world.came)
    async with world.host(resume="manual") as host:
        run = await host.run("mine")
        await run.cancel("enough")
        outcome = await run.wait()
    assert world.came == [2, 9]
    assert outcome.status == "cancelled"
    assert outcome.error is not None
    assert outcome.error["message"] == "enough"
    kinds = await world.kinds(run, "")
    assert kinds.count("step.started") == 2
    assert kinds.index("step.interrupted") < kinds.index("run.cancelling")


async def test_what_is_being_cancelled_is_not_paused() -> None:
    world = World()
    flow = {
        "kind": "try",
        "body": step("work", "1"),
        "catch": {"kind": "seq", "children": []},
        "finally": step("work", "2"),
    }
    world.stay_at = {1, 2}
    async with world.host() as host:
        run = await host.start(await host.load(document(flow)), run_id="mine")
        await world.until(lambda: 1 in world.came)
        await run.cancel("enough")
        await world.until(lambda: 2 in world.came)
        with pytest.raises(Refused, match="cannot pause what is being cancelled") as caught:
            await run.pause()
        assert caught.value.code == "run.state"
    world.stay_at = set()
    async with world.host() as host:
        assert (await (await host.run("mine")).wait()).status == "cancelled"


async def test_a_run_that_cannot_go_on_can_be_cancelled() -> None:
    world = World()
    await interrupted(world)
    async with Host(Parts(world.journal, world.clock, world.ids, durable=True)) as host:
        run = await host.run("mine")
        await world.until(lambda: run.status == "blocked")
        await run.cancel("enough")
        assert run.status == "cancelled"
        assert (await run.wait()).status == "cancelled"


async def test_a_run_on_which_hosts_die_is_set_aside_and_others_proceed() -> None:
    world = World()
    run = await interrupted(world)
    rows = [dict(row) for row in await world.journal.read(run.log.run_id)][:-2]
    deadly = MemoryJournal()
    for _ in range(3):
        rows.append({"kind": "run.interrupted", "cause": "died"})
        rows.append({"kind": "step.interrupted", **_named(rows)})
        rows.append({"kind": "run.resumed"})
        rows.append({**next(r for r in reversed(rows) if r["kind"] == "step.started")})
    for seq, row in enumerate(rows, 1):
        row.update(seq=seq, run="mine", time_s=world.clock.wall())
    deadly.append(run.log.run_id, rows)
    await deadly.commit()
    world.journal = deadly
    async with world.host(max_deaths=4) as host:
        other = await host.start(await host.load(FIVE))
        run = await host.run("mine")
        await world.until(lambda: run.status == "blocked")
        (row,) = [e async for e in run.events() if e["kind"] == "run.blocked"]
        assert row["code"] == "resume.exhausted"
        assert await other.result() == DONE
        assert await (await host.resume("mine")).result() == DONE


def _named(rows: list[dict[str, Any]]) -> dict[str, Any]:
    last = next(row for row in reversed(rows) if row["kind"] == "step.started")
    return {name: last[name] for name in ("key", "attempt", "step")}


async def test_a_journal_that_tells_something_else_blocks_with_the_first_difference() -> None:
    world = World()
    run = await interrupted(world)
    rows = [dict(row) for row in await world.journal.read(run.log.run_id)]
    rows[3]["input"] = "0" * 64
    other = MemoryJournal()
    other.append(run.log.run_id, rows)
    await other.commit()
    world.journal = other
    async with world.host(resume="manual") as host:
        with pytest.raises(SwarmError, match=r"run mine, event 4 at \$\.children\[1\]") as caught:
            await host.resume("mine")
        assert caught.value.code == "resume.conflict"
        assert (await host.run("mine")).status == "blocked"


# -- running again ---------------------------------------------------------------------


async def test_a_rerun_shares_the_answers_before_the_step_and_no_others() -> None:
    world = World()
    async with world.host() as host:
        old = await host.start(await host.load(FIVE), run_id="old")
        await old.wait()
        world.came.clear()
        run = await host.rerun("old", from_step="n3", set={"ctx.s0": 5})
        assert await run.result() == {**DONE, "s0": 5}
        assert world.came == [3, 4]
        assert (await old.wait()).ctx == DONE


ADDS = document(
    step("work", "1", out="$.a", id="a"),
    step("work", "ctx.a + 1", out="$.b", id="b"),
    step("work", "ctx.b", out="$.c", id="c"),
)


async def test_set_is_written_before_the_step_computes_its_input_and_outlives_hosts() -> None:
    world = World()
    async with world.host() as host:
        await (await host.start(await host.load(ADDS), run_id="old")).wait()
        world.stay_at = {60}
        run = await host.rerun("old", from_step="$.children[1]", set={"$.a": 5}, new_id="new")
        await world.until(lambda: 60 in world.came)
        assert run.id == "new"
    world.stay_at = set()
    async with world.host() as host:
        assert await (await host.start(await host.load(ADDS), run_id="new")).result() == {
            "a": 5,
            "b": 60,
            "c": 600,
        }
        again = await host.rerun("new", from_step="c", set={"$.b": 7})
        assert await again.result() == {"a": 5, "b": 7, "c": 70}
        bare = await host.rerun("new", from_step="c", set={"b": 7})
        assert await bare.result() == {"a": 5, "b": 7, "c": 70}
        first = await host.rerun("new", from_step="a", set={})
        assert await first.result() == {"a": 10, "b": 110, "c": 1100}


@pytest.mark.parametrize(
    ("step", "set", "code", "words"),
    [
        ("n33", {}, "rerun.step", "did you mean 'n3'"),
        ("work", {}, "rerun.step", r"got 'work' — known are '\$\.children\[0\]', .*, …"),
        ("elsewhere", {}, "rerun.step", "got 'elsewhere' — known are "),
        ("n3", {"s0..x": 1}, "rerun.set", "a name is missing"),
        ("n3", {"$.s0": (1,)}, "rerun.set", "set"),
        ("n3", {"$.s0.x": 1}, "rerun.set", "s0"),
    ],
)
async def test_a_rerun_that_cannot_be_creates_nothing(
    step: str, set: dict[str, Any], code: str, words: str
) -> None:
    world = World()
    async with world.host() as host:
        await (await host.start(await host.load(FIVE), run_id="old")).wait()
        with pytest.raises(Refused, match=words) as caught:
            await host.rerun("old", from_step=step, set=set)
        assert caught.value.code == code
        with pytest.raises(Refused, match="expected the id of a new run"):
            await host.rerun("old", from_step="n3", new_id="old")
        assert [run.id for run in await host.runs()] == ["old"]


async def test_an_agent_that_did_one_step_names_it() -> None:
    world = World()
    async with world.host() as host:
        alone = document(step("work", "ctx.n", out="$.a"))
        await (await host.start(await host.load(alone), {"n": 1}, run_id="old")).wait()
        run = await host.rerun("old", from_step="work", set={"$.n": 2})
        assert await run.result() == {"n": 2, "a": 20}


async def test_a_lane_of_a_fanout_is_run_again_with_the_others_answers() -> None:
    world = World()
    fan = {
        "kind": "fanout",
        "items": {"op": "lit", "value": [1, 2, 3]},
        "bind": "$.i",
        "body": step("work", "ctx.i", out="$.x", id="lane"),
        "join": "all",
        "out": "$.all",
        "collect": "ctx.x",
    }
    async with world.host() as host:
        old = await host.start(await host.load(document(fan)), run_id="old")
        await old.wait()
        world.came.clear()
        key = "$.children[0].body@1"
        run = await host.rerun("old", from_step=key, set={"$.i": 8})
        assert await run.result() == {"all": [10, 80, 30]}
        assert sorted(world.came) == [1, 3, 8]


# -- a journal that cannot write --------------------------------------------------------


class Weak(MemoryJournal):
    """A journal whose next commits fail with a code."""

    def __init__(self) -> None:
        super().__init__()
        self.code = ""
        self.failures = 0

    async def commit(self) -> None:
        """Commit, unless it is out of order."""
        if self.failures:
            self.failures -= 1
            raise SwarmError(self.code, "not now")
        await super().commit()


async def test_a_commit_that_is_not_to_be_had_now_is_waited_for_and_nothing_is_lost() -> None:
    world = World()
    weak = world.journal = Weak()
    world.clock = FakeClock(jumps=True)
    async with world.host() as host:
        run = await host.start(await host.load(FIVE), run_id="mine")
        weak.code, weak.failures = "journal.degraded", 3
        assert await run.result() == DONE
    assert weak.failures == 0
    assert world.came == [0, 1, 2, 3, 4]


async def test_a_run_rests_where_the_journal_fails_and_another_host_goes_on() -> None:
    world = World()
    weak = world.journal = Weak()
    async with world.host(shutdown_s=1) as host:
        run = await host.start(await host.load(FIVE), run_id="mine")
        weak.code, weak.failures = "journal.failed", 1
        outcome = await run.wait()
        assert outcome.ctx is None
        assert outcome.status == "running"
    rows = await weak.read(run.log.run_id)
    world.journal = MemoryJournal()
    world.journal.append(run.log.run_id, rows)
    await world.journal.commit()
    async with world.host() as host:
        await world.until(lambda: len(world.came) >= 5)
        assert await (await host.run("mine")).result() == DONE


@pytest.mark.parametrize("commits", range(1, 7))
@pytest.mark.parametrize("error", ["journal.failed", "memory"])
async def test_no_end_is_told_that_the_journal_does_not_hold(commits: int, error: str) -> None:
    """The commit that fails may be that of the end itself."""
    world = World()
    world.journal = Failing(error, commits)
    async with world.host(shutdown_s=1) as host:
        blueprint = await host.load(FIVE)
        try:
            run = await host.start(blueprint, run_id="mine")
        except (SwarmError, MemoryError):
            assert commits == 1
            return
        outcome = await run.wait()
        assert (outcome.status, outcome.ctx) == ("running", None)
        assert run.status == "running"
    rows = await world.journal.read(run.log.run_id)
    assert len(rows) == 2 * (commits - 1)
    world.journal = MemoryJournal()
    world.journal.append(run.log.run_id, rows)
    await world.journal.commit()
    async with world.host() as host:
        again = await host.run("mine")
        await world.until(lambda: again.status == "succeeded")
        assert await again.result() == DONE


class Failing(MemoryJournal):
    """A journal of which one commit fails, and all that follow."""

    def __init__(self, error: str, commits: int) -> None:
        super().__init__()
        self._error = error
        self._left = commits

    async def commit(self) -> None:
        """Commit, until it fails."""
        self._left -= 1
        if self._left <= 0:
            raise MemoryError if self._error == "memory" else SwarmError(self._error, "no more")
        await super().commit()


# -- on a disk -------------------------------------------------------------------------


async def test_a_store_on_disk_holds_runs_that_another_host_goes_on_with(tmp_path: Path) -> None:
    stay = {2}

    def host() -> Host:
        made = Host(tmp_path / "state", durability="normal")

        @made.function("work")
        async def work(n: int) -> int:
            if n in stay:
                reached.set()
                await anyio.sleep_forever()
            return n * 10

        return made

    reached = anyio.Event()
    async with host() as one:
        await one.start(await one.load(FIVE), run_id="mine")
        await reached.wait()
        with pytest.raises(Refused, match="expected a store that nobody has open") as caught:
            async with host():
                pass
        assert caught.value.code == "store.locked"
    stay.clear()
    async with host() as two:
        assert await (await two.run("mine")).result() == DONE
    async with host() as three:
        run = await three.run("mine")
        assert not run.live
        assert (await run.wait()).ctx == DONE
        events = [event async for event in run.events()]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert [event["seq"] async for event in run.events(since=3)] == [
            event["seq"] for event in events[3:]
        ]


async def test_runs_that_have_ended_are_let_go_of(tmp_path: Path) -> None:
    async with Host(tmp_path, durability="normal") as host:
        host.function("work")(ten_times)
        blueprint = await host.load(document(step("work", "1")))
        for _ in range(20):
            await (await host.start(blueprint)).wait()
        assert len(await host.runs("succeeded")) == 20
        assert len(await host.runs()) == 20


LONG = {
    "swarm": 1,
    "id": "long",
    "agents": [{"name": "work", "kind": "function", "function": "work"}],
    "flow": {
        "kind": "seq",
        "children": [
            {
                "kind": "loop",
                "counter": "$.n",
                "cond": "true",
                # More rows than a transaction takes of those that come one by one.
                "max": 2100,
                "body": {"kind": "step", "ref": "work", "in": "ctx.n", "out": "$.last"},
            },
            {"kind": "step", "ref": "work", "in": "ctx.last", "out": "$.end", "id": "end"},
        ],
    },
}


@pytest.mark.parametrize("writes", [0, 1])
async def test_the_copy_of_a_long_rerun_is_there_whole_or_not_at_all(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    writes: int,
) -> None:
    def host() -> Host:
        made = Host(tmp_path / "store", durability="normal")

        @made.function("work")
        async def work(n: int) -> int:
            return n + 1

        return made

    left = [1_000_000]
    write = Writer.write

    def dying(self: Writer, batch: Batch) -> float:
        if not left[0]:
            raise SwarmError("journal.failed", "the power is gone")
        left[0] -= 1
        return write(self, batch)

    monkeypatch.setattr(Writer, "write", dying)

    async def live() -> None:
        async with host() as first:
            old = await first.start(await first.load(LONG), {}, run_id="old")
            await old.wait()
            left[0] = writes
            new = await first.rerun("old", from_step="end", new_id="new")
            # It was told that the copy is kept; what comes next is not.
            assert (await new.wait()).status == "running"

    if writes:
        await live()
        assert "run new rests: the power is gone" in caplog.text
    else:
        with pytest.raises(SwarmError, match="the power is gone"):
            await live()
    monkeypatch.undo()
    async with host() as second:
        if not writes:
            assert [run.id for run in await second.runs()] == ["old"]
            return
        new = await second.resume("new")
        assert (await new.result()) == (await (await second.run("old")).result())
        kinds = [event["kind"] async for event in new.events()]
        assert kinds[:4201] == ["run.started", *["step.started", "step.finished"] * 2100]
        assert "run.interrupted" in kinds[801:]
