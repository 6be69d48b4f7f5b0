"""`swarm.Host`: runs blueprints, for as long as it is open.

    async with   opens the store, takes over what an earlier host left, and goes on with it
    its end      lets what runs rest where it is; without a store on a disk, cancels it

A host owns its tasks, its registry and its functions; nothing is global, and two hosts in
one process do not know of each other. It installs no signal handlers and configures no
logging: that is the app's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import anyio
from anyio.abc import TaskGroup

from flowir.records import dataclass
from swarm.blueprint.budget import Budget
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.compiler.layering import Layering
from swarm.compiler.load import Source, load_blueprint
from swarm.compiler.registry import Registry
from swarm.compiler.shelf import INCLUDE_NAME
from swarm.compiler.source import is_file_name
from swarm.core.acts import tell
from swarm.core.capability.verbs import TABLE, altered
from swarm.core.deadlines import Deadlines
from swarm.core.driver import MAX_TASKS
from swarm.core.run import RunStatus
from swarm.core.tasks import to_its_end
from swarm.errors import Refused, SwarmError
from swarm.host.blueprints import Blueprints
from swarm.host.collection import Collected, Retention
from swarm.host.desk import Desk
from swarm.host.lists import counted, one_of_statuses, page
from swarm.host.parts import Parts, git_versions
from swarm.host.past import Past
from swarm.host.places import Place
from swarm.host.recorder import Recorder
from swarm.host.records import Records
from swarm.host.rounds import Once, Rounds
from swarm.host.run import Run
from swarm.host.runs import Runs, closed
from swarm.ids import parse_run_id
from swarm.lua.choice import ChosenScripts, Trust
from swarm.middleware.shipped import SHIPPED
from swarm.ports.audit import AuditEntry, CheckpointSink
from swarm.ports.journal import Health
from swarm.ports.layer import LayerFactory, LayerHost
from swarm.ports.operators import OperatorLink
from swarm.ports.scripts import ScriptRunner
from swarm.ports.versions import VersionStore
from swarm.ports.worker import Call, Toolbox
from swarm.stores.inbox import Inbox
from swarm.stores.sqlite import Durability
from swarm.workers.flow import FlowFactory
from swarm.workers.function import FunctionFactory, Signature, SignatureRefused, in_place
from swarm.workers.human import HumanFactory
from swarm.workers.lua import LuaFactory
from swarm.workers.operator import OperatorFactory
from swarm.workers.process.factory import ProcessFactory
from swarm.workers.process.house import ProcessHouse
from swarm.workers.process.settings import ProcessSettings
from swarm.workers.sleep import SleepFactory

if TYPE_CHECKING:
    from fastapi import FastAPI

    from swarm.api.door import Asgi, Bounds
    from swarm.api.served import ServedEnhancer
    from swarm.core.capability.guard import Guard, KeyStore
    from swarm.host.authority import Authority
    from swarm.host.guest import Guest

__all__ = ("Host",)

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

    Shape: *store* is the folder that holds the state, the parts themselves, or a kind of
    store that is installed (`kind://…`, an entry point of `swarm.stores`); a folder is
    opened with the host, and has one host at a time. *resume* says whether runs that
    were interrupted go on of themselves (`auto`) or when they are told to (`manual`).
    *durability* is what an acknowledged event survives: a loss of power (`full`), or the
    death of the process (`normal`). *scripts* says where Lua runs: in locked-down children
    (`pool`), but for scripts whose `script_digest` is in *inline_scripts*, or all of it in
    this process (`inline`). *layers* stand around every agent: keys, or objects with `use`
    and parameters (`docs/layers.md`); *operators* is the way to those who are asked.
    *checkpoints* are where signed checkpoints of the audit log go (None: a file of the
    store's folder) whenever *checkpoint_every* more entries are kept (0: on demand only), and
    at the latest *checkpoint_s* seconds after an entry; the key that signs tokens is replaced
    when it is *rotate_s* seconds old (0: on demand only).
    *roles* replaces rows of the table of who may do what
    (`docs/capability.md`).
    *includes* are folders by name, from which any blueprint may take texts and agents
    (`shared:agents/critic.md`).
    *processes* says how agents that are programs are run.
    Units: *max_tasks* bounds the steps of one run that are in flight at a time;
    *concurrency* the attempts of all runs that go on at a time (None: any number);
    *max_deaths* the hosts in a row that may die on a run before it is set aside;
    *shutdown_s* how long leaving waits for runs to wind up, in real seconds.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | Parts,
        *,
        resume: Literal["auto", "manual"] = "auto",
        durability: Durability = "full",
        max_tasks: int = MAX_TASKS,
        max_deaths: int = 100,
        concurrency: int | None = None,
        shutdown_s: float = 10.0,
        scripts: Trust = "pool",
        inline_scripts: Collection[str] = (),
        layers: Sequence[str | Mapping[str, Any]] = (),
        operators: OperatorLink | None = None,
        roles: Mapping[str, Collection[str]] | None = None,
        includes: Mapping[str, str | os.PathLike[str]] | None = None,
        checkpoints: Sequence[CheckpointSink] | None = None,
        checkpoint_every: int = 100,
        checkpoint_s: float = 60.0,
        rotate_s: float = 86_400.0,
        processes: ProcessSettings | None = None,
    ) -> None:
        self._sinks = checkpoints
        self._every = checkpoint_every
        self._rounds_s = (checkpoint_s if checkpoint_every else 0.0, rotate_s)
        self._table = TABLE if roles is None else altered(roles)
        self._place = Place.of(store, durability)
        self._scratch: TemporaryDirectory[str] | None = None
        self._resume = resume == "auto"
        self._max_tasks = max_tasks
        self._max_deaths = max_deaths
        self._concurrency = concurrency
        self._shutdown_s = shutdown_s
        self._functions: dict[str, Callable[..., Any]] = {}
        self._scripts = ChosenScripts(scripts, inline_scripts)
        self._house = ProcessHouse(processes)
        self._folder = self._place.folder
        secrets = self._house.secrets
        self._tools = Toolbox(
            self._scripts, self._functions, Path.cwd(), _folders(includes or {}), secrets
        )
        self._open: _Open | None = None
        self._around = LayerHost(self._place.clock, operators=operators)
        self._layering = Layering(self._around, SHIPPED, layers)
        self._blueprints: Blueprints | None = None
        self._enhancer: ServedEnhancer | None = None
        self.registry = Registry(
            (
                FunctionFactory(),
                LuaFactory(),
                ProcessFactory(self._house),
                SleepFactory(),
                HumanFactory(),
            ),
            layers=self._layering,
        )
        self.registry.register(FlowFactory(self.registry))
        self.registry.register(OperatorFactory(lambda: operators, self.worker_token))

    @classmethod
    def in_memory(
        cls,
        *,
        max_tasks: int = MAX_TASKS,
        shutdown_s: float = 10.0,
        scripts: Trust = "pool",
        inline_scripts: Collection[str] = (),
        layers: Sequence[str | Mapping[str, Any]] = (),
        operators: OperatorLink | None = None,
        roles: Mapping[str, Collection[str]] | None = None,
        includes: Mapping[str, str | os.PathLike[str]] | None = None,
        processes: ProcessSettings | None = None,
    ) -> Host:
        """Make a host that remembers nothing beyond itself."""
        return cls(
            Parts.in_memory(),
            max_tasks=max_tasks,
            shutdown_s=shutdown_s,
            scripts=scripts,
            inline_scripts=inline_scripts,
            layers=layers,
            operators=operators,
            roles=roles,
            includes=includes,
            processes=processes,
        )

    # -- open and close ----------------------------------------------------------------

    async def __aenter__(self) -> Host:
        if self._open is not None:
            raise Refused("host.open", "host: expected one that is closed, got an open one")
        parts = self._place.open()
        try:
            self._house.open(self._folder if parts.durable else None)
        except BaseException:
            parts.close()
            raise
        keys = Once(parts.keys)
        sinks = parts.checkpoints if self._sinks is None else self._sinks
        recorder = Recorder(parts, keys, sinks, self._every)
        self._around.audit = recorder.log
        past = Past(parts.journal, self.registry, self._tools, self._lay_out)
        runs = Runs(
            parts,
            past,
            max_tasks=self._max_tasks,
            max_deaths=self._max_deaths,
            concurrency=self._concurrency,
            table=self._table,
            recorder=recorder,
            kinds=self._house.gates,
        )
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._open = _Open(parts, runs, tasks, keys, recorder)
        if self._around.operators is not None:
            self._around.operators.begin()
        try:
            short = await recorder.shortfall()
            await runs.open(tasks, resume=self._resume, short=short)
            if short is not None:
                await recorder.accept(short)
            checkpoint_s, rotate_s = self._rounds_s
            rounds = Rounds(
                parts.clock, recorder, keys, checkpoint_s=checkpoint_s, rotate_s=rotate_s
            )
            tasks.start_soon(rounds.serve)
            self._around.deadlines = deadlines = Deadlines(parts.clock)
            tasks.start_soon(deadlines.serve)
            if self._folder is not None and parts.durable:
                desk = Desk(Inbox(self._folder), parts.clock, self)
                tasks.start_soon(desk.serve)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        here = self._opened()
        parts, runs, tasks = here.parts, here.runs, here.tasks
        self._open = None
        operators = self._around.operators
        if operators is not None:
            operators.drain()
            if parts.durable:
                operators.rest()
        try:
            try:
                await to_its_end(self._wind_up, runs, parts)
            finally:
                tasks.cancel_scope.cancel()
                # The body's own error goes its own way: the group would wrap it into another.
                await tasks.__aexit__(None, None, None)
        finally:
            parts.close()
            self._leave_versions()
            self._house.close()
            await to_its_end(self._scripts.aclose)

    async def _wind_up(self, runs: Runs, parts: Parts) -> None:
        with anyio.move_on_after(self._shutdown_s):
            await runs.close()
            # Whoever was cancelled over a commit left it in the air.
            with suppress(SwarmError, MemoryError):
                await parts.journal.commit()

    def _leave_versions(self) -> None:
        if self._blueprints is not None:
            self._blueprints.close()
            if self._folder is None and self._place.parts is None:
                self._blueprints = None  # what is opened next has versions of its own
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    @property
    def durable(self) -> bool:
        """Whether a run that has not ended can be gone on with after this host."""
        return self._opened().parts.durable

    @property
    def scripts(self) -> ScriptRunner:
        """Where Lua runs."""
        return self._scripts

    @property
    def folder(self) -> Path | None:
        """The folder of its store, if it has one."""
        return self._folder

    @property
    def is_open(self) -> bool:
        """Whether it is between `async with` and its end."""
        return self._open is not None

    @property
    def health(self) -> Health:
        """Whether what is committed now will survive."""
        return self._opened().parts.journal.health

    @property
    def live_runs(self) -> int:
        """How many runs this host carries on."""
        return self._opened().runs.live

    @property
    def operators(self) -> OperatorLink | None:
        """The way to operators, if it has one."""
        return self._around.operators

    @property
    def records(self) -> Records:
        """The audit log, to be read and proved; a host without one has none."""
        here = self._opened()
        return Records(here.parts.records, self.checkpoint)

    def asgi(
        self, *, bounds: Bounds | None = None, sockets: Mapping[str, Asgi] | None = None
    ) -> FastAPI:
        """Return the HTTP API of this host, to be served or mounted (`docs/http.md`).

        Run by itself it opens the host and closes it; in another app the host is opened by
        that app. *sockets* are endpoints that speak WebSocket, by their paths; the one for
        the host's operators is among them.
        Raises: Refused (http.missing), where the extra `server` is not installed.
        """
        from swarm.host.serving import application

        return application(self, bounds, sockets)

    async def _lay_out(self, blueprint: str, label: str) -> None:
        """Bring back the files of a version that a run is pinned to."""
        found = await self.blueprints.find(f"{blueprint}@{label}")
        await self.blueprints.lay_out(found)

    def _opened(self) -> _Open:
        if self._open is None:
            raise closed()
        return self._open

    @property
    def blueprints(self) -> Blueprints:
        """The versions of blueprints in this host's store; to be used open or closed."""
        if self._blueprints is None:
            store, folder = self._versions()
            self._blueprints = Blueprints(
                store,
                self._place.clock,
                folder,
                registry=self.registry,
                tools=self._tools,
                recording=self._changing,
            )
        return self._blueprints

    async def _changing(self, verb: str, told: Mapping[str, Any]) -> None:
        """Record an act on versions; a host that is closed has no log to write to."""
        if self._open is not None:
            await self._open.recorder.ahead(verb, told)

    def _versions(self) -> tuple[VersionStore, Callable[[], Path]]:
        folder = self._folder
        if folder is not None:
            return git_versions(folder), lambda: folder.absolute() / "versions"
        # What another kind of store keeps is at hand while that is open.
        parts = self._place.parts or self._opened().parts
        return parts.versions(), self._scratch_folder

    def _scratch_folder(self) -> Path:
        """Return a folder for the files of versions, which goes with this host."""
        if self._scratch is None:
            self._scratch = TemporaryDirectory(prefix="swarm-")
        return Path(self._scratch.name)

    # -- what it knows -----------------------------------------------------------------

    def function(self, name: str, *, inline: bool = False) -> Callable[[_F], _F]:
        """Register a Python function for agents of kind `function`.

        An async one is awaited in place, a sync one runs in a thread. *inline*: a sync one is
        called in place too, a third of the cost; while it works everything else stands still
        and no time-out cuts it off, so it must neither wait nor compute for long.
        Raises: Refused (function.taken, function.signature).
        """

        def register(function: _F) -> _F:
            if name in self._functions:
                raise Refused(
                    "function.taken", f"host.function: expected a new name, got {name!r} again"
                )
            try:
                Signature.of(name, function)
                kept = in_place(name, function) if inline else function
            except SignatureRefused as refused:
                said = f"host.function: {name!r} {refused}"
                raise Refused("function.signature", said) from refused
            self._functions[name] = kept
            return function

        return register

    def layer(self, factory: LayerFactory[Any]) -> None:
        """Register a layer, for this host and its blueprints to ask for by its key.

        Raises: Refused (layer.taken).
        """
        self._layering.register(factory)

    def surround(self, layers: Sequence[str | Mapping[str, Any]]) -> None:
        """Put these layers, instead of those it has, around what is loaded from now on.

        Raises: Refused (layer.malformed).
        """
        self._layering.surround(layers)

    def run_programs(self, settings: ProcessSettings) -> None:
        """Run agents that are programs like this, instead, from the next attempt on.

        Limits are those that an agent was loaded with.
        """
        self._house.configure(settings)

    def secret(self, name: str, value: str) -> None:
        """Keep a secret for agents that name it in `secrets`.

        It reaches them on a pipe, never in arguments or environment, and is taken out of
        whatever they say. Raises: Refused (secret.name, secret.value).
        """
        self._house.secrets.add(name, value)

    @property
    def enhancer(self) -> ServedEnhancer | None:
        """Who improves its blueprints, if anybody does."""
        return self._enhancer

    def improve_by(self, enhancer: ServedEnhancer) -> None:
        """Let *enhancer* improve its blueprints; it says which version begins a new run."""
        self._enhancer = enhancer

    async def load_to_run(self, selector: str, run_id: str | None = None) -> CompiledBlueprint:
        """Compile the version that a new run of `id` or `id@selector` begins with.

        Shape: it is the one that is meant, or one that is tried on a share of its runs; for
        a *run_id* of the caller's own it is the same each time.
        Raises: as `load`.
        """
        if self._enhancer is not None:
            selector = await self._enhancer.serving(selector, run_id)
        return await self.blueprints.load(selector)

    async def load(self, source: Source) -> CompiledBlueprint:
        """Compile a blueprint: a file (Lua, JSON or YAML), a version, or a document.

        Shape: a text with a `/`, or with the ending of a file, is a path; any other is
        `id` or `id@selector`.
        Raises: BlueprintInvalid, with every problem; Refused (version.…).
        """
        if isinstance(source, str) and not is_file_name(source):
            return await self.blueprints.load(source)
        return await load_blueprint(
            source, registry=self.registry, tools=self._tools, versions=self._load_version
        )

    async def _load_version(self, selector: str) -> CompiledBlueprint:
        # Their store is opened for a blueprint that names one: libgit2 takes its time.
        return await self.blueprints.load(selector)

    # -- tokens ------------------------------------------------------------------------

    @property
    def tokens(self) -> Authority:
        """Who mints, revokes and judges the tokens of this host."""
        here = self._opened()
        if here.authority is None:
            from swarm.host.authority import Authority

            here.authority = Authority(here.parts, here.keys(), here.recorder, self._table)
        return here.authority

    def judge(self) -> Guard:
        """Return who judges tokens."""
        return self.tokens.guard

    def guest(self, token: str) -> Guest:
        """Return the host as the bearer of *token* may use it: each act is checked.

        A token that holds for nothing gets this far, and no further.
        """
        from swarm.host.guest import Guest

        return Guest(self, self.tokens, self._opened().recorder, token)

    def worker_token(self, call: Call) -> str:
        """Mint a token for the worker of an attempt, good for that attempt alone.

        It is minted when this is called: a step that needs none pays nothing.
        """
        return self.tokens.for_step(call)

    @property
    def recorder(self) -> Recorder:
        """Who writes the audit log of this host; there is one for each time it is open."""
        return self._opened().recorder

    async def audit(self, since: int = 0, *, limit: int = 1000) -> Sequence[AuditEntry]:
        """Return up to *limit* entries of the audit log: the first is number *since* + 1.

        Raises: Refused (host.closed, list.limit); SwarmError (audit.unavailable).
        """
        recorder = self._opened().recorder
        return await recorder.read(counted("audit", "since", since, 0), page("audit", limit))

    async def checkpoint(self) -> Mapping[str, Any]:
        """Sign how the audit log is now, hand that to where checkpoints go, and return it.

        Raises: SwarmError (audit.unavailable).
        """
        return (await self._opened().recorder.checkpoint()).to_wire()

    # -- runs --------------------------------------------------------------------------

    async def start(
        self,
        blueprint: CompiledBlueprint | Source,
        input: Any = None,
        *,
        run_id: str | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
    ) -> Run:
        """Start a run; *input* is its first context (none: an empty object).

        Shape: *blueprint* is what `load` gives, or takes.

        *budget* is what the run may use (`{"steps": 100, "cost": 2.5}`); where the
        blueprint has one too, the lower limit holds.

        With a *run_id* of the caller's own this may be repeated, by another process too:
        the same blueprint and input give the same run, and go on with it where it was
        interrupted.
        Raises: Refused (host.closed, run.id, run.input, run.conflict, budget.malformed), and
        as `load`.
        """
        runs = self._opened().runs
        if not isinstance(blueprint, CompiledBlueprint):
            if isinstance(blueprint, str) and not is_file_name(blueprint):
                blueprint = await self.load_to_run(blueprint, run_id)
            else:
                blueprint = await self.load(blueprint)
        first = blueprint.admitted(input)
        chosen = None if run_id is None else parse_run_id(run_id)
        limits = None if budget is None else Budget.of(budget)
        async with runs.doing("run.start", chosen):
            return await runs.start(blueprint, first, chosen, blueprint.budget(limits))

    async def run(self, run_id: str) -> Run:
        """Return a run by its id, whether it is carried on or not.

        One that an earlier host left is returned once this one goes on with it.
        Raises: Refused (host.closed, run.unknown).
        """
        return await self._opened().runs.get(run_id)

    async def runs(
        self,
        status: RunStatus | Collection[RunStatus] | None = None,
        *,
        limit: int = 1000,
        before: str | None = None,
    ) -> tuple[Run, ...]:
        """Return the runs, the latest first.

        Shape: *status* chooses, one or several; *before* continues a list behind the run
        of that id. Units: *limit* from 1 to 10,000.
        Raises: Refused (host.closed, list.status, list.limit, run.unknown).
        """
        chosen = one_of_statuses(status)
        return await self._opened().runs.list(chosen, page("runs", limit), before)

    async def resume(self, run_id: str) -> Run:
        """Go on with a run that is interrupted, paused, blocked, or waits unattended.

        Attempts that had begun without an end are made again under the same number;
        what has an answer is not done again. A run that is carried on is returned as it is.
        Raises: Refused (run.unknown, run.state); BlueprintInvalid, SwarmError
        (resume.conflict, journal.damaged), with the run blocked.
        """
        runs = self._opened().runs
        # Not waited for where the host is about to go on with it: it might have ended by then.
        run = await runs.known(run_id)
        async with runs.doing("run.resume", run.id):
            await runs.resume(run)
        return run

    async def gc(
        self,
        *,
        older_than_s: float | None = None,
        status: str | Collection[str] | None = None,
        keep: int = 0,
        dry_run: bool = False,
    ) -> Collected:
        """Remove runs that have ended, with the runs within them and what nobody else holds.

        Shape: *status* are the ends that may go, one or several (None: all); the latest *keep*
        of them stay; *dry_run* only tells. Units: *older_than_s* in seconds since a run's end.
        Raises: Refused (host.closed, retention.malformed).
        """
        retention = Retention(older_than_s, status, keep).check()
        runs = self._opened().runs
        if dry_run:
            return await runs.collect(retention, dry_run=True)
        async with runs.doing("run.forget"):
            gone = await runs.collect(retention, dry_run=False)
            if gone.runs:
                tell({"runs": len(gone.runs)})
            return gone

    async def rerun(
        self,
        run_id: str,
        *,
        from_step: str,
        set: Mapping[str, Any] | None = None,
        new_id: str | None = None,
    ) -> Run:
        """Start a run that begins with another's answers, up to a step.

        Shape: *from_step* is the key of a step, or the id or place of its node (its first
        step counts). *set* is written into the context just before the step computes its
        input, by path. All is checked before anything is created.
        Raises: Refused (run.unknown, run.id, run.conflict, rerun.step, rerun.set);
        BlueprintInvalid; SwarmError (resume.conflict).
        """
        old = await self.run(run_id)
        chosen = None if new_id is None else parse_run_id(new_id)
        runs = self._opened().runs
        async with runs.doing("run.rerun", old.id):
            return await runs.rerun(old, from_step, set or {}, chosen)


@dataclass(slots=True)
class _Open:
    """What a host has while it is open; its authority is there once a token turned up."""

    parts: Parts
    runs: Runs
    tasks: TaskGroup
    keys: Callable[[], KeyStore]
    recorder: Recorder
    authority: Authority | None = None


def _folders(includes: Mapping[str, str | os.PathLike[str]]) -> dict[str, Path]:
    """Read the include folders of a host.

    Raises: Refused (host.include).
    """
    for name in includes:
        if not INCLUDE_NAME.fullmatch(name):
            said = f"includes: expected names of 2 to 32 of a-z, 0-9, '_', '-', got {name!r}"
            raise Refused("host.include", said)
    return {name: Path(folder).absolute() for name, folder in includes.items()}
