"""How layers are asked for: by key, with parameters, around some agents or all.

    "retry"                                        as it is
    "retry?"                                       where the host has it
    { "use": "limit", "concurrency": 2 }           with parameters
    { "use": "senior", "to": "ada", "agents": ["writer"] }

Knows the form, not which layers there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any, Final

from flowir.errors import Problem, shorten
from flowir.records import dataclass
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_array, is_object

__all__ = ("MOST", "LayerAsk", "LayerUse", "asks_of")

# Layers call each other: three lists of so many stay far within what the interpreter nests.
MOST: Final = 16

# By whom it is asked for: what says around which agents it stands.
_CHOOSING: Mapping[str, tuple[str, ...]] = {
    "host": ("agents", "blueprints"),
    "blueprint": ("agents",),
    "agent": (),
}


@dataclass(frozen=True, slots=True)
class LayerAsk:
    """One layer that somebody asks for.

    Shape: `optional`: nothing is wrong where the host does not have it; `agents` and
    `blueprints` say around which it stands (None: all); `at` is its place; `origin` is who
    asks: `host`, `blueprint` or `agent`.
    """

    key: str
    at: str
    origin: str
    optional: bool = False
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    agents: frozenset[str] | None = None
    blueprints: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class LayerUse:
    """A layer as it stands around an agent, for people to read."""

    key: str
    shelf: int
    origin: str
    params: Mapping[str, Any]


def asks_of(layers: Any, at: str, origin: str) -> Iterator[LayerAsk | Problem]:
    """Yield what a list of layers asks for, and what is wrong with its form.

    >>> next(asks_of(["retry?"], "$.layers", "blueprint")).optional
    True
    """
    if not is_array(layers):
        yield _wrong(at, "an array of layers", layers)
        return
    if len(layers) > MOST:
        sentence = f"expected at most {MOST} layers, got {len(layers)}"
        yield Problem("layer.too_many", at, sentence)
        return
    for i, item in enumerate(layers):
        yield from _ask(item, inside(at, i), origin)


def _ask(item: Any, at: str, origin: str) -> Iterator[LayerAsk | Problem]:
    given: Any = {"use": item} if isinstance(item, str) else item
    if not is_object(given):
        yield _wrong(at, "a layer's key, or an object with 'use'", item)
        return
    use = given.get("use")
    key = use.removesuffix("?") if isinstance(use, str) else ""
    if not key:
        yield _wrong(inside(at, "use") if "use" in given else at, "the key of a layer", use)
        return
    names = _CHOOSING[origin]
    bad = [name for name in names if name in given and not _are_names(given[name])]
    if bad:
        for name in bad:
            yield _wrong(inside(at, name), "an array of names", given[name])
        return
    chosen = {name: frozenset[str](given[name]) for name in names if name in given}
    params = {name: given[name] for name in given if name != "use" and name not in names}
    yield LayerAsk(
        key,
        at,
        origin,
        key != use,
        params,
        agents=chosen.get("agents"),
        blueprints=chosen.get("blueprints"),
    )


def _are_names(value: Any) -> bool:
    return is_array(value) and bool(value) and all(isinstance(name, str) for name in value)


def _wrong(at: str, expected: str, got: Any) -> Problem:
    return Problem("layer.malformed", at, f"expected {expected}, got {shorten(got)}")
