"""`lua`: a layer written in Lua, in the sandbox of scripts that nobody reviewed.

`source` is the whole layer: `input` is the step's input, `swarm.next(input)` asks the rest of
the way, and what the script returns is the answer. `before` returns the input that goes on;
`after` sees `input.input` and `input.value` and returns the answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from flowir.errors import WorkerFailure
from swarm.errors import ScriptFailed
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.scripts import HostFunction, Script
from swarm.ports.worker import FieldProblem, Outcome, Usage

__all__ = ("LUA", "LuaLayer", "LuaParams")

_STRING = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_FORMS = ("source", "before", "after")
# How often a script may ask the rest of the way for one attempt.
_MOST = 16


class LuaParams(LayerParams):
    """The script: `source`, or `before`, `after` or both."""

    source: str | None = None
    before: str | None = None
    after: str | None = None

    def scripts(self) -> dict[str, str]:
        """Return the scripts there are, by their form."""
        return {form: text for form in _FORMS if (text := getattr(self, form)) is not None}


class _Way:
    """The rest of the way as a script sees it; what it used and brought is summed up."""

    def __init__(self, call: LayerCall, next: Next) -> None:
        self._call = call
        self._next = next
        self._asked = 0
        self.parts: dict[str, Any] = {}
        self.usage = Usage()

    async def next(self, input: Any = None) -> Any:
        self._asked += 1
        if self._asked > _MOST:
            said = f"swarm.next: expected at most {_MOST} calls in an attempt, got one more"
            raise WorkerFailure("layer.calls", said, True)
        outcome = await self._next(self._call.with_input(input))
        self.parts |= outcome.parts
        self.usage = self.usage.plus(outcome.usage)
        return outcome.value


class LuaLayer:
    """Runs a script around one agent's work."""

    def __init__(self, params: LuaParams, site: Site) -> None:
        self._runner = site.toolbox.scripts
        self._scripts = {
            form: Script(_name(site, form), text) for form, text in params.scripts().items()
        }

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on as the script says."""
        way = _Way(call, next)
        if "source" in self._scripts:
            value = await self._run("source", call, call.input, next=way.next)
            return Outcome(value, way.parts, way.usage)
        if "before" in self._scripts:
            call = call.with_input(await self._run("before", call, call.input))
        outcome = await next(call)
        if "after" not in self._scripts:
            return outcome
        about = {"input": call.input, "value": outcome.value}
        value = await self._run("after", call, about)
        return Outcome(value, outcome.parts, outcome.usage)

    async def _run(self, form: str, call: LayerCall, input: Any, **more: HostFunction) -> Any:
        link = call.link
        host = {"progress": link.progress, "part": link.part, "call": link.call, **more}
        facts = {"key": call.key, "attempt": call.attempt, "agent": call.agent}
        try:
            return await self._runner.run(self._scripts[form], input, host=host, facts=facts)
        except ScriptFailed as failed:
            permanent = failed.code == "script.syntax"
            raise WorkerFailure(failed.code, str(failed), permanent, failed.value) from failed


def _name(site: Site, form: str) -> str:
    return f"layer of {site.agent.name}" if form == "source" else f"{form} {site.agent.name}"


def _problems(params: LuaParams, site: Site) -> Iterable[FieldProblem]:
    found = params.scripts()
    if not found:
        said = "expected a field 'source', 'before' or 'after', got none"
        yield FieldProblem("layer.field_missing", "", said)
    if "source" in found and len(found) > 1:
        said = "expected 'source', or 'before' and 'after', got both"
        yield FieldProblem("layer.field_wrong", "source", said)
    for form, text in found.items():
        failed = site.toolbox.scripts.syntax_error(Script(_name(site, form), text))
        if failed is not None:
            line = None if failed.where is None else failed.where.line
            yield FieldProblem(failed.code, form, failed.bare, line=line)


def _calls(params: LuaParams, site: Site) -> Collection[str]:
    """Return the agents whose names stand in a script: it may call them."""
    words = {word[1:-1] for text in params.scripts().values() for word in _STRING.findall(text)}
    return words & site.agents.keys()


LUA = LayerFactory("lua", 45, LuaParams, LuaLayer, again="adds", problems=_problems, calls=_calls)
