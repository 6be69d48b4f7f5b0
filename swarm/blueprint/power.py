"""What a blueprint's agents may do outside of the sandbox, in lines that people can read.

A line says who may do what, so two documents compare as two sets: what the one has and the
other has not was gained or lost, however the document was changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from swarm.blueprint.canonical import canonical_bytes
from swarm.blueprint.shapes import is_array, is_object

__all__ = ("powers",)

# These see nothing but their input: a script in its sandbox, time that passes.
_POWERLESS: Final = frozenset({"lua", "sleep"})
# What every kind may have, and what says nothing of power.
_PLAIN: Final = frozenset(
    {"name", "kind", "description", "tags", "verdict", "concurrency", "source", "document"}
)


def powers(document: Mapping[str, Any]) -> frozenset[str]:
    r"""Return what the agents of a canonical document may do, and which steps ask them.

    >>> sorted(powers({"agents": [{"name": "tr", "kind": "process", "argv": ["tr", "a", "b"]}],
    ...     "flow": {"kind": "step", "ref": "tr", "in": {"op": "lit", "value": 1}}}))
    ['process \'tr\': argv ["tr","a","b"]', "step $ asks process 'tr'"]
    """
    kinds = {agent["name"]: agent["kind"] for agent in document.get("agents", ())}
    found = {line for agent in document.get("agents", ()) for line in _agent(agent)}
    for place, node in steps(document["flow"], "$"):
        kind = kinds.get(node["ref"], "sleep")
        if kind not in _POWERLESS:
            found.add(f"step {node.get('id', place)} asks {kind} {node['ref']!r}")
    return frozenset(found)


def _agent(agent: Mapping[str, Any]) -> Iterator[str]:
    kind = agent["kind"]
    if kind in _POWERLESS:
        return
    whole = f"{kind} {agent['name']!r}"
    settings = sorted(name for name in agent if name not in _PLAIN)
    if not settings:
        yield whole
    for name in settings:
        yield f"{whole}: {name} {canonical_bytes(agent[name]).decode()}"
    inner = agent.get("document")
    if is_object(inner):
        for line in powers(inner):
            yield f"{whole}: {line}"


def steps(node: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the steps of a wire flow with their places."""
    if node["kind"] == "step":
        yield place, node
    for name, value in node.items():
        if is_array(value) and name == "children":
            for i, child in enumerate(value):
                yield from steps(child, f"{place}.children[{i}]")
        elif is_object(value) and "kind" in value:
            yield from steps(value, f"{place}.{name}")
