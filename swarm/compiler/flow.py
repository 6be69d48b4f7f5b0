"""The flow of a document: everything that is wrong with it, and whom it asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from flowir.check import check
from flowir.errors import Malformed, Problem
from flowir.nodes import NODE_FIELDS
from flowir.values import private_copy
from flowir.wire import load
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_array, is_object
from swarm.compiler.given import Judge, given_problems
from swarm.compiler.repair import repaired
from swarm.compiler.verdicts import verdict_problems

__all__ = ("ROOT", "flow_problems", "ids_of", "refs_of", "retry_problems", "with_retries")

ROOT = "$.flow"


def flow_problems(
    flow: Any,
    *,
    inputs: Mapping[str, Any] | None,
    verdicts: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    judges: Mapping[str, Judge] = MappingProxyType({}),
) -> list[Problem]:
    """Find everything wrong with a wire flow, in the places of its document.

    Shape: what is malformed hides nothing else: the rest is judged without it. *verdicts*
    are the words of the agents that have a closed set of them, *judges* tell what agents take.
    """
    found = list(check(flow, inputs=inputs))
    malformed = [problem for problem in found if problem.code == "malformed"]
    if malformed:
        flow = repaired(flow, malformed)
        rest = check(flow, inputs=inputs)
        found += [problem for problem in rest if problem.code != "malformed"]
    if verdicts or any(ref in judges for _, ref in refs_of(flow)):
        with suppress(Malformed):
            loaded = load(flow)
            found += given_problems(loaded, judges)
            found += verdict_problems(loaded, verdicts) if verdicts else ()
    return [replace(problem, at=ROOT + problem.at[1:]) for problem in dict.fromkeys(found)]


def retry_problems(retry: Any) -> Iterator[Problem]:
    """Find what is wrong with the policy of an agent; places begin at the policy."""
    if not is_object(retry):
        return
    null = {"op": "lit", "value": None}
    for problem in check({"kind": "step", "ref": "a", "in": null, "retry": retry}):
        yield replace(problem, at="$" + problem.at.removeprefix("$.retry"))


def with_retries(flow: Any, agents: Mapping[str, AgentSpec]) -> Any:
    """Return a wire flow in which steps without a policy of their own have their agent's."""
    policies = {name: spec.settings.get("retry") for name, spec in agents.items()}
    policies = {
        name: retry
        for name, retry in policies.items()
        if is_object(retry) and next(retry_problems(retry), None) is None
    }
    if not policies or not is_object(flow):
        return flow
    todo: list[Any] = [flow]
    while todo:
        node = todo.pop()
        if is_object(node):
            ref = node.get("ref") if node.get("kind") == "step" else None
            if isinstance(ref, str) and ref in policies and "retry" not in node:
                node["retry"] = private_copy(policies[ref])
            todo += (inner for _, inner in _inner(node, ""))
    return flow


def refs_of(flow: Any) -> Iterator[tuple[str, str]]:
    """Yield place and name of every step's ref; the flow may be malformed elsewhere."""
    for at, node in _nodes(flow):
        ref = node.get("ref") if node.get("kind") == "step" else None
        if isinstance(ref, str):
            yield inside(at, "ref"), ref


def ids_of(flow: Any) -> Iterator[str]:
    """Yield the id of every node that has one; the flow may be malformed elsewhere."""
    for _, node in _nodes(flow):
        if isinstance(node.get("id"), str):
            yield node["id"]


def _nodes(flow: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    todo: list[tuple[str, Any]] = [(ROOT, flow)]
    while todo:
        at, node = todo.pop()
        if is_object(node):
            yield at, node
            todo += reversed(list(_inner(node, at)))


def _inner(node: Mapping[str, Any], at: str) -> Iterator[tuple[str, Any]]:
    kind = node.get("kind")
    for name, spec in NODE_FIELDS.get(kind, {}).items() if isinstance(kind, str) else ():
        inner, place = node.get(name), inside(at, name)
        if spec.type == "node":
            yield place, inner
        elif spec.type == "nodes" and is_array(inner):
            yield from ((inside(place, i), child) for i, child in enumerate(inner))
