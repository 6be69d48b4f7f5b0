"""What the host needs of a place where Lua scripts run: in process, or a pool of children."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    # A child that runs scripts reads this module, and is waited for.
    from pathlib import Path

    from swarm.errors import ScriptFailed

__all__ = ("HostFunction", "Script", "ScriptLimits", "ScriptRunner")

HostFunction = Callable[..., Awaitable[Any]]


class Script(NamedTuple):
    """Lua source; `name` is what errors show, usually the author's path."""

    name: str
    source: str


class ScriptLimits(NamedTuple):
    """How much one script may use: VM instructions, bytes of Lua memory, seconds."""

    instructions: int = 10_000_000
    memory_bytes: int = 64 * 1024 * 1024
    seconds: float = 2.0


_DEFAULT = ScriptLimits()


class ScriptRunner(Protocol):
    """Runs scripts nobody reviewed; they see nothing but what is handed in."""

    def syntax_error(self, script: Script) -> ScriptFailed | None:
        """Compile without running; return what is wrong, with its line."""
        ...

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

        Shape: *host* functions appear as `swarm.<name>` (awaited; their exceptions are
        Lua errors at the caller's line), *facts* as plain `swarm.<name>` values.
        Raises: ScriptFailed (script.syntax, script.error, script.budget,
        script.memory, script.result; where a process of its own runs it also
        script.deadline, script.crashed, script.unavailable); flowir.WorkerFailure from
        `swarm.fail`.
        """
        ...

    async def author(
        self,
        script: Script,
        *,
        folder: Path | None,
        limits: ScriptLimits = _DEFAULT,
        required: Callable[[str], None] | None = None,
    ) -> Any:
        """Run a blueprint script and return what it returns, in the author's form.

        `require` finds `lua_stdlib` and files below *folder*, and nothing else; *required*
        is told the name of each of those files, as the script got it.
        Raises: ScriptFailed.
        """
        ...
