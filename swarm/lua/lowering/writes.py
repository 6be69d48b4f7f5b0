"""Writing tables: fields of the context and of locals, items, and what `table.` changes."""

from __future__ import annotations

from dataclasses import fields, replace

from flowir.path import Segment, format_path, parse_path
from flowir.records import dataclass
from flowir.syntax import (
    Binary,
    Call,
    Expression,
    Index,
    Name,
    Number,
    String,
    Syntax,
    Table,
    Unary,
)
from swarm.lua.lowering import ops
from swarm.lua.lowering.elements import element, list_index
from swarm.lua.lowering.globals import NO_PARAMETER
from swarm.lua.lowering.names import Callee, Context, Scope, Slot, Through
from swarm.lua.lowering.ops import Op
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.values import Value, constant
from swarm.lua.lowering.work import CORNER, Drafted, Lowers

__all__ = ("APPEND", "Goal", "filled", "goal_of", "list_goal", "replaced", "write")

# Behind the last item: `t[#t + 1]`, and what takes the last one away: `t[#t] = nil`.
APPEND, _LAST = "append", "last"


@dataclass(frozen=True, slots=True)
class Goal:
    """Where an assignment goes.

    Shape: `segments` from the context down, as far as they are known; then `keys`, known
    while the flow runs. `special` is "append" or "last" where the last key is one of
    these two. `kind` is that of the table in which the last key is written.
    """

    segments: tuple[Segment, ...]
    keys: tuple[Value, ...]
    special: str | None
    kind: str
    through: Through | None = None
    at_item: Through | None = None

    @property
    def at(self) -> str:
        """The place that is known."""
        return ops.place(*self.segments)

    @property
    def depth(self) -> int:
        """How many segments name the variable itself: a local, or a field of the context."""
        return 2 if self.segments and self.segments[0] == CORNER else 1


def goal_of(low: Lowers, target: Expression, scope: Scope, *, keep: bool = False) -> Goal:
    """Find what an assignment's left side names.

    *keep*: others are assigned before it, which its keys must not see.
    """
    keys: list[Expression] = []
    base = target
    while isinstance(base, Index):
        keys.append(base.key)
        base = base.base
    keys.reverse()
    if not isinstance(base, Name):
        raise Refused(target.line, "only locals, ctx and what is inside them can be assigned to")
    bound = scope.find(base.name)
    first = _variable(low, base, scope, bool(keys))
    special = _special(target)
    at_item = _at_item(low, base, keys, scope)
    values = low.values(tuple(keys[:-1] if special else keys), scope)
    kept = [
        one if one.literal or (one.quiet and not keep) else low.work.keep(one, base.line)
        for one in values
    ]
    if not first:
        kept = _context_name(kept, target.line)
    segments, rest = _known_segments(kept)
    kind = _kind_of(low, target)
    held = isinstance(bound, Slot) and bool(keys or bound.inside)
    through = bound.through if held and isinstance(bound, Slot) else None
    return Goal((*first, *segments), tuple(rest), special, kind, through, at_item)


def _at_item(low: Lowers, base: Name, keys: list[Expression], scope: Scope) -> Through | None:
    """Recognise `list[i]` in a loop over that list: the item that the loop has just read."""
    for count, key in enumerate(keys):
        bound = scope.find(key.name) if isinstance(key, Name) else None
        if isinstance(bound, Slot) and bound.at_item is not None:
            names = [one.value for one in keys[:count] if isinstance(one, String)]
            table = _table_at(base, scope, names) if len(names) == count else None
            return bound.at_item if table == bound.at_item.place else None
        if not isinstance(key, String):
            return None
    return None


def _table_at(base: Name, scope: Scope, names: list[str]) -> str | None:
    bound = scope.find(base.name)
    if isinstance(bound, Context):
        return ops.place(*names)
    if isinstance(bound, Slot):
        return ops.place(*parse_path(bound.place).segments, *names)
    return None


def _kind_of(low: Lowers, target: Expression) -> str:
    if not isinstance(target, Index):
        return "any"
    place = low.work.facts.target_of(target.base)
    return "any" if place is None else low.work.facts.kind_at(place)


def _variable(low: Lowers, base: Name, scope: Scope, has_keys: bool) -> tuple[Segment, ...]:
    """Return the place of the variable; none for the context, whose fields are places."""
    match scope.find(base.name):
        case Context():
            if low.work.lane:
                hint = "return the value from the function"
                raise Refused(base.line, "a lane of parallel cannot write to ctx", hint)
            if not has_keys:
                hint = "assign its fields, or return the new one"
                raise Refused(base.line, "the context itself cannot be replaced", hint)
            return ()
        case Slot() as slot:
            if slot.lane != low.work.lane:
                hint = "return the value from the function"
                why = f"a lane of parallel cannot write to '{base.name}' of the flow around it"
                raise Refused(base.line, why, hint)
            return parse_path(slot.place).segments
        case None:
            meant = scope.near(base.name) if has_keys else None
            hint = f"write local {base.name} = …, or ctx.{base.name} = …"
            hint = f"did you mean '{meant}'?" if meant else hint
            hint = NO_PARAMETER if base.name == "ctx" else hint
            raise Refused(base.line, f"'{base.name}' is no local: a flow has no globals", hint)
        case Callee():
            raise Refused(base.line, f"'{base.name}' is a function, and stays the one it is")
        case _:
            hint = f"keep what changes in ctx.{base.name}"
            why = f"'{base.name}' belongs to the script, and the flow runs after it"
            raise Refused(base.line, why, hint)


def _context_name(keys: list[Value], line: int) -> list[Value]:
    first = keys[0] if keys else constant(1)
    if not first.literal or not isinstance(first.literal[0], str) or not first.literal[0]:
        hint = "use a table of its own: ctx.items[key] = …"
        raise Refused(line, "a field of ctx is written by its name", hint)
    if first.literal[0] == CORNER:
        raise Refused(line, f"ctx.{CORNER} is where the locals of a flow live", "name it otherwise")
    return keys


def _known_segments(keys: list[Value]) -> tuple[list[Segment], list[Value]]:
    segments: list[Segment] = []
    for i, key in enumerate(keys):
        known = key.literal
        if known and isinstance(known[0], str) and known[0]:  # no path has an empty name
            segments.append(known[0])
        elif known and type(known[0]) is int and known[0] >= 1:
            segments.append(known[0] - 1)
        else:
            return segments, keys[i:]
    return segments, []


def _special(target: Expression) -> str | None:
    """Recognise `t[#t + 1]` and `t[#t]`."""
    if not isinstance(target, Index):
        return None
    match target.key:
        case Binary(op="+", left=Unary(op="#", operand=of), right=Number() as one):
            return APPEND if one.value == 1 and _same(of, target.base) else None
        case Unary(op="#", operand=of):
            return _LAST if _same(of, target.base) else None
        case _:
            return None


def filled(target: Expression, e: Expression) -> bool:
    """Recognise `t[k] = t[k] or {}`, which puts nothing there that another name reaches."""
    match e:
        case Binary(op="or", left=left, right=Table(fields=())):
            return _same(target, left)
        case _:
            return False


def _same(a: Syntax, b: Syntax) -> bool:
    """Tell whether two expressions are the same chain of names and keys."""
    if type(a) is not type(b) or not isinstance(a, (Name, Index, String, Number)):
        return False
    for one in fields(a):
        mine, other = getattr(a, one.name), getattr(b, one.name)
        if isinstance(mine, Syntax):
            if not _same(mine, other):
                return False
        elif one.name in ("name", "value", "literal") and mine != other:
            return False
    return True


# ---- assignments


def write(low: Lowers, goal: Goal, value: Value, line: int) -> None:
    """Assign *value* to *goal*."""
    before = len(low.work.nodes)
    _write(low, goal, value, line)
    _write_through(low, goal, before, line)
    for node in low.work.nodes[before:]:
        node.at_item = goal.at_item


def _write_through(low: Lowers, goal: Goal, before: int, line: int) -> None:
    """Put an item of a loop that was changed back into its list: it is the same table."""
    through = goal.through
    if through is None:
        return
    for node in low.work.nodes[before:]:
        node.through = through
    new = _with_new_item(through, ops.path(ops.place(*goal.segments[:2])))
    node = low.work.assign(through.place, new, line, implicit=True, edits=through.place)
    node.moved, node.through = True, through


def _with_new_item(through: Through, item: Op) -> Op:
    table, index = ops.path(through.place), through.index
    head = ops.call("list.slice", table, ops.lit(0), index)
    after = ops.arith("add", index, ops.lit(1))
    tail = ops.call("list.slice", table, after, ops.lit(ops.BEYOND))
    listed = ops.call("list.concat", head, ops.array([item]), tail)
    if through.name is None:
        return listed
    named = ops.call("object.merge", table, ops.entry(through.name, item))
    return named if through.named else ops.iif(ops.is_text(through.name), named, listed)


def _write(low: Lowers, goal: Goal, value: Value, line: int) -> None:
    if goal.special == APPEND and not goal.keys:
        _append(low, goal, value, line)
    elif not goal.keys and goal.special is None:
        _assign(low, goal, value, line)
    else:
        _rewrite(low, goal, value, line)


def _assign(low: Lowers, goal: Goal, value: Value, line: int) -> None:
    inner = len(goal.segments) > goal.depth
    if inner:
        _need_tables(low, goal, line)
    if isinstance(goal.segments[-1], int) and goal.kind != "list":
        _empty_is_list(low, ops.place(*goal.segments[:-1]), line)
    edits = ops.place(*goal.segments[:-1]) if inner else None
    low.work.assign(goal.at, value.ir, line, edits=edits)


def _need_tables(low: Lowers, goal: Goal, line: int) -> None:
    """Stop where Lua would: the table to be written in is not there.

    The language itself would make objects on the way.
    """
    if goal.kind in ("list", "object") and len(goal.segments) == goal.depth + 1:
        return
    parent = ops.place(*goal.segments[:-1])
    _need(low, ops.path(parent), format_path(parse_path(parent), "ctx"), line)


def _need(low: Lowers, table: Op, shown: str, line: int) -> None:
    shown = shown.removeprefix(f"ctx.{CORNER}.")
    message = ops.lit(f"attempt to index a nil value ({shown})")
    with low.work.aside() as nodes:
        fail = ops.fail("type.mismatch", message)
        low.work.assign("$", fail, line, implicit=True)
    missing = ops.not_(ops.exists(table))
    low.work.emit("branch", line, implicit=True, cond=missing, then=low.work.body(nodes, line))


def _append(low: Lowers, goal: Goal, value: Value, line: int) -> None:
    """Add an item behind the last one: in place, where nobody else holds the list."""
    base = ops.path(goal.at)
    if goal.kind != "list":
        _empty_is_list(low, goal.at, line)
    item = ops.array([value.ir])
    low.work.assign(goal.at, ops.call("list.concat", base, item), line, edits=goal.at)


def _empty_is_list(low: Lowers, at: str, line: int) -> None:
    """Take an object without members as the list it may become."""
    with low.work.aside() as nodes:
        low.work.assign(at, ops.EMPTY_LIST, line, implicit=True, moved=True)
    cond = ops.eq(ops.path(at), ops.EMPTY_OBJECT)
    low.work.emit("branch", line, implicit=True, cond=cond, then=low.work.body(nodes, line))


def _rewrite(low: Lowers, goal: Goal, value: Value, line: int) -> None:
    """Write behind keys that are known while the flow runs: tables are built anew."""
    base = Value(ops.path(goal.at), "list" if goal.kind == "list" else "any", quiet=True)
    if not value.literal and not value.quiet:
        value = low.work.keep(value, line)
    if goal.special is None and len(goal.keys) == 1:
        new = _with(low, base, goal.keys[0], value, line)
        low.work.assign(goal.at, new, line, edits=goal.at)
        return
    inner = _inner_tables(low, base, goal, line)
    last = goal.special or goal.keys[-1]
    new = _with(low, inner[-1], last, value, line)
    keys = goal.keys if goal.special else goal.keys[:-1]
    for table, key in zip(reversed(inner[:-1]), reversed(keys), strict=True):
        kept = low.work.keep(Value(new), line)
        _moved(low)
        new = _with(low, table, key, kept, line)
    edits = goal.at + "[0]" * len(keys)
    low.work.assign(goal.at, new, line, edits=edits)


def _inner_tables(low: Lowers, base: Value, goal: Goal, line: int) -> list[Value]:
    """Read the tables on the way to the last key; each must be there."""
    tables = [base]
    keys = goal.keys if goal.special else goal.keys[:-1]
    for key in keys:
        inner = low.work.keep(element(low, tables[-1], key, line), line)
        _moved(low)
        _need(low, inner.ir, "an item", line)
        tables.append(inner)
    if goal.special == APPEND:
        at: str = tables[-1].ir["at"]
        _empty_is_list(low, at, line)
    return tables


def _moved(low: Lowers) -> None:
    """Note that the last value only passes through: it is put back where it came from."""
    last: Drafted = low.work.nodes[-1]
    last.moved = True


def _with(low: Lowers, table: Value, key: Value | str, value: Value, line: int) -> Op:
    """Build the table with one member more, or another one."""
    if key == APPEND:
        return ops.call("list.concat", table.ir, ops.array([value.ir]))
    if key == _LAST:
        return _with_last(low, table, value, line)
    assert isinstance(key, Value)  # noqa: S101 - the two special keys are above
    if key.kind == "string":
        return _with_name(table, key, value)
    if key.literal and type(key.literal[0]) is float and key.literal[0].is_integer():
        key = constant(int(key.literal[0]))  # 2.0 is the position 2
    if key.literal and not (type(key.literal[0]) is int and key.literal[0] >= 1):
        hint = "write a string for a name"
        raise Refused(line, "a list of a flow has positions from 1 on, whole numbers", hint)
    if key.is_number:
        return _with_item(low, table, key, value, line)
    if key.kind != "any":
        raise Refused(line, f"a table of a flow has no {key.kind} as a key")
    key = key if key.small else low.work.keep(key, line)
    named, counted = _with_name(table, key, value), _with_item(low, table, key, value, line)
    return ops.iif(ops.is_text(key.ir), named, counted)


def _with_last(low: Lowers, table: Value, value: Value, line: int) -> Op:
    if value.literal == [None]:
        listed = table.ir if table.kind == "list" else ops.listed(table.ir)
        return ops.call("list.slice", listed, ops.lit(0), ops.lit(-1))
    return _with_item(low, table, Value(ops.length(table.ir), "integer"), value, line)


def _with_name(table: Value, key: Value, value: Value) -> Op:
    if value.literal == [None]:
        return ops.call("object.without", table.ir, key.ir)
    return ops.call("object.merge", table.ir, ops.entry(key.ir, value.ir))


def _with_item(low: Lowers, table: Value, key: Value, value: Value, line: int) -> Op:
    """Build a list with one item another; the item behind the last one may be new."""
    key = key if key.small else low.work.keep(key, line)
    fraction: list[Op] = []
    if key.kind in ("number", "any"):
        floor = ops.call("math.floor", key.ir)  # 2.0 is the position 2
        fraction = [ops.compare("ne", key.ir, floor)]
        key = Value(floor, "integer")
    index = list_index(replace(key, kind="position"))
    listed = table.ir if table.kind == "list" else ops.listed(table.ir)
    before = ops.call("list.slice", listed, ops.lit(0), index)
    after = ops.call("list.slice", listed, key.ir, ops.lit(ops.BEYOND))
    new = ops.call("list.concat", before, ops.array([value.ir]), after)
    if key.literal:
        return new
    past = ops.compare("gt", index, ops.length(table.ir))
    outside = past if key.kind == "position" else _outside(key, past, fraction)
    message = ops.lit("a list of a flow has no holes: expected a position in it, or the next")
    return ops.iif(outside, ops.fail("type.mismatch", message), new)


def _outside(key: Value, past: Op, fraction: list[Op]) -> Op:
    return ops.any_of(*fraction, ops.compare("lt", key.ir, ops.lit(1)), past)


# ---- table.insert, table.remove, table.sort


def replaced(low: Lowers, goal: Goal, new: Op, line: int) -> None:
    """Put a list in the place of the one that a function of `table` changes."""
    before = len(low.work.nodes)
    if goal.keys:
        kept = low.work.keep(Value(new), line)
        _moved(low)
        _rewrite(low, goal, kept, line)
    else:
        low.work.assign(goal.at, new, line, edits=goal.at)
    _write_through(low, goal, before, line)
    for node in low.work.nodes[before:]:
        node.at_item = goal.at_item


def list_goal(low: Lowers, call: Call, scope: Scope) -> tuple[Goal, Value]:
    """Return the list that a function of `table` changes, as a goal and as a value."""
    if not call.arguments:
        raise Refused(call.line, "expected a list, got nothing")
    target = call.arguments[0]
    goal = goal_of(low, target, scope)
    place = low.work.facts.target_of(target)
    kind = "any" if place is None else low.work.facts.kind_at(place)
    goal = replace(goal, kind=kind)
    if goal.keys:
        kept = low.work.keep(low.value(target, scope), call.line)
        _empty_is_list(low, kept.ir["at"], call.line)
        return goal, kept
    if kind != "list":
        _empty_is_list(low, goal.at, call.line)
    return goal, Value(ops.path(goal.at), "list", quiet=True)
