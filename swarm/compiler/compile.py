"""Compile a document: every problem it has, or a blueprint that is ready to run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from flowir import wire
from flowir.errors import Problem as Finding
from flowir.limits import DEFAULT_LIMITS, Limits
from flowir.values import private_copy
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.budget import unknown_slices
from swarm.blueprint.canonical import digest_of
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.contract import Contract, contracts_of
from swarm.blueprint.frozen import frozen
from swarm.blueprint.inputs import inputs_problems
from swarm.blueprint.model import VERSION, model_problems
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_object
from swarm.blueprint.texts import expand_texts
from swarm.compiler.agents import Roster
from swarm.compiler.allow import Allowances, allow_problems
from swarm.compiler.blame import Blame
from swarm.compiler.flow import ROOT, flow_problems, ids_of, refs_of, with_retries
from swarm.compiler.given import judges_of
from swarm.compiler.layering import Placed, plan_layers
from swarm.compiler.references import Gathered
from swarm.compiler.registry import Registry
from swarm.compiler.stack import Stack
from swarm.errors import BlueprintInvalid, Place
from swarm.ports.layer import Layer
from swarm.ports.worker import Toolbox, Worker

__all__ = ("compile_document",)

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_LANGUAGE_LIMITS = ("fuel", "in_flight", "lanes")
# Fields that a canonical document has only where the author wrote them.
_OPTIONAL = ("description", "files", "inputs", "layers", "limits")


def compile_document(
    document: Any,
    places: Mapping[str, Place] = _NOTHING,
    *,
    registry: Registry,
    tools: Toolbox,
    sources: Mapping[str, str] = _NOTHING,
    builders: Mapping[str, str] = _NOTHING,
    found: Iterable[Finding] = (),
    told: Collection[str] = (),
    named: Gathered | None = None,
    file: str = "<document>",
) -> CompiledBlueprint:
    """Compile a document that came through the strict door.

    Shape: *document* is None where *found*, what is known to be wrong already, tells why
    there is none. *places* are the lines that are known, *builders* the names of the
    builders at those of them that a script made (`swarm.blueprint.author.Lowered`),
    *sources* the text of each file. *told* are places whose absence is in *found* already.
    *named* is what the document named by file, and has in it by now.
    Raises: BlueprintInvalid, with every problem.
    """
    named = Gathered(document) if named is None else named
    places, sources = {**places, **named.places}, {**sources, **named.sources}
    builders = {at: name for at, name in builders.items() if at not in named.listed}
    told = {*told, *named.told}
    roster = Roster(document)
    blame = Blame(
        file,
        places=places,
        builders=builders,
        sources=sources,
        agents={at: spec.name for at, spec in roster.declared.items()},
        texts=named.texts,
        listed=named.listed,
    )
    findings = [*found, *named.found]
    # A file may say null, too: then nothing is known to be wrong yet.
    if document is not None or not findings:
        findings += (problem for problem in model_problems(document) if problem.at not in told)
    if not is_object(document):
        raise BlueprintInvalid(blame.problems(findings))
    allowances = Allowances(document, sources)
    findings += allow_problems(document["allow"]) if "allow" in document else ()
    flow = expand_texts(document.get("flow"), ROOT, findings)
    flow = with_retries(flow, roster.by_name())
    refs = dict(refs_of(flow))
    # A step whose agent is nil by mistake may have meant any of them, and so may a flow that
    # is none.
    is_unsure = any(at in told and blame.is_written(at) for at in refs)
    is_unsure |= ROOT in told or not is_object(document.get("flow"))
    plan = plan_layers(document, roster.declared, registry.layers, tools)
    roster.called |= plan.called
    findings += roster.problems(refs, registry, tools, told=told, is_unsure=is_unsure)
    findings += plan.problems
    findings += _slice_problems(document, {one.name for one in roster.declared.values()}, flow)
    inputs = _inputs(document)
    findings += [] if inputs is None else inputs_problems(inputs)
    if is_object(flow):
        judges = judges_of(roster.sound(findings), registry, plan.is_changed)
        findings += flow_problems(flow, inputs=inputs, verdicts=roster.verdicts(), judges=judges)
    problems = allowances.left(blame.problems(findings))
    if problems:
        raise BlueprintInvalid(problems)
    canonical = _canonical(document, flow, allowances)
    # Those of the document as it is kept: nobody else holds them.
    agents = Roster(canonical).asked(refs)
    loaded = _loaded(canonical)
    workers, contracts = _workers(agents, registry, tools), contracts_of(agents)
    for name, placed in plan.placed.items():
        if placed and name in workers:
            inner = workers[name], loaded.limits, contracts.get(name)
            workers[name] = _layered(inner, placed, blame)
    return CompiledBlueprint(
        id=canonical["id"],
        document=frozen(canonical),
        digest=digest_of(canonical),
        flow=loaded,
        agents=MappingProxyType({name: _shown(spec) for name, spec in agents.items()}),
        workers=MappingProxyType(workers),
        contracts=MappingProxyType(contracts),
        places=MappingProxyType(places),
        sources=MappingProxyType(sources),
        files=MappingProxyType(named.files | canonical.get("files", {})),
        folder=tools.folder,
        layers={name: tuple(one.use() for one in placed) for name, placed in plan.placed.items()},
    )


def _shown(spec: AgentSpec) -> AgentSpec:
    return replace(spec, settings=frozen(spec.settings))


def _inputs(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    inputs = document.get("inputs")
    return inputs if is_object(inputs) else None


def _slice_problems(
    document: Mapping[str, Any], agents: Iterable[str], flow: Any
) -> Iterator[Finding]:
    """Find the slices of the budget that are for nobody and nothing."""
    at, budget = "$.limits.budget", document.get("limits")
    budget = budget.get("budget") if is_object(budget) else None
    if is_object(budget):
        slices = {name: part for name, part in budget.items() if is_object(part)}
        for what, name, said, hint in unknown_slices(slices, agents, ids_of(flow)):
            yield Finding("budget.slice", inside(inside(at, what), name), said, hint)


def _canonical(document: Mapping[str, Any], flow: Any, allowances: Allowances) -> dict[str, Any]:
    """Return the document as it is kept: what may be left out is left out, or always there."""
    optional = {name: document[name] for name in _OPTIONAL if name in document}
    allow = allowances.to_wire()
    optional |= {"allow": allow} if allow else {}
    agents = document.get("agents", [])
    canonical = {"swarm": VERSION, "id": document["id"], "agents": agents, **optional}
    return {**private_copy(canonical), "flow": wire.dump(wire.load(flow))}


def _loaded(canonical: Mapping[str, Any]) -> Any:
    limits = canonical.get("limits", {})
    given = {name: limits[name] for name in _LANGUAGE_LIMITS if name in limits}
    limits = replace(DEFAULT_LIMITS, **given)
    return wire.load(canonical["flow"], limits=limits)


def _workers(
    agents: Mapping[str, AgentSpec], registry: Registry, tools: Toolbox
) -> dict[str, Worker]:
    """Build the workers; a kind that no registry has is the host's own, built in."""
    workers: dict[str, Worker] = {}
    for name, spec in agents.items():
        factory = registry.get(spec.kind)
        if factory is not None:
            workers[name] = factory.build(spec, tools)
    return workers


def _layered(
    inner: tuple[Worker, Limits, Contract | None], placed: Sequence[Placed], blame: Blame
) -> Worker:
    """Put its layers around a worker.

    Raises: BlueprintInvalid (layer.broken), where a stranger's cannot be built.
    """
    layers: list[tuple[str, Layer]] = []
    for one in placed:
        try:
            layers.append((one.factory.key, one.factory.build(one.params, one.site)))
        except Exception as e:
            sentence = f"layer {one.factory.key!r} cannot be built: {type(e).__name__}: {e}"
            found = Finding("layer.broken", one.ask.at, sentence)
            raise BlueprintInvalid(blame.problems([found])) from e
    return Stack(layers, *inner, own=all(one.is_own for one in placed))
