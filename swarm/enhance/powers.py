"""The power gate: what a result may do must be among what its baseline may do.

The baseline is the last version that a person approved, and both sides are computed from
whole documents: it does not matter by which operations, or in how many commits, a change
came about. Power is compared where it is used: an agent that leaves the sandbox, the step
that asks it, with what, from where that comes, and what decides whether it is asked.
Whatever is new is an objection; what a person would call harmless is for a person to say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from swarm.blueprint.canonical import canonical_bytes
from swarm.enhance.objections import Objection
from swarm.enhance.reading import (
    Document,
    Located,
    agents_of,
    located,
    overlap,
    paths_in,
    target,
)

__all__ = ("is_powerful", "widened")

_HARMLESS_WORDS: Final = frozenset({"fail", "progress", "part", "key", "attempt", "null", "array"})
# What a script could reach a host function by without naming it.
_UNCLEAR: Final = re.compile(
    r"\b(?:_ENV|_G|load|loadstring|dofile|require|rawget|getmetatable|setmetatable|debug)\b"
    r"|\bswarm\b(?!\s*\.\s*[A-Za-z_])"
)
_WORD: Final = re.compile(r"\bswarm\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)")
# Judged elsewhere: what is said to whoever does the steps, and how much he may use.
_ELSEWHERE: Final = frozenset(
    {"description", "instructions", "prompt", "extra", "tags", "skills", "layers",
     "timeout_s", "retry", "concurrency", "budget", "reserve", "deadline_s"}
)  # fmt: skip


def is_powerful(agent: Mapping[str, Any] | None) -> bool:
    """Tell whether an agent reaches anything but its input."""
    if agent is None or agent["kind"] == "sleep":
        return False
    return agent["kind"] != "lua" or bool(_words(agent.get("source", "")))


def _words(source: Any) -> list[str]:
    text = source if isinstance(source, str) else canonical_bytes(source).decode()
    found = {word for word in _WORD.findall(text) if word not in _HARMLESS_WORDS}
    return sorted({*found, *(["unclear"] if _UNCLEAR.search(text) else [])})


def widened(baseline: Document, result: Document) -> Iterator[Objection]:
    """Yield an objection for each power that *result* has and *baseline* has not."""
    had, has = agents_of(baseline), agents_of(result)
    resolved = _chooses(baseline) or _chooses(result)
    known = {_power(agent, resolved) for agent in had.values()}
    changed: set[str] = set()
    for name, agent in has.items():
        if is_powerful(agent) and _power(agent, resolved) not in known:
            changed.add(name)
            what = "changed" if name in had else "new"
            said = f"agent {name!r} of kind {agent['kind']!r} is {what}: {_told(agent)}"
            yield Objection("enhance.capability_widened", said)
    yield from _steps(baseline, result, changed)
    yield from _places(baseline, result)


def _steps(baseline: Document, result: Document, told: set[str]) -> Iterator[Objection]:
    before = Counter(use for use, _ in _uses(baseline))
    slots = {slot: ref for _, (slot, ref) in _uses(baseline, every=True)}
    agents = agents_of(result)
    for use, (slot, ref) in _uses(result):
        if before[use]:
            before[use] -= 1
        elif ref not in told:
            other = slots.get(slot)
            moved = other is not None and other != ref
            code = "enhance.flow_capability_changed" if moved else "enhance.capability_widened"
            kind = agents[ref]["kind"]
            yield Objection(
                code,
                f"a step asks {kind} {ref!r} with what, or where, no step of the baseline did"
                + (f": there it asks {other!r}" if moved else ""),
            )


def _uses(document: Document, *, every: bool = False) -> Iterator[tuple[bytes, tuple[bytes, str]]]:
    """Yield what each step with power is: whom it asks with what, and the slot it stands in."""
    agents = agents_of(document)
    nodes = list(located(document))
    for found in nodes:
        node = found.node
        if node["kind"] != "step":
            continue
        agent = agents.get(node["ref"])
        if not every and not is_powerful(agent):
            continue
        within = [one.decode() for one in found.within]
        slot = [node["in"], node.get("out"), within]
        sources = sorted(_sources(nodes, node["in"]))
        yield canonical_bytes([node["ref"], slot, sources]), (canonical_bytes(slot), node["ref"])


def _sources(nodes: list[Located], expr: Any) -> set[str]:
    """Return what can have written what *expr* reads, through assignments."""
    found: set[str] = set()
    todo = list(paths_in(expr))
    while todo:
        path = todo.pop()
        for one in nodes:
            node = one.node
            for where, what in _written(node):
                if overlap(where, path) and what not in found:
                    found.add(what)
                    if node["kind"] != "step":
                        todo += paths_in(node.get("value", node.get("items", node.get("collect"))))
    return found


def _written(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    match node["kind"]:
        case "step" if "out" in node:
            yield target(node["out"]) or "$", f"step {node['ref']}"
        case "assign":
            yield target(node["at"]) or "$", f"assign {canonical_bytes(node['value']).decode()}"
        case "fanout":
            yield target(node["bind"]) or "$", f"items {canonical_bytes(node['items']).decode()}"
            collected = canonical_bytes(node.get("collect")).decode()
            yield target(node["out"]) or "$", f"collected {collected}"
        case _:
            return


def _power(agent: Mapping[str, Any], resolved: bool) -> bytes:
    hidden = _ELSEWHERE - ({"tags", "skills"} if resolved else set())
    return canonical_bytes({k: v for k, v in agent.items() if k not in hidden})


def _chooses(document: Document) -> bool:
    """Tell whether agents are chosen by what they are tagged with."""
    layers = [*document.get("layers", ())]
    for agent in document.get("agents", ()):
        layers += agent.get("layers", ())
    return any("resolver" in canonical_bytes(layer).decode() for layer in layers)


def _told(agent: Mapping[str, Any]) -> str:
    if agent["kind"] == "lua":
        return f"its script uses {', '.join(_words(agent.get('source', '')))}"
    shown = {k: v for k, v in agent.items() if k not in _ELSEWHERE and k not in ("name", "kind")}
    text = canonical_bytes(shown).decode()
    return text if len(text) <= 200 else f"{text[:197]}..."


def _places(baseline: Document, result: Document) -> Iterator[Objection]:
    """Object to texts that name files and addresses that the baseline does not name."""
    known = set(_addresses(baseline))
    for text in sorted(set(_addresses(result)) - known):
        yield Objection("enhance.forbidden_ref", f"{text[:100]!r} is named, and was not before")


_ADDRESS: Final = re.compile(r"(?:https?|wss?|ftp|file)://[^\s\"'<>\\]+", re.IGNORECASE)


def _addresses(document: Document) -> list[str]:
    text = canonical_bytes({**document, "inputs": None}).decode()
    return _ADDRESS.findall(text)
