"""The gates for limits and cost: nothing may go on longer, or more often, than it could.

Limits are compared with those of the baseline, one by one; what is absent is without a
limit, or has the language's own. The cost of a flow is the most steps that it could ask
for, with a nominal width for lists that nobody knows the length of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from flowir.limits import DEFAULT_LIMITS
from swarm.blueprint.model import EVENTS
from swarm.blueprint.shapes import is_array, is_object
from swarm.enhance.objections import Objection
from swarm.enhance.reading import Document, agents_of, below, located, said

__all__ = ("cost_of", "dearer", "raised")

# How many lanes a fan-out counts for whose list is computed.
_NOMINAL_LANES: Final = 100
_LIMITS: Final[Mapping[str, float]] = {
    "fuel": DEFAULT_LIMITS.fuel,
    "lanes": DEFAULT_LIMITS.lanes,
    "in_flight": DEFAULT_LIMITS.in_flight,
    "events": EVENTS,
}
# What a policy for trying again means that does not say how often.
_ATTEMPTS: Final = 3
_ONCE: Final = frozenset({"max_attempts"})


def raised(baseline: Document, result: Document) -> Iterator[Objection]:
    """Yield an objection for each limit that is higher in *result*, or gone."""
    yield from _compared("limits", baseline.get("limits", {}), result.get("limits", {}), _LIMITS)
    had, has = agents_of(baseline), agents_of(result)
    for name in had.keys() & has.keys():
        yield from _compared(f"agent {name!r}", _own(had[name]), _own(has[name]), {})
    yield from _nodes(baseline, result)


def _own(agent: Mapping[str, Any]) -> dict[str, Any]:
    names = ("timeout_s", "retry", "concurrency", "budget", "reserve", "deadline_s")
    return _written(agent, names)


def _written(one: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return what is written of limits, and what an absent number of attempts means."""
    found = {name: one[name] for name in names if name in one}
    if is_object(found.get("retry")):
        found["retry"] = {"max_attempts": _ATTEMPTS, **found["retry"]}
    return found


def _compared(where: str, old: Any, new: Any, defaults: Mapping[str, float]) -> Iterator[Objection]:
    before, after = dict(_numbers(old)), dict(_numbers(new))
    for name in sorted(before.keys() | after.keys()):
        absent = defaults.get(name, _absent(name))
        least, most = before.get(name, absent), after.get(name, absent)
        # A reserve is held back before an attempt: less of it lets more begin.
        if (most < least) if name.startswith("reserve") else (most > least):
            said_ = f"{where}: {name} is raised from {_shown(least)} to {_shown(most)}"
            yield Objection("enhance.limit_raised", said_)


def _absent(name: str) -> float:
    """Return what a limit means that is not there: one attempt, nothing held back, no end."""
    last = name.rpartition(".")[2]
    if last in _ONCE:
        return 1
    return 0 if name.startswith("reserve") or last in _PACE else math.inf


# Of a policy for trying again: waits of more are slower, and absent where there is none.
_PACE: Final = frozenset({"delay_s", "factor", "max_delay_s", "jitter", "warn_at"})


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    if is_object(value):
        for key, item in value.items():
            yield from _numbers(item, f"{name}.{key}" if name else key)
    elif isinstance(value, bool) or name.rpartition(".")[2] in _PACE:
        return
    elif isinstance(value, int | float):
        yield name, value


def _shown(value: float) -> str:
    return "no limit" if value == math.inf else f"{value:g}"


def _nodes(baseline: Document, result: Document) -> Iterator[Objection]:
    before: dict[bytes, list[dict[str, Any]]] = {}
    loops = [0]
    for one in located(baseline):
        before.setdefault(said(one.node), []).append(_bounds(one.node))
        if one.node["kind"] == "loop":
            loops.append(one.node["max"])
    for one in located(result):
        bounds, where = _bounds(one.node), f"{one.node['kind']} at {one.place}"
        olds = before.get(said(one.node))
        if olds is not None:
            old = olds.pop(0) if len(olds) > 1 else olds[0]
            yield from _compared(where, old, bounds, {})
        elif one.node["kind"] == "loop" and one.node["max"] > max(loops):
            said_ = f"{where} is new, and goes round up to {one.node['max']} times"
            yield Objection("enhance.limit_raised", said_)


def _bounds(node: Mapping[str, Any]) -> dict[str, Any]:
    return _written(node, ("max", "limit", "timeout_s", "retry"))


def dearer(baseline: Document, result: Document, factor: float) -> Iterator[Objection]:
    """Yield an objection where *result* may ask for more than *factor* times the steps."""
    before, after = cost_of(baseline), cost_of(result)
    if after > max(before, 1) * factor:
        said_ = f"a run may ask for {after:g} steps, expected at most {before * factor:g}"
        yield Objection("enhance.cost_budget", said_)


def cost_of(document: Document) -> float:
    """Return the most attempts that a run could make.

    >>> step = {"kind": "step", "ref": "a", "in": {"op": "lit", "value": 1}}
    >>> cost_of({"agents": [], "flow": {"kind": "loop", "max": 3, "body": step}})
    3.0
    """
    return _cost(document["flow"], agents_of(document))


def _cost(node: Mapping[str, Any], agents: Mapping[str, Mapping[str, Any]]) -> float:
    inner = {part: _cost(child, agents) for part, child in below(node)}
    match node["kind"]:
        case "step":
            agent = agents.get(node["ref"], {})
            retry = node.get("retry") or agent.get("retry") or {"max_attempts": 1}
            within = agent.get("document")
            once = cost_of(within) if is_object(within) else 1.0
            return once * retry.get("max_attempts", _ATTEMPTS)
        case "branch":
            return max(inner.values(), default=0.0)
        case "loop":
            return node["max"] * inner["body"]
        case "fanout":
            return _width(node["items"]) * inner["body"]
        case _:
            return float(sum(inner.values()))


def _width(items: Any) -> int:
    if is_object(items) and items.get("op") == "array":
        return len(items["items"])
    if is_object(items) and items.get("op") == "lit" and is_array(items.get("value")):
        return len(items["value"])
    return _NOMINAL_LANES
