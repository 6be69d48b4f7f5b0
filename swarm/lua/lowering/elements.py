"""Reading tables: fields and items, by names and by positions that count from one."""

from __future__ import annotations

from swarm.lua.lowering import ops
from swarm.lua.lowering.ops import Op
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.values import Value, constant, shown_kind
from swarm.lua.lowering.work import CORNER, Lowers

__all__ = ("as_list", "element", "field", "keys_of", "list_index", "whole", "whole_context")

_SCALARS = frozenset({"nil", "boolean", "position", "integer", "number"})


# The largest expression that is written out twice, rather than kept.
_TWICE = 8


def whole_context() -> Value:
    """Return the context as the author knows it, without the locals."""
    ir = ops.call("object.without", ops.path("$"), ops.lit(CORNER))
    return Value(ir, "object", quiet=True)


def field(name: str, line: int) -> Value:
    """Read a field of the context: nil where there is none."""
    _refuse_corner(name, line)
    return Value(ops.default(ops.path(ops.place(name)), ops.NULL), quiet=True)


def _refuse_corner(name: str, line: int) -> None:
    if name == CORNER:
        raise Refused(line, f"ctx.{CORNER} is where the locals of a flow live", "name it otherwise")


def element(low: Lowers, base: Value, key: Value, line: int) -> Value:
    """Read `base[key]`: nil where a table has none; anything but a table is an error."""
    if base.kind in _SCALARS and base.kind != "nil":
        raise Refused(line, f"indexes {shown_kind(base.kind)}: only tables have fields and items")
    if key.literal and isinstance(key.literal[0], str):
        return Value(ops.get(base.ir, key.ir), quiet=base.kind == "object")
    if key.kind == "string":
        return Value(ops.get(base.ir, key.ir))
    if not key.small:
        key = low.work.keep(key, line)
    if base.kind != "list" and ops.size(base.ir) > _TWICE:
        base = low.work.keep(base, line)
    if key.is_number:
        return Value(_item(base, key), quiet=base.kind == "list")
    if key.literal or key.kind != "any":
        why = "a table of a flow has names and positions only"
        raise Refused(line, why, "index it by a string or an integer")
    # Under any other key there is nothing, if it is a table at all.
    other = ops.iif(ops.compare("gte", ops.length(base.ir), ops.lit(0)), ops.NULL, ops.NULL)
    counted = ops.iif(ops.is_number(key.ir), _item(base, key), other)
    return Value(ops.iif(ops.is_text(key.ir), ops.get(base.ir, key.ir), counted))


def _item(base: Value, position: Value) -> Op:
    """Read an item; a table without anything in it has none."""
    listed = base.ir if base.kind == "list" else ops.listed(base.ir)
    return ops.get(listed, list_index(position))


def whole(low: Lowers, value: Value, line: int) -> Value:
    """Take a number for the integer that it is: Lua counts to 2.0 as it does to 2."""
    if value.kind in ("position", "integer"):
        return value
    if value.literal and isinstance(value.literal[0], float) and value.literal[0].is_integer():
        return constant(int(value.literal[0]))
    if value.kind not in ("number", "any"):
        return value
    kept = low.work.keep(value, line)
    floor = ops.call("math.floor", kept.ir)
    message = ops.lit("expected a whole number, got a fraction")
    return Value(
        ops.iif(ops.eq(floor, kept.ir), floor, ops.fail("type.mismatch", message)), "integer"
    )


def list_index(position: Value) -> Op:
    """Turn a position from one into an index from zero; below one there is no item."""
    if position.literal:
        known = position.literal[0]
        return ops.lit(int(known) - 1 if known >= 1 and known == int(known) else ops.BEYOND)
    index = ops.arith("sub", position.ir, ops.lit(1))
    if position.kind in ("number", "any"):
        # 2.0 is the position 2, and at 2.5 there is nothing.
        is_whole = ops.eq(ops.arith("mod", position.ir, ops.lit(1)), ops.lit(0))
        counts = ops.all_of(ops.compare("gte", position.ir, ops.lit(1)), is_whole)
        floor = ops.call("math.floor", position.ir)
        return ops.iif(counts, ops.arith("sub", floor, ops.lit(1)), ops.lit(ops.BEYOND))
    if position.kind == "position":
        return _less_one(position.ir) or index
    below = ops.compare("lt", position.ir, ops.lit(1))
    return ops.iif(below, ops.lit(ops.BEYOND), index)


def _less_one(ir: Op) -> Op | None:
    """Return what one was added to."""
    if ir["op"] == "add" and ops.literal(ir["rhs"]) == [1]:
        return ir["lhs"]
    return None


def keys_of(table: Value) -> Op:
    """List the names of an object, or the positions of a list, that hold something."""
    ir = table.ir
    there = ops.exists({"op": "get", "of": ir, "key": ops.path("@key")})
    names = {
        "op": "filter",
        "over": ops.call("object.keys", ir),
        "bind": "key",
        "body": there,
    }
    if table.kind == "object":
        return names
    after = ops.arith("add", ops.length(ir), ops.lit(1))
    item = {
        "op": "get",
        "of": ir,
        "key": ops.arith("sub", ops.path("@key"), ops.lit(1)),
    }
    positions = {
        "op": "filter",
        "over": ops.call("list.range", ops.lit(1), after),
        "bind": "key",
        "body": ops.exists(item),
    }
    if table.kind == "list":
        return positions
    is_list = ops.call("string.starts_with", ops.call("json.encode", ir), ops.lit("["))
    return ops.iif(is_list, positions, names)


def as_list(low: Lowers, value: Value, line: int) -> Value:
    """Make sure that a table without anything in it is taken as a list.

    An empty table is told from an empty object only by where it came from.
    """
    if value.kind == "list":
        return value
    if value.literal:
        return Value(ops.EMPTY_LIST, "list", quiet=True) if value.literal == [{}] else value
    kept = value if _is_own_place(low, value.ir) else low.work.keep(value, line)
    place = kept.ir["arg"] if kept.ir["op"] == "default" else kept.ir
    with low.work.aside() as nodes:
        low.work.assign(place["at"], ops.EMPTY_LIST, line, implicit=True, moved=True)
    empty = ops.eq(kept.ir, ops.EMPTY_OBJECT)
    low.work.emit("branch", line, implicit=True, cond=empty, then=low.work.body(nodes, line))
    return Value(kept.ir, quiet=kept.quiet)


def _is_own_place(low: Lowers, ir: Op) -> bool:
    """Tell whether an expression reads a place that this lane may write to."""
    if ir["op"] == "default" and ops.literal(ir["fallback"]) == [None]:
        return ir["arg"]["op"] == "path" and not low.work.lane
    return ir["op"] == "path" and not low.work.lane
