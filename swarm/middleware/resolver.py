"""`resolver`: chooses which agent does a step, and says why.

By tags and skills: of the other agents that have every wanted tag, the one with most of the
wanted skills, the first of the document among equals. Or by a Python function. Whoever is
chosen has layers of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from typing import Annotated, Any, Final, Literal, NamedTuple

from anyio import to_thread
from pydantic import Field

from flowir.errors import WorkerFailure, shorten
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.words import suggest
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.worker import FieldProblem, Outcome

__all__ = ("RESOLVER", "ResolverLayer", "ResolverParams")

_Texts = Annotated[tuple[str, ...], Field(strict=False)]


class ResolverParams(LayerParams):
    """What is wanted of the agent that is to be asked.

    Shape: `skills_from` is a member of the input that names further skills; `function` is a
    registered Python function of `{"input", "agents"}` that returns a name, or `{"agent",
    "reason"}`, or nothing. Where nobody fits, the agent itself does it, or the step fails.
    """

    tags: _Texts = ()
    skills: _Texts = ()
    skills_from: str | None = None
    function: str | None = None
    otherwise: Literal["self", "fail"] = "self"


class _Choice(NamedTuple):
    agent: str
    reason: str


class ResolverLayer:
    """Chooses for one agent's steps."""

    in_place: Final = True

    def __init__(self, params: ResolverParams, site: Site) -> None:
        self._params = params
        self._functions = site.toolbox.functions
        self._others = _fitting(params, site)

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Let the chosen agent do it."""
        if self._params.function is None:
            choice = self._matching(call.input)
        else:
            choice = await self._told(self._params.function, call.input)
        if choice is None:
            if self._params.otherwise == "self":
                await call.link.progress(f"resolver: nobody fits, {call.agent} does it itself")
                return await next(call)
            wanted = ", ".join((*self._params.tags, *self._skills(call.input)))
            said = f"{call.agent!r}: expected an agent with {wanted or 'what is wanted'}, got none"
            raise WorkerFailure("resolver.nobody", said, True)
        await call.link.progress(f"resolver: {choice.agent} is asked: {choice.reason}")
        return Outcome(await call.link.call(choice.agent, call.input))

    def _skills(self, input: Any) -> list[str]:
        name = self._params.skills_from
        more: Any = input.get(name) if name is not None and isinstance(input, dict) else None
        given = [more] if isinstance(more, str) else more if isinstance(more, list) else []
        return [*self._params.skills, *(skill for skill in given if isinstance(skill, str))]

    def _matching(self, input: Any) -> _Choice | None:
        wanted = set(self._skills(input))
        best: tuple[int, str] | None = None
        for spec in self._others:
            has = len(wanted & set(spec.settings.get("skills", ())))
            if (has or not wanted) and (best is None or has > best[0]):
                best = has, spec.name
        if best is None:
            return None
        tags = f"tags {', '.join(self._params.tags)}" if self._params.tags else "any tags"
        return _Choice(best[1], f"{tags}; {best[0]} of {len(wanted)} skills")

    async def _told(self, name: str, input: Any) -> _Choice | None:
        """Ask the function, and believe it only what can be."""
        function = self._functions[name]
        about = {"input": input, "agents": [_shown(spec) for spec in self._others]}
        said: Any
        try:
            if inspect.iscoroutinefunction(function):
                said = await function(about)
            else:
                said = await to_thread.run_sync(function, about, abandon_on_cancel=True)
        except Exception as error:
            wrong = f"function {name!r}: {type(error).__name__}: {error}"
            raise WorkerFailure("resolver.choice", wrong) from error
        if said is None:
            return None
        found = said if isinstance(said, dict) else {"agent": said}
        known = [spec.name for spec in self._others]
        if found.get("agent") not in known:
            got = shorten(found.get("agent"))
            wrong = f"function {name!r}: expected the name of an agent that fits, got {got}"
            hint = suggest(str(found.get("agent")), known)
            raise WorkerFailure("resolver.choice", f"{wrong} — {hint}" if hint else wrong, True)
        reason = str(found.get("reason") or f"function {name} says so")
        return _Choice(found["agent"], reason)


def _fitting(params: ResolverParams, site: Site) -> tuple[AgentSpec, ...]:
    """Return the other agents that have every wanted tag, in their order."""
    return tuple(
        spec
        for spec in site.agents.values()
        if spec.name != site.agent.name and set(params.tags) <= set(spec.settings.get("tags", ()))
    )


def _shown(spec: AgentSpec) -> dict[str, Any]:
    names = ("description", "skills", "tags")
    return {"name": spec.name, **{n: spec.settings[n] for n in names if n in spec.settings}}


def _problems(params: ResolverParams, site: Site) -> Iterable[FieldProblem]:
    if not params.tags and not params.skills and not params.skills_from and not params.function:
        said = "expected a field 'tags', 'skills', 'skills_from' or 'function', got none"
        yield FieldProblem("layer.field_missing", "", said)
    if not _fitting(params, site):
        wanted = ", ".join(map(repr, params.tags)) or "any tags"
        yield FieldProblem("layer.field_wrong", "tags", f"expected agents with {wanted}, got none")
    name = params.function
    if name is not None and name not in site.toolbox.functions:
        said = f"expected a registered function, got {name!r}"
        hint = suggest(name, site.toolbox.functions)
        yield FieldProblem("layer.field_wrong", "function", said, hint)


def _calls(params: ResolverParams, site: Site) -> Collection[str]:
    return [spec.name for spec in _fitting(params, site)]


RESOLVER = LayerFactory(
    "resolver", 50, ResolverParams, ResolverLayer, problems=_problems, calls=_calls
)
