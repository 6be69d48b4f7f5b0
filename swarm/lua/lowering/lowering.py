"""One flow function lowered: the parts put together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flowir.errors import Problem
from flowir.records import dataclass
from flowir.syntax import Call, Expression, Method, Name, String, Syntax, Table
from swarm.errors import Place
from swarm.lua.lowering import ops
from swarm.lua.lowering.aliasing import shared_writes
from swarm.lua.lowering.calls import lower_call
from swarm.lua.lowering.counts import refuse_several
from swarm.lua.lowering.elements import whole_context
from swarm.lua.lowering.exits import delivers_directly
from swarm.lua.lowering.expressions import callee_of, lower_value, lower_values
from swarm.lua.lowering.facts import Facts, Target
from swarm.lua.lowering.finish import written
from swarm.lua.lowering.helpers import by_lua
from swarm.lua.lowering.inlining import inline
from swarm.lua.lowering.known import Closure, Known, Members, read_closures
from swarm.lua.lowering.names import Callee, Context, Scope
from swarm.lua.lowering.operators import condition
from swarm.lua.lowering.ops import Op
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.statements import lower_block, lower_function
from swarm.lua.lowering.values import Value
from swarm.lua.lowering.work import Exit, Frame, Work
from swarm.lua.syntax import walk

__all__ = ("ROOT", "ROUNDS", "PlainFlow", "lower_plain")

# Where the flow stands in its document.
ROOT = "$.flow"
_CODE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
# How often a loop may go round where nothing else is said.
ROUNDS = 10_000


@dataclass(frozen=True, slots=True)
class PlainFlow:
    """A flow function as nodes.

    Shape: `node` on the wire, `agents` what its implicit steps need, `places` the lines
    of the document's places from `ROOT` down. With `problems` the node is not whole.
    """

    node: dict[str, Any]
    agents: tuple[dict[str, Any], ...]
    places: Mapping[str, Place]
    problems: tuple[tuple[Place, Problem], ...]


def lower_plain(
    told: Mapping[str, Any],
    sources: Mapping[str, str],
    *,
    rounds: int = ROUNDS,
    agents: Iterable[str] = (),
) -> PlainFlow:
    """Lower the flow function that the author runtime told of.

    Shape: *sources* are the texts of the files it names; *rounds* bounds each loop that
    does not count to a number or say its own limit; *agents* are the names that the
    blueprint declares, for hints.
    """
    where = Place(told["__file"], told["__line"])
    try:
        return _lowered(read_closures(told, sources), sources, where, rounds, agents)
    except Refused as refused:
        return _refused([(Place(where.file, refused.line), refused)])
    except RecursionError:
        # Each function that is called in one that is read takes a dozen frames of Python.
        hint = "let a helper call fewer helpers that call helpers"
        deep = Refused(where.line or 1, "its functions call each other too deep", hint)
        return _refused([(where, deep)])


def _lowered(
    closure: Closure, sources: Mapping[str, str], where: Place, rounds: int, agents: Iterable[str]
) -> PlainFlow:
    facts = Facts(lambda callee, e: callee_of(low, callee, e))
    work = Work(closure.file, sources, rounds, facts)
    work.codes.update(_codes(closure))
    work.declared.update(agents)
    low = _Lowering(work)
    low.flow(closure)
    found = work.refused or shared_writes(work.nodes, work.looped, work.scripts)
    if found:
        return _refused(found)
    node, result = written(work.nodes, where, ROOT)
    # What was lowered in vain, to see whether a helper is one expression, left agents behind.
    left = tuple(agent for name, agent in work.agents.items() if name in result.asked)
    return PlainFlow(node, left, result.places, ())


def _refused(found: Iterable[tuple[Place, Refused]]) -> PlainFlow:
    problems = {
        (where, refused.why): (where, Problem("plain.refused", ROOT, refused.why, refused.hint))
        for where, refused in found
    }
    return PlainFlow({"kind": "seq", "children": []}, (), {}, tuple(problems.values()))


def _codes(closure: Closure) -> set[str]:
    """Return the codes under which the functions raise errors, as far as they are written."""
    found: set[str] = set()
    seen: set[int] = set()
    left: list[Known] = [closure]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Closure):
            found.update(_codes_in(one.function))
            left += one.outer.values()
        elif isinstance(one, Members):
            left += one.members.values()
    return found


def _codes_in(function: Syntax) -> Iterable[str]:
    for piece in walk(function):
        if isinstance(piece, Call) and isinstance(piece.function, Name):
            is_error = piece.function.name == "error" and piece.arguments
            first = piece.arguments[0] if is_error else None
            if isinstance(first, String) and len(piece.arguments) > 1 and first.value:
                yield first.value
        if isinstance(piece, String) and _CODE.fullmatch(piece.value):
            yield piece.value  # it may be handed to error by way of a local
        for one in piece.fields if isinstance(piece, Table) else ():
            is_code = isinstance(one.key, String) and one.key.value == "code"
            if is_code and isinstance(one.value, String) and one.value.value:
                yield one.value.value


class _Lowering:
    """The parts, as they know each other: `swarm.lua.lowering.work.Lowers`."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def flow(self, closure: Closure) -> None:
        """Lower the flow's own function."""
        try:
            self._flow(closure)
        except Refused as refused:
            self.work.refused.append((Place(closure.file, refused.line), refused))

    def _flow(self, closure: Closure) -> None:
        work, function = self.work, closure.function
        if function.varargs or len(function.parameters) > 1:
            hint = "function(ctx) … end"
            raise Refused(function.line, "a flow function takes the context only", hint)
        callee = work.outside.callee(closure)
        work.facts.study(callee)
        scope = Scope(callee.scope)
        for parameter in function.parameters:
            scope.names[parameter.name] = Context()
        work.calling.append(function)
        if delivers_directly(function.body):
            lower_function(self, function.body, scope, Frame(main=True))
        else:
            self._flagged(function.body, scope, function.line, function.end_line)
        work.calling.pop()

    def _flagged(self, body: tuple[Syntax, ...], scope: Scope, line: int, end_line: int) -> None:
        """Lower a flow that returns from inside loops: its value waits for the end."""
        work = self.work
        result, exit_ = work.slot("result"), work.exit("returned")
        work.assign(result, ops.NULL, line, implicit=True)
        work.assign(exit_.place, ops.FALSE, line, implicit=True)
        lower_function(self, body, scope, Frame(result, exit_, main=True))
        value = ops.default(ops.path(result), whole_context().ir)
        work.assign("$", value, end_line, implicit=True)

    # ---- Lowers

    def value(self, e: Expression, scope: Scope, into: Target | None = None) -> Value:
        if isinstance(e, Table) and e.fields and e.fields[-1].key is None:
            refuse_several(self, e.fields[-1].value, scope)
        return lower_value(self, e, scope, into)

    def values(
        self, es: tuple[Expression, ...], scope: Scope, goals: Sequence[Target | None] = ()
    ) -> list[Value]:
        return lower_values(self, es, scope, goals)

    def condition(self, e: Expression, scope: Scope) -> Op:
        return condition(self, e, scope)

    def call(self, e: Call | Method, scope: Scope, into: str | None, *, used: bool) -> Value | None:
        return lower_call(self, e, scope, into, used=used)

    def store(
        self, at: str, e: Expression, scope: Scope, line: int, goal: Target | None = None
    ) -> None:
        if isinstance(e, (Call, Method)):
            value = lower_call(self, e, scope, at, used=True)
        else:
            value = self.value(e, scope, goal)
        if value is not None:
            self.work.assign(at, value.ir, line)

    def function_body(self, body: tuple[Syntax, ...], scope: Scope, frame: Frame) -> None:
        lower_function(self, body, scope, frame)

    def by_lua(self, name: str, values: list[Value], line: int) -> Value:
        return by_lua(self, name, values, line)

    def block(self, body: tuple[Syntax, ...], scope: Scope) -> set[Exit]:
        return lower_block(self, body, scope)

    def inline(
        self,
        callee: Callee,
        arguments: list[Value | Expression],
        scope: Scope,
        line: int,
        into: str | None,
    ) -> Value | None:
        return inline(self, callee, arguments, scope, line, into)
