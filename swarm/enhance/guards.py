"""The guard gate: whoever had to say yes before something happened still has to.

A guard is a step that asks a person, or an agent that answers in verdicts, that is tagged
`guard`, or that somebody watches over. Flows are structured, so which steps a guard
dominates is read off the tree: what is done before it on every way there. A change keeps a
guard if it asks the same of the same agent, in a place that is reached at least as surely,
before all that it was before, and if its answer decides what it decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from flowir.records import dataclass
from swarm.blueprint.canonical import canonical_bytes
from swarm.blueprint.shapes import is_object
from swarm.enhance.objections import Objection
from swarm.enhance.reading import (
    Document,
    Located,
    agents_of,
    below,
    encloses,
    located,
    overlap,
    paths_in,
    said,
    target,
)

__all__ = ("is_guard", "weakened")

_WATCHING: Final = frozenset({"senior", "main_ai", "audit", "redact"})


def is_guard(agent: Mapping[str, Any] | None) -> bool:
    """Tell whether an agent is there to say yes or no."""
    if agent is None:
        return False
    return (
        agent["kind"] == "human"
        or bool(agent.get("verdict"))
        or "guard" in agent.get("tags", ())
        or any(_layer(layer) in _WATCHING for layer in agent.get("layers", ()))
    )


def _layer(layer: Any) -> str:
    return str(layer.get("use", "")) if is_object(layer) else str(layer)


def weakened(baseline: Document, result: Document) -> Iterator[Objection]:
    """Yield an objection for each guard of *baseline* that guards less in *result*."""
    had, has = agents_of(baseline), agents_of(result)
    yield from _agents(had, has)
    yield from _layers("the blueprint", baseline, result)
    for name, agent in has.items():
        yield from _layers(f"agent {name!r}", had.get(name, {}), agent)
    yield from _stations(baseline, result)
    yield from _dominance(baseline, result)


def _agents(
    had: Mapping[str, Mapping[str, Any]], has: Mapping[str, Mapping[str, Any]]
) -> Iterator[Objection]:
    for name, agent in had.items():
        if not is_guard(agent):
            continue
        now = has.get(name)
        if now is None:
            yield Objection("enhance.guard_removed", f"guard {name!r} is gone")
        elif _judging(now) != _judging(agent):
            yield Objection("enhance.protected_path", f"guard {name!r} is told otherwise")


def _judging(agent: Mapping[str, Any]) -> bytes:
    """Return all of a guard but what the gate for limits compares."""
    hidden = ("timeout_s", "retry", "concurrency", "budget", "reserve", "deadline_s", "layers")
    return canonical_bytes({k: v for k, v in agent.items() if k not in hidden})


def _layers(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Objection]:
    before = [canonical_bytes(layer) for layer in old.get("layers", ())]
    after = [canonical_bytes(layer) for layer in new.get("layers", ())]
    if before == after:
        return
    lost = Counter(_layer(x) for x in old.get("layers", ()))
    lost -= Counter(_layer(x) for x in new.get("layers", ()))
    if lost:
        yield Objection("enhance.guard_removed", f"{where} loses the layer {min(lost)!r}")
    else:
        yield Objection("enhance.protected_path", f"the layers of {where} are changed")


# -- where guards stand, and what becomes of their answers ---------------------------------


def _stations(baseline: Document, result: Document) -> Iterator[Objection]:
    olds, news = list(located(baseline)), list(located(result))
    had, has = agents_of(baseline), agents_of(result)
    free = [one for one in news if _asks_guard(one, has)]
    for old in olds:
        if not _asks_guard(old, had):
            continue
        same = [one for one in free if said(one.node) == said(old.node)]
        if not same:
            yield _changed(old, free)
            continue
        kept = next((one for one in same if one.within == old.within), same[0])
        free.remove(kept)
        yield from _reached(old, kept, news)
        yield from _decides(old, olds, news)


def _asks_guard(one: Located, agents: Mapping[str, Mapping[str, Any]]) -> bool:
    return one.node["kind"] == "step" and is_guard(agents.get(one.node["ref"]))


def _changed(old: Located, free: list[Located]) -> Objection:
    ref = old.node["ref"]
    if any(one.node["ref"] == ref for one in free):
        return Objection("enhance.guard_bypassed", f"guard {ref!r} is asked, or heard, otherwise")
    return Objection("enhance.guard_removed", f"a step that asks guard {ref!r} is gone")


def _reached(old: Located, new: Located, nodes: list[Located]) -> Iterator[Objection]:
    ref = old.node["ref"]
    if new.within != old.within:
        around = [one for one in new.within if one not in old.within]
        tried = any(b'"kind":"try"' in one for one in around)
        if tried:
            said_ = f"a failure of guard {ref!r} is caught"
            yield Objection("enhance.guard_bypassed", said_)
        else:
            said_ = f"whether guard {ref!r} is asked is decided otherwise"
            yield Objection("enhance.guard_unreachable", said_)
        return
    for one in nodes:
        if one.node.get("max") == 0 and new.place.startswith(f"{one.place}.body"):
            yield Objection("enhance.guard_unreachable", f"guard {ref!r} is in a loop of no rounds")


def _decides(old: Located, olds: list[Located], news: list[Located]) -> Iterator[Objection]:
    """Compare who reads a guard's answer, and who else writes where it stands."""
    out = target(old.node.get("out"))
    if out is None:
        return
    ref = old.node["ref"]
    if Counter(_readers(olds, out)) - Counter(_readers(news, out)):
        said_ = f"what the answer of guard {ref!r} decided is decided without it"
        yield Objection("enhance.guard_bypassed", said_)
    elif Counter(_writers(news, out)) - Counter(_writers(olds, out)):
        said_ = f"somebody else writes where the answer of guard {ref!r} stands"
        yield Objection("enhance.guard_bypassed", said_)


def _readers(nodes: list[Located], out: str) -> Iterator[bytes]:
    """Yield what reads an answer, directly or through assignments, with what hangs on it."""
    tainted = {out}
    while True:
        more = {
            at
            for one in nodes
            if one.node["kind"] == "assign" and (at := target(one.node["at"])) is not None
            if _reads(one.node["value"], tainted)
        }
        if more <= tainted:
            break
        tainted |= more
    for one in nodes:
        own = {k: v for k, v in one.node.items() if k in _READ}
        if any(_reads(value, tainted) for value in own.values()):
            within = [around.decode() for around in one.within]
            yield canonical_bytes([said(one.node).decode(), _hanging(one.node), within])


_READ: Final = ("in", "cond", "items", "collect", "value")


def _reads(value: Any, tainted: set[str]) -> bool:
    return any(overlap(path, one) for path in paths_in(value) for one in tainted)


def _hanging(node: Mapping[str, Any]) -> list[Any]:
    """Return which steps are asked, and what fails, in each part of a node."""
    parts = below(node) if node["kind"] in ("branch", "loop") else ()
    return [[part, sorted(_acts(child))] for part, child in parts]


def _acts(node: Mapping[str, Any], around: str = "") -> Iterator[str]:
    """Yield what is done within a node, with what stands around it there."""
    if node["kind"] == "step":
        yield f"{around}step {node['ref']} {target(node.get('out'))}"
    elif node["kind"] == "assign":
        failing = "fail " + str(node["value"].get("code")) if _fails(node["value"]) else ""
        yield f"{around}assign {target(node['at'])} {failing}"
    for part, child in below(node):
        decides = "" if node["kind"] == "seq" else f"{encloses(node, part).decode()} "
        yield from _acts(child, around + decides)


def _fails(value: Any) -> bool:
    return is_object(value) and value.get("op") == "fail"


def _writers(nodes: list[Located], out: str) -> Iterator[bytes]:
    for one in nodes:
        for name in ("out", "at", "bind", "counter", "exhausted_at", "error_at", "err_at", "index"):
            at = target(one.node.get(name))
            if at is not None and overlap(at, out):
                yield said(one.node)


# -- dominance -----------------------------------------------------------------------------


def _dominance(baseline: Document, result: Document) -> Iterator[Objection]:
    before, after = _order(baseline), _order(result)
    for act, old in before.items():
        new = after.get(act)
        if new is None:
            continue
        lost = (old.surely - new.surely) | (old.perhaps - new.perhaps)
        if lost:
            said_ = f"{act} is done without guard {min(lost)!r} before it"
            yield Objection("enhance.guard_bypassed", said_)
        if old.guard and (late := (old.heard & after.keys()) - new.heard):
            said_ = f"{min(late)} is done behind guard {old.guard!r}, who was asked about it"
            yield Objection("enhance.guard_bypassed", said_)


@dataclass(slots=True)
class _Before:
    """What is before an act: guards on every way there, guards on any, and what wrote.

    Shape: `guard` names whom the act asks, if that is one; `heard` are the acts before it
    that write what it is asked about.
    """

    surely: frozenset[str]
    perhaps: frozenset[str]
    guard: str = ""
    heard: frozenset[str] = frozenset()


def _order(document: Document) -> dict[str, _Before]:
    """Return, of each act of the flow, what is before it."""
    found: dict[str, _Before] = {}
    agents = agents_of(document)
    written: dict[str, str] = {}
    perhaps: set[str] = set()

    def note(node: Mapping[str, Any], act: str, surely: frozenset[str]) -> str:
        asks = node["kind"] == "step" and is_guard(agents.get(node["ref"]))
        read = list(paths_in(node["in"])) if asks else []
        heard = {w for w, at in written.items() if any(overlap(at, one) for one in read)}
        new = _Before(surely, frozenset(perhaps), node["ref"] if asks else "", frozenset(heard))
        old = found.get(act)
        if old is not None:
            new = _Before(old.surely & surely, old.perhaps & new.perhaps, new.guard,
                          old.heard & new.heard)  # fmt: skip
        found[act] = new
        written[act] = target(node.get("out", node.get("at"))) or "$"
        return new.guard

    def walk(node: Mapping[str, Any], surely: frozenset[str]) -> frozenset[str]:
        """Note what is before *node*, and return what is behind it whatever happened."""
        match node["kind"]:
            case "seq":
                for child in node["children"]:
                    surely = walk(child, surely)
                return surely
            case "step" | "assign":
                (act,) = _acts(node)
                guard = note(node, act, surely)
                if not guard:
                    return surely
                perhaps.add(guard)
                return surely | {guard}
            case "branch":
                ends = [walk(child, surely) for _, child in below(node)]
                after = frozenset.intersection(*ends) if "else" in node else surely
                return after | checked(node)
            case "try":
                ends = [walk(node[part], surely) for part in ("body", "catch")]
                after = ends[0] & ends[1]
                return after | walk(node["finally"], surely) if "finally" in node else after
            case "loop" if _is_true(node["cond"]) and node["max"] > 0:
                return walk(node["body"], surely)
            case _:
                for _, child in below(node):
                    walk(child, surely)
                return surely

    def checked(node: Mapping[str, Any]) -> frozenset[str]:
        """Take a branch in which something fails for a guard: nothing passes it unseen."""
        if not any("fail " in act for _, child in below(node) for act in _acts(child)):
            return frozenset()
        name = f"check {said(node).decode()}"
        perhaps.add(name)
        return frozenset({name})

    walk(document["flow"], frozenset())
    return found


def _is_true(cond: Any) -> bool:
    return is_object(cond) and cond.get("op") == "lit" and cond.get("value") is True
