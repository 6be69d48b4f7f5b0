"""Loops: each becomes one that is bounded, and reaching the bound is an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from flowir.limits import DEFAULT_LIMITS
from flowir.records import dataclass
from flowir.syntax import Binary, Call, Expression, Index, Method, Name, Number, String
from swarm.lua.lowering import ops
from swarm.lua.lowering.elements import as_list, keys_of
from swarm.lua.lowering.exits import Body
from swarm.lua.lowering.expressions import AS_LIST, static
from swarm.lua.lowering.free import changed_parameters, changed_tables, root_of
from swarm.lua.lowering.helpers import matches_by_lua
from swarm.lua.lowering.known import Library
from swarm.lua.lowering.names import Callee, Scope, Slot, Through
from swarm.lua.lowering.ops import Op
from swarm.lua.lowering.raising import LOOP_LIMIT
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.values import Kind, Value, constant
from swarm.lua.lowering.work import Drafted, Exit, Lowers, Round
from swarm.lua.lowering.writes import goal_of
from swarm.lua.syntax import CallStatement, GenericFor, Label, NumericFor, Repeat, While, walk

__all__ = ("lower_loop",)

_WHOLE = ("position", "integer")
_GMATCH = Library("string.gmatch")
_Loop: TypeAlias = While | Repeat | NumericFor | GenericFor


def lower_loop(low: Lowers, loop: _Loop, scope: Scope) -> set[Exit]:
    """Lower a loop; return the flags by which it may leave what is around it."""
    own = Scope(scope)
    match loop:
        case While():
            found = _while(low, loop, own)
        case Repeat():
            found = _repeat(low, loop, own)
        case NumericFor():
            found = _numeric(low, loop, own)
        case GenericFor():
            found = _generic(low, loop, own)
    low.work.end(own.slots, loop.line)
    return found


@dataclass(slots=True)
class _Plan:
    """A loop to be built.

    Shape: `begin` lowers what an iteration starts with, `cond` gives what keeps the loop
    going, evaluated before each iteration. `most` is known where the loop counts to it;
    else the limit applies.
    """

    line: int
    body: Body
    scope: Scope
    counter: str
    cond: Op
    begin: Callable[[Scope], None] | None = None
    test: Expression | None = None
    until: Expression | None = None
    most: int | None = None


# ---- while, repeat


def _while(low: Lowers, loop: While, scope: Scope) -> set[Exit]:
    counter = low.work.slot("rounds")
    with low.work.aside() as nodes:
        cond = low.condition(loop.condition, scope)
    if not nodes:
        return _build(low, _Plan(loop.line, loop.body, scope, counter, cond))
    plan = _Plan(loop.line, loop.body, scope, counter, ops.TRUE, test=loop.condition)
    return _build(low, plan)


def _repeat(low: Lowers, loop: Repeat, scope: Scope) -> set[Exit]:
    counter = low.work.slot("rounds")
    plan = _Plan(loop.line, loop.body, scope, counter, ops.TRUE, until=loop.condition)
    return _build(low, plan)


# ---- for i = a, b, c


def _numeric(low: Lowers, loop: NumericFor, scope: Scope) -> set[Exit]:
    work, line, name = low.work, loop.line, loop.variable.name
    step: Expression = loop.step or Number(loop.line, loop.start, loop.end, "1")
    first, last, by = low.values((loop.first, loop.last, step), scope)
    key = id(loop.variable)
    kind = work.facts.kind_at((key, ()))
    if by.literal == [0]:
        raise Refused(line, "the step of a for loop is zero: Lua raises an error here")
    counter = work.slot(f"{name}_count")
    count = _known_count(first, last, by)
    whole = first.kind in _WHOLE and by.kind in _WHOLE
    if not whole:
        return _adding_up(low, loop, scope, counter, (first, last, by))
    if count is None:
        first, by = (_held(low, value, scope, line) for value in (first, by))
        total = work.slot(f"{name}_total", scope)
        work.assign(total, _rounds(first, last, by), line, implicit=True)
        cond = ops.compare("lt", ops.path(counter), ops.path(total))
    else:
        cond = ops.TRUE

    def begin(inner: Scope) -> None:
        at = work.declare(inner, name, kind, key)
        work.assign(at, _nth(first, by, counter), line, implicit=True)

    return _build(low, _Plan(line, loop.body, scope, counter, cond, begin, most=count))


def _adding_up(
    low: Lowers,
    loop: NumericFor,
    scope: Scope,
    counter: str,
    bounds: tuple[Value, Value, Value],
) -> set[Exit]:
    """Count by adding the step up, as Lua does where it may be no integer."""
    work, line, name = low.work, loop.line, loop.variable.name
    first, last, by = (_held(low, value, scope, line) for value in bounds)
    following = work.slot(f"{name}_next", scope)
    # One float makes all of them floats.
    start = ops.arith("add", first.ir, ops.arith("mul", by.ir, ops.lit(0)))
    work.assign(following, start, line, implicit=True)
    here = ops.path(following)
    up, down = ops.compare("lte", here, last.ir), ops.compare("gte", here, last.ir)
    if by.literal:
        cond = up if by.literal[0] > 0 else down
    else:
        work.keep(Value(ops.arith("mod", ops.lit(1), by.ir)), line)  # a step of zero is an error
        cond = ops.iif(ops.compare("gt", by.ir, ops.lit(0)), up, down)
    key = id(loop.variable)

    def begin(inner: Scope) -> None:
        at = work.declare(inner, name, work.facts.kind_at((key, ())), key)
        work.assign(at, here, line, implicit=True)
        work.assign(following, ops.arith("add", here, by.ir), line, implicit=True)

    return _build(low, _Plan(line, loop.body, scope, counter, cond, begin))


def _known_count(first: Value, last: Value, by: Value) -> int | None:
    known = [*first.literal, *last.literal, *by.literal]
    if len(known) != 3 or any(type(one) is not int for one in known):
        return None
    count = max(0, (known[1] - known[0]) // known[2] + 1)
    # No loop may promise more than the language allows: such a one has a limit like others.
    return count if count <= DEFAULT_LIMITS.iterations else None


def _held(low: Lowers, value: Value, scope: Scope, line: int) -> Value:
    """Keep a bound for the whole loop."""
    if value.literal:
        return value
    at = low.work.slot("bound", scope)
    low.work.assign(at, value.ir, line, implicit=True)
    return Value(ops.path(at), value.kind, quiet=True)


def _rounds(first: Value, last: Value, by: Value) -> Op:
    span = last.ir if first.literal == [1] else ops.arith("sub", last.ir, first.ir)
    if first.literal == [1] and by.literal == [1]:
        # `for i = 1, n`: no sum would say that n is no number.
        return ops.arith("idiv", last.ir, ops.lit(1))
    if first.literal == [1]:
        span = ops.arith("sub", last.ir, ops.lit(1))
    return ops.arith("add", ops.arith("idiv", span, by.ir), ops.lit(1))


def _nth(first: Value, by: Value, counter: str) -> Op:
    """Return the variable of an iteration, from the counter, which begins at zero."""
    ir = ops.path(counter)
    if by.literal != [1]:
        ir = ops.arith("mul", ir, by.ir)
    return ir if first.literal == [0] and by.literal else ops.arith("add", ir, first.ir)


# ---- for … in


def _generic(low: Lowers, loop: GenericFor, scope: Scope) -> set[Exit]:
    call = loop.values[0]
    if len(loop.values) == 1 and (given := _matched(low, call, scope)) is not None:
        return _gmatch(low, loop, given, scope)
    name = _called(call)
    if len(loop.values) != 1 or name not in ("ipairs", "pairs") or scope.find(name):
        hint = "for i, item in ipairs(list), or for name, member in pairs(table)"
        raise Refused(loop.line, "a for loop goes over ipairs, pairs or gmatch", hint)
    assert isinstance(call, Call)  # noqa: S101 - looked at above
    if len(call.arguments) != 1 or len(loop.names) > 2:
        raise Refused(loop.line, f"{name} takes one table, and gives two values")
    if name == "ipairs":
        return _ipairs(low, loop, call.arguments[0], scope)
    return _pairs(low, loop, call.arguments[0], scope)


def _called(e: Expression) -> str:
    match e:
        case Call(function=Name(name=name)):
            return name
        case _:
            return ""


def _ipairs(low: Lowers, loop: GenericFor, e: Expression, scope: Scope) -> set[Exit]:
    work, line = low.work, loop.line
    value = as_list(low, low.value(e, scope, AS_LIST), line)
    listed = work.slot(_name_of(e, "list"), scope)
    work.assign(listed, value.ir, line, implicit=True)
    work.looped[listed] = line
    base = loop.names[-1].name if len(loop.names) == 2 else loop.names[0].name
    counter = work.slot(f"{base}_count" if base != "_" else "count")
    item = {"op": "get", "of": ops.path(listed), "key": ops.path(counter)}
    place = _place_of(low, e, scope)
    through = None if place is None else Through(place, listed, ops.path(counter))

    def begin(inner: Scope) -> None:
        position = ops.arith("add", ops.path(counter), ops.lit(1))
        _bind(low, loop, inner, (Value(position, "position"), Value(item)))
        _connect(low, loop, inner, through)

    return _build(low, _Plan(line, loop.body, scope, counter, ops.exists(item), begin))


def _connect(low: Lowers, loop: GenericFor, inner: Scope, through: Through | None) -> None:
    """Let writes into the item, and at its position or name, reach the table itself."""
    first, *others = (one.name for one in loop.names)
    position = inner.names.get(first)
    if through is None:
        return
    if isinstance(position, Slot) and not low.work.facts.is_assigned(position.key):
        inner.names[first] = replace(position, at_item=through)
    for name in others:
        item = inner.names.get(name) if _is_changed(low, loop, name, inner) else None
        if isinstance(item, Slot) and not low.work.facts.is_assigned(item.key):
            inner.names[name] = replace(item, through=through)


def _is_changed(low: Lowers, loop: GenericFor, name: str, scope: Scope) -> bool:
    """Tell whether the body changes something in a table, or has a function change it."""
    pieces = [piece for one in loop.body for piece in walk(one)]
    if any(root_of(one) == name for piece in pieces for one in changed_tables(piece)):
        return True
    calls = [piece for piece in pieces if isinstance(piece, Call)]
    return any(_changes(low, call, name, scope) for call in calls)


def _changes(low: Lowers, call: Call, name: str, scope: Scope) -> bool:
    given = [root_of(one) == name for one in call.arguments]
    callee = static(low, call.function, scope) if any(given) else None
    if not isinstance(callee, Callee):
        return False
    changed = changed_parameters(callee.function)
    pairs = zip(callee.function.parameters, given, strict=False)
    return any(is_it and parameter.name in changed for parameter, is_it in pairs)


def _matched(low: Lowers, e: Expression, scope: Scope) -> tuple[Expression, ...] | None:
    """Return the text and the pattern of a call of `gmatch`."""
    match e:
        case Method(name="gmatch", receiver=text, arguments=(pattern,)):
            return text, pattern
        case Call(arguments=(text, pattern)) if static(low, e.function, scope) == _GMATCH:
            return text, pattern
        case _:
            return None


def _gmatch(
    low: Lowers, loop: GenericFor, given: tuple[Expression, ...], scope: Scope
) -> set[Exit]:
    """Go over what a pattern finds in a text: it is looked for before the loop begins."""
    work, line, count = low.work, loop.line, len(loop.names)
    found = work.slot("matches", scope)
    name = ":gmatch" if isinstance(loop.values[0], Method) else "string.gmatch"
    value = matches_by_lua(low, name, low.values(given, scope), line, count)
    work.assign(found, value.ir, line, implicit=True)
    counter = work.slot(f"{loop.names[0].name}_count")
    one: Op = {"op": "get", "of": ops.path(found), "key": ops.path(counter)}
    parts = [ops.get(one, ops.lit(i)) for i in range(count)]

    def begin(inner: Scope) -> None:
        _bind(low, loop, inner, tuple(Value(part) for part in parts))

    cond = ops.compare("lt", ops.path(counter), ops.length(ops.path(found)))
    return _build(low, _Plan(line, loop.body, scope, counter, cond, begin))


def _place_of(low: Lowers, e: Expression, scope: Scope) -> str | None:
    """Return the place of the table that a loop goes over, if it has one that is known."""
    try:
        with low.work.aside() as nodes:
            goal = goal_of(low, e, scope)
    except Refused:
        return None
    return None if nodes or goal.keys or goal.special or goal.through else goal.at


def _bind(low: Lowers, loop: GenericFor, inner: Scope, values: tuple[Value, ...]) -> None:
    for name, value in zip(loop.names, values, strict=False):
        if name.name == "_" and not _is_read(loop, "_"):
            continue
        assigned = low.work.facts.is_assigned(id(name))
        kind = "any" if assigned else value.kind
        at = low.work.declare(inner, name.name, kind, id(name))
        low.work.assign(at, value.ir, loop.line, implicit=True)


def _is_read(loop: GenericFor, name: str) -> bool:
    pieces = (piece for one in loop.body for piece in walk(one))
    return any(isinstance(piece, Name) and piece.name == name for piece in pieces)


def _pairs(low: Lowers, loop: GenericFor, e: Expression, scope: Scope) -> set[Exit]:
    """Go over the members in the order of scripts: items, or names as they sort."""
    work, line = low.work, loop.line
    table = low.work.slot(_name_of(e, "table"), scope)
    value = low.value(e, scope)
    work.assign(table, value.ir, line, implicit=True)
    work.looped[table] = line
    keys = work.slot(f"{loop.names[0].name}_keys", scope)
    work.assign(keys, keys_of(Value(ops.path(table), value.kind)), line, implicit=True)
    counter = work.slot(f"{loop.names[0].name}_count")
    key: Op = {"op": "get", "of": ops.path(keys), "key": ops.path(counter)}
    through = None
    if (place := _place_of(low, e, scope)) is not None:
        less = ops.arith("sub", key, ops.lit(1))
        through = Through(place, table, less, key, value.kind == "object")

    def begin(inner: Scope) -> None:
        kind = {"list": "integer", "object": "string"}.get(value.kind, "any")
        index = key if value.kind == "object" else _key_index(key, value)
        member: Op = {"op": "get", "of": ops.path(table), "key": index}
        found = Value(key, "position" if kind == "integer" else _text_kind(kind))
        _bind(low, loop, inner, (found, Value(member)))
        _connect(low, loop, inner, through)

    cond = ops.compare("lt", ops.path(counter), ops.length(ops.path(keys)))
    return _build(low, _Plan(line, loop.body, scope, counter, cond, begin))


def _text_kind(kind: str) -> Kind:
    return "string" if kind == "string" else "any"


def _key_index(key: Op, table: Value) -> Op:
    less = ops.arith("sub", key, ops.lit(1))
    return less if table.kind == "list" else ops.iif(ops.is_text(key), key, less)


def _name_of(e: Expression, otherwise: str) -> str:
    match e:
        case Name(name=name):
            return name
        case Index(key=String(value=name)) if name.isidentifier() and name.isascii():
            return name
        case Binary(left=left):
            return _name_of(left, otherwise)
        case _:
            return otherwise


# ---- building


def _build(low: Lowers, plan: _Plan) -> set[Exit]:
    work, line = low.work, plan.line
    limit, body = _limited(low, plan)
    if plan.test is not None:  # it is asked once more, to tell whether more was wanted
        limit = min(limit, DEFAULT_LIMITS.iterations - 1)
    round_ = Round(_label(body))
    work.loops.append(round_)
    try:
        with work.aside() as nodes:
            exits = _iteration(low, plan, body, round_, limit)
    finally:
        work.loops.pop()
    _answer_skips(low, round_, nodes, line)
    if round_.stop is not None:
        work.assign(round_.stop.place, ops.FALSE, line, implicit=True)
        exits.add(round_.stop)
    leaving = sorted(one.place for one in exits if one is not round_.skip)
    for one in exits:
        one.read = True
    cond = _ended(plan, leaving)
    fields: dict[str, Any] = {
        "counter": plan.counter,
        "cond": cond,
        "body": work.body(nodes, line),
        "max": limit if plan.test is None else limit + 1,
    }
    if plan.most is None and plan.test is None:
        fields["exhausted_at"] = work.slot("more")
    work.emit("loop", line, **fields)
    if "exhausted_at" in fields:
        _refuse_more(low, ops.all_of(ops.path(fields["exhausted_at"])), limit, line)
    return {one for one in exits if one not in (round_.stop, round_.skip)}


def _ended(plan: _Plan, leaving: list[str]) -> Op:
    going = [ops.none_of(leaving)] if leaving else []
    return ops.all_of(*going, plan.cond)


def _iteration(low: Lowers, plan: _Plan, body: Body, round_: Round, limit: int) -> set[Exit]:
    work, inner = low.work, Scope(plan.scope)
    if plan.begin is not None:
        plan.begin(inner)
    if plan.test is not None:
        return _tested(low, plan, body, inner, round_, limit)
    exits = low.block(body, inner)
    if plan.until is not None:
        _until(low, plan, inner, round_, exits)
    work.end(inner.slots, plan.line)
    return exits


def _tested(
    low: Lowers, plan: _Plan, body: Body, inner: Scope, round_: Round, limit: int
) -> set[Exit]:
    """Ask a condition that calls agents at the start of each iteration."""
    work, line = low.work, plan.line
    assert plan.test is not None  # noqa: S101 - the caller looked
    round_.stop = round_.stop or work.exit("stop")
    cond = low.condition(plan.test, inner)
    with work.aside() as then:
        more = ops.compare("gte", ops.path(plan.counter), ops.lit(limit))
        _refuse_more(low, more, limit, line)
        exits = low.block(body, inner)
        work.end(inner.slots, line)
    with work.aside() as otherwise:
        work.assign(round_.stop.place, ops.TRUE, line, implicit=True)
    fields: dict[str, Any] = {
        "cond": cond,
        "then": work.body(then, line),
        "else": work.body(otherwise, line),
    }
    work.emit("branch", line, **fields)
    return exits


def _until(low: Lowers, plan: _Plan, inner: Scope, round_: Round, exits: set[Exit]) -> None:
    """Ask at the end of an iteration whether it was the last; the body's locals are seen."""
    work, line = low.work, plan.line
    assert plan.until is not None  # noqa: S101 - the caller looked
    with work.aside() as nodes:
        cond = low.condition(plan.until, inner)
    if not nodes:
        first = ops.eq(ops.path(plan.counter), ops.lit(0))
        plan.cond = ops.any_of(first, ops.not_(cond))
        return
    done = work.slot("done")
    with work.aside() as asked:
        work.nodes += nodes
        work.assign(done, cond, line, implicit=True)
    left = sorted(one.place for one in exits if one is not round_.skip)
    if left:
        for one in exits:
            one.read = True
        going, then = ops.none_of(left), work.body(asked, line)
        work.emit("branch", line, implicit=True, cond=going, then=then)
    else:
        work.nodes += asked
    first = ops.eq(ops.path(plan.counter), ops.lit(0))
    plan.cond = ops.any_of(first, ops.not_(ops.path(done)))


def _answer_skips(low: Lowers, round_: Round, nodes: list[Drafted], line: int) -> None:
    """Begin each iteration with nothing skipped; a skip that nobody asks for is dropped."""
    skip = round_.skip
    if skip is None:
        return
    if not skip.read:
        for node in skip.sets:
            node.kind, node.fields = "seq", {"children": []}
        return
    with low.work.aside() as first:
        low.work.assign(skip.place, ops.FALSE, line, implicit=True)
    nodes[:0] = first


def _label(body: Body) -> str | None:
    last = body[-1] if body else None
    return last.label if isinstance(last, Label) else None


def _limited(low: Lowers, plan: _Plan) -> tuple[int, Body]:
    """Return the most rounds, and the body without the statement that says so."""
    limit = low.work.rounds if plan.most is None else plan.most
    first = plan.body[0] if plan.body else None
    match first:
        case CallStatement(call=Call(function=Name(name="limit"), arguments=arguments)):
            if plan.scope.find("limit") is not None:
                return limit, plan.body
        case _:
            return limit, plan.body
    value = low.value(arguments[0], plan.scope) if len(arguments) == 1 else constant(None)
    rounds = value.literal[0] if value.literal else None
    if type(rounds) is not int or rounds < 1:
        raise Refused(first.line, "limit takes a constant number of rounds, at least 1")
    return (limit if plan.most is not None else rounds), plan.body[1:]


def _refuse_more(low: Lowers, more: Op, limit: int, line: int) -> None:
    work = low.work
    message = (
        f"the loop reached its limit of {limit} rounds — begin it with limit(n), or give "
        "the blueprint limits = { rounds = n }"
    )
    with work.aside() as nodes:
        work.assign("$", ops.fail(LOOP_LIMIT, ops.lit(message)), line, implicit=True)
    then = work.body(nodes, line)
    work.emit("branch", line, implicit=True, cond=more, then=then)
