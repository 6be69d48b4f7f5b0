"""`parallel`: one lane for each item of a list, or for each of some functions."""

from __future__ import annotations

from typing import Any

from flowir.nodes import JOINS
from flowir.syntax import Call, Expression, Field, Number, String, Table
from swarm.blueprint.words import near
from swarm.lua.lowering import ops
from swarm.lua.lowering.elements import as_list
from swarm.lua.lowering.expressions import AS_LIST, static
from swarm.lua.lowering.known import Agent
from swarm.lua.lowering.names import Callee, Scope
from swarm.lua.lowering.ops import Op
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.values import Value, nothing
from swarm.lua.lowering.work import Drafted, Lowers

__all__ = ("parallel",)

_USAGE = "parallel(list, { limit = 4 }, function(item, i) … end)"
_OPTIONS = ("join", "limit", "quorum", "id")
# Joins whose value has one part for each lane.
_WHOLE = frozenset({"all", "all_settled"})


def parallel(low: Lowers, e: Call, scope: Scope, into: str | None) -> Value | None:
    """Lower a call of `parallel`; None where its value was written to *into*."""
    match e.arguments:
        case (Table(fields=fields) as lanes,) if _are_functions(low, fields, scope):
            return _named(low, e, lanes, None, scope, into)
        case (Table(fields=fields) as lanes, options) if _are_functions(low, fields, scope):
            return _named(low, e, lanes, options, scope, into)
        case (items, function):
            return _over(low, e, items, None, function, scope, into)
        case (items, options, function):
            return _over(low, e, items, options, function, scope, into)
        case _:
            raise Refused(e.line, "parallel takes a list and a function", _USAGE)


def _are_functions(low: Lowers, fields: tuple[Field, ...], scope: Scope) -> bool:
    return bool(fields) and all(_callee(low, one.value, scope) for one in fields)


def _callee(low: Lowers, e: Expression, scope: Scope) -> Callee | None:
    found = static(low, e, scope)
    return found if isinstance(found, Callee) else None


def _options(low: Lowers, e: Expression | None, scope: Scope) -> dict[str, Any]:
    if e is None:
        return {"join": "all"}
    if not isinstance(e, Table) or not all(isinstance(one.key, String) for one in e.fields):
        raise Refused(e.line, "the options of parallel are written as a table", _USAGE)
    found: dict[str, Any] = {"join": "all"}
    for one in e.fields:
        assert isinstance(one.key, String)  # noqa: S101 - looked at above
        found[one.key.value] = _option(low, one.key.value, one.value, scope)
    if ("quorum" in found) != (found["join"] == "quorum"):
        hint = '{ join = "quorum", quorum = 2 }'
        raise Refused(e.line, "the join 'quorum' and the number of that name go together", hint)
    return found


def _option(low: Lowers, name: str, e: Expression, scope: Scope) -> Any:
    if name not in _OPTIONS:
        meant = near(name, _OPTIONS)
        hint = f"did you mean '{meant}'?" if meant else "join, limit, quorum, id"
        raise Refused(e.line, f"parallel has no option '{name}'", hint)
    value = low.value(e, scope)
    if name in ("limit", "quorum"):
        counted = value.literal and type(value.literal[0]) is int
        return value.literal[0] if counted else value.ir
    if not value.literal or not isinstance(value.literal[0], str):
        raise Refused(e.line, f"the option '{name}' is a constant text")
    if name == "join" and value.literal[0] not in JOINS:
        hint = f"one of {', '.join(JOINS)}"
        raise Refused(e.line, f"parallel has no join '{value.literal[0]}'", hint)
    return value.literal[0]


# ---- one function, many items


def _over(
    low: Lowers,
    e: Call,
    items: Expression,
    options: Expression | None,
    function: Expression,
    scope: Scope,
    into: str | None,
) -> Value | None:
    callee = static(low, function, scope)
    if not isinstance(callee, (Callee, Agent)):
        raise Refused(function.line, "parallel takes a function, or an agent", _USAGE)
    work = low.work
    listed = as_list(low, low.value(items, scope, AS_LIST), items.line)
    fields = _options(low, options, scope)
    out = into or work.temp()
    lane = _Lane(low)
    names = _parameters(callee)
    bind = work.slot(names[0] if names else "item")
    fields |= {"items": _shown(listed.ir), "bind": bind, "out": out}
    given: list[Value | Expression] = [Value(ops.path(bind), quiet=True)]
    if len(names) > 1:
        fields["index"] = work.slot(f"{names[1]}_index")
        position = ops.arith("add", ops.path(fields["index"]), ops.lit(1))
        given.append(Value(position, "position", quiet=True))
    if isinstance(callee, Agent):
        fields["body"], fields["collect"] = lane.ask(callee, bind, e.line)
    else:
        fields["body"], fields["collect"] = lane.lower(callee, given, scope, e.line)
    work.emit("fanout", e.line, **fields)
    return None if into else Value(ops.path(out), _kind(fields["join"]), quiet=True)


def _parameters(callee: Callee | Agent) -> list[str]:
    if isinstance(callee, Agent):
        return []
    return [parameter.name for parameter in callee.function.parameters]


def _kind(join: str) -> Any:
    return "any" if join in ("any", "race") else "list"


def _shown(ir: Op) -> Op:
    """Read a field of the context plainly: without a list there are no lanes."""
    if ir["op"] == "default" and ops.literal(ir["fallback"]) == [None]:
        return dict(ir["arg"])
    return ir


class _Lane:
    """A lane: what it writes to locals is its own, and nobody else's."""

    def __init__(self, low: Lowers) -> None:
        self._low = low

    def ask(self, agent: Agent, item: str, line: int) -> tuple[Drafted, Op]:
        """Hand the item to an agent, and its answer back."""
        work = self._low.work
        fields: dict[str, Any] = {"ref": agent.name, "in": ops.path(item), "out": work.temp()}
        with work.aside() as nodes:
            work.emit("step", line, **fields)
        return nodes[0], ops.path(fields["out"])

    def lower(
        self, callee: Callee, given: list[Value | Expression], scope: Scope, line: int
    ) -> tuple[Drafted, Op]:
        """Lower a lane's function; return its body, and what it hands back."""
        work = self._low.work
        outer = work.lane
        work.lanes += 1
        work.lane = work.lanes
        try:
            with work.aside() as nodes:
                found = self._low.inline(callee, given, scope, line, None)
        finally:
            work.lane = outer
        value = found or nothing()
        return work.body(nodes, line), value.ir


# ---- many functions


def _named(
    low: Lowers,
    e: Call,
    lanes: Table,
    options: Expression | None,
    scope: Scope,
    into: str | None,
) -> Value | None:
    """Lower functions side by side: a lane for each, told apart by name or position."""
    work = low.work
    names = _lane_names(lanes)
    fields = _options(low, options, scope)
    bind, value = work.slot("lane"), work.slot("value")
    body: Drafted | None = None
    for name, one in reversed(list(zip(names, lanes.fields, strict=True))):
        body = _lane_of(low, name, one, (bind, value), body, scope)
    whole = fields["join"] in _WHOLE
    out = work.temp() if whole or into is None else into
    fields |= {"items": ops.lit(names), "bind": bind, "out": out, "body": body}
    fields["collect"] = ops.path(value)
    work.emit("fanout", e.line, **fields)
    if not whole:
        return None if into else Value(ops.path(out), _kind(fields["join"]), quiet=True)
    return _by_name(low, names, out, into, e.line)


def _lane_names(lanes: Table) -> list[str | int]:
    names: list[str | int] = []
    for i, one in enumerate(lanes.fields, start=1):
        match one.key:
            case None:
                names.append(i)
            case String(value=name):
                names.append(name)
            case Number() as number if number.value == i:
                names.append(i)
            case _:
                raise Refused(one.line, "a lane has a name, or a place in the list", _USAGE)
    if len({type(name) for name in names}) > 1:
        raise Refused(lanes.line, "lanes have names, or places in a list, not both")
    return names


def _lane_of(
    low: Lowers,
    name: str | int,
    one: Field,
    places: tuple[str, str],
    others: Drafted | None,
    scope: Scope,
) -> Drafted:
    """Lower one function: it runs in the lane of its name, the others in the other lanes."""
    work, (bind, value) = low.work, places
    callee = _callee(low, one.value, scope)
    assert callee is not None  # noqa: S101 - looked at by the caller
    body, found = _Lane(low).lower(callee, [], scope, one.line)
    with work.aside() as nodes:
        work.nodes.append(body)
        work.assign(value, found, one.line, implicit=True)
    then = work.body(nodes, one.line)
    if others is None:
        return then
    with work.aside() as branch:
        cond = ops.eq(ops.path(bind), ops.lit(name))
        fields: dict[str, Any] = {"cond": cond, "then": then, "else": others}
        work.emit("branch", one.line, **fields)
    return branch[0]


def _by_name(
    low: Lowers, names: list[str | int], out: str, into: str | None, line: int
) -> Value | None:
    parts = [ops.path(f"{out}[{i}]") for i in range(len(names))]
    if isinstance(names[0], int):
        value = Value(ops.path(out), "list", quiet=True)
    else:
        fields = {str(name): part for name, part in zip(names, parts, strict=True)}
        value = Value(ops.obj(fields), "object", quiet=True)
    if into is None:
        return value
    low.work.assign(into, value.ir, line, implicit=True)
    return None
