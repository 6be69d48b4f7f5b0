"""The agents of a document: who is named, who is asked, and what their kinds say.

Judges names and settings; what an agent does is its factory's affair. Takes documents
that have problems elsewhere: what is not an agent at all is the model's to refuse.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from flowir.errors import FlowError, Problem
from flowir.path import format_path, parse_path
from swarm.blueprint.agent import COMMON_FIELDS, OUTPUT_FORMS, AgentSpec
from swarm.blueprint.builders import SLEEP
from swarm.blueprint.places import inside
from swarm.blueprint.schemas import schema_problems
from swarm.blueprint.shapes import is_array, is_object
from swarm.blueprint.verdicts import verdict_problems
from swarm.blueprint.words import allowed, meant, near, suggest
from swarm.compiler.blame import LineFinding
from swarm.compiler.flow import retry_problems
from swarm.compiler.registry import Registry
from swarm.ports.worker import FieldProblem, Toolbox, WorkerFactory

__all__ = ("BUILT_IN", "Roster")

_STRING = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
# Looking for a near name costs as much as there are agents.
_MOST_HINTS = 50

# Agents that a flow may name without declaring them.
BUILT_IN: Mapping[str, AgentSpec] = {SLEEP: AgentSpec(SLEEP, "sleep")}


class Roster:
    """The agents of one document, by place and by name."""

    def __init__(self, document: Any) -> None:
        self.declared: dict[str, AgentSpec] = {}
        agents: Any = document.get("agents") if is_object(document) else None
        for i, agent in enumerate(agents if is_array(agents) else ()):
            spec = _spec(agent)
            if spec is not None:
                self.declared[inside("$.agents", i)] = spec
        self.names = {spec.name for spec in self.declared.values()}
        # Names that somebody else asks; agents whose scripts name them are found here.
        self.called: set[str] = set()

    def problems(
        self,
        refs: Mapping[str, str],
        registry: Registry,
        tools: Toolbox,
        *,
        told: Collection[str] = (),
        is_unsure: bool = False,
    ) -> Iterator[Problem]:
        """Find what is wrong with the agents, and with who is asked.

        Shape: *refs* maps the places of step refs to the names there; *told* are places
        whose absence is known as a mistake; *is_unsure*: some steps may ask anyone.
        """
        yield from self._twice()
        meant = self._meant(refs)
        if "$.agents" not in told:
            yield from self._unknown(refs, meant)
        if not is_unsure:
            yield from self._unused(refs, meant, told)
        for at, spec in self.declared.items():
            yield from _kind_problems(at, spec, registry, tools, told)

    def asked(self, refs: Mapping[str, str]) -> dict[str, AgentSpec]:
        """Return the agents that may be asked, the built-in ones only where they are."""
        return self.by_name() | {name: BUILT_IN[name] for name in refs.values() if name in BUILT_IN}

    def by_name(self) -> dict[str, AgentSpec]:
        """Return the declared agents."""
        return {spec.name: spec for spec in self.declared.values()}

    def verdicts(self) -> dict[str, tuple[str, ...]]:
        """Return the words of those agents that have verdicts; of a name twice, those of both."""
        found: dict[str, tuple[str, ...]] = {}
        for spec in self.declared.values():
            words = spec.settings.get("verdict")
            if is_array(words) and all(isinstance(word, str) for word in words):
                found[spec.name] = (*found.get(spec.name, ()), *words)
        return {name: words for name, words in found.items() if words}

    def sound(self, found: Iterable[Problem]) -> Iterator[AgentSpec]:
        """Yield the agents with which nothing is wrong, whose names lead to one alone."""
        wrong = {problem.at[: problem.at.find("]") + 1] for problem in found}
        named = Counter(spec.name for spec in self.declared.values())
        yield from BUILT_IN.values()
        for at, spec in self.declared.items():
            if at not in wrong and named[spec.name] == 1:
                yield spec

    def _twice(self) -> Iterator[Problem]:
        seen: set[str] = set()
        for at, spec in self.declared.items():
            if spec.name in seen:
                sentence = f"expected each name once, got {spec.name!r} again"
                yield Problem("agent.duplicate", inside(at, "name"), sentence)
            seen.add(spec.name)

    def _unknown(self, refs: Mapping[str, str], meant: Mapping[str, str]) -> Iterator[Problem]:
        known = f"known are {allowed(self.names)}, others are added to 'agents'"
        others = known if self.names else "add it to 'agents'"
        for at, name in refs.items():
            if name not in self.names and name not in BUILT_IN:
                sentence = f"expected an agent of this blueprint, got {name!r}"
                hint = f"did you mean {meant[name]!r}?" if name in meant else others
                yield Problem("agent.unknown", at, sentence, hint)

    def _unused(
        self, refs: Mapping[str, str], meant: Mapping[str, str], told: Collection[str]
    ) -> Iterator[Problem]:
        # A misspelt name is one mistake: whoever it was meant for is not unused as well.
        used = {*refs.values(), *meant.values(), *self._called()}
        for at, spec in self.declared.items():
            if spec.name not in used and inside(at, "kind") not in told:
                sentence = "expected a step that asks it, got none"
                hint = "name it in a step, or take it out of 'agents'"
                yield Problem("agent.unused", at, sentence, hint)
                used.add(spec.name)

    def _meant(self, refs: Mapping[str, str]) -> dict[str, str]:
        """Return the agents that unknown names were probably meant for."""
        unknown = dict.fromkeys(name for name in refs.values() if name not in self.names)
        found = {name: near(name, self.names) for name in list(unknown)[:_MOST_HINTS]}
        return {name: meant for name, meant in found.items() if meant is not None}

    def _called(self) -> set[str]:
        """Return the agents whose name another agent's script has as a string: it may call them."""
        called = set(self.called)
        for spec in self.declared.values():
            source = spec.settings.get("source")
            words = _STRING.findall(source) if isinstance(source, str) else ()
            called |= {word[1:-1] for word in words} - {spec.name}
        return called


def _spec(agent: Any) -> AgentSpec | None:
    if not is_object(agent):
        return None
    name, kind = agent.get("name"), agent.get("kind")
    if not isinstance(name, str) or not name:
        return None
    settings = {k: v for k, v in agent.items() if k not in ("name", "kind")}
    return AgentSpec(name, kind if isinstance(kind, str) else "", settings)


def _kind_problems(
    at: str, spec: AgentSpec, registry: Registry, tools: Toolbox, told: Collection[str]
) -> Iterator[Problem]:
    if not spec.kind or inside(at, "kind") in told:
        return  # the model says so, or whoever read its file
    factory = registry.get(spec.kind)
    if factory is None:
        yield _unknown_kind(at, spec, registry)
        return
    yield from _field_problems(at, spec, factory, told)
    yield from _promise_problems(at, spec.settings)
    yield from _output_problems(at, spec, factory)
    if factory.required <= spec.settings.keys():
        for problem in _asked(factory, spec, tools):
            yield _setting(at, spec, problem)


def _promise_problems(at: str, settings: Mapping[str, Any]) -> Iterator[Problem]:
    """Find what is wrong with what an agent promises."""
    for name in ("input_schema", "output_schema"):
        if name in settings:
            yield from schema_problems(settings[name], inside(at, name), "agent.schema")
    yield from verdict_problems(settings, at)
    for problem in retry_problems(settings.get("retry")):
        yield replace(problem, code="agent.field_wrong", at=inside(at, "retry") + problem.at[1:])


def _field_problems(
    at: str, spec: AgentSpec, factory: WorkerFactory, told: Collection[str]
) -> Iterator[Problem]:
    known = COMMON_FIELDS | factory.fields
    unknown = sorted(spec.settings.keys() - known)
    for name in unknown:
        sentence = f"expected a field of kind {spec.kind!r}, got {name!r}"
        hint = suggest(name, known - {"name", "kind"})
        yield Problem("agent.field_unknown", inside(at, name), sentence, hint)
    # A misspelt name is one mistake: the field it was meant for is not missing as well.
    taken = {meant(name, known) for name in unknown}
    for name in sorted(factory.required - spec.settings.keys() - taken):
        if inside(at, name) not in told:
            sentence = f"expected a field {name!r}, got none"
            yield Problem("agent.field_missing", at, sentence)


def _output_problems(at: str, spec: AgentSpec, factory: WorkerFactory) -> Iterator[Problem]:
    """Find a word for the answer's form that means nothing; a kind may have its own words."""
    form = spec.settings.get("output", "value")
    if "output" in factory.fields or not isinstance(form, str) or form in OUTPUT_FORMS:
        return
    sentence = f"expected 'value' or 'ref', got {form!r}"
    yield Problem("agent.output_form", inside(at, "output"), sentence, suggest(form, OUTPUT_FORMS))


def _asked(factory: WorkerFactory, spec: AgentSpec, tools: Toolbox) -> list[FieldProblem]:
    try:
        return list(factory.problems(spec, tools))
    except Exception as e:  # noqa: BLE001  # a stranger's factory may raise anything
        sentence = f"its factory failed: {type(e).__name__}: {e}"
        return [FieldProblem("agent.kind_broken", "kind", sentence)]


def _unknown_kind(at: str, spec: AgentSpec, registry: Registry) -> Problem:
    place = inside(at, "kind")
    why = registry.failure(spec.kind)
    if why is not None:
        sentence = f"kind {spec.kind!r} cannot be loaded: {why}"
        return Problem("agent.kind_broken", place, sentence)
    sentence = f"expected a kind of worker, got {spec.kind!r}"
    return Problem("agent.kind_unknown", place, sentence, suggest(spec.kind, registry.kinds()))


def _within(at: str, field: str) -> str:
    """Return the place of what a factory names: a field, or a part of one (`argv[1]`, `env.A`)."""
    try:
        return at + format_path(parse_path(f"$.{field}"))[1:]
    except FlowError:
        return inside(at, field)


def _setting(at: str, spec: AgentSpec, problem: FieldProblem) -> Problem:
    place = _within(at, problem.field)
    text = spec.settings.get(problem.field)
    told = (problem.code, place, problem.message, problem.hint)
    if problem.line is not None and isinstance(text, str):
        return LineFinding(*told, text, problem.line)
    return Problem(*told)
