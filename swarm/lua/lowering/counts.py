"""Calls that give several values where one is lowered: they are refused, not cut short.

Lua takes all values of a call that stands last, in a table or among arguments; anywhere
else, and in parentheses, it takes the first. A flow takes one everywhere.
"""

from __future__ import annotations

from flowir.syntax import Call, Expression, Method, Return, String
from swarm.lua.lowering import known
from swarm.lua.lowering.expressions import static
from swarm.lua.lowering.names import Callee, Scope
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.work import Lowers
from swarm.lua.syntax import walk

__all__ = ("refuse_several", "refuse_several_arguments")

_SEVERAL = frozenset({"string.find", "string.gsub", "math.modf"})
# Functions that look at their first argument only, or that take a second one for what it is.
_TAKE_ONE = frozenset(
    [
        *("array", "assert", "copy", "error", "tostring", "type"),
        *("math.abs", "math.ceil", "math.floor", "math.sqrt", "math.tointeger", "math.type"),
        *("string.len", "string.lower", "string.reverse", "string.upper"),
    ]
)


def refuse_several(low: Lowers, e: Expression, scope: Scope) -> None:
    """Refuse a call that stands last and gives more than one value.

    Raises: Refused.
    """
    if _gives_several(low, e, scope):
        hint = "put it in parentheses to take the first: (f(x)); or local a, b = f(x)"
        raise Refused(e.line, "Lua would take all values of this call, a flow takes one", hint)


def refuse_several_arguments(low: Lowers, e: Call | Method, scope: Scope) -> None:
    """Refuse a call whose last argument gives more than one value, if it looks at them.

    Raises: Refused.
    """
    if not e.arguments or not isinstance(e.arguments[-1], (Call, Method)):
        return
    match static(low, e.function, scope) if isinstance(e, Call) else None:
        case known.Agent():
            return
        case known.Library(name=name) if name in _TAKE_ONE and len(e.arguments) == 1:
            return
        case Callee(function=function) if len(function.parameters) <= len(e.arguments):
            return
        case _:
            refuse_several(low, e.arguments[-1], scope)


def _gives_several(low: Lowers, e: Expression, scope: Scope) -> bool:
    match e:
        case Method(name=name, arguments=arguments):
            return _library_gives_several(f"string.{name}", arguments, 0)
        case Call(arguments=arguments):
            match static(low, e.function, scope):
                case known.Library(name=name):
                    return _library_gives_several(name, arguments, 1)
                case Callee(function=function):
                    returns = (piece for one in function.body for piece in walk(one))
                    return any(isinstance(r, Return) and len(r.values) > 1 for r in returns)
                case _:
                    return False
        case _:
            return False


def _library_gives_several(name: str, arguments: tuple[Expression, ...], before: int) -> bool:
    """Tell it of a function of the library; *before* is where its text's pattern stands."""
    if name == "string.match":
        pattern = arguments[before] if len(arguments) > before else None
        captures = pattern.value.replace("%(", "").count("(") if isinstance(pattern, String) else 2
        return captures > 1
    if name in ("string.byte", "utf8.codepoint"):
        return len(arguments) > before + 1
    return name in _SEVERAL
