"""Statements and blocks: what follows an `if` that jumps moves into the arm that goes on.

Where that cannot be, the jump sets a flag and what follows is guarded by it.
"""

from __future__ import annotations

from typing import Any

from flowir.records import dataclass
from flowir.syntax import Call, Expression, Function, Index, Method, Name, Return, Syntax
from swarm.errors import Place
from swarm.lua.lowering import known, ops
from swarm.lua.lowering.elements import whole_context
from swarm.lua.lowering.exits import Body, arms_of, pushed_arm
from swarm.lua.lowering.expressions import static
from swarm.lua.lowering.facts import Target
from swarm.lua.lowering.loops import lower_loop
from swarm.lua.lowering.names import Callee, Context, Scope
from swarm.lua.lowering.raising import protect
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.several import several_results
from swarm.lua.lowering.values import Value, nothing
from swarm.lua.lowering.work import Exit, Frame, Lowers
from swarm.lua.lowering.writes import filled, goal_of, write
from swarm.lua.syntax import (
    Assignment,
    Break,
    CallStatement,
    Do,
    FunctionStatement,
    GenericFor,
    Goto,
    If,
    Label,
    Local,
    LocalFunction,
    NumericFor,
    Repeat,
    While,
)

__all__ = ("lower_block", "lower_function")


@dataclass(frozen=True, slots=True)
class _Left:
    """What is left to do behind a block: statements, and what is left behind these."""

    body: Body
    start: int
    scope: Scope
    behind: _Left | None
    pushed: int


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a statement did: the flags it may set, and whether control goes on behind it."""

    exits: frozenset[Exit] = frozenset()
    falls: bool = True


_ON = _Outcome()


def lower_block(low: Lowers, body: Body, scope: Scope) -> set[Exit]:
    """Lower the whole body of a loop; return the flags that it may set."""
    return set(_Block(low, end=False).run(_Left(body, 0, scope, None, 0)).exits)


def lower_function(low: Lowers, body: Body, scope: Scope, frame: Frame) -> None:
    """Lower the statements of a function; its value goes where *frame* says."""
    low.work.frames.append(frame)
    try:
        direct = frame.main and frame.exit is None
        _Block(low, end=direct).run(_Left(body, 0, scope, None, 0))
    finally:
        low.work.frames.pop()


class _Block:
    """Runs through the statements of a block and of what is left behind it.

    *end* asks for the flow's own end wherever control reaches the last statement's end.
    """

    def __init__(self, low: Lowers, *, end: bool) -> None:
        self._low = low
        self._work = low.work
        self._end = end

    def run(self, left: _Left | None) -> _Outcome:
        work = self._work
        exits: frozenset[Exit] = frozenset()
        guards = _Guards(self._low)
        falls = True
        while left is not None:
            if left.start >= len(left.body):
                left = left.behind
                continue
            statement = left.body[left.start]
            after = _Left(left.body, left.start + 1, left.scope, left.behind, left.pushed)
            more = self._end or _has_more(after)
            temps = work.temps
            arm = pushed_arm(statement, left.pushed) if isinstance(statement, If) else None
            if isinstance(statement, If) and arm is not None and more:
                found = self._branches(statement, left.scope, arm, after)
                exits, falls = exits | found.exits, found.falls
                guards.close()
                return _Outcome(exits, falls)
            found = self._tried(statement, left.scope)
            if not isinstance(statement, Return):
                work.temps = temps
            exits |= found.exits
            if not found.falls:
                guards.close()
                return _Outcome(exits, False)
            if found.exits and more:
                guards.open(exits, statement.line)
            left = after
        if self._end:
            _end_flow(self._low, None, _last_line(self._low))
        guards.close()
        return _Outcome(exits, falls)

    def _tried(self, statement: Syntax, scope: Scope) -> _Outcome:
        """Lower a statement; one that is refused is noted, and the others go on."""
        work = self._work
        nodes, lane, temps = work.nodes, work.lane, work.temps
        try:
            return self._statement(statement, scope)
        except Refused as refused:
            work.refused.append((Place(work.file, refused.line), refused))
            work.nodes, work.lane, work.temps = nodes, lane, temps
            _declare_anyway(self._low, statement, scope)
            return _ON

    def _statement(self, statement: Syntax, scope: Scope) -> _Outcome:
        match statement:
            case Return():
                return _return(self._low, statement, scope)
            case If():
                return self._branches(statement, scope, None, None)
            case Do(body=body):
                inner = Scope(scope)
                found = _Block(self._low, end=False).run(_Left(body, 0, inner, None, 0))
                self._work.end(inner.slots, statement.line)
                return found
            case While() | Repeat() | NumericFor() | GenericFor():
                return _Outcome(frozenset(lower_loop(self._low, statement, scope)))
            case Break() | Goto():
                return _jump(self._low, statement)
            case CallStatement(call=call):
                return _call(self._low, call, scope)
            case Local():
                _local(self._low, statement, scope)
            case LocalFunction(name=name, function=function):
                seen = scope.as_it_is()
                callee = Callee(name.name, self._work.file, function, seen)
                scope.names[name.name] = seen.names[name.name] = callee
            case Assignment():
                _assignment(self._low, statement, scope)
            case FunctionStatement():
                hint = "write local function"
                if len(statement.path) > 1 or statement.method is not None:
                    raise Refused(statement.line, "a table of a flow holds no functions", hint)
                raise Refused(statement.line, "a flow defines no global functions", hint)
            case Label():
                pass
            case _:
                raise Refused(statement.line, "this is no statement of a flow")
        return _ON

    # ---- if

    def _branches(
        self, statement: If, scope: Scope, arm: int | None, after: _Left | None
    ) -> _Outcome:
        return self._arm(statement, scope, 0, (arm, after))

    def _arm(
        self, statement: If, scope: Scope, i: int, moved: tuple[int | None, _Left | None]
    ) -> _Outcome:
        if i == len(statement.arms):
            return self._arm_body(arms_of(statement)[i], scope, i, statement.line, moved)
        arm = statement.arms[i]
        cond = self._low.condition(arm.condition, scope)
        decided = ops.literal(cond)
        if decided == [True]:
            return self._arm_body(arm.body, scope, i, arm.line, moved)
        if decided == [False]:
            return self._arm(statement, scope, i + 1, moved)
        with self._work.aside() as then:
            one = self._arm_body(arm.body, scope, i, arm.line, moved)
        with self._work.aside() as otherwise:
            other = self._arm(statement, scope, i + 1, moved)
        fields: dict[str, Any] = {"cond": cond, "then": self._work.body(then, arm.line)}
        # An empty `else` says that nothing is to be done: who reads the flow may know it.
        says_nothing = statement.otherwise is not None and i + 1 == len(statement.arms)
        if otherwise or says_nothing:
            fields["else"] = self._work.body(otherwise, arm.line)
        self._work.emit("branch", arm.line, **fields)
        return _Outcome(one.exits | other.exits, one.falls or other.falls)

    def _arm_body(
        self,
        body: Body,
        scope: Scope,
        i: int,
        line: int,
        moved: tuple[int | None, _Left | None],
    ) -> _Outcome:
        inner = Scope(scope)
        arm, after = moved
        if i != arm or after is None:
            found = _Block(self._low, end=False).run(_Left(body, 0, inner, None, 0))
            self._work.end(inner.slots, line)
            return found
        names = dict(after.scope.names)
        left = _Left(after.body, after.start, after.scope, after.behind, after.pushed + 1)
        found = _Block(self._low, end=self._end).run(_Left(body, 0, inner, left, 0))
        # What was declared behind the `if` is not in scope in the arms that come after.
        after.scope.names = names
        return found


def _has_more(left: _Left | None) -> bool:
    while left is not None:
        if left.start < len(left.body):
            return True
        left = left.behind
    return False


class _Guards:
    """Keeps what follows a jump from running: behind it, nodes go into a branch."""

    def __init__(self, low: Lowers) -> None:
        self._work = low.work
        self._outer = low.work.nodes
        self._open: tuple[frozenset[Exit], int] | None = None

    def open(self, exits: frozenset[Exit], line: int) -> None:
        """Guard what follows by all flags that may be set by now."""
        self.close()
        self._open = (exits, line)
        self._work.nodes = []

    def close(self) -> None:
        """End the guarded part."""
        if self._open is None:
            return
        exits, line = self._open
        nodes, self._work.nodes = self._work.nodes, self._outer
        self._open = None
        if not nodes:
            return
        for exit_ in exits:
            exit_.read = True
        cond = ops.none_of(sorted(exit_.place for exit_ in exits))
        then = self._work.body(nodes, line)
        self._work.emit("branch", line, implicit=True, cond=cond, then=then)


# ---- leaving


def _return(low: Lowers, statement: Return, scope: Scope) -> _Outcome:
    work, frame = low.work, low.work.frames[-1]
    if len(statement.values) > 1:
        hint = "return one table: return { a = …, b = … }"
        raise Refused(statement.line, "a function of a flow gives one value", hint)
    e = statement.values[0] if statement.values else None
    if frame.main and frame.exit is None:
        _end_flow(low, None if e is None else low.value(e, scope), statement.line)
        return _Outcome(falls=False)
    if frame.result is not None and e is not None:
        before = len(work.nodes)
        low.store(frame.result, e, scope, statement.line)
        for node in work.nodes[before:] if frame.main else ():
            node.moved = True  # the flow ends: nothing is written any more
    elif e is not None:
        value = low.value(e, scope)
        if not value.quiet:
            work.keep(value, statement.line)
    if frame.exit is None:
        return _Outcome(falls=False)
    return _leave(low, frame.exit, statement.line)


def _leave(low: Lowers, exit_: Exit, line: int) -> _Outcome:
    exit_.sets.append(low.work.assign(exit_.place, ops.TRUE, line, implicit=True))
    return _Outcome(frozenset((exit_,)), falls=False)


def _end_flow(low: Lowers, value: Value | None, line: int) -> None:
    """Make the flow's value its context; without one the context stays, less the locals."""
    whole = whole_context().ir
    if value is None or value.literal == [None]:
        low.work.assign("$", whole, line, implicit=True)
        return
    surely = value.is_truthy or value.kind == "boolean"
    ir = value.ir if surely else ops.default(value.ir, whole)
    low.work.assign("$", ir, line)


def _last_line(low: Lowers) -> int:
    return low.work.calling[-1].end_line if low.work.calling else 1


def _jump(low: Lowers, statement: Break | Goto) -> _Outcome:
    work = low.work
    if isinstance(statement, Break):
        if not work.loops:
            raise Refused(statement.line, "break stands in no loop of this function")
        loop = work.loops[-1]
        loop.stop = loop.stop or work.exit("stop")
        outcome = _leave(low, loop.stop, statement.line)
        work.nodes[-1].implicit = False
        return outcome
    for loop in reversed(work.loops):
        if loop.label == statement.label:
            loop.skip = loop.skip or work.exit("skip")
            return _leave(low, loop.skip, statement.line)
    hint = "use if, while or break"
    why = f"goto {statement.label}: only a label at the end of a loop's body can be reached"
    raise Refused(statement.line, why, hint)


# ---- calls, locals, assignments


def _call(low: Lowers, call: Call | Method, scope: Scope) -> _Outcome:
    what = static(low, call.function, scope) if isinstance(call, Call) else None
    name = what.name if isinstance(what, known.Library) else None
    if name == "pcall" and isinstance(call, Call):
        protect(low, call, scope, None, None)
        return _ON
    value = low.call(call, scope, None, used=False)
    if name in ("error", "flow.fail") and value is not None:
        low.work.assign("$", value.ir, call.line)
        return _Outcome(falls=False)
    if value is not None and not value.quiet and not value.literal:
        low.work.keep(value, call.line)  # it may fail, and then it must
    return _ON


def _local(low: Lowers, statement: Local, scope: Scope) -> None:
    for local in statement.names:
        if local.attribute == "close":
            hint = "call what closes it, in pcall if need be"
            raise Refused(local.line, "a <close> variable cannot be lowered", hint)
    if len(statement.names) == 1 and len(statement.values) == 1:
        _one_local(low, statement, scope)
        return
    if _is_pcall(low, statement.values, scope):
        _pcall_locals(low, statement, scope)
        return
    if _is_one_call(statement.values, len(statement.names)):
        _several_locals(low, statement, scope)
        return
    _refuse_many(statement.values, len(statement.names))
    goals: list[Target | None] = [(id(local), ()) for local in statement.names]
    values = low.values(statement.values, scope, goals)
    places = [low.work.slot(local.name, scope) for local in statement.names]
    for i, at in enumerate(places):
        value = values[i] if i < len(values) else nothing()
        low.work.assign(at, value.ir, statement.line, implicit=i >= len(values))
    for local, at in zip(statement.names, places, strict=True):
        kind = low.work.facts.kind_at((id(local), ()))
        low.work.bind(scope, local.name, at, kind, id(local))


def _one_local(low: Lowers, statement: Local, scope: Scope) -> None:
    local, e = statement.names[0], statement.values[0]
    key = id(local)
    if _is_context(e, scope):
        if low.work.facts.is_assigned(key):
            raise Refused(local.line, "the context keeps its name", "use another local")
        scope.names[local.name] = Context()
        return
    bound = static(low, e, scope)
    if isinstance(bound, Callee) and isinstance(e, Function):
        scope.names[local.name] = Callee(local.name, low.work.file, e, scope.as_it_is())
        return
    if bound is not None and not low.work.facts.is_assigned(key):
        scope.names[local.name] = bound
        return
    at = low.work.slot(local.name, scope)
    low.store(at, e, scope, statement.line, (key, ()))
    kind = low.work.facts.kind_at((key, ()))
    low.work.bind(scope, local.name, at, kind, key)


def _is_context(e: Expression, scope: Scope) -> bool:
    return isinstance(e, Name) and isinstance(scope.find(e.name), Context)


def _is_pcall(low: Lowers, values: tuple[Expression, ...], scope: Scope) -> bool:
    if len(values) != 1 or not isinstance(values[0], Call):
        return False
    return static(low, values[0].function, scope) == known.Library("pcall")


def _pcall_locals(low: Lowers, statement: Local, scope: Scope) -> None:
    call = statement.values[0]
    assert isinstance(call, Call)  # noqa: S101 - _is_pcall
    if len(statement.names) > 2:
        raise Refused(statement.line, "pcall gives ok and one value here", "return one table")
    places = [low.work.slot(local.name, scope) for local in statement.names]
    protect(low, call, scope, places[0], places[1])
    for local, at in zip(statement.names, places, strict=True):
        low.work.bind(scope, local.name, at, "any", id(local))


def _is_one_call(values: tuple[Expression, ...], wanted: int) -> bool:
    return wanted > 1 and len(values) == 1 and isinstance(values[0], (Call, Method))


def _several_locals(low: Lowers, statement: Local, scope: Scope) -> None:
    found = several_results(low, statement.values[0], scope, len(statement.names)) or []
    places = [low.work.slot(local.name, scope) for local in statement.names]
    for local, at, value in zip(statement.names, places, found, strict=True):
        low.work.assign(at, value.ir, statement.line)
        low.work.bind(scope, local.name, at, "any", id(local))


def _refuse_many(values: tuple[Expression, ...], wanted: int) -> None:
    """Refuse the call that would have to give several values."""
    last = values[-1] if values else None
    if len(values) < wanted and isinstance(last, (Call, Method)):
        hint = "return one table, and take it apart"
        raise Refused(last.line, "a call gives one value here", hint)


def _assignment(low: Lowers, statement: Assignment, scope: Scope) -> None:
    targets, values, line = statement.targets, statement.values, statement.line
    if len(targets) == 1 and len(values) == 1:
        _one_assignment(low, targets[0], values[0], scope, line)
        return
    if _is_one_call(values, len(targets)):
        found = several_results(low, values[0], scope, len(targets)) or []
        kept = [low.work.keep(value, line) for value in found]
        for target, value in zip(targets, kept, strict=True):
            write(low, goal_of(low, target, scope), value, line)
        return
    _refuse_many(values, len(targets))
    goals = [goal_of(low, target, scope, keep=True) for target in targets]
    places = [low.work.facts.target_of(target) for target in targets]
    kept = [low.work.keep(value, line) for value in low.values(values, scope, places)]
    for i, goal in enumerate(goals):
        write(low, goal, kept[i] if i < len(kept) else nothing(), line)


def _one_assignment(
    low: Lowers, target: Expression, e: Expression, scope: Scope, line: int
) -> None:
    goal = goal_of(low, target, scope)
    place = low.work.facts.target_of(target)
    if not goal.keys and goal.special is None and len(goal.segments) == goal.depth:
        low.store(goal.at, e, scope, line, place)
        return
    with low.work.aside() as nodes:
        value = low.value(e, scope, place)
    if nodes and isinstance(target, Index) and isinstance(target.base, Index):
        # Lua reads the table that is to be written in before it evaluates the value.
        low.work.keep(low.value(target.base, scope), line)
    before = len(low.work.nodes)
    low.work.nodes += nodes
    write(low, goal, value, line)
    for node in low.work.nodes[before:] if filled(target, e) else ():
        node.moved = True


# ---- what is refused declares its names all the same


def _declare_anyway(low: Lowers, statement: Syntax, scope: Scope) -> None:
    names = statement.names if isinstance(statement, Local) else ()
    for local in names:
        low.work.declare(scope, local.name)
