"""Errors: `error`, `assert` and `pcall`.

An error of a flow is an object with a `code` and a `message`; what `pcall` hands over is
that object. The language raises under constant codes only, so that a code known while
the flow runs is looked up among all that this flow can raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowir.syntax import Call, Constant, Expression, Number, String, Table
from swarm.lua.lowering import known, ops
from swarm.lua.lowering.expressions import static
from swarm.lua.lowering.names import Callee, Scope
from swarm.lua.lowering.ops import Op
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.values import Value
from swarm.lua.lowering.work import Lowers

__all__ = ("LOOP_LIMIT", "asserted", "protect", "raise_again", "raised")

_PLAIN = "error"
_USAGE = 'error("draft.empty", "the draft is empty")'
LOOP_LIMIT = "loop.limit"
# What the machine raises: the codes that a handler may meet beside the script's own.
_MACHINE = (
    "arith.overflow",
    "arith.zero_division",
    "extern.failed",
    "fanout.all_failed",
    "fanout.empty",
    "fanout.no_quorum",
    "path.missing",
    "path.not_writable",
    "step.failed",
    "step.timeout",
    "type.mismatch",
    "value.too_deep",
    "value.too_large",
)


def raised(low: Lowers, e: Call, scope: Scope) -> Op:
    """Lower `error(…)`: a message; a code and a message; a table with both; a caught error."""
    arguments = e.arguments
    if len(arguments) > 1 and not isinstance(arguments[1], Number):
        return _with_code(low, arguments, scope, e.line)
    what = arguments[0] if arguments else None
    if what is None or (isinstance(what, Constant) and what.value is None):
        raise Refused(e.line, "error takes a message, or a code and a message", _USAGE)
    if isinstance(what, Table):
        return _of_table(low, what, scope)
    return _of_value(low, low.value(what, scope), e.line)


def _with_code(low: Lowers, arguments: Sequence[Expression], scope: Scope, line: int) -> Op:
    values = low.values(tuple(arguments[:3]), scope)
    code, message = values[0], values[1]
    more = [value.ir for value in values[2:]]
    if code.literal and isinstance(code.literal[0], str) and code.literal[0]:
        return ops.fail(code.literal[0], _text(message), *more)
    return _looked_up(low, code.ir, (_text(message), *more), line)


def _of_table(low: Lowers, table: Table, scope: Scope) -> Op:
    fields = {one.key.value: one.value for one in table.fields if isinstance(one.key, String)}
    if len(fields) == len(table.fields) and fields.keys().isdisjoint(("code", "message")):
        names = ", ".join(map(repr, fields)) or "nothing"
        said = f"an error has a code and a message, this table has {names}"
        raise Refused(table.line, said, 'error { code = "draft.empty", message = "…" }')
    code = fields.pop("code", None)
    if not isinstance(code, String) or not code.value:
        return _of_value(low, low.value(table, scope), table.line)
    unknown = fields.keys() - {"message", "data"}
    if unknown:
        hint = "put what else there is to say into data"
        raise Refused(table.line, f"an error has no field '{min(unknown)}'", hint)
    values = low.values(tuple(fields.values()), scope)
    parts = dict(zip(fields, values, strict=True))
    message = _text(parts["message"]) if "message" in parts else ops.lit("")
    return ops.fail(code.value, message, parts["data"].ir if "data" in parts else None)


def _of_value(low: Lowers, value: Value, line: int) -> Op:
    if value.kind == "list":
        hint = "put it into data: error(code, message, list)"
        raise Refused(line, "an error of a flow has a code and a message, a list has neither", hint)
    if value.kind not in ("any", "object"):
        return ops.fail(_PLAIN, _text(value))
    kept = value if value.ir["op"] == "path" else low.work.keep(value, line)
    if value.kind == "object":
        return raise_again(low, kept, line)
    is_text = low.work.keep(Value(ops.is_text(kept.ir)), line).ir
    code, *parts = _parts(kept)
    of_text = (kept.ir, ops.NULL, ops.NULL)
    chosen = [ops.iif(is_text, *both) for both in zip(of_text, parts, strict=True)]
    return _looked_up(low, ops.iif(is_text, ops.lit(_PLAIN), code), chosen, line)


def _parts(error: Value) -> tuple[Op, Op, Op, Op]:
    """Read an error object: its code, message, data and cause."""
    code, message, data, cause_code = (
        ops.get(error.ir, ops.lit(name)) for name in ("code", "message", "data", "cause_code")
    )
    shown = ops.concat([ops.default(message, ops.lit(""))])
    return code, shown, data, cause_code


def raise_again(low: Lowers, error: Value, line: int) -> Op:
    """Raise an error object once more, as it was."""
    code, *parts = _parts(error)
    return _looked_up(low, code, parts, line)


def _looked_up(low: Lowers, code: Op, parts: Sequence[Op], line: int) -> Op:
    """Raise an error under a code that is known while the flow runs.

    Shape: *parts* are its message, and perhaps its data and its cause.
    """
    if ops.size(code) > 1:
        code = low.work.keep(Value(code), line).ir
    codes = sorted({*low.work.codes, *_MACHINE, LOOP_LIMIT})
    found = {"op": "in", "needle": code, "haystack": ops.lit(codes)}
    return ops.iif(found, _among(codes, code, parts), ops.fail(_PLAIN, *parts))


def _among(codes: list[str], code: Op, parts: Sequence[Op]) -> Op:
    """Find the code by halves: expressions lie only so deep inside each other."""
    if len(codes) == 1:
        return ops.fail(codes[0], *parts)
    half = len(codes) // 2
    first = {"op": "in", "needle": code, "haystack": ops.lit(codes[:half])}
    lower = _among(codes[:half], code, parts)
    return ops.iif(first, lower, _among(codes[half:], code, parts))


def _text(value: Value) -> Op:
    return value.ir if value.kind == "string" else ops.concat([value.ir])


def asserted(low: Lowers, e: Call, scope: Scope) -> Value:
    """Lower `assert(value, message)`: the value, where it is neither nil nor false."""
    if not 1 <= len(e.arguments) <= 2:
        raise Refused(e.line, "assert takes a value and a message")
    value, *messages = low.values(e.arguments, scope)
    if not value.literal and not value.small:
        value = low.work.keep(value, e.line)
    if messages:
        fail = _of_value(low, messages[0], e.line)
    else:
        fail = ops.fail(_PLAIN, ops.lit("assertion failed!"))
    return Value(ops.iif(value.ir, value.ir, fail), value.kind)


# ---- pcall


def protect(low: Lowers, e: Call, scope: Scope, ok: str | None, result: str | None) -> None:
    """Lower `pcall(f, …)`: *ok* and *result* are the places of the two values it gives.

    What the function wrote before an error stays written, as in Lua.
    """
    if not e.arguments:
        raise Refused(e.line, "pcall takes a function")
    work, line = low.work, e.line
    arguments = [_kept(low, one, line) for one in low.values(e.arguments[1:], scope)]
    if result is not None:
        work.assign(result, ops.NULL, line, implicit=True)
    with work.aside() as body:
        _body(low, e, arguments, scope, result)
        if ok is not None:
            work.assign(ok, ops.TRUE, line, implicit=True)
    with work.aside() as catch:
        if ok is not None:
            work.assign(ok, ops.FALSE, line, implicit=True)
    handled = work.body(catch, line)
    fields: dict[str, Any] = {"body": work.body(body, line), "catch": handled, "restore": False}
    if result is not None:
        fields["error_at"] = result
    work.emit("try", line, **fields)


def _kept(low: Lowers, value: Value, line: int) -> Value:
    """Evaluate an argument now: outside of what is protected."""
    return value if value.literal else low.work.keep(value, line)


def _body(low: Lowers, e: Call, arguments: list[Value], scope: Scope, result: str | None) -> None:
    work, what = low.work, e.arguments[0]
    match static(low, what, scope):
        case known.Agent(name=name):
            fields: dict[str, Any] = {"ref": name, "in": arguments[0].ir if arguments else ops.NULL}
            if result is not None:
                fields["out"] = result
            work.emit("step", e.line, **fields)
        case Callee() as callee:
            given: list[Value | Expression] = list(arguments)
            value = low.inline(callee, given, scope, what.line, result)
            if value is not None and result is not None and value.literal != [None]:
                work.assign(result, value.ir, e.line, implicit=True)
            elif value is not None and not value.quiet:
                low.work.keep(value, e.line)
        case known.Library(name="error"):
            call = Call(e.line, e.start, e.end, what, e.arguments[1:], e.open_line)
            work.assign("$", raised(low, call, scope), e.line)
        case _:
            hint = "pcall(function() … end)"
            raise Refused(e.line, "pcall takes a function, or an agent and its input", hint)
