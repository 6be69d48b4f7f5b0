"""Lua's operators: `and` and `or` give an operand, arithmetic and comparison as in Lua."""

from __future__ import annotations

from typing import TypeAlias

from flowir.limits import INT_MIN
from flowir.records import dataclass
from flowir.syntax import Binary, Call, Expression, Function, Method, Paren, Unary
from swarm.lua.lowering import ops
from swarm.lua.lowering.facts import Target
from swarm.lua.lowering.names import Scope
from swarm.lua.lowering.ops import Op
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.values import Kind, Value, constant, join_kinds, shown_kind
from swarm.lua.lowering.work import Drafted, Lowers
from swarm.lua.syntax import walk

__all__ = ("binary", "condition", "unary")

_ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod", "//": "idiv"}
_ORDER = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
# Expressions may lie 64 deep inside each other; a chain of sums lies as deep as it is long.
_LONG_CHAIN = 24
_Operand: TypeAlias = Expression | Value
_INTEGERS: tuple[Kind, ...] = ("position", "integer")


def unary(low: Lowers, e: Unary, scope: Scope) -> Value:
    """Lower `not`, `-`, `#`."""
    if e.op == "not":
        return Value(ops.not_(condition(low, e.operand, scope)), "boolean")
    value = low.value(e.operand, scope)
    if e.op == "#":
        if value.literal and isinstance(value.literal[0], (str, list)):
            return constant(len(value.literal[0]))
        return Value(ops.length(value.ir), "integer")
    if e.op == "~":
        return low.by_lua("~", [value], e.line)
    known = value.literal[0] if value.literal else None
    if value.is_number and isinstance(known, (int, float)) and known != INT_MIN:
        return constant(-known)
    kind: Kind = "integer" if value.kind in _INTEGERS else "number"
    return Value(ops.arith("mul", value.ir, ops.lit(-1)), kind)


def binary(low: Lowers, e: Binary, scope: Scope, into: Target | None) -> Value:
    """Lower an operator between two expressions."""
    if e.op in ("and", "or"):
        return _Junction(low, e, scope, into).value()
    if e.op == "..":
        return _concatenation(low, e, scope)
    if e.op in _ARITHMETIC:
        return _sum(low, e, scope)
    left, right = low.values((e.left, e.right), scope)
    if e.op in ("==", "~="):
        return _equality(e.op, left, right)
    if e.op in _ORDER:
        _refuse_unordered(left, right, e)
        return Value(ops.compare(_ORDER[e.op], left.ir, right.ir), "boolean")
    return low.by_lua(e.op, [left, right], e.op_line)


def _refuse_unordered(left: Value, right: Value, e: Binary) -> None:
    for value in (left, right):
        if value.kind in ("nil", "boolean", "list", "object"):
            raise Refused(e.op_line, f"'{e.op}' compares a {value.kind}: Lua raises an error here")


def _equality(op: str, left: Value, right: Value) -> Value:
    quiet = left.quiet and right.quiet
    for value, other in ((left, right), (right, left)):
        if other.literal == [None] and not value.literal:
            there = ops.exists(value.ir)
            return Value(ops.not_(there) if op == "==" else there, "boolean", quiet)
    ir = ops.compare("eq" if op == "==" else "ne", left.ir, right.ir)
    return Value(ir, "boolean", quiet)


def _sum(low: Lowers, e: Binary, scope: Scope) -> Value:
    """Lower a chain of arithmetic without recursion along its left side."""
    signs: list[tuple[str, int]] = []
    parts: list[Expression] = []
    first: Expression = e
    while isinstance(first, Binary) and first.op in _ARITHMETIC:
        signs.append((first.op, first.op_line))
        parts.append(first.right)
        first = first.left
    values = low.values((first, *reversed(parts)), scope)
    result = values[0]
    for i, (op, line) in enumerate(reversed(signs), start=1):
        result = _arithmetic(op, result, values[i], line)
        if i % _LONG_CHAIN == 0:
            result = low.work.keep(result, line)
    return result


def _arithmetic(op: str, left: Value, right: Value, line: int) -> Value:
    for value in (left, right):
        if value.kind in ("nil", "boolean", "string", "list", "object"):
            hint = "tonumber(text) reads a number" if value.kind == "string" else None
            raise Refused(
                line, f"'{op}' on {shown_kind(value.kind)}: only numbers are added up", hint
            )
    if op in ("/", "//", "%") and right.literal == [0]:
        raise Refused(line, f"'{op}' by zero: a flow has no infinity and no NaN")
    kinds = (left.kind, right.kind)
    kind: Kind = "number"
    if op != "/" and all(one in _INTEGERS for one in kinds):
        kind = "position" if kinds == ("position", "position") and op in "+*" else "integer"
    return Value(ops.arith(_ARITHMETIC[op], left.ir, right.ir), kind)


def _concatenation(low: Lowers, e: Binary, scope: Scope) -> Value:
    parts: list[Expression] = []
    last: Expression = e
    while isinstance(last, Binary) and last.op == "..":
        parts.append(last.left)
        last = last.right
    values = low.values((*parts, last), scope)
    for value in values:
        if value.kind in ("nil", "boolean", "list", "object"):
            hint = "tostring(value)" if value.kind == "boolean" else None
            raise Refused(
                e.op_line, f"'..' joins {shown_kind(value.kind)}: Lua raises an error here", hint
            )
    known = [value.literal[0] for value in values if value.literal]
    if len(known) == len(values) and all(type(one) in (str, int) for one in known):
        return constant("".join(map(str, known)))
    texts = all(value.kind == "string" and value.quiet for value in values)
    return Value(ops.concat([value.ir for value in values]), "string", quiet=texts)


# ---- and, or


def _operands(e: Expression, op: str) -> list[Expression]:
    """Return the operands of a chain: `(a or b) or c` is `a or (b or c)`."""
    found: list[Expression] = []
    left: list[Expression] = [e]
    while left:
        one = left.pop()
        while isinstance(one, Paren):
            one = one.inner
        if isinstance(one, Binary) and one.op == op:
            left += (one.right, one.left)
        else:
            found.append(one)
    return found


@dataclass(frozen=True, slots=True)
class _Junction:
    """One chain of `and`, or of `or`, asked for its value; *into* as everywhere."""

    low: Lowers
    e: Binary
    scope: Scope
    into: Target | None

    def value(self) -> Value:
        return self.chain(list(_operands(self.e, self.e.op)))

    def chain(self, operands: list[_Operand]) -> Value:
        low, op, line = self.low, self.e.op, self.e.op_line
        if len(operands) > _LONG_CHAIN:
            kept = low.work.keep(self.chain(operands[:_LONG_CHAIN]), line)
            return self.chain([kept, *operands[_LONG_CHAIN:]])
        if op == "or" and _is_choice(low, operands):
            return self.chosen(operands)
        first = self.operand(operands[0])
        if len(operands) == 1:
            return first
        if first.literal:
            return self.chain(operands[1:]) if first.is_truthy == (op == "and") else first
        with low.work.aside() as nodes:
            rest = self.chain(operands[1:])
        if nodes:
            return _branched(low, op, first, rest, nodes, self.e)
        if first.kind == "boolean" and rest.kind == "boolean":
            ir = ops.all_of(first.ir, rest.ir) if op == "and" else _any(first.ir, rest.ir)
            return Value(ir, "boolean", first.quiet and rest.quiet)
        return _picked(low, op, first, rest, line)

    def operand(self, one: _Operand) -> Value:
        return one if isinstance(one, Value) else self.low.value(one, self.scope, self.into)

    def chosen(self, operands: list[_Operand]) -> Value:
        """Lower `c and a or b` as the choice it is meant to be."""
        first = operands[0]
        assert isinstance(first, Binary)  # noqa: S101 - _is_choice
        *conditions, last = _operands(first, "and")
        cond = ops.all_of(*[condition(self.low, one, self.scope) for one in conditions])
        then = self.operand(last)
        otherwise = self.chain(operands[1:])
        kind = join_kinds(then.kind, otherwise.kind)
        return Value(ops.iif(cond, then.ir, otherwise.ir), kind)


def _any(first: Op, rest: Op) -> Op:
    return ops.any_of(first, *(rest["args"] if rest["op"] == "or" else [rest]))


def _is_choice(low: Lowers, operands: list[_Operand]) -> bool:
    """Tell whether this is `c and a or b` where `a` is surely neither nil nor false."""
    first = operands[0]
    if len(operands) < 2 or not isinstance(first, Binary) or first.op != "and":
        return False
    kind = low.work.facts.kind_of(_operands(first, "and")[-1])
    plain = all(isinstance(one, Value) or not _calls(one) for one in operands)
    return plain and kind not in ("any", "nil", "boolean", "never")


def _calls(e: Expression) -> bool:
    return any(isinstance(piece, (Call, Method, Function)) for piece in walk(e))


def _picked(low: Lowers, op: str, first: Value, rest: Value, line: int) -> Value:
    if not first.small:
        first = low.work.keep(first, line)
    quiet = first.quiet and rest.quiet
    truth = first.ir
    if op == "and":
        kind: Kind = rest.kind if first.is_truthy else join_kinds(first.kind, rest.kind)
        return Value(ops.iif(truth, rest.ir, first.ir), kind, quiet)
    kind = rest.kind if first.kind == rest.kind else _kind_of_or(first, rest)
    return Value(ops.iif(truth, _surely(first.ir), rest.ir), kind, quiet)


def _kind_of_or(first: Value, rest: Value) -> Kind:
    return rest.kind if first.kind == "nil" else join_kinds(first.kind, rest.kind)


def _surely(ir: Op) -> Op:
    """Return a read that was found to be true without the default for what is missing."""
    if ir["op"] == "default" and ops.literal(ir["fallback"]) == [None]:
        return ir["arg"]
    return ir


def _branched(
    low: Lowers, op: str, first: Value, rest: Value, nodes: list[Drafted], e: Binary
) -> Value:
    """Lower a junction whose other side calls agents: only where it is evaluated."""
    work = low.work
    kept = work.temp()
    work.assign(kept, first.ir, e.line, implicit=True)
    with work.aside() as inner:
        work.nodes += nodes
        work.assign(kept, rest.ir, e.op_line, implicit=True)
    true = ops.all_of(ops.path(kept))
    cond = true if op == "and" else ops.not_(true)
    work.emit("branch", e.op_line, implicit=True, cond=cond, then=work.body(inner, e.op_line))
    return Value(ops.path(kept), join_kinds(first.kind, rest.kind), quiet=True)


# ---- what is asked for its truth only


def condition(low: Lowers, e: Expression, scope: Scope) -> Op:
    """Lower an expression to a boolean, by Lua's truth."""
    match e:
        case Paren(inner=inner):
            return condition(low, inner, scope)
        case Unary(op="not", operand=operand):
            return ops.not_(condition(low, operand, scope))
        case Binary(op="and" | "or"):
            return _both(low, e, scope)
        case _:
            return _truth(low.value(e, scope))


def _truth(value: Value) -> Op:
    if value.literal:
        return ops.lit(value.is_truthy)
    if value.kind == "boolean":
        return ops.all_of(value.ir)
    if value.is_truthy and value.quiet:
        return ops.TRUE
    ir = value.ir
    if ir["op"] == "default" and ops.literal(ir["fallback"]) == [None]:
        ir = ops.default(ir["arg"], ops.FALSE)
    return {"op": "and", "args": [ir]}


def _both(low: Lowers, e: Binary, scope: Scope) -> Op:
    """Lower a junction of conditions; what calls agents is asked only if it comes to that."""
    op = e.op
    first, *others = _operands(e, op)
    result = condition(low, first, scope)
    for other in others:
        with low.work.aside() as nodes:
            next_one = condition(low, other, scope)
        if nodes:
            value = Value(result, "boolean")
            kept = _branched(low, op, value, Value(next_one, "boolean"), nodes, e)
            result = ops.all_of(kept.ir)
        elif op == "and":
            result = _decided(result, next_one, decisive=False)
        else:
            result = _decided(result, next_one, decisive=True)
    return result


def _decided(left: Op, right: Op, *, decisive: bool) -> Op:
    known = ops.literal(left)
    if known:
        return left if known[0] is decisive else right
    name = "or" if decisive else "and"
    args = left["args"] if left["op"] == name and len(left["args"]) > 1 else [left]
    return {"op": name, "args": [*args, right]}
