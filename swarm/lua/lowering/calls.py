"""Calls: of agents, of the script's functions, of what Lua and `flow` offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from flowir.syntax import Call, Expression, Index, Method, Name, Paren
from swarm.blueprint.builders import SLEEP
from swarm.blueprint.words import near
from swarm.lua.lowering import known, ops
from swarm.lua.lowering.counts import refuse_several_arguments
from swarm.lua.lowering.elements import keys_of
from swarm.lua.lowering.expressions import AS_LIST, constant_of, static
from swarm.lua.lowering.globals import ABSENT
from swarm.lua.lowering.inlining import call_function
from swarm.lua.lowering.lanes import parallel
from swarm.lua.lowering.library import library_call, method_call
from swarm.lua.lowering.names import Binding, Callee, Scope, Slot
from swarm.lua.lowering.raising import asserted, protect, raised
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.texts import number_of, text_of, type_of
from swarm.lua.lowering.values import Value, constant, nothing
from swarm.lua.lowering.work import Lowers

__all__ = ("lower_call",)

_OPTIONS = ("timeout_s", "retry", "id")


def lower_call(
    low: Lowers, e: Call | Method, scope: Scope, into: str | None, *, used: bool
) -> Value | None:
    """Lower a call; None where its value was written to *into*, or is not *used*."""
    refuse_several_arguments(low, e, scope)
    if isinstance(e, Method):
        return _method(low, e, scope)
    match static(low, e.function, scope):
        case known.Agent() as agent:
            return _step(low, agent.name, e, scope, into, used=used)
        case Callee() as callee:
            return call_function(low, callee, e, scope, into)
        case known.Library(name=name):
            return _library(low, name, e, scope, into, used=used)
        case None:
            raise _unknown(low, e, scope)
        case known.Constant() as bound:
            what = "nil" if bound.value is None else "no function"
            raise Refused(e.line, f"what is called here is {what}")
        case bound:
            constant_of(bound, _shown(e.function), e.line)
            raise Refused(e.line, "what is called here is no function")


def _method(low: Lowers, e: Method, scope: Scope) -> Value:
    if isinstance(static(low, e.receiver, scope), known.Agent):
        hint = "options are its second argument: agent(input, { timeout_s = 60 })"
        raise Refused(e.line, "an agent has no methods", hint)
    return method_call(low, e, scope)


# ---- agents


def _step(
    low: Lowers, ref: str, e: Call, scope: Scope, into: str | None, *, used: bool
) -> Value | None:
    if len(e.arguments) > 2:
        hint = "put the rest into the input: agent({ a = …, b = … })"
        raise Refused(e.line, f"agent '{ref}' takes an input and options", hint)
    given = low.values(e.arguments[:1], scope)
    options = _options(low, e.arguments[1], scope) if len(e.arguments) > 1 else {}
    fields: dict[str, Any] = {"ref": ref, "in": given[0].ir if given else ops.NULL, **options}
    if used or into:
        fields["out"] = into or low.work.temp()
    low.work.emit("step", e.line, **fields)
    if into or not used:
        return None
    return Value(ops.path(fields["out"]), quiet=True)


def _options(low: Lowers, e: Expression, scope: Scope) -> dict[str, Any]:
    """Read the options of a call, which are the same in every run."""
    with low.work.aside() as nodes:
        value = low.value(e, scope)
    if value.literal and not isinstance(value.literal[0], dict):
        hint = "put several values into one input: agent({ a = …, b = … })"
        raise Refused(e.line, "an agent takes one input, and a table of options", hint)
    if nodes or not value.literal:
        hint = 'write { timeout_s = 60, retry = { max_attempts = 3 }, id = "name" }'
        raise Refused(e.line, "the options of a call are constants", hint)
    options: dict[str, Any] = value.literal[0]
    for name in options:
        if name not in _OPTIONS:
            meant = near(name, _OPTIONS)
            hint = f"did you mean '{meant}'?" if meant else "timeout_s, retry, id"
            raise Refused(e.line, f"a call of an agent has no option '{name}'", hint)
    return options


# ---- what every script has

_Handler: TypeAlias = Callable[[Lowers, Call, Scope], Value]


def _library(
    low: Lowers, name: str, e: Call, scope: Scope, into: str | None, *, used: bool
) -> Value | None:
    if name == "parallel":
        return parallel(low, e, scope, into)
    if name == "pcall":
        return _only_ok(low, e, scope)
    if name == "flow.sleep":
        return _sleep(low, e, scope)
    handler = _HANDLERS.get(name)
    if handler is not None:
        return handler(low, e, scope)
    if name.startswith("flow."):
        hint = "call agents; builders make flows that are not written as a function"
        raise Refused(e.line, f"{name} builds a part of a flow", hint)
    return library_call(low, name, e, scope, used=used)


def _only_ok(low: Lowers, e: Call, scope: Scope) -> Value:
    ok = low.work.temp()
    protect(low, e, scope, ok, None)
    return Value(ops.path(ok), "boolean", quiet=True)


def _sleep(low: Lowers, e: Call, scope: Scope) -> Value:
    given = low.values(e.arguments, scope)
    if len(given) != 1:
        raise Refused(e.line, "flow.sleep takes the seconds to wait")
    fields: dict[str, Any] = {"ref": SLEEP, "in": given[0].ir}
    low.work.emit("step", e.line, **fields)
    return nothing()


def _raise(low: Lowers, e: Call, scope: Scope) -> Value:
    return Value(raised(low, e, scope))


def _file(low: Lowers, e: Call, scope: Scope) -> Value:
    value = _one(low, e, scope)
    if not value.literal or not isinstance(value.literal[0], str):
        hint = 'flow.file "prompts/tone.txt"; choose between files with if'
        raise Refused(e.line, "flow.file takes the name of a file, a constant text", hint)
    return Value(ops.file(value.literal[0]), "string", quiet=True)


def _copy(low: Lowers, e: Call, scope: Scope) -> Value:
    """Lower `copy(t)`: the values of a flow are copies, this one is meant to be."""
    value = _one(low, e, scope)
    if value.literal:
        return value
    kept = low.work.keep(value, e.line)
    low.work.nodes[-1].moved = True
    return kept


def _listed(low: Lowers, e: Call, scope: Scope) -> Value:
    if len(e.arguments) > 1:
        raise Refused(e.line, "array takes one table")
    return low.value(e.arguments[0], scope, AS_LIST) if e.arguments else constant([])


def _one(low: Lowers, e: Call, scope: Scope) -> Value:
    if len(e.arguments) != 1:
        raise Refused(e.line, f"{_shown(e.function)} takes one argument here")
    return low.value(e.arguments[0], scope)


def _loop_only(_low: Lowers, e: Call, _scope: Scope) -> Value:
    name = _shown(e.function)
    if name == "limit":
        hint = "while … do limit(50) … end"
        raise Refused(e.line, "limit(n) is the first statement of a loop", hint)
    raise Refused(e.line, f"{name} stands behind 'in' of a for loop")


def _next(low: Lowers, e: Call, scope: Scope) -> Value:
    """Lower `next(t)`: the first name or position, nil in an empty table."""
    if len(e.arguments) != 1:
        raise Refused(e.line, "next takes one table here, and gives its first name", "use pairs")
    table = _one(low, e, scope)
    table = table if table.small else low.work.keep(table, e.line)
    return Value(ops.get(keys_of(table), ops.lit(0)))


_HANDLERS: Mapping[str, _Handler] = {
    "array": _listed,
    "assert": asserted,
    "copy": _copy,
    "error": _raise,
    "flow.array": _listed,
    "flow.fail": _raise,
    "flow.file": _file,
    "ipairs": _loop_only,
    "limit": _loop_only,
    "next": _next,
    "pairs": _loop_only,
    "tonumber": lambda low, e, scope: number_of(low, low.values(e.arguments, scope), e.line),
    "tostring": lambda low, e, scope: text_of(low, _one(low, e, scope), e.line),
    "type": lambda low, e, scope: type_of(_one(low, e, scope)),
}


# ---- what is not known


def _unknown(low: Lowers, e: Call, scope: Scope) -> Refused:
    base = e.function
    while isinstance(base, (Index, Paren, Call, Method)):
        match base:
            case Index(base=inner) | Paren(inner=inner) | Call(function=inner):
                base = inner
            case Method(receiver=inner):
                base = inner
    if not isinstance(base, Name):
        return _computed(e)
    bound = scope.find(base.name)
    if bound is None:
        return _unknown_name(low, base, scope)
    if isinstance(bound, Slot) and base is e.function:
        hint = "call an agent, or a function of the script, by its own name"
        return Refused(e.line, f"'{base.name}' is a value of the flow, which is not called", hint)
    return _computed(e)


def _computed(e: Call) -> Refused:
    hint = "call an agent or a function of the script by name; choose with if"
    return Refused(e.line, "what is called here is known only while the flow runs", hint)


def _unknown_name(low: Lowers, e: Name, scope: Scope) -> Refused:
    if e.name in ABSENT:
        return Refused(e.line, f"'{e.name}': {ABSENT[e.name]}")
    meant = near(e.name, sorted({*_callable_names(scope), *low.work.declared}))
    hint = f"did you mean '{meant}'?" if meant else "declare it outside the function"
    return Refused(e.line, f"'{e.name}' is no agent and no function of this script", hint)


def _callable_names(scope: Scope) -> list[str]:
    found: list[str] = []
    here: Scope | None = scope
    while here is not None:
        found += [name for name, bound in here.names.items() if _is_callable(bound)]
        here = here.parent
    return found


def _is_callable(bound: Binding) -> bool:
    return isinstance(bound, (known.Agent, Callee, known.Library))


def _shown(e: Expression) -> str:
    match e:
        case Name(name=name):
            return name
        case Index(base=base, key=key):
            return f"{_shown(base)}.{getattr(key, 'value', '…')}"
        case _:
            return "this"
