"""Expressions: what each form of Lua becomes, with the calls inside hoisted in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

from flowir.limits import INT_MAX, INT_MIN
from flowir.path import Path, parse_path
from flowir.syntax import (
    Binary,
    Call,
    Constant,
    Expression,
    Field,
    Function,
    Index,
    Method,
    Name,
    Number,
    Paren,
    Place,
    String,
    Table,
    Unary,
    Varargs,
)
from swarm.lua.lowering import known, ops
from swarm.lua.lowering.elements import element, field, whole_context
from swarm.lua.lowering.facts import Target
from swarm.lua.lowering.globals import ABSENT, LIBRARY_TABLES, NO_PARAMETER, is_global
from swarm.lua.lowering.names import Binding, Callee, Context, Scope, Slot
from swarm.lua.lowering.operators import binary, unary
from swarm.lua.lowering.ops import Op
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.values import Value, constant, nothing, shown_kind
from swarm.lua.lowering.work import CORNER, Drafted, Lowers

__all__ = ("AS_LIST", "callee_of", "constant_of", "lower_value", "lower_values", "static")

# Where an empty table is a list whatever the text says of its place.
AS_LIST: Target = (0, ())
# Expressions may lie 64 deep inside each other; each read lies two deep around the last.
_LONG_CHAIN = 12
_NUMBERS = {
    "math.pi": math.pi,
    "math.maxinteger": INT_MAX,
    "math.mininteger": INT_MIN,
}


def lower_value(low: Lowers, e: Expression, scope: Scope, into: Target | None) -> Value:
    """Lower an expression; *into* is where an empty table would go."""
    match e:
        case Constant(value=value):
            return constant(value)
        case Number():
            return _number(e)
        case String():
            return _string(e)
        case Name():
            return _name(low, e, scope)
        case Index():
            return _index(low, e, scope)
        case Paren(inner=inner):
            return low.value(inner, scope, into)
        case Unary():
            return unary(low, e, scope)
        case Binary():
            return binary(low, e, scope, into)
        case Table():
            return _table(low, e, scope, into)
        case Call() | Method():
            return low.call(e, scope, None, used=True) or nothing()
        case Function():
            hint = "a function may stand in pcall, in parallel, or be called"
            raise Refused(e.line, "a function is no value of a flow", hint)
        case Varargs():
            raise Refused(e.line, "a flow has no '...'", "name the parameters")
        case Place():
            raise Refused(e.line, "a path is no expression of Lua")
        case _:
            assert_never(e)


def _number(e: Number) -> Value:
    if e.value in (math.inf, -math.inf):
        raise Refused(e.line, "a number of a flow is finite")
    return constant(e.value)


def _string(e: String) -> Value:
    try:
        e.value.encode()
    except UnicodeEncodeError:
        raise Refused(e.line, "a text of a flow is UTF-8, these bytes are not") from None
    return constant(e.value)


# ---- names


def _name(low: Lowers, e: Name, scope: Scope) -> Value:
    bound = scope.find(e.name)
    if isinstance(bound, known.Constant):
        _note_script(low, bound.value, (f"={e.name}",))
    match bound:
        case Context():
            return whole_context()
        case Slot():
            read = ops.path(bound.place)
            ir = ops.default(read, ops.NULL) if bound.inside else read
            return Value(ir, bound.kind, quiet=not bound.inside)
        case Value():
            return bound
        case None:
            raise _unknown(e, scope)
        case _:
            return constant_of(bound, e.name, e.line)


def constant_of(bound: Binding, name: str, line: int) -> Value:
    """Return the plain value that a name of the script stands for."""
    match bound:
        case known.Constant(value=value):
            return constant(value)
        case known.File(path=path):
            return Value(ops.file(path), "string", quiet=True)
        case known.Library(name="math.huge"):
            hint = "begin with the first of the values, or with nil"
            raise Refused(line, "math.huge: a number of a flow is finite", hint)
        case known.Agent():
            raise Refused(line, f"'{name}' is an agent, not a value", f"call it: {name}(input)")
        case known.Opaque(what=what):
            raise Refused(line, f"'{name}' is {what}, which no flow can use")
        case known.Library() | Callee():
            hint = "a function may be called, or handed to pcall"
            raise Refused(line, f"'{name}' is a function, not a value", hint)
        case _:
            hint = f"name the member: {name}.member"
            raise Refused(
                line, f"'{name}' is a table of functions, agents or files, not a value", hint
            )


def _unknown(e: Name, scope: Scope) -> Refused:
    if e.name in ABSENT:
        return Refused(e.line, f"'{e.name}': {ABSENT[e.name]}")
    if e.name == "null":
        hint = "nothing is nil, JSON's null is flow.null"
        return Refused(e.line, "'null' stands for nothing here", hint)
    if is_global(e.name):
        return Refused(e.line, f"'{e.name}' is a function, not a value", "call it")
    meant = scope.near(e.name)
    hint = f"did you mean '{meant}'?" if meant else f"declare it with local, or write ctx.{e.name}"
    hint = NO_PARAMETER if e.name == "ctx" else hint
    return Refused(e.line, f"'{e.name}' stands for nothing here", hint)


def static(low: Lowers, e: Expression, scope: Scope) -> Binding | None:
    """Return what a chain of names stands for before the flow runs, if it is known."""
    match e:
        case Name(name=name):
            bound = scope.find(name)
            if bound is None and name not in LIBRARY_TABLES and is_global(name):
                return known.Library(name)
            return None if isinstance(bound, (Context, Slot, Value)) else bound
        case Paren(inner=inner):
            return static(low, inner, scope)
        case Function():
            return Callee("anonymous", low.work.file, e, scope)
        case Index(base=base, key=String(value=key)):
            return _static_member(low, base, key, scope)
        case Index(base=base, key=Number() as number):
            return _static_member(low, base, number.value, scope)
        case _:
            return None


def callee_of(low: Lowers, caller: Callee, e: Expression) -> Callee | None:
    """Return the function of the script that an expression in *caller* names, if it does."""
    found = static(low, e, caller.scope) if isinstance(e, (Name, Index, Paren)) else None
    return found if isinstance(found, Callee) else None


def _static_member(low: Lowers, base: Expression, key: str | float, scope: Scope) -> Binding | None:
    if isinstance(base, Name) and base.name in LIBRARY_TABLES and scope.find(base.name) is None:
        name = f"{base.name}.{key}"
        return known.Constant(_NUMBERS[name]) if name in _NUMBERS else known.Library(name)
    held = static(low, base, scope)
    if isinstance(held, known.Members):
        member = held.members.get(key)
        return known.Constant(None) if member is None else low.work.outside.binding(member)
    return _constant_member(held.value, key) if isinstance(held, known.Constant) else None


def _constant_member(value: object, key: str | float) -> known.Constant | None:
    """Return what a table of the script has there; None where reading it is an error."""
    if isinstance(value, dict) and (isinstance(key, str) or not value):
        members: dict[object, object] = value
        return known.Constant(members.get(key))
    if isinstance(value, list) and not isinstance(key, str):
        items: list[object] = value
        there = isinstance(key, int) and 1 <= key <= len(items)
        return known.Constant(items[int(key) - 1] if there else None)
    return None


def _note_script(low: Lowers, value: object, access: tuple[str, ...]) -> None:
    """Note that a table, and those in it, are the script's, which Lua would hand on as such."""
    match value:
        case dict():
            members: dict[str, object] = value
        case list():
            items: list[object] = value
            members = {str(i): item for i, item in enumerate(items)}
        case _:
            return
    if low.work.scripts.setdefault(id(value), access) == access:
        for name, member in members.items():
            _note_script(low, member, (*access, name))


def _chain(e: Expression) -> tuple[str, ...]:
    """Return the names of a chain that stands for a value of the script."""
    match e:
        case Index(base=base, key=String(value=key)):
            return (*_chain(base), key)
        case Index(base=base):
            return (*_chain(base), "*")
        case Name(name=name):
            return (f"={name}",)
        case _:
            return ("=a table of the script",)


# ---- fields and items


def _index(low: Lowers, e: Index, scope: Scope) -> Value:
    fixed = static(low, e, scope)
    if isinstance(fixed, known.Constant):
        _note_script(low, fixed.value, _chain(e))
        return constant(fixed.value)
    if fixed is not None:
        return constant_of(fixed, ".".join(_chain(e)).lstrip("="), e.line)
    keys: list[Expression] = []
    base: Expression = e
    while isinstance(base, Index):
        keys.append(base.key)
        base = base.base
    keys.reverse()
    if isinstance(base, Name) and isinstance(scope.find(base.name), Context):
        return _context_field(low, keys, scope, e.line)
    if isinstance(base, Name):
        _refuse_absent(base, scope)
    return _elements(low, low.values((base, *keys), scope), e.line)


def _refuse_absent(base: Name, scope: Scope) -> None:
    if scope.find(base.name) is None and base.name in ABSENT:
        raise Refused(base.line, f"'{base.name}': {ABSENT[base.name]}")


def _context_field(low: Lowers, keys: list[Expression], scope: Scope, line: int) -> Value:
    first, *others = low.values(tuple(keys), scope)
    if first.literal and isinstance(first.literal[0], str) and first.literal[0]:
        base = field(first.literal[0], line)
    else:
        base = element(low, whole_context(), first, line)
    return _elements(low, [base, *others], line)


def _elements(low: Lowers, values: list[Value], line: int) -> Value:
    base = values[0]
    for i, key in enumerate(values[1:], start=1):
        base = element(low, base, key, line)
        if i % _LONG_CHAIN == 0:
            base = low.work.keep(base, line)
    return base


# ---- tables


def _table(low: Lowers, e: Table, scope: Scope, into: Target | None) -> Value:
    if not e.fields:
        listed = into is not None and (into == AS_LIST or low.work.facts.is_list(into))
        return constant([] if listed else {})
    listed = [one.key is None or _is_position(one, i) for i, one in enumerate(e.fields, 1)]
    if all(listed):
        values = low.values(tuple(one.value for one in e.fields), scope)
        if all(value.literal for value in values):
            return constant([value.literal[0] for value in values])
        quiet = all(value.quiet for value in values)
        return Value(ops.array([value.ir for value in values]), "list", quiet)
    if any(one.key is None for one in e.fields):
        hint = "make two tables, or put the list under a name"
        raise Refused(e.line, "a table of a flow has items or names, not both", hint)
    if all(isinstance(one.key, String) for one in e.fields):
        return _object(low, e, scope, into)
    return _computed(low, e, scope)


def _is_position(one: Field, i: int) -> bool:
    return isinstance(one.key, Number) and one.key.value == i


def _object(low: Lowers, e: Table, scope: Scope, into: Target | None) -> Value:
    names = [one.key.value for one in e.fields if isinstance(one.key, String)]
    goals: list[Target | None] = [
        None if into is None else (into[0], (*into[1], name)) for name in names
    ]
    values = low.values(tuple(one.value for one in e.fields), scope, goals)
    fields = dict(zip(names, values, strict=True))
    quiet = all(value.quiet for value in values)
    if all(value.literal for value in fields.values()) and quiet:
        return constant({name: value.literal[0] for name, value in fields.items()})
    return Value(ops.obj({name: value.ir for name, value in fields.items()}), "object", quiet)


def _computed(low: Lowers, e: Table, scope: Scope) -> Value:
    """Lower a table with computed names: one object a field, merged from left to right."""
    pairs: list[Expression] = []
    for one in e.fields:
        assert one.key is not None  # noqa: S101 - told apart above
        pairs += (one.key, one.value)
    values = low.values(tuple(pairs), scope)
    parts: list[Op] = []
    for key, value in zip(values[::2], values[1::2], strict=True):
        if key.kind not in ("string", "any"):
            hint = "positions from 1 on, or strings"
            raise Refused(
                e.line, f"a table of a flow cannot have {shown_kind(key.kind)} as a name here", hint
            )
        parts.append(ops.entry(key.ir, value.ir))
    return Value(parts[0] if len(parts) == 1 else ops.call("object.merge", *parts), "object")


# ---- one after the other


def lower_values(
    low: Lowers,
    es: tuple[Expression, ...],
    scope: Scope,
    goals: Sequence[Target | None] = (),
) -> list[Value]:
    """Lower siblings from left to right.

    Where a later one calls an agent, what stands before it is evaluated before: if it may
    fail, or if the call may change what it reads.
    """
    work, found = low.work, list[Value]()
    for i, e in enumerate(es):
        most, work.most_temps = work.most_temps, work.temps
        with work.aside() as nodes:
            value = low.value(e, scope, goals[i] if i < len(goals) else None)
        if nodes:
            # What is kept now is set before the nodes, which must not use its place.
            work.temps = work.most_temps
            writes = any(map(_writes, nodes))
            found = [
                one if one.literal or (one.quiet and not writes) else work.keep(one, e.line)
                for one in found
            ]
            work.nodes += nodes
        work.most_temps = max(most, work.most_temps)
        found.append(value)
    return found


def _writes(node: Drafted) -> bool:
    """Tell whether a node writes anything but a value that is only passed on."""
    if node.kind not in ("step", "assign"):
        return node.kind != "end"
    at: str | None = node.fields.get("out" if node.kind == "step" else "at")
    return at is not None and not _is_temp(parse_path(at))


def _is_temp(path: Path) -> bool:
    match path.segments:
        case (corner, str() as name) if corner == CORNER:
            return name[0] == "_" and name[1:].isdigit()
        case _:
            return False
