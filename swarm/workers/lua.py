"""Agents of kind `lua`: a script that nobody reviewed does the step, in its sandbox.

The script gets its input, the few functions and facts of `swarm.…`, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from flowir.errors import WorkerFailure, shorten
from swarm.blueprint.agent import AgentSpec
from swarm.errors import ScriptFailed
from swarm.ports.scripts import HostFunction, Script, ScriptRunner
from swarm.ports.worker import Call, FieldProblem, Outcome, StepLink, Toolbox
from swarm.workers.human import ask_of

__all__ = ("LuaFactory", "LuaWorker")

# What no further attempt can change: the same text meets the same compiler.
_PERMANENT = frozenset({"script.syntax"})


class LuaWorker:
    """Runs one script for each attempt."""

    def __init__(self, script: Script, scripts: ScriptRunner, agent: AgentSpec) -> None:
        self._script = script
        self._scripts = scripts
        self._told = agent.told()

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        """Do the attempt and return its outcome."""
        host: dict[str, HostFunction] = {
            "progress": link.progress,
            "part": link.part,
            "call": link.call,
            "ask": partial(_ask, link),
            "read": partial(_read, link),
        }
        facts: dict[str, Any] = {"key": call.key, "attempt": call.attempt, "agent": self._told}
        try:
            value = await self._scripts.run(self._script, call.input, host=host, facts=facts)
        except ScriptFailed as failed:
            raise WorkerFailure(
                failed.code, str(failed), failed.code in _PERMANENT, failed.value
            ) from failed
        return Outcome(value)


async def _ask(link: StepLink, prompt: Any, settings: Any = None) -> Any:
    """Ask a person for a script: `swarm.ask(prompt, { schema = …, to = …, … })`."""
    return await link.ask(ask_of(prompt, settings))


async def _read(link: StepLink, reference: Any) -> Any:
    """Read data for a script: `swarm.read(input.report)`."""
    value = await link.read(reference)
    if isinstance(value, bytes):
        said = "swarm.read: expected text or JSON, which a script can hold, got bytes"
        raise WorkerFailure("output.type", said, True)
    return value


class LuaFactory:
    """Makes the workers of agents of kind `lua`."""

    kind = "lua"
    fields = frozenset({"source"})
    required = frozenset({"source"})

    def problems(self, agent: AgentSpec, tools: Toolbox) -> Iterable[FieldProblem]:
        """Find a source that is no text, or that does not compile."""
        source = agent.settings["source"]
        if not isinstance(source, str):
            yield FieldProblem(
                "lua.source", "source", f"expected the script as a string, got {shorten(source)}"
            )
            return
        failed = tools.scripts.syntax_error(_script(agent))
        if failed is not None:
            line = failed.where.line if failed.where is not None else None
            yield FieldProblem(failed.code, "source", failed.bare, line=line)

    def build(self, agent: AgentSpec, tools: Toolbox) -> LuaWorker:
        """Make the worker of an agent without problems."""
        return LuaWorker(_script(agent), tools.scripts, agent)


def _script(agent: AgentSpec) -> Script:
    return Script(agent.name, agent.settings["source"])
