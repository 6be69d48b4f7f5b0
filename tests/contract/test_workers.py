"""What every worker must do, whatever its kind: one suite over all of them.

Each kind brings agents that do the same four things: answer with what they were given,
fail with a sentence, stay until they are stopped, and change their own input.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import anyio
import pytest

from swarm.blueprint.agent import AgentSpec
from swarm.core.driver import Driver
from swarm.core.log import RunLog
from swarm.core.run import RunOutcome
from swarm.ids import RunId
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import Toolbox, Worker, WorkerFactory
from swarm.testing import FakeClock, MemoryJournal, scripted_blueprint
from swarm.workers.context import StepContext
from swarm.workers.function import FunctionFactory
from swarm.workers.lua import LuaFactory
from swarm.workers.process.child import Patience
from swarm.workers.process.factory import ProcessFactory
from swarm.workers.process.house import ProcessHouse, marked_processes
from swarm.workers.process.settings import ProcessSettings

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Kind(Protocol):
    """A kind of worker under test: the settings of its agents, and what it fails with."""

    failure: str

    def worker(self, what: str) -> Worker: ...

    def busy(self) -> bool: ...


def build(factory: WorkerFactory, settings: dict[str, Any], tools: Toolbox) -> Worker:
    agent = AgentSpec("worker", factory.kind, settings)
    assert set(settings) <= factory.fields
    assert set(settings) >= factory.required
    assert list(factory.problems(agent, tools)) == []
    return factory.build(agent, tools)


def toolbox(functions: dict[str, Any] | None = None) -> Toolbox:
    return Toolbox(InlineScripts(), functions or {}, Path.cwd())


class AsyncFunctions:
    failure = "worker.error"

    def __init__(self) -> None:
        self.inside = 0

    def worker(self, what: str) -> Worker:
        return build(FunctionFactory(), {"function": what}, toolbox({what: getattr(self, what)}))

    def busy(self) -> bool:
        return self.inside > 0

    async def echo(self, value: Any) -> Any:
        return value

    async def fail(self, value: Any) -> Any:
        raise RuntimeError("went wrong")

    async def spoil(self, value: Any) -> Any:
        value["list"].append(2)
        return value

    async def stay(self, value: Any) -> Any:
        self.inside += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.inside -= 1


class SyncFunctions:
    """A thread is abandoned; this one looks whether somebody still waits for it."""

    failure = "worker.error"

    def __init__(self) -> None:
        self.inside = 0
        self.release = threading.Event()

    def worker(self, what: str) -> Worker:
        return build(FunctionFactory(), {"function": what}, toolbox({what: getattr(self, what)}))

    def busy(self) -> bool:
        return self.inside > 0

    def echo(self, value: Any) -> Any:
        return value

    def fail(self, value: Any) -> Any:
        raise RuntimeError("went wrong")

    def spoil(self, value: Any) -> Any:
        value["list"].append(2)
        return value

    def stay(self, value: Any, context: StepContext) -> Any:
        self.inside += 1
        while not context.cancelled and not self.release.wait(0.001):
            pass
        self.inside -= 1
        return "too late"


class Scripts:
    """A script runs in one go, within its budget; it stays while it waits for another."""

    failure = "script.error"

    def __init__(self) -> None:
        self.other = AsyncFunctions()

    def worker(self, what: str) -> Worker:
        sources = {
            "echo": "return input",
            "fail": "error('went wrong')",
            "spoil": "input.list[#input.list + 1] = 2 return input",
            "stay": "return swarm.call('other', input)",
        }
        return build(LuaFactory(), {"source": sources[what]}, toolbox())

    def busy(self) -> bool:
        return self.other.busy()


class Processes:
    failure = "process.exit"

    def __init__(self) -> None:
        self.house = ProcessHouse(ProcessSettings(patience=Patience(grace_s=1)))

    def worker(self, what: str) -> Worker:
        scripts = {
            "echo": "print(json.dumps(json.load(sys.stdin)))",
            "fail": "sys.exit('went wrong')",
            "spoil": "v = json.load(sys.stdin); v['list'].append(2); print(json.dumps(v))",
            "stay": "import time; time.sleep(1000)",
        }
        argv = ["python3", "-c", f"import json, sys; {scripts[what]}"]
        settings = {"argv": argv, "input": "json", "output": "json"}
        return build(ProcessFactory(self.house), settings, toolbox())

    def busy(self) -> bool:
        """Tell whether a program is there, or its directory."""
        return any(marked_processes(self.house.mark_of(""))) or any(
            self.house.workdirs.root.glob("step-*")
        )


KINDS = {
    "async function": AsyncFunctions,
    "sync function": SyncFunctions,
    "lua": Scripts,
    "process": Processes,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    made = KINDS[request.param]()
    yield made
    if isinstance(made, SyncFunctions):
        made.release.set()
    if isinstance(made, Processes):
        made.house.close()


async def test_it_answers_with_a_value(kind: Kind) -> None:
    value: Any = {"text": "häß\n", "n": [1, 2.5, None, True], "none": {}}
    outcome = await run(kind, "echo", value)
    assert outcome.ctx == {"given": value, "got": value}


async def test_its_failure_has_a_code_and_a_sentence(kind: Kind) -> None:
    outcome = await run(kind, "fail", None)
    assert outcome.error is not None
    assert outcome.error["code"] == "step.failed"
    assert outcome.error["cause_code"] == kind.failure
    assert "went wrong" in outcome.error["message"]
    assert "\n" not in outcome.error["message"]


async def test_its_input_is_its_own(kind: Kind) -> None:
    outcome = await run(kind, "spoil", {"list": [1]})
    assert outcome.ctx == {"given": {"list": [1]}, "got": {"list": [1, 2]}}


async def test_a_cancelled_run_stops_it(kind: Kind) -> None:
    bench = Bench(kind, "stay", 1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        await bench.driver.cancel("enough")
    assert bench.driver.outcome is not None
    assert bench.driver.outcome.status == "cancelled"
    await gone(kind)


async def test_a_timeout_stops_it(kind: Kind) -> None:
    bench = Bench(kind, "stay", 1, timeout_s=5)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await bench.clock.settle()
        await bench.clock.advance(6)
    assert bench.driver.outcome is not None
    assert bench.driver.outcome.error is not None
    assert bench.driver.outcome.error["code"] == "step.timeout"
    await gone(kind)


class Bench:
    """One step of the worker under test, in a run on a fake clock."""

    def __init__(self, kind: Kind, what: str, value: Any, **fields: Any) -> None:
        given = {"op": "path", "at": "$.given"}
        step = {"kind": "step", "ref": "worker", "in": given, "out": "$.got", **fields}
        self.clock = FakeClock()
        log = RunLog(RunId("r_1"), MemoryJournal(), self.clock)
        other = kind.other.worker("stay") if isinstance(kind, Scripts) else ()
        agents = {"worker": kind.worker(what), "other": other}
        blueprint = scripted_blueprint(step, agents)
        self.driver = Driver(blueprint, {"given": value}, log=log, clock=self.clock)

    async def run(self) -> RunOutcome:
        await self.driver.begin()
        await self.driver.drive()
        assert self.driver.outcome is not None
        return self.driver.outcome


async def run(kind: Kind, what: str, value: Any) -> RunOutcome:
    return await Bench(kind, what, value).run()


async def gone(kind: Kind) -> None:
    """Wait for a thread to notice; everything else must be gone already."""
    with anyio.fail_after(10):
        while isinstance(kind, SyncFunctions) and kind.busy():  # noqa: ASYNC110 - a thread
            await anyio.sleep(0.001)
    assert not kind.busy()
