"""Values as texts and back: `tostring`, `tonumber`, `type`."""

from __future__ import annotations

from swarm.lua.lowering import ops
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.values import Value, constant
from swarm.lua.lowering.work import Lowers

__all__ = ("number_of", "text_of", "type_of")

_TYPES = {
    '"': "string",
    "{": "table",
    "[": "table",
    "t": "boolean",
    "f": "boolean",
    "n": "nil",
}
_KINDS = {
    "nil": "nil",
    "boolean": "boolean",
    "position": "number",
    "integer": "number",
    "number": "number",
    "string": "string",
    "list": "table",
    "object": "table",
}


def text_of(low: Lowers, value: Value, line: int) -> Value:
    """Lower `tostring`: numbers as JSON writes them; a table has no text of its own."""
    if value.kind == "string":
        return value
    if value.kind in ("list", "object"):
        hint = "build the text from its fields"
        raise Refused(line, "a table has no text: Lua would show its address", hint)
    if value.literal:
        known = value.literal[0]
        if known is None or isinstance(known, bool):
            return constant({None: "nil", True: "true", False: "false"}[known])
        if isinstance(known, int):
            return constant(str(known))
    text = ops.concat([value.ir])
    if value.kind != "any":
        return Value(text, "string")
    kept = value if value.small else low.work.keep(value, line)
    text = ops.concat([kept.ir])
    return Value(ops.iif(ops.exists(kept.ir), text, ops.lit("nil")), "string")


def number_of(low: Lowers, values: list[Value], line: int) -> Value:
    """Lower `tonumber`: Lua reads the text."""
    if len(values) == 1 and values[0].is_number:
        return values[0]
    if not 1 <= len(values) <= 2:
        raise Refused(line, "tonumber takes a text, and a base")
    return low.by_lua("tonumber", values, line)


def type_of(value: Value) -> Value:
    """Lower `type`: by the first letter of the value's JSON."""
    known = _KINDS.get(value.kind)
    if known is not None:
        return constant(known)
    letter = ops.call("string.sub", ops.call("json.encode", value.ir), ops.lit(0), ops.lit(1))
    named = ops.default({"op": "get", "of": ops.lit(_TYPES), "key": letter}, ops.lit("number"))
    return Value(named, "string", quiet=value.quiet)
