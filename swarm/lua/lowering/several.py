"""Calls that give several results: of functions that only compute, and of Lua's own."""

from __future__ import annotations

from flowir.syntax import Call, Expression, Method
from swarm.lua.lowering import known, ops
from swarm.lua.lowering.expressions import static
from swarm.lua.lowering.helpers import computes_only, several_by_helper, several_by_lua
from swarm.lua.lowering.library import BY_LUA
from swarm.lua.lowering.names import Callee, Scope
from swarm.lua.lowering.raising import protect
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.values import Value
from swarm.lua.lowering.work import Lowers

__all__ = ("several_results",)


def several_results(low: Lowers, e: Expression, scope: Scope, count: int) -> list[Value] | None:
    """Lower a call that has to give *count* results; None for what is no call.

    Raises: Refused, for a call that gives one only.
    """
    match e:
        case Method():
            name = f"string.{e.name}"
            if name in BY_LUA:
                values = low.values((e.receiver, *e.arguments), scope)
                return several_by_lua(low, f":{e.name}", values, e.line, count)
        case Call():
            found = _several(low, e, scope, count)
            if found is not None:
                return found
        case _:
            return None
    hint = "return one table, and take it apart"
    raise Refused(e.line, "this call gives one value here", hint)


def _several(low: Lowers, e: Call, scope: Scope, count: int) -> list[Value] | None:
    match static(low, e.function, scope):
        case known.Library(name="pcall"):
            if count > 2:
                raise Refused(e.line, "pcall gives ok and one value here", "return one table")
            places = (low.work.temp(), low.work.temp())
            protect(low, e, scope, *places)
            return [Value(ops.path(at), quiet=True) for at in places]
        case known.Library(name=name) if name in BY_LUA:
            return several_by_lua(low, name, low.values(e.arguments, scope), e.line, count)
        case Callee() as callee if computes_only(low, callee):
            values = low.values(e.arguments, scope)
            return several_by_helper(low, callee, values, e.line, count)
        case _:
            return None
