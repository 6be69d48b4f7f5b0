"""Lower the author's form to the document.

Builders return plain tables in the author's words, with the line of the call beside
them. Here they become the document's wire form, and a map from its places to those
lines. A mistake is noted and something harmless put in its place, so that all of them
are found at once. Runs no script and reads no file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from flowir.errors import Malformed, Problem, shorten
from flowir.limits import DEFAULT_LIMITS
from flowir.path import format_path, parse_path
from flowir.records import dataclass
from flowir.values import private_copy
from swarm.blueprint.builders import BUILDERS, AuthorField, Builder
from swarm.blueprint.model import VERSION
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_array, is_object
from swarm.blueprint.texts import PLACEHOLDER, expression_of, words_of
from swarm.blueprint.told import LOST, MARKS, STRAYS, Fault, Told, faults_of, lost_by, strays_of
from swarm.blueprint.words import near, suggest
from swarm.errors import Place

__all__ = ("RETURNED", "Lowered", "lower")

# What to write, where a script returns something else.
RETURNED = "end it with return flow.blueprint { … }"

_BUILDER = "__swarm"
_LIST = "__list"  # the list part of a table that has both parts
_MARKS = MARKS | {_BUILDER, "__file", "__line", "__last"}
# What makes a try handle errors; one with `finally` alone does not.
_HANDLING = frozenset({"catch", "on", "err_at", "error_at"})
# Fields of documents and agents that hold lists: in Lua an empty one looks like an object.
_LISTS = frozenset(
    {"agents", "argv", "files", "layers", "on", "skills", "tags", "tools", "verdict"}
)
# A node that may write anything, for one that cannot be read.
_ANY_NODE: Mapping[str, Any] = {
    "kind": "assign",
    "at": "$",
    "value": dict(PLACEHOLDER),
    "implicit": True,
}
# What stands for a field that was wrong, by its type.
_ANY: Mapping[str, Any] = {
    "expr": PLACEHOLDER,
    "words": PLACEHOLDER,
    "count": PLACEHOLDER,
    "target": "$",
    "node": _ANY_NODE,
}


@dataclass(frozen=True, slots=True)
class Lowered:
    """What became of an author's blueprint.

    Shape: `document` is None for what is no blueprint at all. `places` maps places of it
    to the lines of the builder calls that made what stands there, `builders` the same
    places to the names of those builders; `problems` have places, and no lines yet.
    `told` are the places of fields that were taken out because a builder found them wrong.
    """

    document: dict[str, Any] | None
    places: Mapping[str, Place]
    builders: Mapping[str, str]
    problems: tuple[Problem, ...]
    told: frozenset[str] = frozenset()


def lower(authored: Any, *, file: str) -> Lowered:
    """Lower what the script *file* returned."""
    lowering = _Lowering(file)
    document = lowering.blueprint(authored)
    lowering.strays(authored)
    return Lowered(
        document,
        lowering.places,
        lowering.builders,
        tuple(lowering.found),
        frozenset(lowering.told),
    )


class _Lowering:
    def __init__(self, file: str) -> None:
        self.file = file
        self.places: dict[str, Place] = {}
        self.builders: dict[str, str] = {}
        self.found: list[Problem] = []
        self.told: set[str] = set()
        self._faults: set[tuple[str, str, Place]] = set()

    def blueprint(self, authored: Any) -> dict[str, Any] | None:
        self._mark("$", authored)
        if _builder_of(authored) != "blueprint":
            self.builders.clear()
            got = "nil" if authored is None else _word(authored)
            sentence = f"expected the script to return a flow.blueprint, got {got}"
            self._note("script.result", "$", sentence, RETURNED)
            return None
        self._tell(authored, "$")
        document = {"swarm": VERSION, **_settings(authored)}
        if "$.id" in self.told:
            document.setdefault("id", "unknown")
        if "description" in document:
            document["description"] = _named(document["description"])
        if "agents" in document:
            document["agents"] = self._agents(document["agents"])
        if "flow" in document or "$.flow" in self.told:
            document["flow"] = self._flow(document.get("flow"), lost_by(authored))
        return document

    def _flow(self, flow: Any, lost: list[Any]) -> dict[str, Any]:
        at = "$.flow"
        return self._beside(flow, lost, at, 1) if lost else self._node(flow, at, 1)

    def strays(self, authored: Any) -> None:
        """Take down what is wrong with what the script made, and did not return."""
        for i, stray in enumerate(strays_of(authored)):
            at = inside(STRAYS, i)
            self._mark(at, stray)
            self._tell(stray, at)

    def _agents(self, agents: Any) -> Any:
        if not is_array(agents):
            return agents
        return [self._agent(agent, inside("$.agents", i)) for i, agent in enumerate(agents)]

    def _agent(self, agent: Any, at: str) -> Any:
        self._mark(at, agent)
        if _builder_of(agent) != "agent":
            return agent
        self._tell(agent, at)
        if "agent_md" in agent:
            return {"$agent_md": agent["agent_md"]}
        return {name: _named(value) for name, value in _settings(agent).items()}

    def _node(self, node: Any, at: str, depth: int) -> dict[str, Any]:
        self._mark(at, node)
        name = _builder_of(node)
        builder = BUILDERS.get(name or "")
        if builder is None and at in self.told:
            return private_copy(_ANY_NODE)
        if builder is None:
            sentence = f"expected a node (flow.step, flow.seq, …), got {_word(node)}"
            self._note("malformed", at, sentence)
        elif depth > DEFAULT_LIMITS.node_depth:
            sentence = f"expected at most {DEFAULT_LIMITS.node_depth} nodes below each other"
            self._note("malformed", at, f"{sentence}, got more")
        elif lost_by(node):
            bare = {mark: value for mark, value in node.items() if mark != LOST}
            return self._beside(bare, lost_by(node), at, depth)
        elif name == "seq":
            return self._seq(node, at, depth)
        elif name == "try":
            return self._try(node, at, depth)
        elif name == "fanout":
            return self._fanout(node, at, depth)
        elif name == "assign":
            return self._assign(node, at, depth)
        elif name == "fail":
            return self._fail(node, at)
        else:
            return self._fields(node, builder, at, depth)
        return {"kind": "seq", "children": []}

    def _beside(self, node: Any, lost: Iterable[Any], at: str, depth: int) -> dict[str, Any]:
        """Lower a node, and as if they were another way to go, those that it lost.

        What is wrong inside of those is found too, and whom they ask is asked.
        """
        row, place = [private_copy(_ANY_NODE)], inside(inside(at, "then"), "children")
        for other in lost:
            row.append(self._lost(other, inside(place, len(row)), depth + 2))
        return {
            "kind": "branch",
            "cond": dict(PLACEHOLDER),
            "then": {"kind": "seq", "children": row},
            "else": self._node(node, inside(at, "else"), depth + 1) if node else dict(_ANY_NODE),
        }

    def _lost(self, other: Any, at: str, depth: int) -> dict[str, Any]:
        name = other.get("name") if _builder_of(other) == "agent" else None
        if not isinstance(name, str):
            return self._node(other, at, depth)
        return {"kind": "step", "ref": name, "in": {"op": "lit", "value": None}, "out": "$"}

    def _seq(self, node: Mapping[str, Any], at: str, depth: int) -> dict[str, Any]:
        children = node.get(_LIST, [])
        wire = self._fields({k: v for k, v in node.items() if k != _LIST}, BUILDERS["seq"], at, 0)
        place = inside(at, "children")
        wire["children"] = [
            self._node(child, inside(place, i), depth + 1) for i, child in enumerate(children)
        ]
        return wire

    def _try(self, node: Mapping[str, Any], at: str, depth: int) -> dict[str, Any]:
        """Lower a try; one that says nowhere what to do with an error passes it on."""
        wire = self._fields(node, BUILDERS["try"], at, depth)
        if _HANDLING.isdisjoint(wire):
            wire["on"] = []
        wire.setdefault("catch", {"kind": "seq", "children": [], "implicit": True})
        return wire

    def _fanout(self, node: Mapping[str, Any], at: str, depth: int) -> dict[str, Any]:
        """Lower a fanout; a wrong join was meant as one that fits the rest."""
        wire = self._fields(node, BUILDERS["fanout"], at, depth)
        if inside(at, "join") in self.told and "quorum" in wire:
            wire["join"] = "quorum"
        if inside(at, "quorum") in self.told and wire["join"] != "quorum":
            del wire["quorum"]
        return wire

    def _assign(self, node: Mapping[str, Any], at: str, depth: int) -> dict[str, Any]:
        """Lower an assignment; one that is not known to write where may write anything."""
        wire = self._fields(node, BUILDERS["assign"], at, depth)
        if inside(at, "at") in self.told and wire["at"] == "$":
            unknown = dict(PLACEHOLDER)
            wire["value"] = {"op": "if", "cond": unknown, "then": wire["value"], "else": unknown}
        return wire

    def _fail(self, node: Mapping[str, Any], at: str) -> dict[str, Any]:
        """Lower to an assignment of what never comes."""
        place = inside(at, "value")
        self._mark(place, node)
        value = self._fields(node, BUILDERS["fail"], place, 0)
        del value["kind"]
        named = {"id": value.pop("id")} if "id" in value else {}
        return {"kind": "assign", "at": "$", "value": value, **named}

    def _fields(
        self, node: Mapping[str, Any], builder: Builder, at: str, depth: int
    ) -> dict[str, Any]:
        self._tell(node, at)
        given = self._known(node, builder, at)
        value_of = self._opened if self._misses_a_target(builder, given, at) else self._value
        wire: dict[str, Any] = {"kind": builder.kind, **builder.fixed}
        for name, spec in builder.fields.items():
            place = inside(at, spec.wire)
            if name in given:
                wire[spec.wire] = value_of(given[name], spec, place, depth)
            elif place not in self.told and spec.default is not None:
                wire[spec.wire] = self._value(spec.default, spec, place, depth)
            elif place in self.told or spec.required:
                stand_in = self._stand_in(name, spec, at)
                wire |= {} if stand_in is None else {spec.wire: stand_in}
        return wire

    def _stand_in(self, name: str, spec: AuthorField, at: str) -> Any:
        """Return what stands for a field that is missing, or was taken out."""
        if inside(at, spec.wire) not in self.told:
            self._note("malformed", at, f"expected a field {name!r}, got none")
        return private_copy(_ANY.get(spec.type, spec.stand_in))

    def _misses_a_target(self, builder: Builder, given: Collection[str], at: str) -> bool:
        """Tell whether it is not known what the node writes, by a mistake that was told."""
        return any(
            spec.type == "target" and name not in given and inside(at, spec.wire) in self.told
            for name, spec in builder.fields.items()
        )

    def _opened(self, value: Any, spec: AuthorField, at: str, depth: int) -> Any:
        """Lower a field whose node may read what a target, unknown by mistake, has for it."""
        if spec.type != "node":
            return self._value(value, spec, at, depth)
        inner = self._node(value, inside(inside(at, "children"), 1), depth + 2)
        return {"kind": "seq", "children": [private_copy(_ANY_NODE), inner]}

    def _known(self, node: Mapping[str, Any], builder: Builder, at: str) -> dict[str, Any]:
        """Return the fields that the builder has; a misspelt one under the name meant."""
        given: dict[str, Any] = {}
        for name, value in _settings(node).items():
            if name in builder.fields:
                given[name] = value
                continue
            sentence = f"expected a field of flow.{node[_BUILDER]}, got {name!r}"
            self._note("malformed", inside(at, name), sentence, suggest(name, builder.fields))
            meant = near(name, builder.fields)
            if meant is not None and meant not in node:
                given[meant] = value
        return given

    def _value(self, value: Any, spec: AuthorField, at: str, depth: int) -> Any:
        if spec.type == "node":
            return self._node(value, at, depth + 1)
        if spec.type == "target":
            return self._target(value, at)
        if spec.type == "words" and isinstance(value, str):
            return words_of(value)
        if spec.type in ("expr", "words") or (spec.type == "count" and type(value) is not int):
            return self._expr(value, at, 1)
        return value

    def _target(self, value: Any, at: str) -> Any:
        if not isinstance(value, str):
            self._note("malformed", at, f"expected a path, got {_word(value)}")
            return "$"
        try:
            return format_path(parse_path(value))
        except Malformed as e:
            self.found.extend(Problem(p.code, at, p.message, p.hint) for p in e.problems)
            return "$"

    def _expr(self, value: Any, at: str, depth: int) -> Any:
        if isinstance(value, str):
            return expression_of(value, at, self.found)
        name = _builder_of(value)
        if name == "lit":
            return {"op": "lit", "value": value.get("value")}
        if name == "file":
            return {"$file": value.get("path")}
        if name is not None or depth > DEFAULT_LIMITS.expr_depth:
            self._note("malformed", at, f"expected an expression, got {_word(value)}")
            return dict(PLACEHOLDER)
        if is_object(value):
            return self._object(value, inside(at, "fields"), depth)
        if is_array(value):
            place = inside(at, "items")
            items = [self._expr(v, inside(place, i), depth + 1) for i, v in enumerate(value)]
            return {"op": "array", "items": items}
        return {"op": "lit", "value": value}

    def _object(self, value: Mapping[str, Any], place: str, depth: int) -> dict[str, Any]:
        fields = {k: self._expr(v, inside(place, k), depth + 1) for k, v in value.items()}
        return {"op": "object", "fields": fields}

    def _tell(self, authored: Any, at: str) -> None:
        """Take down what the builder of *authored* found wrong, and what it took out."""
        name = _builder_of(authored)
        builder = BUILDERS.get(name or "")
        for fault in faults_of(authored):
            place = at
            if fault.field is not None:
                place = inside(at, builder.wire_name(fault.field) if builder else fault.field)
            elif fault.item is not None:
                place = inside(inside(at, "children"), fault.item - 1)
            if place != at:
                self.told.add(place)
            if fault.meant is not None:
                meant = builder.wire_name(fault.meant) if builder else fault.meant
                self.told.add(inside(at, meant))
            known = (fault.by, fault.message, self.places[at])
            if known not in self._faults:
                self._faults.add(known)
                code = _code_of(name, fault)
                told = Told(code, place, fault.message, fault.hint, fault.by, fault.field)
                self.found.append(told)

    def _mark(self, at: str, authored: Any) -> None:
        """Remember the line of what a builder made; what none made lies in its parent."""
        name = _builder_of(authored)
        if name is not None:
            line = authored.get("__line")
            self.places[at] = Place(authored.get("__file", self.file), line)
            self.builders[at] = name
        elif at == "$":
            self.places[at] = Place(self.file)

    def _note(self, code: str, at: str, sentence: str, hint: str | None = None) -> None:
        self.found.append(Problem(code, at, sentence, hint))


def _builder_of(authored: Any) -> str | None:
    return authored.get(_BUILDER) if is_object(authored) else None


def _code_of(builder: str | None, fault: Fault) -> str:
    """Return the code that the same mistake has in a document."""
    if builder in ("agent", "blueprint") and fault.kind != "builder":
        return f"{builder}.field_{fault.kind}"
    return "malformed"


def _settings(authored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the author's own fields, with empty lists as lists."""
    return {
        name: [] if name in _LISTS and value == {} else value
        for name, value in authored.items()
        if name not in _MARKS
    }


def _named(value: Any) -> Any:
    """Return a setting with the files that it names as the document names them."""
    if _builder_of(value) == "file":
        return {"$file": value.get("path")}
    if is_object(value):
        return {name: _named(member) for name, member in value.items()}
    return [_named(item) for item in value] if is_array(value) else value


def _word(authored: Any) -> str:
    """Name what the author put somewhere, in the author's words."""
    name = _builder_of(authored)
    if name == "result" and isinstance(authored.get("got"), str):
        return authored["got"]
    return shorten(authored) if name is None else f"a flow.{name}"
