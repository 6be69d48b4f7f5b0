"""What the API needs of a host, and of a run: `swarm.Host` is one, and so may a test's be."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Literal, Protocol

from swarm.blueprint.budget import Budget
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.difference import Difference
from swarm.core.audit.entries import Kept
from swarm.core.capability.grant import Grant
from swarm.core.capability.guard import Guard, Pass
from swarm.core.log import EventStream
from swarm.core.questions import Question
from swarm.core.run import RunOutcome, RunStatus
from swarm.ports.journal import Health, RunRow
from swarm.ports.operators import OperatorLink, Order
from swarm.ports.versions import Contents, Entry
from swarm.ports.worker import Usage

__all__ = (
    "Registered",
    "Served",
    "ServedBlueprints",
    "ServedEnhancer",
    "ServedIssue",
    "ServedOutput",
    "ServedRecords",
    "ServedRun",
    "ServedStep",
    "Visitor",
)


class ServedOutput(Protocol):
    """Something that a step handed over as data."""

    @property
    def ref(self) -> str: ...  # noqa: D102
    def to_wire(self) -> dict[str, Any]: ...  # noqa: D102


class ServedRun(Protocol):
    """A run, as its host knows it."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def live(self) -> bool: ...  # noqa: D102
    @property
    def status(self) -> RunStatus: ...  # noqa: D102
    @property
    def summary(self) -> RunRow: ...  # noqa: D102
    def events(self, since: int = 0, *, follow: bool = True) -> EventStream: ...  # noqa: D102
    async def wait(self) -> RunOutcome: ...  # noqa: D102
    async def cancel(self, reason: str = ...) -> None: ...  # noqa: D102
    async def pause(self) -> None: ...  # noqa: D102
    async def outputs(self) -> Sequence[ServedOutput]: ...  # noqa: D102
    async def output_bytes(self, which: str) -> tuple[ServedOutput, bytes]: ...  # noqa: D102
    async def questions(self) -> tuple[Question, ...]: ...  # noqa: D102
    async def answer(  # noqa: D102
        self,
        question_id: str,
        value: Any,
        *,
        by: str | None = None,
        may: Collection[str] | None = None,
    ) -> None: ...


class Registered(Protocol):
    """What came of registering."""

    @property
    def entry(self) -> Entry: ...  # noqa: D102
    @property
    def is_new(self) -> bool: ...  # noqa: D102


class ServedBlueprints(Protocol):
    """The versions of blueprints."""

    async def find(self, selector: str) -> Entry: ...  # noqa: D102
    async def list(self) -> Sequence[Entry]: ...  # noqa: D102
    async def log(  # noqa: D102
        self, blueprint: str, *, limit: int = 50, before: int | None = None
    ) -> Sequence[Entry]: ...
    async def read(self, selector: str) -> Contents: ...  # noqa: D102
    async def tags(self, blueprint: str) -> Mapping[str, Entry]: ...  # noqa: D102
    async def diff(self, old: str, new: str) -> Difference: ...  # noqa: D102
    async def register(  # noqa: D102
        self,
        source: str | os.PathLike[str] | Mapping[str, Any],
        *,
        author: str,
        reason: str = "",
        bump: Literal["major", "minor", "patch"] = "patch",
        label: str | None = None,
        expected: str | None = None,
    ) -> Registered: ...
    async def rollback(  # noqa: D102
        self, selector: str, *, author: str, reason: str = ""
    ) -> Registered: ...
    async def tag(self, selector: str, tag: str) -> Entry: ...  # noqa: D102
    async def untag(self, blueprint: str, tag: str) -> None: ...  # noqa: D102


class ServedRecords(Protocol):
    """The audit log, to be read."""

    async def entries(  # noqa: D102
        self, since: int = 0, limit: int = 100, run: str | None = None
    ) -> Sequence[Kept]: ...
    async def prove(self, run: str, step: str | None = None) -> Mapping[str, Any]: ...  # noqa: D102


class ServedIssue(Protocol):
    """An issue, as far as it is."""

    def to_wire(self) -> dict[str, Any]: ...  # noqa: D102


class ServedEnhancer(Protocol):
    """Who improves the blueprints of a host."""

    async def submit(  # noqa: D102
        self,
        blueprint: str,
        intent: str,
        *,
        author: str,
        examples: Sequence[str] = (),
        key: str | None = None,
    ) -> ServedRun: ...
    async def issues(  # noqa: D102
        self, blueprint: str | None = None, *, limit: int = 1000
    ) -> Sequence[ServedIssue]: ...
    async def show(self, run_id: str) -> ServedIssue: ...  # noqa: D102
    async def approve(  # noqa: D102
        self,
        run_id: str,
        *,
        by: str,
        token: str | None = None,
        seen: tuple[str, str] | None = None,
    ) -> ServedRun: ...
    async def reject(self, run_id: str, *, by: str, reason: str = "") -> ServedRun: ...  # noqa: D102
    async def log(self, blueprint: str) -> list[dict[str, Any]]: ...  # noqa: D102
    async def serving(self, selector: str, run_id: str | None) -> str: ...  # noqa: D102
    def freeze(self, frozen: bool = True, blueprint: str | None = None) -> None: ...  # noqa: D102
    def frozen_for(self, blueprint: str | None = None) -> bool: ...  # noqa: D102


class ServedStep(Protocol):
    """An attempt, as its worker sees it from outside."""

    async def progress(self, text: str) -> None: ...  # noqa: D102
    async def part(self, name: str, value: Any) -> Any: ...  # noqa: D102
    async def order(self, key: str | None = None) -> Order: ...  # noqa: D102
    async def read(self, digest: str, key: str | None = None) -> Any: ...  # noqa: D102
    async def result(  # noqa: D102
        self,
        value: Any,
        *,
        usage: Usage | None = None,
        halted: str | None = None,
        key: str | None = None,
    ) -> bool: ...
    async def fail(  # noqa: D102
        self,
        code: str,
        message: str,
        *,
        permanent: bool = False,
        data: Any = None,
        usage: Usage | None = None,
        key: str | None = None,
    ) -> bool: ...


class Visitor(Protocol):
    """The bearer of a token: each act passes the guard."""

    def act(  # noqa: D102
        self,
        verb: str,
        run: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
    ) -> AbstractAsyncContextManager[Pass]: ...
    async def expect(  # noqa: D102
        self,
        verb: str,
        run: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
    ) -> None: ...
    def look(self, verb: str, run: str) -> None: ...  # noqa: D102
    def answering(  # noqa: D102
        self, run: str
    ) -> AbstractAsyncContextManager[tuple[str, tuple[str, ...]]]: ...
    async def admitted(self) -> Grant: ...  # noqa: D102
    def worker(self, run_id: str, key: str, attempt: int) -> ServedStep: ...  # noqa: D102
    async def delegate(  # noqa: D102
        self,
        verbs: Collection[str] | None = None,
        *,
        run: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
        ttl_s: int | None = None,
        uses: int | None = None,
        depth: int | None = None,
    ) -> str: ...
    async def revoke(self, **what: str) -> None: ...  # noqa: D102


class Served(Protocol):
    """A host."""

    async def __aenter__(self) -> Served: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    @property
    def is_open(self) -> bool: ...  # noqa: D102
    @property
    def durable(self) -> bool: ...  # noqa: D102
    @property
    def health(self) -> Health: ...  # noqa: D102
    @property
    def live_runs(self) -> int: ...  # noqa: D102
    @property
    def blueprints(self) -> ServedBlueprints: ...  # noqa: D102
    @property
    def operators(self) -> OperatorLink | None: ...  # noqa: D102
    @property
    def records(self) -> ServedRecords: ...  # noqa: D102
    @property
    def enhancer(self) -> ServedEnhancer | None: ...  # noqa: D102
    def judge(self) -> Guard: ...  # noqa: D102
    def guest(self, token: str) -> Visitor: ...  # noqa: D102
    async def load(  # noqa: D102
        self, source: str | os.PathLike[str] | Mapping[str, Any]
    ) -> CompiledBlueprint: ...
    async def load_to_run(  # noqa: D102
        self, selector: str, run_id: str | None = None
    ) -> CompiledBlueprint: ...
    async def start(  # noqa: D102
        self,
        blueprint: CompiledBlueprint | str,
        input: Any = None,
        *,
        run_id: str | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
    ) -> ServedRun: ...
    async def run(self, run_id: str) -> ServedRun: ...  # noqa: D102
    async def runs(  # noqa: D102
        self,
        status: RunStatus | Collection[RunStatus] | None = None,
        *,
        limit: int = 1000,
        before: str | None = None,
    ) -> Sequence[ServedRun]: ...
    async def resume(self, run_id: str) -> ServedRun: ...  # noqa: D102
    async def rerun(  # noqa: D102
        self,
        run_id: str,
        *,
        from_step: str,
        set: Mapping[str, Any] | None = None,
        new_id: str | None = None,
    ) -> ServedRun: ...
    async def checkpoint(self) -> Mapping[str, Any]: ...  # noqa: D102
