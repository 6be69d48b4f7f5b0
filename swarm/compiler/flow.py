"""The flow of a document: everything that is wrong with it, and whom it asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from flowir.check import check
from flowir.errors import Problem
from flowir.nodes import NODE_FIELDS
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_array, is_object
from swarm.compiler.repair import repaired

__all__ = ("ROOT", "flow_problems", "ids_of", "refs_of")

ROOT = "$.flow"


def flow_problems(flow: Any, *, inputs: Mapping[str, Any] | None) -> list[Problem]:
    """Find everything wrong with a wire flow, in the places of its document.

    Shape: what is malformed hides nothing else: the rest is judged without it.
    """
    found = list(check(flow, inputs=inputs))
    malformed = [problem for problem in found if problem.code == "malformed"]
    if malformed:
        rest = check(repaired(flow, malformed), inputs=inputs)
        found += [problem for problem in rest if problem.code != "malformed"]
    return [replace(problem, at=ROOT + problem.at[1:]) for problem in dict.fromkeys(found)]


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
