"""Compile a document: every problem it has, or a blueprint that is ready to run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from flowir import wire
from flowir.errors import Problem as Finding
from flowir.limits import DEFAULT_LIMITS
from flowir.values import private_copy
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.canonical import digest_of
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.contract import contracts_of
from swarm.blueprint.inputs import inputs_problems
from swarm.blueprint.model import VERSION, model_problems
from swarm.blueprint.shapes import is_object
from swarm.blueprint.texts import expand_texts
from swarm.compiler.agents import Roster
from swarm.compiler.blame import Blame
from swarm.compiler.flow import ROOT, flow_problems, refs_of
from swarm.compiler.registry import Registry
from swarm.errors import BlueprintInvalid, Place
from swarm.ports.worker import Toolbox, Worker

__all__ = ("compile_document",)

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_LANGUAGE_LIMITS = ("fuel", "in_flight", "lanes")
# Fields that a canonical document has only where the author wrote them.
_OPTIONAL = ("description", "inputs", "limits")


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
    file: str = "<document>",
) -> CompiledBlueprint:
    """Compile a document that came through the strict door.

    Shape: *document* is None where *found*, what is known to be wrong already, tells why
    there is none. *places* are the lines that are known, *builders* the names of the
    builders at those of them that a script made (`swarm.blueprint.author.Lowered`),
    *sources* the text of each file. *told* are places whose absence is in *found* already.
    Raises: BlueprintInvalid, with every problem.
    """
    roster = Roster(document)
    names = {at: spec.name for at, spec in roster.declared.items()}
    blame = Blame(file, places=places, builders=builders, sources=sources, agents=names)
    findings = [*found]
    if document is not None:
        findings += (problem for problem in model_problems(document) if problem.at not in told)
    if not is_object(document):
        raise BlueprintInvalid(blame.problems(findings))
    flow = expand_texts(document.get("flow"), ROOT, findings)
    refs = dict(refs_of(flow))
    # A step whose agent is nil by mistake may have meant any of them.
    is_unsure = any(at in told and blame.is_written(at) for at in refs)
    findings += roster.problems(refs, registry, tools, told=told, is_unsure=is_unsure)
    inputs = _inputs(document)
    findings += [] if inputs is None else inputs_problems(inputs)
    if is_object(flow):
        findings += flow_problems(flow, inputs=inputs)
    if findings:
        raise BlueprintInvalid(blame.problems(findings))
    canonical = _canonical(document, flow)
    agents = roster.asked(refs)
    return CompiledBlueprint(
        id=canonical["id"],
        document=canonical,
        digest=digest_of(canonical),
        flow=_loaded(canonical),
        agents=MappingProxyType(agents),
        workers=MappingProxyType(_workers(agents, registry, tools)),
        contracts=MappingProxyType(contracts_of(agents)),
        places=MappingProxyType(dict(places)),
        sources=MappingProxyType(dict(sources)),
        folder=tools.folder,
    )


def _inputs(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    inputs = document.get("inputs")
    return inputs if is_object(inputs) else None


def _canonical(document: Mapping[str, Any], flow: Any) -> dict[str, Any]:
    """Return the document as it is kept: what may be left out is left out, or always there."""
    optional = {name: document[name] for name in _OPTIONAL if name in document}
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
