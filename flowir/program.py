"""A flow, compiled once to a flat program that any number of machines run.

The tree is compiled back to front, so that each instruction knows its successor. An
instruction is a closure that does its work on a lane and returns the next one, or None to
rest. `seq` and the meeting of branches cost nothing at run time.

    registers   numbered at compile time for each lane body: a loop's count, the context
                that a `try` keeps, the error that a `finally` holds back
    errors      no stack of handlers: each instruction knows statically where an error
                goes, like CPython's exception table
    keys        the place up to a lane's body is the lane's prefix; only the counts of
                loops are filled in when a step is asked for
    fuel        `toll` is what the seqs around an entry owe; it is charged with it

An instruction has a name, `place:role`, by which a snapshot knows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, assert_never, cast

from flowir import ops
from flowir.effects import Admitted, Dispatch, Failure, Success, tuple_of
from flowir.errors import FlowError
from flowir.exprs import SCALAR, UNKNOWN, Batch, Bounds, Compiled, Reach, cost_of, reach_of
from flowir.externs import STANDARD_EXTERNS
from flowir.failures import admits, asks_again, delay_of, error_of
from flowir.joins import Fan
from flowir.lane import Lane, Op
from flowir.nodes import (
    Assign,
    Branch,
    Expr,
    Fanout,
    Flow,
    Loop,
    Node,
    Seq,
    Step,
    Try,
    children,
)
from flowir.path import Path
from flowir.records import dataclass
from flowir.storing import Store, growing, growth_of, storing
from flowir.values import described, mismatch, private_copy, truth

__all__ = ("Meta", "Program", "program_of")


class Meta(NamedTuple):
    """What is known of an instruction: its node's place, its name, where errors go.

    `shield` is the register of the outermost `finally` it belongs to: cleaning up is not
    interrupted, a cancellation waits there until it is through.
    """

    place: str
    name: str
    handler: Op | None
    shield: int | None = None


@dataclass(frozen=True, slots=True)
class _Value:
    """An expression at work: its function, its cost, how large its value can be."""

    of: Compiled
    cost: int
    reach: Reach


class Program:
    """The instructions of a flow.

    `registers[place]` lists the kinds of registers of the lane body at *place*.
    """

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.meta: dict[Op, Meta] = {}
        self.named: dict[str, Op] = {}
        self.registers: dict[str, list[str]] = {}
        self.fingerprint: str | None = None
        self._batch = Batch()
        _collect(flow.root, self._batch)
        self._function = self._batch.compile()
        self.entry = _Body(self, "$").compile(flow.root, _finish)

    def registers_of(self, lane: Lane) -> list[str]:
        """Return the kinds of *lane*'s registers."""
        return self.registers["$" if lane.fan is None else lane.fan.body]

    def value(self, expr: Expr) -> _Value:
        """Find an expression's compiled form."""
        return _Value(self._function(expr), cost_of(expr), reach_of(expr))

    def add(
        self, op: Op, place: str, role: str, handler: Op | None, shield: int | None = None
    ) -> Op:
        """Give an instruction its name and the place where its errors go."""
        name = f"{place}:{role}"
        self.meta[op] = Meta(place, name, handler, shield)
        self.named[name] = op
        return op


def program_of(flow: Flow) -> Program:
    """Compile *flow*, once: the program is kept with it."""
    if flow.program is None:
        object.__setattr__(flow, "program", Program(flow))
    return cast("Program", flow.program)


def _collect(root: Node, batch: Batch) -> None:
    """Take all expressions of the flow into one batch."""
    todo = [root]
    while todo:
        node = todo.pop()
        for expr in _expressions(node):
            batch.add(expr)
        todo.extend(child for _, child in children(node))


def _expressions(node: Node) -> list[Expr]:
    match node:
        case Step():
            return [node.in_]
        case Branch() | Loop():
            return [node.cond]
        case Fanout():
            found = (node.items, node.collect, node.limit, node.quorum)
            return [e for e in found if e is not None and not isinstance(e, int)]
        case Assign():
            grown = growth_of(node)
            return [node.value, *(grown[1] if grown else ())]
        case Seq() | Try():
            return []
        case _:
            assert_never(node)


def _finish(lane: Lane) -> Op | None:
    lane.m.finish(lane.ctx)
    lane.op = None
    return None


class _Body:
    """Compiles one lane body: it has its own registers and its own key prefix."""

    def __init__(self, program: Program, base: str) -> None:
        self.program = program
        self.base = base
        self.loops: tuple[tuple[str, int], ...] = ()
        self.kinds: list[str] = []
        self.shield: int | None = None
        self.limits = program.flow.limits

    def compile(self, node: Node, end: Op) -> Op:
        """Compile the body *node*; its last instruction is *end*."""
        entry = self.node(node, self.base, end, None, 0)
        self.program.registers[self.base] = self.kinds
        return entry

    def register(self, kind: str) -> int:
        self.kinds.append(kind)
        return len(self.kinds) - 1

    def add(self, op: Op, place: str, role: str, handler: Op | None) -> Op:
        """Name an instruction of this body."""
        return self.program.add(op, place, role, handler, self.shield)

    def node(self, node: Node, place: str, nxt: Op, handler: Op | None, toll: int) -> Op:
        """Compile *node* so that it goes on to *nxt*, and its errors to *handler*."""
        toll += 1
        match node:
            case Step():
                return self._step(node, place, nxt, handler, toll)
            case Seq():
                return self._seq(node, place, nxt, handler, toll)
            case Branch():
                return self._branch(node, place, nxt, handler, toll)
            case Loop():
                return self._loop(node, place, nxt, handler, toll)
            case Fanout():
                return self._fanout(node, place, nxt, handler, toll)
            case Try():
                return self._try(node, place, nxt, handler, toll)
            case Assign():
                return self._assign(node, place, nxt, handler, toll)
            case _:
                assert_never(node)

    # -- what instructions are made of -------------------------------------------------

    def key(self, place: str) -> Callable[[Lane], str]:
        """Compile the key of *place*: what stands before the first loop is a constant."""
        tail = place[len(self.base) :]
        if not self.loops:
            return lambda lane: lane.prefix + tail
        heads = self.loops
        if len(heads) == 1:
            ((head, r),) = heads
            tail = tail[len(head) :]
            return lambda lane: f"{lane.prefix}{head}#{lane.regs[r]}{tail}"
        tail = tail[sum(len(head) for head, _ in heads) :]

        def key(lane: Lane) -> str:
            regs = lane.regs
            counts = "".join([f"{head}#{regs[r]}" for head, r in heads])
            return f"{lane.prefix}{counts}{tail}"

        return key

    def store(self, path: Path) -> Store:
        """Compile a write that keeps the bounds on the context's size."""
        return storing(path, self.limits)

    # -- the kinds ---------------------------------------------------------------------

    def _seq(self, node: Seq, place: str, nxt: Op, handler: Op | None, toll: int) -> Op:
        if not node.children:

            def nothing(lane: Lane) -> Op | None:
                ops.spend(lane.m, toll)
                return nxt

            return self.add(nothing, place, "nothing", handler)
        for i in range(len(node.children) - 1, -1, -1):
            owed = toll if i == 0 else 0
            nxt = self.node(node.children[i], f"{place}.children[{i}]", nxt, handler, owed)
        return nxt

    def _assign(self, node: Assign, place: str, nxt: Op, handler: Op | None, toll: int) -> Op:
        value = self.program.value(node.value)
        of, cost, reach = value.of, value.cost + toll, value.reach
        store = self.store(node.at)

        def assign(lane: Lane) -> Op | None:
            m = lane.m
            m.fuel = fuel = m.fuel - cost
            if fuel < 0:
                ops.spend(m, 0)
            store(lane, of(lane.ctx, m), reach)
            return nxt

        grown = growth_of(node)
        if grown is None:
            return self.add(assign, place, "assign", handler)
        ref, rest = grown
        grow = growing(node.at, ref, [self.program.value(e).of for e in rest], store)

        def extend(lane: Lane) -> Op | None:
            if lane.m.externs.get(ref) is not STANDARD_EXTERNS[ref]:
                return assign(lane)
            ops.spend(lane.m, cost)
            grow(lane)
            return nxt

        return self.add(extend, place, "assign", handler)

    def _branch(self, node: Branch, place: str, nxt: Op, handler: Op | None, toll: int) -> Op:
        value = self.program.value(node.cond)
        cond, cost = value.of, value.cost + toll
        then = self.node(node.then, place + ".then", nxt, handler, 0)
        other = nxt
        if node.else_ is not None:
            other = self.node(node.else_, place + ".else", nxt, handler, 0)

        def branch(lane: Lane) -> Op | None:
            m = lane.m
            m.fuel = fuel = m.fuel - cost
            if fuel < 0:
                ops.spend(m, 0)
            chosen = cond(lane.ctx, m)
            if chosen is True:
                return then
            if chosen is False:
                return other
            raise FlowError(
                "cond.not_boolean",
                f"branch: expected cond to be a boolean, got {described(chosen)}",
            )

        return self.add(branch, place, "branch", handler)

    def _loop(self, node: Loop, place: str, nxt: Op, handler: Op | None, toll: int) -> Op:
        value = self.program.value(node.cond)
        cond, cost, most = value.of, value.cost, node.max
        store, r = self.store(node.counter), self.register("count")
        more = None if node.exhausted_at is None else self.store(node.exhausted_at)
        outer = self.loops
        done = sum(len(head) for head, _ in outer)
        self.loops = (*outer, (place[len(self.base) + done :] + ".body", r))

        def again(lane: Lane) -> Op | None:
            lane.regs[r] = count = lane.regs[r] + 1
            store(lane, count, SCALAR)
            return test(lane)

        turn = self.add(again, place, "again", handler)
        body = self.node(node.body, place + ".body", turn, handler, 0)
        self.loops = outer

        def test(lane: Lane) -> Op | None:
            exhausted = lane.regs[r] >= most
            if exhausted and (more is None or most == 0):
                if more is not None:
                    more(lane, False, SCALAR)
                return nxt
            ops.spend(lane.m, cost)
            wanted = truth(cond(lane.ctx, lane.m))
            if wanted and not exhausted:
                return body
            if more is not None:
                more(lane, wanted, SCALAR)
            return nxt

        def enter(lane: Lane) -> Op | None:
            ops.spend(lane.m, toll)
            lane.regs[r] = 0
            store(lane, 0, SCALAR)
            return test(lane)

        return self.add(enter, place, "loop", handler)

    def _step(self, node: Step, place: str, nxt: Op, handler: Op | None, toll: int) -> Op:
        value = self.program.value(node.in_)
        of, cost, reach = value.of, value.cost + toll, value.reach
        ref, timeout_s, name = node.ref, node.timeout_s, node.id or place
        store = None if node.out is None else self.store(node.out)
        key_of, retry = self.key(place), node.retry

        def ask(lane: Lane) -> Op | None:
            m = lane.m
            m.fuel = fuel = m.fuel - cost
            if fuel < 0:
                ops.spend(m, 0)
            given = of(lane.ctx, m)
            if type(given) is dict or type(given) is list:
                lane.check(given, reach)
                given = private_copy(given)
            lane.attempt = 1
            lane.op = answer
            m.ask(lane, tuple_of(Dispatch, (key_of(lane), ref, given, 1, name, timeout_s, 0.0)))
            return None

        def answer(lane: Lane) -> Op | None:
            outcome, lane.inbox = lane.inbox, None
            if type(outcome) is Success or type(outcome) is Admitted:
                if type(outcome) is Admitted:
                    answered, size, depth = outcome
                    # A scalar is weighed where it is written.
                    bounds = SCALAR if depth == 0 else Bounds(size, depth)
                else:
                    answered, bounds = lane.admit(outcome.value, ref)
                if store is not None:
                    store(lane, answered, bounds)
                return nxt
            assert isinstance(outcome, Failure)  # noqa: S101 - the machine let nothing else in
            error = error_of(lane, outcome, ref)
            if retry is None or not asks_again(retry, error, lane.attempt):
                raise error
            m = lane.m
            ops.spend(m, cost - toll)
            key, delay_s = lane.key or "", delay_of(retry, lane.key, lane.attempt)
            lane.attempt += 1
            given = of(lane.ctx, m)
            lane.op = answer
            m.ask(
                lane,
                Dispatch(key, ref, private_copy(given), lane.attempt, name, timeout_s, delay_s),
            )
            return None

        self.add(answer, place, "answer", handler)
        return self.add(ask, place, "step", handler)

    def _fanout(self, node: Fanout, place: str, nxt: Op, handler: Op | None, toll: int) -> Op:
        program, limits = self.program, self.limits
        value = program.value(node.items)
        items_of, cost = value.of, value.cost + toll
        limit_of = self._count(node.limit, "limit")
        quorum_of = self._count(node.quorum, "quorum")
        bind, out = self.store(node.bind), self.store(node.out)
        index = None if node.index is None else self.store(node.index)
        collect = None if node.collect is None else program.value(node.collect)
        collected = (
            (None, 0, UNKNOWN) if collect is None else (collect.of, collect.cost, collect.reach)
        )
        key_of, body, join = self.key(place), place + ".body", node.join

        def end(lane: Lane) -> Op | None:
            fan = lane.fan
            assert fan is not None  # noqa: S101 - only a lane of a fan ends here
            lane.hand_over(fan, *collected)
            lane.m.settled(lane)
            return None

        self.program.add(end, body, "end", None)
        entry = _Body(program, body).compile(node.body, end)

        def start(lane: Lane) -> Op | None:
            """Begin a lane: bind its item."""
            fan = lane.fan
            assert fan is not None  # noqa: S101 - only a lane of a fan starts here
            item = fan.items[lane.index]
            bind(lane, item, UNKNOWN)
            if index is not None:
                index(lane, lane.index, SCALAR)
            return entry

        self.program.add(start, body, "start", None)

        def fan_out(lane: Lane) -> Op | None:
            m = lane.m
            ops.spend(m, cost)
            items = items_of(lane.ctx, m)
            if type(items) is not list:
                raise mismatch("fanout", "items to be an array", items)
            if len(items) > limits.lanes:
                raise FlowError(
                    "fanout.too_many",
                    f"fanout: expected at most {limits.lanes} items, got {len(items)}",
                )
            limit = limit_of(lane) or limits.in_flight
            fan = Fan(lane, join, items, limit, quorum_of(lane))
            fan.prefix, fan.body, fan.start = key_of(lane) + ".body@", body, start
            lane.waits, lane.op = fan, joined
            if fan.decided:
                return joined
            m.spread(fan)
            return None

        def joined(lane: Lane) -> Op | None:
            fan, lane.waits = lane.waits, None
            assert fan is not None  # noqa: S101 - set by fan_out
            if fan.error is not None:
                raise fan.error
            result, fan.result = fan.result, None
            out(lane, result, fan.bounds)
            return nxt

        self.add(joined, place, "joined", handler)
        return self.add(fan_out, place, "fanout", handler)

    def _count(self, count: int | Expr | None, name: str) -> Callable[[Lane], int | None]:
        """Compile `limit` or `quorum`: a number, or an expression for one."""
        if count is None or isinstance(count, int):
            return lambda lane: count
        value = self.program.value(count)

        def counted(lane: Lane) -> int:
            ops.spend(lane.m, value.cost)
            found = value.of(lane.ctx, lane.m)
            if type(found) is not int or found < 1:
                raise mismatch("fanout", f"{name} to be an integer of 1 or more", found)
            return found

        return counted

    def _try(self, node: Try, place: str, nxt: Op, handler: Op | None, toll: int) -> Op:
        r = self.register("saved")
        enter_finally = self._finally(node, place, nxt, handler)
        reset, inner_nxt, inner_handler = enter_finally
        catch = self.node(node.catch, place + ".catch", inner_nxt, inner_handler, 0)
        err = None if node.err_at is None else self.store(node.err_at)
        error_at = None if node.error_at is None else self.store(node.error_at)
        on, restore = node.on, node.restore

        def caught(lane: Lane) -> Op | None:
            error = lane.inbox
            lane.inbox = None
            assert isinstance(error, FlowError)  # noqa: S101 - unwind put it there
            saved, lane.regs[r] = lane.regs[r], None
            if not admits(error, on):
                raise error
            if restore:
                lane.restore(saved)
            if err is not None:
                err(lane, error.message, SCALAR)
            if error_at is not None:
                error_at(lane, error.to_json(), UNKNOWN)
            return catch

        thrown = self.add(caught, place, "caught", inner_handler)

        def leave(lane: Lane) -> Op | None:
            lane.regs[r] = None  # let go of the old context
            return inner_nxt

        left = self.add(leave, place, "leave", inner_handler)
        body = self.node(node.body, place + ".body", left, thrown, 0)

        def enter(lane: Lane) -> Op | None:
            ops.spend(lane.m, toll)
            if reset is not None:
                lane.regs[reset] = None
            if restore:
                lane.regs[r] = lane.save()
            return body

        return self.add(enter, place, "try", handler)

    def _finally(
        self, node: Try, place: str, nxt: Op, handler: Op | None
    ) -> tuple[int | None, Op, Op | None]:
        """Compile `finally`; return its register, and where body and catch go on and fail."""
        if node.finally_ is None:
            return None, nxt, handler
        r = self.register("error")

        def finished(lane: Lane) -> Op | None:
            error, lane.regs[r] = lane.regs[r], None
            if error is not None:
                raise error
            return nxt

        def failed(lane: Lane) -> Op | None:
            """An error inside `finally` replaces the one held back, and is chained to it."""
            error, held = lane.inbox, lane.regs[r]
            lane.inbox = lane.regs[r] = None
            assert isinstance(error, FlowError)  # noqa: S101 - unwind put it there
            if held is not None:
                error.__cause__ = held
            raise error

        self.add(finished, place, "finished", handler)
        self.add(failed, place, "failed", handler)
        outer, self.shield = self.shield, r if self.shield is None else self.shield
        body = self.node(node.finally_, place + ".finally", finished, failed, 0)
        self.shield = outer

        def escape(lane: Lane) -> Op | None:
            lane.regs[r], lane.inbox = lane.inbox, None
            return body

        self.add(escape, place, "escape", handler)
        return r, body, escape
