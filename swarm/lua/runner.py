"""Lua scripts run in this process, on the event loop.

A script runs in place until it ends or asks for something of the host; that takes up to
its budget of instructions (10 million take some 0.2 s), during which nothing else runs.
`ScriptLimits.seconds` is looked at every 76 instructions and counts the processor's
time: a single instruction on strings of many megabytes may pass it, and time spent waiting for
the host is not counted. Scripts that nobody answers for belong into child processes:
`swarm.lua.pool`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from swarm.errors import ScriptFailed
from swarm.lua.course import run_author, run_worker
from swarm.lua.failures import refused_source, syntax_failure
from swarm.lua.modules import MAX_SOURCE, Module
from swarm.lua.requests import Modules
from swarm.lua.sandbox import Turn
from swarm.lua.seat import Seat
from swarm.lua.wire import Task, author_fields, syntax_fields, worker_fields
from swarm.ports.scripts import HostFunction, Script, ScriptLimits

__all__ = ("InlineScripts",)

# Runtimes kept for the next script; one more is made in about a millisecond.
_KEPT = 4
_DEFAULT = ScriptLimits()


class InlineScripts:
    """Runs scripts in process: an implementation of `swarm.ports.scripts.ScriptRunner`.

    A runtime serves one script at a time, each in globals of its own. *may* says which of
    the modules that a blueprint script requires may run in process too (none given: all).
    """

    def __init__(self, may: Callable[[Module], bool] | None = None) -> None:
        self._may = may
        self._idle: list[Seat] = []

    def syntax_error(self, script: Script) -> ScriptFailed | None:
        """Compile without running; return what is wrong, with its line."""
        refused = refused_source(script, MAX_SOURCE)
        if refused is not None:
            return refused
        seat = self._take()
        message = seat.syntax(*syntax_fields(script))
        self._keep(seat)
        return None if message is None else syntax_failure(message.decode(), script)

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

        Raises: ScriptFailed; flowir.WorkerFailure from `swarm.fail`, and from a host
        function's own WorkerFailure that the script did not handle.
        """
        seat = self._take()
        try:
            return await run_worker(_InPlace(seat), script, input, host, facts, limits)
        finally:
            self._keep(seat)

    async def author(
        self,
        script: Script,
        *,
        folder: Path | None,
        limits: ScriptLimits = _DEFAULT,
        required: Callable[[str], None] | None = None,
    ) -> Any:
        """Run a blueprint script and return what it returns, in the author's form.

        Shape: a module below *folder* is named as *folder* is written, so hand it in as
        the script's own name begins. A list that has names too leaves them beside it, and
        its items under `sandbox.LIST_PART`.
        Raises: ScriptFailed; UnlistedModule, where *may* refused one.
        """
        return await run_author(
            _InPlace(Seat()), script, limits, Modules(folder, self._may, required)
        )

    def _take(self) -> Seat:
        return self._idle.pop() if self._idle else Seat()

    def _keep(self, seat: Seat) -> None:
        if seat.reusable and len(self._idle) < _KEPT:
            self._idle.append(seat)


class _InPlace:
    """The stage of a script of this process: its turns end before they are awaited."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat

    async def worker(self, script: Script, task: Task, limits: ScriptLimits) -> Turn:
        return self._seat.worker(*worker_fields(script, task, limits))

    async def author(self, script: Script, limits: ScriptLimits) -> Turn:
        return self._seat.author(*author_fields(script, limits))

    async def answer(self, payload: bytes, *, ok: bool) -> Turn:
        return self._seat.answer(payload, ok=ok)
