"""No silent sharing: a write into a table that has another name is refused.

Tables of Lua are shared, values of a flow are copied. What two names may reach is followed
through the lowered nodes, as pairs of access paths; every local has a place of its own, so
that a place is a variable. An agent and a lane get copies and give new tables. A name that
nobody looks at again does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from swarm.errors import Place
from swarm.lua.lowering import liveness
from swarm.lua.lowering.access import (
    ANY,
    ANY_FIELD,
    DEEP,
    WHOLE,
    Access,
    access_of,
    begins,
    is_temp,
    shown,
    variable,
)
from swarm.lua.lowering.effort import Effort, TooMuch
from swarm.lua.lowering.liveness import Lives
from swarm.lua.lowering.origins import Origins, Ref
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.work import Drafted, Share

__all__ = ("shared_writes",)

_Pair: TypeAlias = tuple[Access, Access]

# How far down in what it was given a helper's answer is looked for.
_HANDED = 5
_CONTEXT = variable(WHOLE)
# Pairs that are passed over take about as long as one that is compared.
_AT_ONCE = 8


def shared_writes(
    nodes: list[Drafted],
    looped: Mapping[str, int],
    scripts: Mapping[int, Access],
    effort: Effort | None = None,
) -> list[tuple[Place, Refused]]:
    """Find the writes that Lua would show under another name as well.

    Shape: *looped* are the places of tables that loops go over, with the loops' lines;
    *scripts* are the tables of the script, by identity, with what they are called;
    *effort* bounds the search (None: as usual), that for names that are read has its own.
    """
    tables = {access_of(place): line for place, line in looped.items()}
    effort = effort or Effort()
    lives = Lives(Effort(liveness.MOST))
    search = _Search(tables, lives, Origins(scripts, effort))
    try:
        lives.read(nodes)
        search.nodes(nodes, _State(effort))
    except TooMuch:
        search.give_up()
    return list(search.found.values())


class _State:
    """Which access paths may reach the same table, by variable.

    Every change is kept in a log, so that what one arm of a branch did can be taken back,
    and costs as much as it changed. A variable that has no pairs is not kept, so that
    looking through those of the context costs no more than there are.
    """

    def __init__(self, effort: Effort) -> None:
        self.effort = effort
        self._pairs: dict[str, set[_Pair]] = {}
        self._fields: dict[str, None] = {}  # those of them that are fields of the context
        self._log: list[tuple[bool, _Pair]] = []

    def of(self, access: Access) -> list[_Pair]:
        """Return the pairs whose first path may be this one, above it, or below it."""
        name = variable(access)
        if name in (_CONTEXT, ANY_FIELD):
            self.effort.spend(len(self._fields) // _AT_ONCE)
            names = list(self._fields)
        elif name.startswith(_CONTEXT):
            names = [name, ANY_FIELD, _CONTEXT]
        else:
            names = [name]
        found = [pair for one in names for pair in self._pairs.get(one, ())]
        self.effort.spend(1 + len(found) // _AT_ONCE)
        return found

    def reaching(self, access: Access) -> list[_Pair]:
        """Return the same pairs, to be compared one by one."""
        found = self.of(access)
        self.effort.spend(len(found))
        return found

    def add(self, a: Access, b: Access) -> None:
        """Note that two paths may reach the same table."""
        a, b = a[:DEEP], b[:DEEP]
        if a != b or ANY in a:  # two items of one list
            self.put((a, b))
            self.put((b, a))

    def forget(self, access: Access) -> None:
        """Drop what is known of a place, and of all below it."""
        for mine, other in self.of(access):
            if mine[: len(access)] == access:
                self._drop((mine, other))
                self._drop((other, mine))

    def put(self, pair: _Pair) -> None:
        """Add one pair, in one direction."""
        self.effort.spend()
        if pair not in self._pairs.get(variable(pair[0]), ()):
            self._note(pair)
            self._log.append((True, pair))

    def _drop(self, pair: _Pair) -> None:
        if pair in self._pairs.get(variable(pair[0]), ()):
            self._forget(pair)
            self._log.append((False, pair))

    def _note(self, pair: _Pair) -> None:
        name = variable(pair[0])
        if name not in self._pairs:
            self._pairs[name] = set()
            if name.startswith(_CONTEXT):
                self._fields[name] = None
        self._pairs[name].add(pair)

    def _forget(self, pair: _Pair) -> None:
        name = variable(pair[0])
        pairs = self._pairs[name]
        pairs.discard(pair)
        if not pairs:
            del self._pairs[name]
            self._fields.pop(name, None)

    def mark(self) -> int:
        """Return a point of the log."""
        return len(self._log)

    def since(self, mark: int) -> tuple[set[_Pair], set[_Pair]]:
        """Return the pairs that are new since a point, and those that are gone."""
        self.effort.spend(len(self._log) - mark)
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
            if added:
                self._forget(pair)
            else:
                self._note(pair)
        del self._log[mark:]


class _Search:
    def __init__(self, looped: Mapping[Access, int], lives: Lives, origins: Origins) -> None:
        self._looped = looped
        self._lives = lives
        self._origins = origins
        self._at: Drafted | None = None
        self._thrown: list[Ref] = []
        self.found: dict[tuple[Place, str], tuple[Place, Refused]] = {}

    def nodes(self, nodes: list[Drafted], state: _State) -> None:
        for node in nodes:
            self.node(node, state)

    def node(self, node: Drafted, state: _State) -> None:
        """Follow one node; *state* is what holds behind it afterwards."""
        self._at = node
        fields = node.fields
        match node.kind:
            case "seq":
                self.nodes(fields["children"], state)
            case "assign":
                self.assign(node, state)
            case "step":
                self.step(node, state)
            case "branch":
                self.branch(fields, state)
            case "loop":
                self.loop(fields["body"], state)
            case "try":
                self.protected(node, state)
            case "fanout":
                mark = state.mark()
                self.node(fields["body"], state)
                state.undo(mark)
                self.set_anew(node, access_of(fields["out"]), state)
            case _:
                for place in fields["places"]:
                    state.forget(access_of(place))

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

    def protected(self, node: Drafted, state: _State) -> None:
        """The handler meets what held before the body, or anywhere in it, and what was thrown."""
        fields, thrown = node.fields, len(self._thrown)
        mark = state.mark()
        self.node(fields["body"], state)
        gone = state.since(mark)[1]
        for pair in gone:
            state.put(pair)
        mark = state.mark()
        if "error_at" in fields:
            self.caught(access_of(fields["error_at"]), self._thrown[thrown:], state)
        self.node(fields["catch"], state)
        for pair in state.since(mark)[1] - gone:
            state.put(pair)

    def caught(self, at: Access, thrown: list[Ref], state: _State) -> None:
        for ref in thrown:
            for a, b in list(_expanded(at, ref, state)):
                state.add(a, b)

    def step(self, node: Drafted, state: _State) -> None:
        if "out" not in node.fields:
            return
        target = access_of(node.fields["out"])
        refs = [ref for share in node.shares for ref in self.handed_back(node, share)]
        new = [pair for ref in refs for pair in _expanded(target, ref, state)]
        self.set_anew(node, target, state)
        for a, b in new:
            state.add(a, b)

    def handed_back(self, node: Drafted, share: Share) -> Iterator[Ref]:
        """Yield what a helper's answer shares with what it was given."""
        if isinstance(share.source, str):
            given: list[Ref] = [((), (f"={share.source}",))]
        elif share.source >= len(node.fields["in"]["items"]):
            given = []  # an argument that was left out
        else:
            given = self._origins.of(node.fields["in"]["items"][share.source])
        for inside, source in given:
            for depth in range(1, _HANDED) if share.below else (0,):
                taken = min(depth, len(inside))
                below = (ANY,) * (depth - taken)
                yield share.inside + inside[taken:], source + below

    def assign(self, node: Drafted, state: _State) -> None:
        at, value = node.fields["at"], node.fields["value"]
        self._thrown += self._origins.thrown(value)
        if at == "$":
            return
        target = access_of(at)
        edited = None if node.edits is None else access_of(node.edits)
        if edited is not None:
            self.refuse_shared(node, edited, state)
        refs = [] if node.moved else self._origins.of(value)
        if edited is not None:
            refs = [ref for ref in refs if not _is_kept(ref, target)]
        passing = is_temp(target) or target in self._looped
        if any(source == WHOLE for _, source in refs) and not passing:
            hint = "name the fields that are meant"
            self.refuse(node, "the context cannot be kept inside itself", hint)
        new = [pair for ref in refs for pair in _expanded(target, ref, state)]
        if edited is not None:
            self.refuse_inside_itself(node, edited, [source for _, source in new])
        new += [(target + a, target + b) for a, b in self._origins.twice(value)]
        if edited is None or len(edited) < len(target):
            self.set_anew(node, target, state)
        for a, b in new:
            state.add(a, b)

    def set_anew(self, node: Drafted, target: Access, state: _State) -> None:
        """A variable gets another value; a field of the context is a member of the context."""
        if target[:1] == WHOLE:
            self.refuse_shared(node, WHOLE, state)
        state.forget(target)

    # ---- what is refused

    def give_up(self) -> None:
        """Refuse the flow where the search has become too much."""
        at = self._at or self._lives.reached
        assert at is not None  # noqa: S101 - without a node there is nothing to search
        if self._at is None:
            why = "up to here the flow reads too much to tell which names are looked at again"
            self.refuse(at, why, "make two blueprints of it: flow.sub runs the one in the other")
            return
        why = "up to here too many tables may be one and the same to tell what a change reaches"
        hint = "write copy(…) where a table is put into another or gets a second name"
        self.refuse(at, why, hint)

    def refuse_inside_itself(self, node: Drafted, edited: Access, sources: list[Access]) -> None:
        inside = [source for source in sources if begins(source, edited)]
        if any(source[1:2] != (ANY,) for source in inside):  # ctx[key] may be another field
            self.refuse(node, "this puts a table inside itself", "put a copy(…) there")

    def refuse_shared(self, node: Drafted, edited: Access, state: _State) -> None:
        found = (pair for pair in state.reaching(edited) if begins(pair[0], edited))
        shared = [pair for pair in found if self.matters(node, edited, pair[1])]
        for pair in shared:
            looped = [one for one in pair if one in self._looped]
            if looped:
                self.refuse_looped(node, looped[0])
                return
        if shared:
            mine, other = min(shared)
            alias = max(mine, other, key=lambda one: (one[:1] != WHOLE, self._lives.first(one)))
            why = f"this changes a table that {shown(other)} may reach too"
            first = shown(mine if alias == other else other)
            where = f"write copy(…) where {shown(alias)} is set"
            if first != shown(alias):
                where += f", or change it as {first}"
            looped = node.through
            if looped is not None and edited[:1] != access_of(looped.place)[:1]:
                where = f"begin the loop with local own = copy({shown(edited[:1])})"
            self.refuse(node, why, f"in Lua both would change, in a flow only one: {where}")

    def matters(self, node: Drafted, edited: Access, other: Access) -> bool:
        """Tell whether somebody may still look at a table by another name."""
        if is_temp(other) or _goes_there(node, other) or not self._lives.may_be_read(other, node):
            return False
        at = node.at_item
        return at is None or other != access_of(at.copy) or not begins(access_of(at.place), edited)

    def refuse_looped(self, node: Drafted, table: Access) -> None:
        why = f"this changes the table that the loop at line {self._looped[table]} goes over"
        hint = "go over a copy: ipairs(copy(list)), pairs(copy(table))"
        self.refuse(node, why, hint)

    def refuse(self, node: Drafted, why: str, hint: str) -> None:
        line = node.where.line or 1
        self.found.setdefault((node.where, why), (node.where, Refused(line, why, hint)))


def _goes_there(node: Drafted, other: Access) -> bool:
    """Tell whether a change of a loop's item is made under the other name, too."""
    if node.through is None:
        return False
    tables = (access_of(node.through.place), access_of(node.through.copy))
    return any(other[: len(one)] == one and len(other) <= len(one) + 1 for one in tables)


def _is_kept(ref: Ref, target: Access) -> bool:
    """Tell whether members of a table that is built anew stay where they were."""
    inside, source = ref
    return inside == (ANY,) and source == (*target, ANY)


def _expanded(target: Access, ref: Ref, state: _State) -> Iterator[tuple[Access, Access]]:
    """Yield what a table reaches by its new name: its source, and all that this shares."""
    inside, source = ref
    here = target + inside
    yield here, source
    for mine, other in state.reaching(source):
        if begins(mine, source):
            yield here, other + source[len(mine) :]
        elif begins(source, mine):
            yield here + mine[len(source) :], other
