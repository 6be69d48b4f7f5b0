"""Agents of kind `process` under test: made as a blueprint's are, asked without a host."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import anyio

from flowir import WorkerFailure
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.lua.runner import InlineScripts
from swarm.ports.questions import Ask
from swarm.ports.worker import Call, Holding, Outcome, Toolbox
from swarm.workers.process.child import Patience
from swarm.workers.process.factory import ProcessFactory
from swarm.workers.process.house import ProcessHouse, marked_processes
from swarm.workers.process.settings import ProcessSettings

PYTHON = "python3"


class Told:
    """Keeps what is told; programs use nothing else of a link."""

    cancelled = False

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def progress(self, text: str) -> None:
        self.texts.append(text)

    async def part(self, name: str, value: Any) -> Mapping[str, Any]: ...

    async def read(self, reference: Any) -> Any: ...

    async def call(self, agent: str, input: Any) -> Any: ...

    async def ask(self, ask: Ask) -> Any: ...

    async def run(self, blueprint: CompiledBlueprint, input: Any) -> Any: ...

    async def sleep(self, seconds: float) -> None: ...

    def held(self) -> Holding:
        return nullcontext()


class Shop:
    """A host's share in its programs, and one agent after the other."""

    def __init__(self, folder: Path | None = None, **settings: Any) -> None:
        settings.setdefault("patience", Patience())
        self.house = ProcessHouse(ProcessSettings(**settings))
        self.folder = folder
        self.told = Told()

    async def ask(self, argv: list[str], given: Any = None, **fields: Any) -> Outcome:
        """Make an agent and let it do a step."""
        call_fields = {
            name: fields.pop(name) for name in ("timeout_s", "key", "attempt") if name in fields
        }
        agent = AgentSpec("tool", "process", {"argv": argv, **fields})
        factory = ProcessFactory(self.house)
        tools = Toolbox(InlineScripts(), {}, self.folder, secrets=self.house.secrets)
        assert list(factory.problems(agent, tools)) == []
        key = call_fields.pop("key", "$")
        call = Call("r_1", key, "tool", given, spec=agent, node_id="the_step", **call_fields)
        return await factory.build(agent, tools)(call, self.told)

    async def value(self, argv: list[str], given: Any = None, **fields: Any) -> Any:
        return (await self.ask(argv, given, **fields)).value

    async def failure(self, argv: list[str], given: Any = None, **fields: Any) -> WorkerFailure:
        found: WorkerFailure | None = None
        try:
            await self.ask(argv, given, **fields)
        except WorkerFailure as failure:
            found = failure
        assert found is not None, "expected a failure"
        assert "\n" not in found.message
        return found

    def left(self) -> list[int]:
        """Return the processes that carry this host's mark and are alive."""
        mark = self.house.mark(Call("", "", "", None)).partition(":")[0]
        return [pid for pid in marked_processes(mark) if is_alive(pid)]

    def keepers(self) -> list[int]:
        """Return the keepers at work, be they zombies."""
        nursery = self.house.nursery.pid
        return [] if nursery is None else children_of(nursery)


@contextmanager
def open_shop(folder: Path | None = None, **settings: Any) -> Generator[Shop]:
    shop = Shop(folder, **settings)
    try:
        yield shop
    finally:
        shop.house.close()


def python(script: str, *args: str) -> list[str]:
    """Return a program that is a script, whatever braces that has."""
    return [PYTHON, "-c", literal(script), *args]


def sh(script: str) -> list[str]:
    return ["sh", "-c", literal(script)]


def literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def state_of(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_alive(pid: int) -> bool:
    return state_of(pid) not in (None, "Z")


def children_of(parent: int) -> list[int]:
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


async def until(true: Callable[[], bool]) -> None:
    """Wait for what other processes do, which nobody here can set an event for."""
    with anyio.fail_after(30):
        while not true():  # noqa: ASYNC110
            await anyio.sleep(0.003)


async def idle(shop: Shop) -> None:
    """Wait until the last keeper has been reaped: it says goodbye before it goes.

    The one that waits for the next program is sent away.
    """
    waiting = shop.house.nursery._spares  # pyright: ignore[reportPrivateUsage]
    while waiting:
        waiting.pop().close()
    await until(lambda: not shop.keepers())
