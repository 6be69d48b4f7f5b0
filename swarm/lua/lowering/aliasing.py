"""No silent sharing: a write into a table that has another name is refused.

Tables of Lua are shared, values of a flow are copied. What two names may reach is followed
through the lowered nodes, as pairs of access paths; every local has a place of its own, so
that a place is a variable. An agent, a lane and a helper get copies and give new tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from flowir.path import parse_path
from swarm.errors import Place
from swarm.lua.lowering import ops
from swarm.lua.lowering.ops import Op
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.work import CORNER, Drafted

__all__ = ("shared_writes",)

# A variable and the keys behind it; "*" is any key.
_Access: TypeAlias = tuple[str, ...]
# Where in a value a table is, and where that table came from.
_Ref: TypeAlias = tuple[_Access, _Access]

_Pair: TypeAlias = tuple[_Access, _Access]

_WHOLE: _Access = ("$",)
_DEEP = 6  # longer access paths are cut: they then stand for all that is below
# Externs that build a table of the members of their first argument, and of all arguments.
_OF_FIRST = frozenset({"list.slice", "list.sort", "object.without"})
_OF_ALL = frozenset({"list.concat", "object.merge"})


def shared_writes(nodes: list[Drafted], looped: Mapping[str, int]) -> list[tuple[Place, Refused]]:
    """Find the writes that Lua would show under another name as well.

    Shape: *looped* are the places of tables that loops go over, with the loops' lines.
    """
    search = _Search({_access(place): line for place, line in looped.items()})
    search.nodes(nodes, _State())
    return list(search.found.values())


class _State:
    """Which access paths may reach the same table, by variable.

    Every change is kept in a log, so that what one arm of a branch did can be taken back,
    and costs as much as it changed.
    """

    def __init__(self) -> None:
        self._pairs: dict[str, set[_Pair]] = {}
        self._log: list[tuple[bool, _Pair]] = []

    def of(self, access: _Access) -> list[_Pair]:
        """Return the pairs of a variable, its own path first."""
        return list(self._pairs.get(access[0], ()))

    def add(self, a: _Access, b: _Access) -> None:
        a, b = a[:_DEEP], b[:_DEEP]
        if a != b or "*" in a:  # two items of one list
            self.put((a, b))
            self.put((b, a))

    def forget(self, access: _Access) -> None:
        """Drop what is known of a place, and of all below it."""
        for mine, other in self.of(access):
            if mine[: len(access)] == access:
                self._drop((mine, other))
                self._drop((other, mine))

    def put(self, pair: _Pair) -> None:
        """Add one pair, in one direction."""
        pairs = self._pairs.setdefault(pair[0][0], set())
        if pair not in pairs:
            pairs.add(pair)
            self._log.append((True, pair))

    def _drop(self, pair: _Pair) -> None:
        pairs = self._pairs.get(pair[0][0], set())
        if pair in pairs:
            pairs.discard(pair)
            self._log.append((False, pair))

    def mark(self) -> int:
        """Return a point of the log."""
        return len(self._log)

    def since(self, mark: int) -> tuple[set[_Pair], set[_Pair]]:
        """Return the pairs that are new since a point, and those that are gone."""
        new: set[_Pair] = set()
        gone: set[_Pair] = set()
        for added, pair in self._log[mark:]:
            here, there = (new, gone) if added else (gone, new)
            if pair in there:
                there.discard(pair)
            else:
                here.add(pair)
        return new, gone

    def undo(self, mark: int) -> None:
        """Go back to a point."""
        for added, pair in reversed(self._log[mark:]):
            pairs = self._pairs[pair[0][0]]
            if added:
                pairs.discard(pair)
            else:
                pairs.add(pair)
        del self._log[mark:]


class _Search:
    def __init__(self, looped: Mapping[_Access, int]) -> None:
        self._looped = looped
        self.found: dict[tuple[Place, str], tuple[Place, Refused]] = {}

    def nodes(self, nodes: list[Drafted], state: _State) -> None:
        for node in nodes:
            self.node(node, state)

    def node(self, node: Drafted, state: _State) -> None:
        """Follow one node; *state* is what holds behind it afterwards."""
        fields = node.fields
        match node.kind:
            case "seq":
                self.nodes(fields["children"], state)
            case "assign":
                self.assign(node, state)
            case "step":
                if "out" in fields:
                    state.forget(_access(fields["out"]))
            case "branch":
                self.branch(fields, state)
            case "loop":
                self.loop(fields["body"], state)
            case "try":
                self.protected(fields, state)
            case "fanout":
                mark = state.mark()
                self.node(fields["body"], state)
                state.undo(mark)
                state.forget(_access(fields["out"]))
            case _:
                for place in fields["places"]:
                    state.forget(_access(place))

    def branch(self, fields: Mapping[str, Any], state: _State) -> None:
        """What holds behind either arm may hold behind both."""
        mark = state.mark()
        self.node(fields["then"], state)
        new, gone = state.since(mark)
        state.undo(mark)
        if "else" in fields:
            self.node(fields["else"], state)
        for pair in state.since(mark)[1] - gone:
            state.put(pair)
        for pair in new:
            state.put(pair)

    def loop(self, body: Drafted, state: _State) -> None:
        """Go round until nothing new is found: what one iteration leaves, the next meets."""
        while True:
            mark = state.mark()
            self.node(body, state)
            new, gone = state.since(mark)
            for pair in gone:
                state.put(pair)
            if not new:
                return

    def protected(self, fields: Mapping[str, Any], state: _State) -> None:
        """The handler meets what held before the body, or anywhere in it."""
        mark = state.mark()
        self.node(fields["body"], state)
        gone = state.since(mark)[1]
        for pair in gone:
            state.put(pair)
        mark = state.mark()
        self.node(fields["catch"], state)
        for pair in state.since(mark)[1] - gone:
            state.put(pair)

    def assign(self, node: Drafted, state: _State) -> None:
        at, value = node.fields["at"], node.fields["value"]
        if at == "$":
            return
        target = _access(at)
        edited = None if node.edits is None else _access(node.edits)
        if edited is not None:
            self.refuse_shared(node, edited, state)
        refs = [] if node.moved else _refs(value)
        if edited is not None:
            refs = [ref for ref in refs if not _is_kept(ref, target)]
        if edited is not None and any(_begins(source, edited) for _, source in refs):
            hint = "put a copy(…) there"
            self.refuse(node, "this puts a table inside itself", hint)
        passing = _is_temp(target) or target in self._looped
        if any(source == _WHOLE for _, source in refs) and not passing:
            hint = "name the fields that are meant"
            self.refuse(node, "the context cannot be kept inside itself", hint)
        new = [pair for ref in refs for pair in _expanded(target, ref, state)]
        if edited is None or len(edited) < len(target):
            state.forget(target)
        for a, b in new:
            state.add(a, b)

    def refuse_shared(self, node: Drafted, edited: _Access, state: _State) -> None:
        shared = [
            (mine, other)
            for mine, other in state.of(edited)
            if _begins(mine, edited) and not _is_temp(other) and not _goes_there(node, other)
        ]
        for mine, other in shared:
            if other in self._looped or mine in self._looped:
                self.refuse_looped(node, other if other in self._looped else mine)
                return
        if shared:
            mine, other = min(shared)
            why = f"this changes a table that {_shown(other)} may reach too"
            hint = "in Lua both would change, in a flow only one: write copy(…) where "
            self.refuse(node, why, f"{hint}{_shown(mine)} is set")

    def refuse_looped(self, node: Drafted, table: _Access) -> None:
        why = f"this changes the table that the loop at line {self._looped[table]} goes over"
        hint = "go over a copy: ipairs(copy(list)); or by position: for i = 1, #list do"
        self.refuse(node, why, hint)

    def refuse(self, node: Drafted, why: str, hint: str) -> None:
        line = node.where.line or 1
        self.found.setdefault((node.where, why), (node.where, Refused(line, why, hint)))


def _goes_there(node: Drafted, other: _Access) -> bool:
    """Tell whether a change of a loop's item is made under the other name, too."""
    if node.through is None:
        return False
    tables = (_access(node.through.place), _access(node.through.copy))
    return any(other[: len(one)] == one and len(other) <= len(one) + 1 for one in tables)


def _is_kept(ref: _Ref, target: _Access) -> bool:
    """Tell whether members of a table that is built anew stay where they were."""
    inside, source = ref
    return inside == ("*",) and source == (*target, "*")


def _expanded(target: _Access, ref: _Ref, state: _State) -> Iterator[tuple[_Access, _Access]]:
    """Yield what a table reaches by its new name: its source, and all that this shares."""
    inside, source = ref
    here = target + inside
    yield here, source
    for mine, other in state.of(source):
        if _begins(mine, source):
            yield here, other + source[len(mine) :]
        elif _begins(source, mine):
            yield here + mine[len(source) :], other


def _begins(a: _Access, b: _Access) -> bool:
    """Tell whether *a* may be *b*, or be above it."""
    return len(a) <= len(b) and all(x == y or "*" in (x, y) for x, y in zip(a, b, strict=False))


def _access(at: str) -> _Access:
    names = tuple("*" if isinstance(one, int) else one for one in parse_path(at).segments)
    if names and names[0] == CORNER:
        return (f"{CORNER}.{names[1]}", *names[2:])
    return names or _WHOLE


def _is_temp(access: _Access) -> bool:
    name = access[0].removeprefix(f"{CORNER}._")
    return name != access[0] and name.isdigit()


def _shown(access: _Access) -> str:
    name = access[0].removeprefix(f"{CORNER}.")
    base = f"ctx.{name}" if name == access[0] else name
    if access[:1] == _WHOLE:
        base = "ctx"
    return base + "".join("[…]" if key == "*" else f".{key}" for key in access[1:])


# ---- where the tables of a value come from


def _refs(e: Op) -> list[_Ref]:
    match e["op"]:
        case "path":
            return [] if e["at"].startswith("@") or e["at"] == "$" else [((), _access(e["at"]))]
        case "default":
            return _refs(e["arg"]) + _refs(e["fallback"])
        case "if":
            return _refs(e["then"]) + _refs(e["else"])
        case "object":
            return [((k, *s), src) for k, v in e["fields"].items() for s, src in _refs(v)]
        case "array":
            return [(("*", *s), src) for v in e["items"] for s, src in _refs(v)]
        case "get":
            return list(_elements(e))
        case "call_extern":
            return _call_refs(e)
        case _:
            return []


def _elements(e: Op) -> Iterator[_Ref]:
    known = ops.literal(e["key"])
    key = known[0] if known and isinstance(known[0], str) else "*"
    for inside, source in _refs(e["of"]):
        if not inside:
            yield (), (*source, key)
        elif inside[0] == key or "*" in (inside[0], key):
            yield inside[1:], source


def _call_refs(e: Op) -> list[_Ref]:
    args: list[Op] = e["args"]
    if e["ref"] == "object.without" and args[0] == ops.path("$"):
        return [((), _WHOLE)]
    if e["ref"] in _OF_FIRST:
        args = args[:1]
    if e["ref"] in _OF_FIRST or e["ref"] in _OF_ALL:
        return [_member(ref) for arg in args for ref in _refs(arg)]
    if e["ref"] == "json.decode" and args[0]["op"] == "concat":
        encoded = args[0]["args"][3]["args"][0]  # as ops.entry builds it
        return [(("*", *inside), source) for inside, source in _refs(encoded)]
    return []


def _member(ref: _Ref) -> _Ref:
    """Return what members of a table that is built anew share with the old one."""
    inside, source = ref
    return (inside, source) if inside else (("*",), (*source, "*"))
