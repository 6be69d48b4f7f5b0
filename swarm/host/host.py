"""`swarm.Host`: runs blueprints, for as long as it is open.

A host owns its tasks, its registry and its functions; nothing is global, and two hosts in
one process do not know of each other. It installs no signal handlers and configures no
logging: that is the app's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup

from flowir.door import admit
from flowir.errors import FlowError, shorten
from swarm.blueprint.canonical import digest_of
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.compiler.load import Source, load_blueprint
from swarm.compiler.registry import Registry
from swarm.core.driver import MAX_TASKS, Driver
from swarm.core.log import RunLog
from swarm.core.run import ENDED
from swarm.errors import Refused
from swarm.host.parts import Parts
from swarm.host.run import Run
from swarm.ids import RunId, parse_run_id
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import Toolbox
from swarm.workers.function import FunctionFactory, Signature, SignatureRefused
from swarm.workers.lua import LuaFactory
from swarm.workers.process import ProcessFactory
from swarm.workers.sleep import SleepFactory

__all__ = ("Host", "run_blocking")

_F = TypeVar("_F", bound=Callable[..., Any])


class Host:
    """Loads blueprints and runs them, between `async with` and its end.

    >>> async def main() -> Any:
    ...     async with Host.in_memory() as host:
    ...         blueprint = await host.load({"swarm": 1, "id": "hello", "agents": [],
    ...             "flow": {"kind": "assign", "at": "ctx.said", "value": "'hello'"}})
    ...         run = await host.start(blueprint, {})
    ...         return await run.result()
    >>> anyio.run(main)
    {'said': 'hello'}

    Shape: *store* is the folder that holds the state, or the parts themselves.
    Units: *max_tasks* bounds the steps of one run that are in flight at a time;
    *shutdown_s* bounds how long leaving waits for runs to wind up, in real seconds.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | Parts,
        *,
        max_tasks: int = MAX_TASKS,
        shutdown_s: float = 10.0,
    ) -> None:
        self._parts = store if isinstance(store, Parts) else Parts.at(store)
        self._max_tasks = max_tasks
        self._shutdown_s = shutdown_s
        self._functions: dict[str, Callable[..., Any]] = {}
        self._tools = Toolbox(InlineScripts(), self._functions, Path.cwd())
        self._runs: dict[RunId, Run] = {}
        self._tasks: TaskGroup | None = None
        self.registry = Registry(
            (FunctionFactory(), LuaFactory(), ProcessFactory(), SleepFactory(self._parts.clock))
        )

    @classmethod
    def in_memory(cls, *, max_tasks: int = MAX_TASKS, shutdown_s: float = 10.0) -> Host:
        """Make a host that remembers nothing beyond itself."""
        return cls(Parts.in_memory(), max_tasks=max_tasks, shutdown_s=shutdown_s)

    # -- open and close ----------------------------------------------------------------

    async def __aenter__(self) -> Host:
        if self._tasks is not None:
            raise Refused("host.open", "host: expected one that is closed, got an open one")
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._tasks = tasks
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tasks = self._open_tasks()
        self._tasks = None
        with anyio.move_on_after(self._shutdown_s, shield=True):
            await self._wind_up()
        tasks.cancel_scope.cancel()
        # The body's own error goes its own way: the group would wrap it into another.
        await tasks.__aexit__(None, None, None)

    async def _wind_up(self) -> None:
        for run in self._runs.values():
            await run.cancel("the host is closing")
        for run in self._runs.values():
            await run.wait()

    def _open_tasks(self) -> TaskGroup:
        if self._tasks is None:
            raise Refused(
                "host.closed", "host: expected an open one, got a closed one — async with host:"
            )
        return self._tasks

    # -- what it knows -----------------------------------------------------------------

    def function(self, name: str) -> Callable[[_F], _F]:
        """Register a Python function for agents of kind `function`.

        Raises: Refused (function.taken, function.signature).
        """

        def register(function: _F) -> _F:
            if name in self._functions:
                raise Refused(
                    "function.taken", f"host.function: expected a new name, got {name!r} again"
                )
            try:
                Signature.of(name, function)
            except SignatureRefused as refused:
                said = f"host.function: {name!r} {refused}"
                raise Refused("function.signature", said) from refused
            self._functions[name] = function
            return function

        return register

    async def load(self, source: Source) -> CompiledBlueprint:
        """Compile a blueprint: the path of a Lua, JSON or YAML file, or a document.

        Raises: BlueprintInvalid, with every problem.
        """
        return await load_blueprint(source, registry=self.registry, tools=self._tools)

    # -- runs --------------------------------------------------------------------------

    async def start(
        self,
        blueprint: CompiledBlueprint | str,
        input: Any = None,
        *,
        run_id: str | None = None,
    ) -> Run:
        """Start a run; *input* is its first context (none: an empty object).

        With a *run_id* of the caller's own this may be repeated: the same blueprint and
        input give the same run.
        Raises: Refused (host.closed, blueprint.unknown, run.id, run.input, run.conflict).
        """
        self._open_tasks()
        if isinstance(blueprint, str):
            raise Refused(
                "blueprint.unknown",
                f"host.start: expected a loaded blueprint or one of the store, got "
                f"{blueprint!r} — await host.load(path)",
            )
        first = self._first_context(blueprint, input)
        digest = digest_of(first)
        chosen = self._parts.ids.run_id() if run_id is None else parse_run_id(run_id)
        known = self._runs.get(chosen)
        if known is not None:
            return await self._again(known, blueprint, digest)
        return await self._new(chosen, blueprint, first, digest)

    def _first_context(self, blueprint: CompiledBlueprint, input: Any) -> Any:
        try:
            return admit({} if input is None else input, limits=blueprint.flow.limits)
        except FlowError as refused:
            raise Refused("run.input", f"input: {refused}", at=refused.at) from refused

    async def _again(self, run: Run, blueprint: CompiledBlueprint, digest: str) -> Run:
        if run.blueprint.digest != blueprint.digest or run.input != digest:
            what = "blueprint" if run.blueprint.digest != blueprint.digest else "input"
            raise Refused(
                "run.conflict",
                f"run {run.id}: expected the {what} that it was started with, got another",
                run_id=run.id,
            )
        await run.begun()
        return run

    async def _new(
        self, run_id: RunId, blueprint: CompiledBlueprint, first: Any, digest: str
    ) -> Run:
        parts = self._parts
        log = RunLog(run_id, parts.journal, parts.clock)
        driver = Driver(blueprint, first, log=log, clock=parts.clock, max_tasks=self._max_tasks)
        run = Run(blueprint, digest, driver, log)
        # Known before it exists, so that a second start of the same id meets it.
        self._runs[run_id] = run
        await run.begin()
        self._open_tasks().start_soon(run.drive)
        return run

    async def run(self, run_id: str) -> Run:
        """Return a run by its id.

        Raises: Refused (run.unknown).
        """
        found = self._runs.get(RunId(run_id))
        if found is None:
            raise Refused(
                "run.unknown",
                f"expected the id of a run of this host, got {shorten(run_id)}",
                run_id=run_id,
            )
        return found

    async def runs(self, *, live: bool = False) -> tuple[Run, ...]:
        """Return the host's runs in the order in which they began; *live*: not yet ended."""
        found = self._runs.values()
        return tuple(run for run in found if not live or run.status not in ENDED)


def run_blocking(
    blueprint: CompiledBlueprint | Source,
    input: Any = None,
    *,
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> Any:
    """Run a blueprint to its end, in memory, and return the final context.

    Shape: *functions* by the names under which the blueprint's agents know them.
    Raises: BlueprintInvalid; RunFailed.
    """

    async def main() -> Any:
        async with Host.in_memory() as host:
            for name, function in (functions or {}).items():
                host.function(name)(function)
            loaded = blueprint
            if not isinstance(loaded, CompiledBlueprint):
                loaded = await host.load(loaded)
            return await (await host.start(loaded, input)).result()

    return anyio.run(main)
