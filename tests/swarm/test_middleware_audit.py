"""The layer that records: what it writes, and what happens where it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from flowir import WorkerFailure
from swarm import Host, Outcome, StepContext
from swarm.blueprint.canonical import digest_of
from swarm.core.audit.entries import entry_of
from swarm.middleware.audit import AUDIT
from swarm.ports.audit import AuditEntry, WrittenEntry
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.worker import Call, StepLink
from swarm.stores.sqlite.journal import SqliteJournal
from swarm.testing import FakeClock, MemoryAudit, Parts, built_layer, call_through
from tests.swarm.layered import Bench, Flaky, document, seq, step

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def of_steps(log: MemoryAudit) -> list[AuditEntry]:
    """Return what the layer wrote; the host records its own acts beside that."""
    return [entry for entry in log.entries if entry.verb == "do"]


class FullDisk(MemoryAudit):
    """Keeps so many entries of steps, and then none."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def record(self, entry: AuditEntry | WrittenEntry) -> None:
        if entry_of(entry).verb == "do":
            if self.room == 0:
                raise OSError("no space left")
            self.room -= 1
        super().record(entry)


@pytest.mark.parametrize("agent", [{}, {"timeout_s": 60}])
async def test_each_attempt_is_recorded_before_and_behind(agent: dict[str, Any]) -> None:
    bench = Bench(functions={"work": Flaky(0)})
    await bench.run(["audit"], input={"n": 1}, agents={"work": agent})
    begun, done = of_steps(bench.audit)
    assert (begun.actor, begun.verb, begun.decision) == ("agent:work", "do", "begun")
    assert (begun.run, begun.step, begun.attempt) == ("r_1", "$", 1)
    assert (begun.input, begun.output) == (digest_of({"n": 1}), None)
    assert (done.decision, done.output) == ("done", digest_of({"n": 1}))


async def test_without_the_layer_nothing_is_recorded() -> None:
    bench = Bench(functions={"work": Flaky(0)})
    await bench.run()
    assert of_steps(bench.audit) == []


async def test_a_failure_is_recorded_without_its_secrets() -> None:
    leaked = RuntimeError("refused for sk-0123456789abcdefghij")
    bench = Bench(functions={"work": Flaky(1, leaked)})
    await bench.run(["audit"])
    last = of_steps(bench.audit)[-1]
    assert last.decision == "failed"
    assert last.detail == {
        "code": "worker.error",
        "message": "RuntimeError: refused for [redacted]",
    }


@pytest.mark.parametrize(("room", "asked"), [(0, 0), (1, 1)])
async def test_in_strict_mode_a_failing_write_stops_the_step(room: int, asked: int) -> None:
    work = Flaky(0)
    bench = Bench(functions={"work": work}, audit=FullDisk(room))
    outcome = await bench.run(["audit"])
    assert outcome.error is not None
    assert outcome.error["cause_code"] == "audit.failed"
    assert "no space left" in outcome.error["message"]
    assert work.asked == asked


async def test_otherwise_it_does_not() -> None:
    bench = Bench(functions={"work": Flaky(0)}, audit=FullDisk(0))
    outcome = await bench.run([{"use": "audit", "strict": False}])
    assert outcome.ctx["out"] == 1


async def test_a_host_without_a_log_does_nothing_unrecorded() -> None:
    bench = Bench(functions={"work": Flaky(0)}, audit=None)
    outcome = await bench.run(["audit"])
    assert outcome.error is not None
    assert outcome.error["cause_code"] == "audit.failed"
    assert "expected a host with an audit log, got none" in outcome.error["message"]


async def test_a_cancelled_step_is_recorded_and_not_held_up() -> None:
    async def stay(value: object) -> object:
        await anyio.sleep_forever()

    clock, log = FakeClock(), MemoryAudit()
    bench = Bench(clock=clock, audit=log, functions={"work": stay})
    async with bench.host() as host:
        made = document({"work": {}}, step("work"), ["audit"])
        run = await host.start(await host.load(made), {"given": 1})
        await clock.settle()
        await run.cancel("enough")
        assert (await run.wait()).status == "cancelled"
    assert [entry.decision for entry in of_steps(log)] == ["begun", "cancelled"]


async def test_it_can_be_called_through_alone() -> None:
    log = MemoryAudit()
    layer = built_layer(AUDIT, audit=log)
    assert (await call_through(layer, [5])).value == 5
    with pytest.raises(WorkerFailure):
        await call_through(layer, [ValueError("no")])
    decisions: list[Any] = [entry.decision for entry in log.entries]
    assert decisions == ["begun", "done", "begun", "failed"]


async def test_a_log_that_takes_its_time_keeps_the_end_of_a_cancelled_step() -> None:
    class Slow(MemoryAudit):
        async def append(self, entry: AuditEntry | WrittenEntry) -> None:
            await checkpoint()
            await super().append(entry)

    async def stay(call: Call, link: StepLink) -> Outcome:
        await anyio.sleep_forever()
        return Outcome(None)

    log = Slow()
    layer, clock = built_layer(AUDIT, audit=log), FakeClock()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call_through, layer, stay)
        await clock.settle()
        tasks.cancel_scope.cancel()
    assert [entry.decision for entry in log.entries] == ["begun", "cancelled"]


# -- the entry before, in the transaction that begins the attempt --------------------------------


async def commits_of(folder: Path, layers: list[Any]) -> tuple[int, list[str]]:
    """Run a chain of steps on a disk; return how many commits it took, and what was recorded."""
    parts = Parts.at(folder, "normal")
    async with Host(parts, layers=layers, checkpoint_every=0) as host:
        host.function("work")(Flaky(0))
        made = document({"work": {}}, seq(*[step("work")] * 5))
        await (await host.start(await host.load(made), {"given": 1})).result()
        assert isinstance(parts.journal, SqliteJournal)
        commits = parts.journal.statistics().commits
        decisions = [entry.decision for entry in await host.audit() if entry.verb == "do"]
    return commits, decisions


async def test_the_entry_before_takes_no_commit_of_its_own(tmp_path: Path) -> None:
    bare, nothing = await commits_of(tmp_path / "bare", [])
    recorded, decisions = await commits_of(tmp_path / "recorded", ["audit"])
    assert (nothing, decisions) == ([], ["begun", "done"] * 5)
    assert recorded == bare


async def test_behind_a_layer_that_asks_again_each_call_has_its_entry() -> None:
    class Twice:
        def __init__(self, params: LayerParams, site: Site) -> None: ...

        async def __call__(self, call: LayerCall, next: Next) -> Outcome:
            await next(call)
            return await next(call)

    bench = Bench(functions={"work": Flaky(0)})
    async with bench.host() as host:
        host.layer(LayerFactory("twice", 5, LayerParams, Twice))
        made = document({"work": {}}, step("work"), ["audit", "twice"])
        await (await host.start(await host.load(made), {"given": 1})).result()
    decisions = [entry.decision for entry in of_steps(bench.audit or MemoryAudit())]
    assert decisions == ["begun", "done", "begun", "done"]


async def test_what_another_agent_is_asked_for_has_its_own_entry() -> None:
    async def ask(given: Any, step: StepContext) -> Any:
        return await step.call("work", {"asked": given})

    bench = Bench(functions={"work": Flaky(0)})
    async with bench.host() as host:
        host.function("ask")(ask)
        flow = seq(step("work"), step("ask"))
        made = document({"work": {}, "ask": {}}, flow, ["audit"])
        await (await host.start(await host.load(made), {"given": 1})).result()
    told = [(e.actor, e.decision, e.input) for e in of_steps(bench.audit or MemoryAudit())]
    given, asked = digest_of(1), digest_of({"asked": 1})
    assert told[2:] == [
        ("agent:ask", "begun", given),
        ("agent:work", "begun", asked),
        ("agent:work", "done", asked),
        ("agent:ask", "done", given),
    ]


async def test_an_attempt_that_the_budget_refuses_has_no_entry() -> None:
    bench = Bench(functions={"work": Flaky(0)})
    async with bench.host() as host:
        made = document({"work": {}}, seq(step("work"), step("work")), ["audit"])
        run = await host.start(await host.load(made), {"given": 1}, budget={"steps": 1})
        assert (await run.wait()).status == "failed"
    assert [e.decision for e in of_steps(bench.audit or MemoryAudit())] == ["begun", "done"]


async def test_what_was_held_back_for_a_step_that_is_not_recorded_is_free_again() -> None:
    bench = Bench(functions={"work": Flaky(0)}, audit=FullDisk(0))
    flow = seq({"kind": "try", "body": step("work"), "catch": seq()}, step("work"))
    async with bench.host() as host:
        made = document({"work": {"reserve": {"tokens": 40}}}, flow, ["audit"])
        run = await host.start(await host.load(made), {"given": 1}, budget={"tokens": 60})
        error = (await run.wait()).error
    assert error is not None
    assert (error["code"], error["cause_code"]) == ("step.failed", "audit.failed")


@pytest.mark.parametrize("strict", [True, False])
async def test_what_is_not_recorded_is_told_to_whoever_runs_the_host(
    strict: bool, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(functions={"work": Flaky(0)}, audit=None)
    outcome = await bench.run([{"use": "audit", "strict": strict}])
    why = "expected a host with an audit log, got none"
    told = [said for said in caplog.messages if "is not audited" in said]
    assert told == [f"run r_1 step $ is not audited: {why}"] * (1 if strict else 2)
    if strict:
        assert outcome.error is not None
        said = f"'work': expected its audit entry to be kept, got: {why}"
        assert outcome.error["message"].endswith(said)


async def test_where_nothing_is_recorded_a_step_is_cancelled_all_the_same() -> None:
    async def stay(call: Call, link: StepLink) -> Outcome:
        await anyio.sleep_forever()
        return Outcome(None)

    class Shut(MemoryAudit):
        def record(self, entry: AuditEntry | WrittenEntry) -> None:
            if entry_of(entry).decision == "cancelled":
                raise OSError("shut")
            super().record(entry)

    log = Shut()
    layer, clock = built_layer(AUDIT, audit=log), FakeClock()
    ended: list[str] = []

    async def call() -> None:
        try:
            await call_through(layer, stay)
        except anyio.get_cancelled_exc_class():
            ended.append("cancelled")
            raise

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.settle()
        tasks.cancel_scope.cancel()
    assert ended == ["cancelled"]
    assert [entry.decision for entry in log.entries] == ["begun"]
