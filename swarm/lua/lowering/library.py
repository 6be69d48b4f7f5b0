"""Lua's library: what an expression of the language says, and what Lua has to compute.

A string counts in code points here, as everywhere in a flow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from flowir.syntax import Call, Function, Method
from swarm.lua.lowering import ops
from swarm.lua.lowering.elements import whole
from swarm.lua.lowering.expressions import AS_LIST, static
from swarm.lua.lowering.helpers import computes_only, sorted_by
from swarm.lua.lowering.names import Callee, Scope
from swarm.lua.lowering.ops import Op
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.values import Kind, Value
from swarm.lua.lowering.work import Lowers
from swarm.lua.lowering.writes import APPEND, list_goal, replaced, write

__all__ = ("BY_LUA", "library_call", "method_call")

_Values: TypeAlias = list[Value]
_Made: TypeAlias = Callable[[Lowers, _Values, int], Value | None]

# What Lua itself computes, in an implicit step. All pure, each with one result.
BY_LUA = frozenset(
    [
        *("string.byte", "string.char", "string.find", "string.format", "string.gsub"),
        *("string.match", "string.rep", "string.reverse", "string.upper", "string.lower"),
        *("math.acos", "math.asin", "math.atan", "math.cos", "math.deg", "math.exp"),
        *("math.fmod", "math.log", "math.modf", "math.rad", "math.sin", "math.sqrt", "math.tan"),
        *("math.tointeger", "math.type", "math.ult", "utf8.char", "utf8.codepoint", "utf8.len"),
    ]
)
_REFUSED: Mapping[str, str] = {
    "math.huge": "a number of a flow is finite",
    "math.random": "the same run must go the same way again: let an agent draw",
    "math.randomseed": "the same run must go the same way again: let an agent draw",
    "string.dump": "all code of a flow is in its script",
    "string.gmatch": "it stands behind 'in' of a for loop",
    "string.pack": "texts of a flow are UTF-8",
    "string.packsize": "texts of a flow are UTF-8",
    "string.unpack": "texts of a flow are UTF-8",
    "table.move": "write the loop",
    "table.pack": "write { a, b }",
    "table.unpack": "a call takes its arguments one by one",
    "utf8.codes": "a flow has no iterators of its own: write a function that returns a list",
}


def library_call(low: Lowers, name: str, e: Call, scope: Scope, *, used: bool) -> Value | None:
    """Lower the call of a function of Lua's library."""
    changes = _CHANGING.get(name)
    if changes is not None:
        return changes(low, e, scope, used)
    if name in _REFUSED:
        raise Refused(e.line, f"{name}: {_REFUSED[name]}")
    _refuse_functions(name, e)
    if name == "table.concat":
        return _joined(low, e, scope)
    return _computed(low, name, low.values(e.arguments, scope), e.line)


def method_call(low: Lowers, e: Method, scope: Scope) -> Value:
    """Lower `text:method(…)`; only texts have methods in a flow."""
    name = f"string.{e.name}"
    if name in _REFUSED:
        raise Refused(e.line, f"{name}: {_REFUSED[name]}")
    if name not in BY_LUA and name not in _EXACT:
        hint = "call a function of the script, or an agent: f(value)"
        raise Refused(e.line, f"texts have no method '{e.name}', and tables have none", hint)
    _refuse_functions(name, e)
    text, *others = low.values((e.receiver, *e.arguments), scope)
    # `text:sub(…)` asks for a text, where string.sub(…) takes a number as well.
    made = _EXACT.get(name)
    text_only = replace(text, kind="string")
    value = None if made is None else made(low, [text_only, *others], e.line)
    return value or low.by_lua(f":{e.name}", [text, *others], e.line)


def _refuse_functions(name: str, e: Call | Method) -> None:
    if any(isinstance(one, Function) for one in e.arguments):
        hint = "write a function of the script that does it, and call that"
        raise Refused(e.line, f"{name} with a function", hint)


def _computed(low: Lowers, name: str, values: _Values, line: int) -> Value:
    made = _EXACT.get(name)
    value = None if made is None else made(low, values, line)
    if value is not None:
        return value
    if name not in BY_LUA:
        hint = "write a function of the script that does it, and call that"
        raise Refused(line, f"{name} is no function that a flow knows", hint)
    return low.by_lua(name, values, line)


# ---- what an expression says exactly; None where Lua has to


def _extern(ref: str, count: int, kind: Kind, *, more: bool = False) -> _Made:
    def made(_low: Lowers, values: _Values, _line: int) -> Value | None:
        if len(values) < count or (len(values) > count and not more):
            return None
        return Value(ops.call(ref, *[value.ir for value in values]), kind)

    return made


def _of_text(ref: str) -> _Made:
    def made(_low: Lowers, values: _Values, _line: int) -> Value | None:
        return Value(ops.call(ref, _as_text(values[0])), "string") if len(values) == 1 else None

    return made


def _length(_low: Lowers, values: _Values, line: int) -> Value:
    if len(values) != 1:
        raise Refused(line, "string.len takes one text")
    return Value(ops.length(_as_text(values[0])), "integer")


def _as_text(value: Value) -> Op:
    """Return a text; `string.len` and the like take numbers for texts, as `..` does."""
    return value.ir if value.kind == "string" else ops.concat([value.ir])


def _sub(low: Lowers, values: _Values, line: int) -> Value:
    if not 2 <= len(values) <= 3:
        raise Refused(line, "string.sub takes a text and one or two positions")
    wholes = (whole(low, v, line) for v in values[1:])
    first, *ends = (low.work.keep(v, line) if not v.small else v for v in wholes)
    end = _end(ends[0]) if ends else ops.lit(ops.BEYOND)
    return Value(ops.call("string.sub", _as_text(values[0]), _begin(first), end), "string")


def _begin(position: Value) -> Op:
    known = position.literal
    if known and isinstance(known[0], int):
        return ops.lit(known[0] - 1 if known[0] > 0 else known[0])
    less = ops.arith("sub", position.ir, ops.lit(1))
    if position.kind == "position":
        return less
    return ops.iif(ops.compare("gt", position.ir, ops.lit(0)), less, position.ir)


def _end(position: Value) -> Op:
    """Turn the last position into the first index behind it."""
    known = position.literal
    if known and isinstance(known[0], int):
        if known[0] >= 0:
            return ops.lit(known[0])
        return ops.lit(ops.BEYOND if known[0] == -1 else known[0] + 1)
    if position.kind == "position":
        return position.ir
    whole = ops.eq(position.ir, ops.lit(-1))
    more = ops.arith("add", position.ir, ops.lit(1))
    negative = ops.iif(whole, ops.lit(ops.BEYOND), more)
    return ops.iif(ops.compare("lt", position.ir, ops.lit(0)), negative, position.ir)


def _repeated(low: Lowers, values: _Values, line: int) -> Value | None:
    if len(values) not in (2, 3):
        return None
    text, count, *between = values
    count = whole(low, count, line)
    if not text.small or (text.ir["op"] == "path" and text.ir["at"].startswith("@")):
        text = low.work.keep(text, line)
    numbers = ops.call("list.range", ops.lit(0), count.ir)
    texts = ops.mapped(numbers, "nth", _as_text(text))
    joint = _as_text(between[0]) if between else ops.lit("")
    return Value(ops.call("string.join", texts, joint), "string")


def _found(_low: Lowers, values: _Values, _line: int) -> Value | None:
    """Lower `find(text, part, 1, true)`: the position where a part begins, or nil."""
    if len(values) != 4 or values[2].literal != [1] or values[3].literal != [True]:
        return None
    part = values[1].literal
    if not part or not isinstance(part[0], str) or not part[0] or not values[0].small:
        return None
    text = _as_text(values[0])
    before = {"op": "get", "of": ops.call("string.split", text, values[1].ir), "key": ops.lit(0)}
    position = ops.arith("add", ops.length(before), ops.lit(1))
    return Value(ops.iif(ops.call("string.contains", text, values[1].ir), position, ops.NULL))


_EXACT: Mapping[str, _Made] = {
    "math.abs": _extern("math.abs", 1, "number"),
    "math.ceil": _extern("math.ceil", 1, "integer"),
    "math.floor": _extern("math.floor", 1, "integer"),
    "math.max": _extern("math.max", 1, "number", more=True),
    "math.min": _extern("math.min", 1, "number", more=True),
    "string.find": _found,
    "string.len": _length,
    "string.lower": _of_text("string.lower"),
    "string.rep": _repeated,
    "string.sub": _sub,
    "string.upper": _of_text("string.upper"),
}


def _joined(low: Lowers, e: Call, scope: Scope) -> Value:
    if not 1 <= len(e.arguments) <= 2:
        raise Refused(e.line, "table.concat takes a list and a text between its items here")
    listed = low.value(e.arguments[0], scope, AS_LIST)
    between = low.values(e.arguments[1:], scope)
    over = listed.ir
    if listed.kind != "list":
        over = ops.listed((listed if listed.small else low.work.keep(listed, e.line)).ir)
    texts = ops.mapped(over, "item", ops.concat([ops.path("@item")]))
    joint = _as_text(between[0]) if between else ops.lit("")
    return Value(ops.call("string.join", texts, joint), "string")


# ---- what changes a list

_Changing: TypeAlias = Callable[[Lowers, Call, Scope, bool], Value | None]


def _insert(low: Lowers, e: Call, scope: Scope, _used: bool) -> None:
    if not 2 <= len(e.arguments) <= 3:
        raise Refused(e.line, "table.insert takes a list, perhaps a position, and a value")
    goal, listed = list_goal(low, e, scope)
    values = low.values(e.arguments[1:], scope)
    if len(values) == 1 and not goal.keys:
        write(low, replace(goal, special=APPEND), values[0], e.line)
        return
    item = ops.array([values[-1].ir])
    if len(values) == 1:
        new = ops.call("list.concat", listed.ir, item)
    else:
        at = _position(low, values[0], e.line)
        _refuse_outside(low, at, ops.arith("add", ops.length(listed.ir), ops.lit(1)), e)
        index = ops.arith("sub", at.ir, ops.lit(1))
        new = ops.call("list.concat", _head(listed, index), item, _tail(listed, index))
    replaced(low, goal, new, e.line)


def _remove(low: Lowers, e: Call, scope: Scope, used: bool) -> Value | None:
    if not 1 <= len(e.arguments) <= 2:
        raise Refused(e.line, "table.remove takes a list, and perhaps a position")
    goal, listed = list_goal(low, e, scope)
    if len(e.arguments) == 1:
        last = ops.default({"op": "get", "of": listed.ir, "key": ops.lit(-1)}, ops.NULL)
        removed = _taken(low, last, e.line) if used else None
        new = ops.call("list.slice", listed.ir, ops.lit(0), ops.lit(-1))
    else:
        at = _position(low, low.value(e.arguments[1], scope), e.line)
        _refuse_outside(low, at, ops.arith("add", ops.length(listed.ir), ops.lit(1)), e)
        index = ops.arith("sub", at.ir, ops.lit(1))
        removed = _taken(low, ops.get(listed.ir, index), e.line) if used else None
        new = ops.call("list.concat", _head(listed, index), _tail(listed, at.ir))
    replaced(low, goal, new, e.line)
    return removed


def _taken(low: Lowers, item: Op, line: int) -> Value:
    """Keep what is taken out of the list: it is in the list no more."""
    kept = low.work.keep(Value(item), line)
    low.work.nodes[-1].moved = True
    return kept


def _position(low: Lowers, value: Value, line: int) -> Value:
    value = whole(low, value, line)
    return value if value.literal or value.small else low.work.keep(value, line)


def _refuse_outside(low: Lowers, at: Value, most: Op, e: Call) -> None:
    """Stop where Lua would: the position is outside the list."""
    work = low.work
    with work.aside() as nodes:
        message = ops.lit("bad position: expected one inside the list")
        work.assign("$", ops.fail("type.mismatch", message), e.line, implicit=True)
    below = ops.compare("lt", at.ir, ops.lit(1))
    outside = ops.any_of(below, ops.compare("gt", at.ir, most))
    work.emit("branch", e.line, implicit=True, cond=outside, then=work.body(nodes, e.line))


def _head(listed: Value, index: Op) -> Op:
    return ops.call("list.slice", listed.ir, ops.lit(0), index)


def _tail(listed: Value, index: Op) -> Op:
    return ops.call("list.slice", listed.ir, index, ops.lit(ops.BEYOND))


def _sort(low: Lowers, e: Call, scope: Scope, _used: bool) -> None:
    if len(e.arguments) > 1:
        order = _order(low, e, scope)
        goal, listed = list_goal(low, e, scope)
        before = len(low.work.nodes)
        replaced(low, goal, sorted_by(low, order, listed, e.line).ir, e.line)
        for node in low.work.nodes[before:]:
            node.moved = True  # the items are those that were in the list before
        return
    goal, listed = list_goal(low, e, scope)
    replaced(low, goal, ops.call("list.sort", listed.ir), e.line)


def _order(low: Lowers, e: Call, scope: Scope) -> Callee:
    order = static(low, e.arguments[1], scope)
    if len(e.arguments) > 2 or not isinstance(order, Callee):
        hint = "table.sort(list, function(a, b) return a.n < b.n end)"
        raise Refused(e.line, "table.sort takes a list and a function", hint)
    if not computes_only(low, order):
        hint = "let it look at the two items and at constants of the script only"
        raise Refused(e.line, "the order of table.sort looks at more than it is given", hint)
    return order


_CHANGING: Mapping[str, _Changing] = {
    "table.insert": _insert,
    "table.remove": _remove,
    "table.sort": _sort,
}
