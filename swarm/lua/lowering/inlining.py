"""Functions of the script, where they are called: an expression, a Lua step, or nodes.

A function that only computes on its arguments becomes an expression if it is one, and an
implicit step of Lua otherwise. One that calls agents or writes to the context stands in
the place of its call, node by node.
"""

from __future__ import annotations

from flowir.path import parse_path
from flowir.syntax import Binary, Call, Expression, Function, Index, Name, Return, String
from swarm.lua.lowering import ops
from swarm.lua.lowering.exits import delivers_directly, returns_of
from swarm.lua.lowering.expressions import static
from swarm.lua.lowering.free import changed_parameters, free_names, writes_outside
from swarm.lua.lowering.helpers import by_helper, computes_only
from swarm.lua.lowering.known import Agent, Library
from swarm.lua.lowering.names import Callee, Context, Scope, Slot
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.values import Value, nothing
from swarm.lua.lowering.work import CORNER, Frame, Lowers
from swarm.lua.syntax import walk

__all__ = ("call_function", "inline")


def call_function(
    low: Lowers, callee: Callee, e: Call, scope: Scope, into: str | None
) -> Value | None:
    """Lower the call of a function of the script."""
    by_name = any(_is_context(one, scope) or _is_called(low, one, scope) for one in e.arguments)
    if computes_only(low, callee):
        if not by_name:
            values = low.values(e.arguments, scope)
            found = _as_expression(low, callee, list(values), scope, e.line)
            return by_helper(low, callee, values, e.line) if found is None else found
        found = _as_expression(low, callee, _bound(low, e.arguments, scope), scope, e.line)
        if found is not None:
            return found
    given = _bound(low, e.arguments, scope, callee)
    return inline(low, callee, given, scope, e.line, into)


def _is_called(low: Lowers, e: Expression, scope: Scope) -> bool:
    """Tell whether an argument is a function or an agent, which no step can be given."""
    return isinstance(static(low, e, scope), (Agent, Callee, Library))


def _is_context(e: Expression, scope: Scope) -> bool:
    return isinstance(e, Name) and isinstance(scope.find(e.name), Context)


def _bound(
    low: Lowers, arguments: tuple[Expression, ...], scope: Scope, callee: Callee | None = None
) -> list[Value | Expression]:
    """Evaluate the arguments; the context, agents and functions go through as themselves.

    So do the tables that *callee* changes: it changes its caller's.
    """
    passed = [_is_context(one, scope) or static(low, one, scope) is not None for one in arguments]
    if callee is not None and not any(_is_context(one, scope) for one in arguments):
        places = _changed_places(low, callee, arguments, scope)
        passed = [one or at is not None for one, at in zip(passed, places, strict=True)]
    values = iter(
        low.values(
            tuple(one for one, by_name in zip(arguments, passed, strict=True) if not by_name),
            scope,
        )
    )
    pairs = zip(arguments, passed, strict=True)
    return [one if by_name else next(values) for one, by_name in pairs]


# ---- tables that a function changes


def _changed_places(
    low: Lowers, callee: Callee, arguments: tuple[Expression, ...], scope: Scope
) -> list[Slot | None]:
    """Return, by argument, the place of the caller's table that a function changes.

    Nobody may set anew what the place is a part of: neither the function, nor one that it
    is handed, nor one that is called among the arguments, which come first.
    """
    low.work.facts.study(callee)
    changed = changed_parameters(callee.function)
    calls = [one for e in arguments for one in walk(e) if isinstance(one, Call)]
    called = [static(low, one, scope) for one in (*arguments, *(one.function for one in calls))]
    functions = [callee, *(one for one in called if isinstance(one, Callee))]
    settled = all(_sets_nothing(one, set()) for one in functions)
    if not changed or not settled:
        return [None] * len(arguments)
    names = [one.name for one in callee.function.parameters]
    found: list[Slot | None] = []
    for i, given in enumerate(arguments):
        is_changed = i < len(names) and names[i] in changed
        free = is_changed and not low.work.facts.is_assigned(id(callee.function.parameters[i]))
        found.append(place_of(low, given, scope) if free else None)
    return found


def _sets_nothing(callee: Callee, seen: set[int]) -> bool:
    """Tell whether a function, and those that it calls, assign to their own names only."""
    if id(callee.function) in seen:
        return True
    seen.add(id(callee.function))
    bound = (callee.scope.find(name) for name in free_names(callee.function))
    called = [one for one in bound if isinstance(one, Callee)]
    return not writes_outside(callee.function) and all(_sets_nothing(one, seen) for one in called)


def place_of(low: Lowers, e: Expression, scope: Scope) -> Slot | None:
    """Return the place that a chain of constant names stands for, as a local."""
    names: list[str] = []
    base = e
    while isinstance(base, Index) and isinstance(base.key, String) and base.key.value:
        names.append(base.key.value)
        base = base.base
    bound = scope.find(base.name) if isinstance(base, Name) else None
    names.reverse()
    if isinstance(bound, Slot):
        if not names:
            return bound
        at = ops.place(*parse_path(bound.place).segments, *names)
        return Slot(at, bound.lane, through=bound.through, inside=True)
    if isinstance(bound, Context) and names and names[0] != CORNER:
        return Slot(ops.place(*names), 0, inside=True)
    return None


# ---- as an expression


def _as_expression(
    low: Lowers, callee: Callee, arguments: list[Value | Expression], caller: Scope, line: int
) -> Value | None:
    """Lower `return expression` in the place of the call; None where it takes nodes."""
    match callee.function.body:
        case (Return(values=(e,)),) if not callee.function.varargs:
            pass
        case _:
            return None
    if callee.function in low.work.calling or any(map(_is_closure, walk(e))):
        return None
    scope = Scope(callee.scope)
    before = len(low.work.nodes)
    for i, parameter in enumerate(callee.function.parameters):
        given = arguments[i] if i < len(arguments) else nothing()
        if isinstance(given, Value):
            given = _once_or_kept(low, given, parameter.name, e, line)
            scope.names[parameter.name] = given
        else:
            scope.names[parameter.name] = static(low, given, caller) or Context()
    low.work.calling.append(callee.function)
    try:
        with low.work.inside(callee.file), low.work.aside() as nodes:
            value = low.value(e, scope)
    except Refused:
        nodes = [None]
        value = nothing()
    finally:
        low.work.calling.pop()
    if nodes:
        del low.work.nodes[before:]
        return None
    return value


def _is_closure(piece: object) -> bool:
    return isinstance(piece, Function)


def _once_or_kept(low: Lowers, value: Value, name: str, e: Expression, line: int) -> Value:
    """Evaluate an argument first, if it may fail unseen or would be written out often."""
    uses = sum(isinstance(piece, Name) and piece.name == name for piece in walk(e))
    chosen = any(isinstance(piece, Binary) and piece.op in ("and", "or") for piece in walk(e))
    if value.small and value.quiet:
        return value
    if uses == 1 and not chosen:
        return value
    return low.work.keep(value, line)


# ---- as nodes


def inline(
    low: Lowers,
    callee: Callee,
    arguments: list[Value | Expression],
    scope: Scope,
    line: int,
    into: str | None,
) -> Value | None:
    """Lower a function's body in the place of its call; None if it wrote to *into*."""
    function, work = callee.function, low.work
    if function in work.calling:
        hint = "write a loop"
        raise Refused(line, f"'{callee.name}' calls itself, and not only computes", hint)
    if function.varargs:
        raise Refused(function.line, "a function of a flow has no '...'", "name the parameters")
    work.facts.study(callee)
    inner = Scope(callee.scope)
    _bind_parameters(low, callee, arguments, inner, scope, line)
    outer_loops, work.loops = work.loops, []
    work.calling.append(function)
    try:
        with work.inside(callee.file or work.file):
            return _body(low, function, inner, into)
    finally:
        work.calling.pop()
        work.loops = outer_loops


def _bind_parameters(
    low: Lowers,
    callee: Callee,
    arguments: list[Value | Expression],
    inner: Scope,
    scope: Scope,
    line: int,
) -> None:
    for i, parameter in enumerate(callee.function.parameters):
        given = arguments[i] if i < len(arguments) else nothing()
        if isinstance(given, Value):
            changed = parameter.name in changed_parameters(callee.function)
            if given.literal and not changed and not low.work.facts.is_assigned(id(parameter)):
                inner.names[parameter.name] = given
                continue
            at = low.work.declare(inner, parameter.name, key=id(parameter))
            low.work.assign(at, given.ir, line, implicit=True)
        elif (place := place_of(low, given, scope)) is not None:
            inner.names[parameter.name] = place
        elif _is_context(given, scope):
            if low.work.facts.is_assigned(id(parameter)):
                raise Refused(parameter.line, "the context keeps its name", "use another local")
            inner.names[parameter.name] = Context()
        else:
            bound = static(low, given, scope)
            assert bound is not None  # noqa: S101 - _bound found it
            inner.names[parameter.name] = bound


def _body(low: Lowers, function: Function, scope: Scope, into: str | None) -> Value | None:
    work, body = low.work, function.body
    returned = returns_of(body)
    if not returned:
        low.function_body(body, scope, Frame(into))
        work.end(scope.slots, function.end_line)
        return nothing()
    if len(returned) == 1 and body[-1] is returned[0]:
        return _last_return(low, function, returned[0], scope, into)
    at = work.slot("value")  # the caller's own place is still read in here
    work.assign(at, ops.NULL, function.line, implicit=True)
    exit_ = None if delivers_directly(body) else work.exit("returned")
    if exit_ is not None:
        work.assign(exit_.place, ops.FALSE, function.line, implicit=True)
    low.function_body(body, scope, Frame(at, exit_))
    work.end(scope.slots, function.end_line)
    return Value(ops.path(at), quiet=True)


def _last_return(
    low: Lowers, function: Function, last: Return, scope: Scope, into: str | None
) -> Value | None:
    """Lower a function whose only return is its end: the value goes straight to the caller."""
    low.function_body(function.body[:-1], scope, Frame(into))
    if len(last.values) > 1:
        hint = "return one table: return { a = …, b = … }"
        raise Refused(last.line, "a function of a flow gives one value", hint)
    if not last.values:
        value: Value | None = nothing()
    elif into is not None:
        low.store(into, last.values[0], scope, last.line)
        value = None
    else:
        value = low.value(last.values[0], scope)
    work = low.work
    if scope.slots and value is not None and not value.literal:
        value = _outliving(low, value, scope, last.line)
    work.end(scope.slots, function.end_line)
    return value


def _outliving(low: Lowers, value: Value, scope: Scope, line: int) -> Value:
    """Keep a value that reads locals, which may be set anew before it is used."""
    if value.ir["op"] == "path" and value.ir["at"] not in scope.slots:
        return value
    return low.work.keep(value, line)
