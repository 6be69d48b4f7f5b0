"""What scripts may ask the host for, and the answers: functions, and modules to load."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from anyio import to_thread

from flowir.errors import FlowError
from swarm.errors import Bug, ScriptFailed
from swarm.lua.convert import CannotEnter, encode
from swarm.lua.modules import Module, ModuleMissing, find_module
from swarm.lua.wire import Task
from swarm.ports.scripts import HostFunction, Script

__all__ = ("Answers", "Functions", "Modules", "UnlistedModule", "task_of")

_MESSAGE = 1000


class Answers(Protocol):
    """Answers one script's requests; `cause` is the exception behind the last refusal."""

    cause: Exception | None

    @property
    def chunks(self) -> tuple[str, ...]:
        """Names of the sources that were loaded beside the script's own."""
        ...

    async def answer(self, name: str, argument: Any) -> tuple[bool, bytes]:
        """Return whether the request was granted, and the encoded answer or reason."""
        ...


class UnlistedModule(Exception):
    """A script that may run here asked for a module that may not."""


def task_of(
    script: Script, input: Any, facts: Mapping[str, Any], functions: Mapping[str, HostFunction]
) -> Task:
    """Write down what a worker script is given.

    Raises: ScriptFailed, for an input or fact that is not JSON.
    """
    try:
        seen, known = encode(input), encode(dict(facts))
    except CannotEnter as e:
        raise ScriptFailed("script.error", str(e)) from e
    # The same attempt of the same step draws the same numbers in every replay.
    seed = zlib.crc32(f"{script.name} {facts.get('key')} {facts.get('attempt')}".encode())
    return Task(seen, known, tuple(functions), seed)


class Functions:
    """Answers a worker script's requests: the host's functions, awaited."""

    def __init__(self, functions: Mapping[str, HostFunction]) -> None:
        self._functions = functions
        self.chunks: tuple[str, ...] = ()
        self.cause: Exception | None = None

    async def answer(self, name: str, argument: Any) -> tuple[bool, bytes]:
        """Call one; return whether it answered, and its answer or what it raised."""
        self.cause = None
        try:
            return True, encode(await self._functions[name](*argument))
        except FlowError as e:
            self.cause = e
            return False, encode(_raised(e))
        except Exception as e:  # noqa: BLE001 - whatever it is, it is the script's to handle
            self.cause = e
            return False, encode(_printable(f"swarm.{name}: {type(e).__name__}: {e}"))


class Modules:
    """Answers a blueprint script's requests: modules to load.

    Shape: *may* says of a module that was found whether it may run where the script does;
    *required* is told the names of those that are the author's own.
    """

    def __init__(
        self,
        folder: Path | None,
        may: Callable[[Module], bool] | None = None,
        required: Callable[[str], None] | None = None,
    ) -> None:
        self._folder = folder
        self._may = may
        self._required = required
        self._found: list[str] = []
        self.cause: Exception | None = None

    @property
    def chunks(self) -> tuple[str, ...]:
        """Names of the modules that were loaded."""
        return tuple(self._found)

    async def answer(self, name: str, argument: Any) -> tuple[bool, bytes]:
        """Find a module; return whether it was found, and it or the reason.

        Raises: UnlistedModule.
        """
        if name != "require":
            raise Bug(f"a blueprint script asked for {name!r}")
        try:
            module = await to_thread.run_sync(find_module, argument, self._folder)
            source = module.source.decode()
        except ModuleMissing as e:
            return False, encode(_printable(f"require {e}"))
        except UnicodeDecodeError:
            return False, encode(f"require {argument!r}: the file is not UTF-8")
        if self._may is not None and not self._may(module):
            raise UnlistedModule(module.name)
        self._found.append(module.name)
        if self._required is not None and not module.trusted:
            self._required(module.name)
        return True, encode({"name": module.name, "source": source, "trusted": module.trusted})


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
