"""Lua scripts in locked-down children: for code that nobody answers for.

The same sandbox as in process, behind a second wall: a child has no file, no socket, no
environment and no way to start anything (jail.py), and is ended when a script takes longer
than `ScriptLimits.seconds` of real time and a little. What a script does to its process
does not reach the host, which believes nothing that a child says.

A script that waits for the host keeps its child, and only those that compute are counted:
scripts may call agents that are scripts, as deep as they like, and none waits for ever.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from swarm.errors import Bug, ScriptFailed
from swarm.lua.children import Children, Turns
from swarm.lua.course import Stage, run_author, run_worker
from swarm.lua.failures import (
    crash_failure,
    deadline_failure,
    refused_source,
    syntax_failure,
    unavailable_failure,
)
from swarm.lua.frames import pack
from swarm.lua.modules import MAX_SOURCE
from swarm.lua.process import Overdue, ProcessEnded, ProcessUnavailable, ScriptProcess
from swarm.lua.requests import Modules
from swarm.lua.sandbox import Turn
from swarm.lua.wire import Task, author_fields, syntax_fields, worker_fields
from swarm.ports.scripts import HostFunction, Script, ScriptLimits

__all__ = ("PooledScripts",)

_DEFAULT = ScriptLimits()
# What a script may take beyond its seconds: the sandbox's own stop is the better sentence,
# and comes first unless it cannot come at all.
_GRACE_S = 0.1
# Compiling 256 KiB of source takes some milliseconds.
_SYNTAX = ScriptLimits(seconds=2.0)
# After these a child's memory has been fought over: another takes its place.
_SPOILED = frozenset({"script.budget", "script.memory"})
# What comes of reading words that no sandbox has written.
_UNREADABLE = (
    AttributeError,
    Bug,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
_NONSENSE = "said what no script can say"
_KINDS = frozenset({b"ask", b"done", b"failed", b"refused"})
_TROUBLE = (Overdue, ProcessEnded, ProcessUnavailable)


class PooledScripts:
    """Runs scripts in children: an implementation of `swarm.ports.scripts.ScriptRunner`.

    Children are started when they are first wanted, kept warm, and replaced after a
    thousand scripts or when they hold too much. For one event loop at a time; `aclose`
    ends them all, and the next script starts anew.
    Shape: *warm* children are there in advance, *most* scripts compute at a time.
    """

    def __init__(self, *, warm: int = 2, most: int = 4) -> None:
        self.children = Children(warm, most)
        self._turns = Turns(most)

    def syntax_error(self, script: Script) -> ScriptFailed | None:
        """Compile without running; return what is wrong, with its line.

        In place: a tenth of a millisecond, where a child is warm.
        """
        refused = refused_source(script, MAX_SOURCE)
        if refused is not None:
            return refused
        try:
            process = self.children.take()
        except ProcessUnavailable as e:
            return unavailable_failure(script, str(e))
        kept = False
        try:
            process.ready_nowait()
            fields = process.exchange_nowait(
                pack(b"syntax", *syntax_fields(script)), _SYNTAX.seconds
            )
            found = _compiled(fields, script)
            kept = self.children.keep(process)
        except (*_TROUBLE, *_UNREADABLE) as e:
            return _failure(e, script, _SYNTAX)
        finally:
            if not kept:
                self.children.drop_nowait(process)
        return found

    async def run(
        self,
        script: Script,
        input: Any,
        *,
        host: Mapping[str, HostFunction] | None = None,
        facts: Mapping[str, Any] | None = None,
        limits: ScriptLimits = _DEFAULT,
    ) -> Any:
        """Run a worker script: `input` in, its return value out, both JSON.

        Raises: ScriptFailed (beside what every place raises: script.deadline,
        script.crashed, script.unavailable); flowir.WorkerFailure.
        """

        def work(stage: Stage) -> Awaitable[Any]:
            return run_worker(stage, script, input, host, facts, limits)

        return await self._run(script, limits, work)

    async def author(
        self,
        script: Script,
        *,
        folder: Path | None,
        limits: ScriptLimits = _DEFAULT,
        required: Callable[[str], None] | None = None,
    ) -> Any:
        """Run a blueprint script and return what it returns, in the author's form.

        A child has no files: what its script requires is found here and handed over.
        Raises: ScriptFailed, as `run`.
        """

        def work(stage: Stage) -> Awaitable[Any]:
            return run_author(stage, script, limits, Modules(folder, required=required))

        return await self._run(script, limits, work)

    async def aclose(self) -> None:
        """End every child, within seconds, whatever they do."""
        await self.children.aclose()

    async def _run(
        self, script: Script, limits: ScriptLimits, work: Callable[[Stage], Awaitable[Any]]
    ) -> Any:
        stage = _Apart(self.children, self._turns, script, limits)
        try:
            return await work(stage)
        except ScriptFailed as failed:
            stage.reusable = stage.reusable and failed.code not in _SPOILED
            raise
        except _UNREADABLE as e:
            stage.reusable = False
            raise _failure(e, script, limits) from e
        finally:
            await stage.leave()


class _Apart:
    """The stage of one script: a child, from its first turn until it has ended."""

    def __init__(
        self, children: Children, turns: Turns, script: Script, limits: ScriptLimits
    ) -> None:
        self._children = children
        self._turns = turns
        self._script = script
        self._limits = limits
        self._left_s = limits.seconds + _GRACE_S
        self._process: ScriptProcess | None = None
        self.reusable = False

    async def worker(self, script: Script, task: Task, limits: ScriptLimits) -> Turn:
        return await self._turn(pack(b"worker", *worker_fields(script, task, limits)))

    async def author(self, script: Script, limits: ScriptLimits) -> Turn:
        return await self._turn(pack(b"author", *author_fields(script, limits)))

    async def answer(self, payload: bytes, *, ok: bool) -> Turn:
        return await self._turn(pack(b"answer" if ok else b"refuse", payload))

    async def leave(self) -> None:
        """Give the child back, or end it: at once, and also when cancelled."""
        process = self._process
        if process is not None and not (self.reusable and self._children.keep(process)):
            await self._children.drop(process)

    async def _turn(self, frame: bytes) -> Turn:
        self.reusable = False
        await self._turns.acquire()
        try:
            fields = await self._exchange(frame)
        except _TROUBLE as e:
            raise _failure(e, self._script, self._limits) from e
        finally:
            self._turns.release()
        kind, payload, name = fields
        if kind not in _KINDS:
            raise ValueError(kind)
        self.reusable = kind != b"ask"
        return Turn(kind.decode(), payload, name.decode())

    async def _exchange(self, frame: bytes) -> list[bytes]:
        process = self._process
        if process is None:
            process = self._process = self._children.take()
            await process.ready()
        began = monotonic()
        fields = await process.exchange(frame, self._left_s, alone=self._turns.alone)
        self._left_s -= monotonic() - began
        return fields


def _compiled(fields: list[bytes], script: Script) -> ScriptFailed | None:
    match fields:
        case [b"done"]:
            return None
        case [b"refused", message]:
            return syntax_failure(message.decode(), script)
        case _:
            raise ValueError(fields)


def _failure(problem: Exception, script: Script, limits: ScriptLimits) -> ScriptFailed:
    match problem:
        case Overdue():
            return deadline_failure(script, limits)
        case ProcessUnavailable():
            return unavailable_failure(script, str(problem))
        case ProcessEnded():
            return crash_failure(script, str(problem))
        case _:
            return crash_failure(script, _NONSENSE)
