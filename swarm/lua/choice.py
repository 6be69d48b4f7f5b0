"""Which of the two places a script runs in: children, unless somebody answers for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from swarm.errors import ScriptFailed
from swarm.lua.modules import Module
from swarm.lua.pool import PooledScripts
from swarm.lua.process import ScriptProcess
from swarm.lua.requests import UnlistedModule
from swarm.lua.runner import InlineScripts
from swarm.ports.scripts import HostFunction, Script, ScriptLimits

__all__ = ("ChosenScripts", "Trust", "script_digest")

Trust = Literal["inline", "pool"]
_DEFAULT = ScriptLimits()


def script_digest(source: str | bytes) -> str:
    """Return the name of a script on an allow list: SHA-256 of its UTF-8 text, in hex.

    >>> script_digest("return 1")[:12]
    '486d9affb60d'

    Shape: for a file, what `sha256sum` says; for an agent's script, that of its `source`.
    """
    data = source.encode(errors="surrogatepass") if isinstance(source, str) else source
    return sha256(data).hexdigest()


class ChosenScripts:
    """Runs each script where it may run: a `swarm.ports.scripts.ScriptRunner` over both.

    Shape: with trust "pool" a script whose digest is in *listed* runs in process, and
    every other in a child; with "inline" all run in process. A blueprint script that is
    listed and requires a module that is neither listed nor of the standard library goes
    to a child: what runs in process is known whole.
    """

    def __init__(self, trust: Trust = "pool", listed: Collection[str] = ()) -> None:
        self._trust = trust
        self._listed = frozenset(listed)
        self._inline = InlineScripts(self._may if trust == "pool" else None)
        self._pool = PooledScripts()

    def syntax_error(self, script: Script) -> ScriptFailed | None:
        """Compile without running; return what is wrong, with its line."""
        return self._place(script).syntax_error(script)

    async def run(
        self,
        script: Script,
        input: Any,
        *,
        host: Mapping[str, HostFunction] | None = None,
        facts: Mapping[str, Any] | None = None,
        limits: ScriptLimits = _DEFAULT,
    ) -> Any:
        """Run a worker script: `input` in, its return value out, both JSON."""
        place = self._place(script)
        return await place.run(script, input, host=host, facts=facts, limits=limits)

    async def author(
        self,
        script: Script,
        *,
        folder: Path | None,
        limits: ScriptLimits = _DEFAULT,
        required: Callable[[str], None] | None = None,
    ) -> Any:
        """Run a blueprint script and return what it returns, in the author's form."""
        try:
            return await self._place(script).author(
                script, folder=folder, limits=limits, required=required
            )
        except UnlistedModule:
            # A blueprint script has no effects: beginning anew changes nothing.
            return await self._pool.author(script, folder=folder, limits=limits, required=required)

    def adopt(self, process: ScriptProcess) -> None:
        """Take a child that was started elsewhere, before there was anybody to run it."""
        self._pool.children.adopt(process)

    async def aclose(self) -> None:
        """End the children; the next script starts others."""
        await self._pool.aclose()

    def _place(self, script: Script) -> InlineScripts | PooledScripts:
        if self._trust == "inline" or (
            self._listed and script_digest(script.source) in self._listed
        ):
            return self._inline
        return self._pool

    def _may(self, module: Module) -> bool:
        return module.trusted or script_digest(module.source) in self._listed
