"""Lua scripts run in this process, on the event loop.

A script runs in place until it ends or asks for something of the host; that takes up to
its budget of instructions (10 million take some 0.2 s), during which nothing else runs.
`ScriptLimits.seconds` is looked at every 250 instructions and counts the processor's
time: a single call into a C pattern loop passes it, and time spent waiting for the host is
not counted. Scripts that nobody answers for belong into child processes.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyio import to_thread

from flowir.errors import FlowError
from swarm.errors import Bug, ScriptFailed
from swarm.lua.convert import CannotEnter, decode, encode
from swarm.lua.failures import failure_of, refused_source, syntax_failure
from swarm.lua.modules import MAX_SOURCE, ModuleMissing, find_module
from swarm.lua.sandbox import Sandbox, Task, Turn
from swarm.ports.scripts import HostFunction, Script, ScriptLimits

__all__ = ("InlineScripts",)

# Runtimes kept for the next script; one more is made in about a millisecond.
_KEPT = 4
# A runtime that holds more after a script is not worth keeping.
_KEPT_BYTES = 8 * 1024 * 1024
_MESSAGE = 1000
_DEFAULT = ScriptLimits()


class InlineScripts:
    """Runs scripts in process: an implementation of `swarm.ports.scripts.ScriptRunner`.

    A runtime serves one script at a time, each in globals of its own; it is kept for
    another only when a worker script ended well. One that was given up midway, stopped or
    starved goes with all that is in it; a blueprint script always has a fresh one.
    """

    def __init__(self) -> None:
        self._idle: list[Sandbox] = []

    def syntax_error(self, script: Script) -> ScriptFailed | None:
        """Compile without running; return what is wrong, with its line."""
        refused = refused_source(script, MAX_SOURCE)
        if refused is not None:
            return refused
        sandbox = self._take()
        message = sandbox.syntax(script)
        self._keep(sandbox)
        return None if message is None else syntax_failure(message, script)

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
        refused = refused_source(script, MAX_SOURCE)
        if refused is not None:
            raise refused
        functions = host or {}
        task = _task(script, input, facts or {}, functions)
        sandbox = self._take()
        message = sandbox.worker(script, task, limits)
        if message is not None:
            raise syntax_failure(message, script)
        result = await _drive(sandbox, script, limits, _Functions(functions))
        self._keep(sandbox)
        return result

    async def author(
        self, script: Script, *, folder: Path | None, limits: ScriptLimits = _DEFAULT
    ) -> Any:
        """Run a blueprint script and return what it returns, in the author's form.

        Shape: a module below *folder* is named as *folder* is written, so hand it in as
        the script's own name begins. A list that has names too leaves them beside it, and
        its items under `sandbox.LIST_PART`.
        Raises: ScriptFailed.
        """
        refused = refused_source(script, MAX_SOURCE)
        if refused is not None:
            raise refused
        sandbox = Sandbox()
        message = sandbox.author(script, limits)
        if message is not None:
            raise syntax_failure(message, script)
        return await _drive(sandbox, script, limits, _Modules(folder))

    def _take(self) -> Sandbox:
        return self._idle.pop() if self._idle else Sandbox()

    def _keep(self, sandbox: Sandbox) -> None:
        sandbox.leave()
        if len(self._idle) < _KEPT and sandbox.memory_used <= _KEPT_BYTES:
            self._idle.append(sandbox)


def _task(
    script: Script, input: Any, facts: Mapping[str, Any], functions: Mapping[str, HostFunction]
) -> Task:
    try:
        seen, known = encode(input), encode(dict(facts))
    except CannotEnter as e:
        raise ScriptFailed("script.error", str(e)) from e
    # The same attempt of the same step draws the same numbers in every replay.
    seed = zlib.crc32(f"{script.name} {facts.get('key')} {facts.get('attempt')}".encode())
    return Task(seen, known, tuple(functions), seed)


class _Functions:
    """Answers a worker script's requests: the host's functions, awaited."""

    def __init__(self, functions: Mapping[str, HostFunction]) -> None:
        self._functions = functions
        self.chunks: tuple[str, ...] = ()
        self.cause: Exception | None = None

    async def answer(self, name: str, arguments: Any) -> tuple[bool, bytes]:
        """Call one; return whether it answered, and its answer or what it raised."""
        self.cause = None
        try:
            return True, encode(await self._functions[name](*arguments))
        except FlowError as e:
            self.cause = e
            return False, encode(_raised(e))
        except Exception as e:  # noqa: BLE001 - whatever it is, it is the script's to handle
            self.cause = e
            return False, encode(_printable(f"swarm.{name}: {type(e).__name__}: {e}"))


class _Modules:
    """Answers a blueprint script's requests: modules to load."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._found: list[str] = []
        self.cause: Exception | None = None

    @property
    def chunks(self) -> tuple[str, ...]:
        """Names of the modules that were loaded."""
        return tuple(self._found)

    async def answer(self, name: str, argument: Any) -> tuple[bool, bytes]:
        """Find a module; return whether it was found, and it or the reason."""
        if name != "require":
            raise Bug(f"a blueprint script asked for {name!r}")
        try:
            module = await to_thread.run_sync(find_module, argument, self._folder)
            source = module.source.decode()
        except ModuleMissing as e:
            return False, encode(_printable(f"require {e}"))
        except UnicodeDecodeError:
            return False, encode(f"require {argument!r}: the file is not UTF-8")
        self._found.append(module.name)
        return True, encode({"name": module.name, "source": source, "trusted": module.trusted})


async def _drive(
    sandbox: Sandbox, script: Script, limits: ScriptLimits, answers: _Functions | _Modules
) -> Any:
    turn = sandbox.step()
    while turn.kind == "ask":
        ok, payload = await answers.answer(turn.name, decode(turn.payload))
        turn = sandbox.answer(payload, ok=ok)
    if turn.kind == "done":
        return decode(turn.payload)
    raise _failed(turn, script, limits, answers) from answers.cause


def _failed(
    turn: Turn, script: Script, limits: ScriptLimits, answers: _Functions | _Modules
) -> Exception:
    return failure_of(decode(turn.payload), script, limits, answers.chunks)


def _raised(error: FlowError) -> Mapping[str, Any]:
    raised = {
        "code": error.code,
        "message": _printable(error.message),
        "permanent": error.permanent,
    }
    try:
        encode(error.data)
    except CannotEnter:
        return raised
    return {**raised, "data": error.data}


def _printable(message: str) -> str:
    return message.encode("utf-8", "replace").decode()[:_MESSAGE]
