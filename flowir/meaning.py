"""What a piece of the written form means: Lua syntax in, wire dicts out.

Reads with the tables of `flowir.notation`, and refuses what a flow cannot say. Knows
neither the text nor which externs a host has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any, TypeAlias, assert_never

from flowir.errors import Malformed, shorten
from flowir.limits import DEFAULT_LIMITS, INT_MAX, INT_MIN
from flowir.nodes import OP_FIELDS, QUANTIFIERS
from flowir.notation import CHAINS, FORMS, KNOWN, LISTS, NAME, OPERATORS, PREFIXES, REFUSED
from flowir.path import Path, Segment, format_path, parse_path
from flowir.records import dataclass
from flowir.report import near
from flowir.syntax import (
    Binary,
    Call,
    Constant,
    Expression,
    Field,
    Function,
    Index,
    Method,
    Name,
    Number,
    Paren,
    Place,
    Return,
    String,
    Syntax,
    SyntaxFault,
    Table,
    Unary,
    Varargs,
)

__all__ = ("Scope", "meaning", "too_deep")

Wire: TypeAlias = dict[str, Any]
Shape: TypeAlias = list[Expression] | dict[str, Expression]
_Bare: TypeAlias = (
    Constant
    | Number
    | String
    | Varargs
    | Name
    | Place
    | Index
    | Call
    | Method
    | Function
    | Table
    | Unary
    | Binary
)

_DEPTH = DEFAULT_LIMITS.expr_depth
_JSON_DEPTH = DEFAULT_LIMITS.value_depth
_INDEX_DIGITS = 18  # of an index in a path, its sign included
_FOREIGN = {"none": "nil", "undefined": "nil", "null": "nil", "true": "true", "false": "false"}


@dataclass(frozen=True, slots=True)
class Scope:
    """What stands around an expression: local names with their variables, all variables."""

    names: Mapping[str, str]
    variables: frozenset[str]

    def inside(self, bind: str, names: Mapping[str, str]) -> Scope:
        """Bind `@bind` and `@bind_index`; local names of what they hide are gone."""
        new = {bind, f"{bind}_index"}
        kept = {name: var for name, var in self.names.items() if var not in new}
        return Scope({**kept, **names}, self.variables | new)


def meaning(piece: Expression, scope: Scope) -> Wire:
    """Say what *piece* means as an op.

    Raises: SyntaxFault, at the piece that an expression cannot hold.
    """
    return _wire(piece, scope, 1)


def too_deep(start: int) -> SyntaxFault:
    """Make the refusal of an expression that is nested beyond the limit."""
    return SyntaxFault(start, f"expected at most {_DEPTH} expressions inside each other, got more")


def _wire(piece: Expression, scope: Scope, depth: int) -> Wire:
    piece = _bare(piece)
    if depth > _DEPTH:
        raise too_deep(piece.start)
    match piece:
        case Constant() | Number() | String():
            return _lit(_scalar(piece))
        case Name() | Place() | Index():
            return _place(piece, scope, depth)
        case Call():
            return _call(piece, scope, depth)
        case Method():
            values = _each((piece.receiver, *piece.arguments), scope, depth)
            return {"op": "call_extern", "ref": f"string.{piece.name}", "args": values}
        case Table():
            return _table(_shape(piece), scope, depth)
        case Unary():
            return _unary(piece, scope, depth)
        case Binary():
            return _binary(piece, scope, depth)
        case Function():
            hint = "write map(list, function(item, i) return e end)"
            raise _fault(piece, "a function stands only inside map, filter, any or every", hint)
        case Varargs():
            raise _fault(piece, "an expression has no '...'")
        case _:  # pragma: no cover
            assert_never(piece)


def _bare(piece: Expression) -> _Bare:
    while isinstance(piece, Paren):
        piece = piece.inner
    return piece


def _fault(piece: Syntax, message: str, hint: str | None = None) -> SyntaxFault:
    return SyntaxFault(piece.start, message, hint)


def _each(pieces: Iterable[Expression], scope: Scope, depth: int) -> list[Wire]:
    return [_wire(piece, scope, depth + 1) for piece in pieces]


# ---- literals


def _lit(value: Any) -> Wire:
    return {"op": "lit", "value": value}


def _scalar(piece: Constant | Number | String) -> Any:
    if isinstance(piece, Number):
        return _fitting(piece, piece.exact)
    return _string(piece) if isinstance(piece, String) else piece.value


def _fitting(piece: Number | Unary, value: float) -> float:
    if isinstance(value, float):
        if not isfinite(value):
            raise _fault(piece, "expected a number within the range of a float, got a larger one")
    elif not INT_MIN <= value <= INT_MAX:
        raise _fault(piece, "expected an integer of 64 bit, got a larger one")
    return value


def _string(piece: String) -> str:
    try:
        piece.value.encode()
    except UnicodeEncodeError:
        raise _fault(piece, "expected a string in UTF-8, got other bytes") from None
    return piece.value


def _shape(table: Table, wanted: str | None = None) -> Shape:
    """Sort the fields of a table: a list or an object; an empty one is an object."""
    keyed = [field for field in table.fields if field.key is not None]
    if keyed and len(keyed) < len(table.fields):
        raise _fault(keyed[0], "expected a list or an object, got a table that is both")
    if table.fields and wanted and (wanted == "object") is not bool(keyed):
        form = "{ name = e, … }" if wanted == "object" else "{ e, … }"
        raise _fault(table, f"{wanted}: expected {form}, got the other kind of table")
    if keyed or (not table.fields and wanted != "array"):
        return _members(keyed)
    return [field.value for field in table.fields]


def _members(fields: Iterable[Field]) -> dict[str, Expression]:
    members: dict[str, Expression] = {}
    for field in fields:
        key = field.key and _bare(field.key)
        if not isinstance(key, String):
            hint = "the elements of a list stand without keys"
            raise _fault(field, "expected a string that is written out as the key", hint)
        name = _string(key)
        if name in members:
            raise _fault(field, f"expected each key once, got {shorten(name)} twice")
        members[name] = field.value
    return members


def _table(shape: Shape, scope: Scope, depth: int) -> Wire:
    if isinstance(shape, list):
        return {"op": "array", "items": _each(shape, scope, depth)}
    fields = {key: _wire(piece, scope, depth + 1) for key, piece in shape.items()}
    return {"op": "object", "fields": fields}


def _json(piece: Expression, depth: int = 1) -> Any:
    """Read what stands in `lit{…}`."""
    piece = _bare(piece)
    match piece:
        case Constant() | Number() | String():
            return _scalar(piece)
        case Name(name="null"):
            return None
        case Unary(op="-", operand=Number() as operand):
            return _fitting(operand, -operand.exact)
        case Table():
            return _json_table(piece, _shape(piece), depth)
        case Call(function=Name(name="array" | "object" as kind), arguments=(Table() as table,)):
            return _json_table(table, _shape(table, kind), depth)
        case _:
            raise _fault(piece, "lit: expected plain JSON, got an expression", "leave out 'lit'")


def _json_table(table: Table, shape: Shape, depth: int) -> Any:
    if depth > _JSON_DEPTH:
        raise _fault(table, f"expected at most {_JSON_DEPTH} tables inside each other, got more")
    if isinstance(shape, list):
        return [_json(value, depth + 1) for value in shape]
    return {key: _json(value, depth + 1) for key, value in shape.items()}


# ---- signs


def _unary(piece: Unary, scope: Scope, depth: int) -> Wire:
    if piece.op == "~":
        raise _fault(piece, REFUSED["~"])
    if piece.op != "-":
        return {"op": PREFIXES[piece.op], "arg": _wire(piece.operand, scope, depth + 1)}
    if isinstance(piece.operand, Number):  # as a whole: 2^63 fits only with its sign
        return _lit(_fitting(piece, -piece.operand.exact))
    operand = _wire(piece.operand, scope, depth + 1)
    if operand["op"] == "lit" and type(operand["value"]) in (int, float):
        return _lit(_fitting(piece, -operand["value"]))
    return {"op": "mul", "lhs": _lit(-1), "rhs": operand}


def _binary(piece: Binary, scope: Scope, depth: int) -> Wire:
    if piece.op in REFUSED:
        raise SyntaxFault(piece.op_start, REFUSED[piece.op])
    if piece.op in CHAINS:
        return {"op": CHAINS[piece.op], "args": _each(_operands(piece), scope, depth)}
    lhs, rhs = _each((piece.left, piece.right), scope, depth)
    return {"op": OPERATORS[piece.op], "lhs": lhs, "rhs": rhs}


def _operands(piece: Binary) -> list[Expression]:
    """Lay a chain of one sign flat: `..` leans to the right, `and` and `or` to the left."""
    last: Expression = piece
    pieces: list[Expression] = []
    while isinstance(last, Binary) and last.op == piece.op:
        near, last = (last.left, last.right) if last.op == ".." else (last.right, last.left)
        pieces.append(near)
    pieces.append(last)
    return pieces if piece.op == ".." else pieces[::-1]


# ---- names, paths, elements


def _place(piece: Name | Place | Index, scope: Scope, depth: int) -> Wire:
    base, keys = _unwound(piece)
    path = _path(base, scope)
    if path is None:
        return _elements(_null_or(base, scope, depth + len(keys)), keys, scope, depth)
    if isinstance(base, Place) and not keys:
        return {"op": "path", "at": base.path}
    constant = _constant_keys(keys)
    longer = Path((*path.segments, *constant), path.root)
    value = {"op": "path", "at": format_path(longer)}
    return _elements(value, keys[len(constant) :], scope, depth)


def _unwound(piece: Expression) -> tuple[_Bare, list[Expression]]:
    """Split `base[a].b` into its base and its keys, without recursion."""
    keys: list[Expression] = []
    bare = _bare(piece)
    while isinstance(bare, Index):
        keys.append(bare.key)
        bare = _bare(bare.base)
    return bare, keys[::-1]


def _null_or(base: _Bare, scope: Scope, depth: int) -> Wire:
    return _lit(None) if isinstance(base, Name) else _wire(base, scope, depth)


def _elements(value: Wire, keys: list[Expression], scope: Scope, depth: int) -> Wire:
    """Read elements by computed keys, the innermost first; it lies the deepest."""
    if keys and depth + len(keys) > _DEPTH:
        raise too_deep(keys[0].start)
    for i, key in enumerate(keys):
        value = {"op": "get", "of": value, "key": _wire(key, scope, depth + len(keys) - i)}
    return value


def _constant_keys(keys: Iterable[Expression]) -> list[Segment]:
    """Return the leading keys that a path can hold."""
    segments: list[Segment] = []
    for key in map(_bare, keys):
        if isinstance(key, String) and key.value:
            segments.append(_string(key))
        elif (index := _index(key)) is not None:
            segments.append(index)
        else:
            break
    return segments


def _index(key: _Bare) -> int | None:
    match key:
        case Number(exact=int() as index):
            pass
        case Unary(op="-", operand=Number(exact=int() as index)):
            index = -index
        case _:
            return None
    return index if len(str(index)) <= _INDEX_DIGITS else None


def _path(base: _Bare, scope: Scope) -> Path | None:
    """Return the path that *base* begins, or None for a value of another kind."""
    match base:
        case Name(name="ctx"):
            return Path(())
        case Name(name="null"):
            return None
        case Name():
            if base.name not in scope.names:
                raise _unknown(base, scope)
            return Path((), scope.names[base.name])
        case Place():
            return _written_path(base, scope)
        case _:
            return None


def _written_path(place: Place, scope: Scope) -> Path:
    try:
        path = parse_path(place.path)
    except Malformed as e:
        raise _fault(place, e.problems[0].message, e.problems[0].hint) from None
    if path.root is not None and path.root not in scope.variables:
        hint = "map, filter, any and every bind one"
        raise _fault(place, f"expected a bound variable, got '@{path.root}'", hint)
    return path


_QUOTED = "a field of the context is ctx.{name}, a text stands in quotes of its own: '{name}'"


def _unknown(piece: Name, scope: Scope) -> SyntaxFault:
    name = piece.name
    if name in KNOWN:
        return _fault(piece, f"expected a value, got '{name}', which is called: {name}(…)")
    words = ["ctx", "nil", "true", "false", *scope.names]
    meant = _FOREIGN.get(name.lower()) or near(name, words)
    hint = f"did you mean '{meant}'?" if meant else _QUOTED.format(name=name)
    return _fault(piece, f"expected a value, got the unknown name '{name}'", hint)


# ---- functions


def _call(call: Call, scope: Scope, depth: int) -> Wire:
    name = _function_name(call, scope)
    if name in FORMS:
        return _form(name, call, scope, depth)
    if name in LISTS:
        return {"op": LISTS[name], "args": _each(call.arguments, scope, depth)}
    if name in _SPECIAL:
        return _SPECIAL[name](name, call, scope, depth)
    return _extern(name, call.arguments, scope, depth)


def _function_name(call: Call, scope: Scope) -> str:
    parts: list[str] = []
    base = call.function
    while isinstance(base, Index) and isinstance(base.key, String):
        parts.append(_string(base.key))
        base = base.base
    if not isinstance(base, Name):
        raise _fault(call, "expected a function by its name, got a call of a value")
    if base.name in ("ctx", "null") or base.name in scope.names:
        hint = "functions are called by their names: string.upper(s)"
        raise _fault(base, f"expected a function by its name, got a call of '{base.name}'", hint)
    return ".".join((base.name, *parts[::-1]))


def _extern(ref: str, arguments: Iterable[Expression], scope: Scope, depth: int) -> Wire:
    return {"op": "call_extern", "ref": ref, "args": _each(arguments, scope, depth)}


def _form(name: str, call: Call, scope: Scope, depth: int) -> Wire:
    op, fields = FORMS[name]
    wanted, got = len(fields), len(call.arguments)
    if got != wanted:
        plural = "argument" if wanted == 1 else "arguments"
        raise _fault(call, f"{name}: expected {wanted} {plural}, got {got}")
    values = dict(zip(fields, _each(call.arguments, scope, depth), strict=True))
    return {"op": op, **{field: values[field] for field in OP_FIELDS[op]}}


def _constructor(name: str, call: Call, scope: Scope, depth: int) -> Wire:
    match call.arguments:
        case (Table() as table,):
            return _table(_shape(table, name), scope, depth)
        case _:
            raise _fault(
                call, f"{name}: expected a table, got other arguments", f"write {name}{{}}"
            )


def _literal(name: str, call: Call, scope: Scope, depth: int) -> Wire:
    if len(call.arguments) != 1:
        raise _fault(call, f"{name}: expected 1 argument, got {len(call.arguments)}")
    return _lit(_json(call.arguments[0]))


def _fail(name: str, call: Call, scope: Scope, depth: int) -> Wire:
    match call.arguments:
        case (String(value=code) as first, message, *more) if code and len(more) <= 2:
            wire = {"op": "fail", "code": _string(first)}
            names = ["message", "data", "cause_code"]
            if len(more) == 2 and isinstance(more[0], Constant) and more[0].value is None:
                names.remove("data")  # `lit(nil)` is data that is null
                del more[0]
            values = _each((message, *more), scope, depth)
            return wire | dict(zip(names, values, strict=False))
        case _:
            hint = f'write {name}("code", message), or {name}("code", message, data)'
            raise _fault(call, f"{name}: expected a code in quotes and a message", hint)


def _named_call(name: str, call: Call, scope: Scope, depth: int) -> Wire:
    match call.arguments:
        case (String(value=ref) as first, *rest) if ref:
            return _extern(_string(first), rest, scope, depth)
        case _:
            hint = f'write {name}("name", …)'
            raise _fault(call, f"{name}: expected the name of a function in quotes", hint)


def _quantifier(name: str, call: Call, scope: Scope, depth: int) -> Wire:
    match call.arguments:
        case (over, Function() as function):
            bind, names = _parameters(function, scope)
            body = _returned(function)
        case (over, String(value=bind), body) if NAME.fullmatch(bind):
            names = {}
        case _:
            hint = f"write {name}(list, function(item, i) return e end)"
            raise _fault(call, f"{name}: expected a list and a function, got other arguments", hint)
    inner = scope.inside(bind, names)
    wire = {"op": name, "over": _wire(over, scope, depth + 1), "bind": bind}
    return wire | {"body": _wire(body, inner, depth + 1)}


def _parameters(function: Function, scope: Scope) -> tuple[str, dict[str, str]]:
    """Return the variable that a quantifier's function binds, and its local names."""
    if function.varargs or not 1 <= len(function.parameters) <= 2:
        raise _fault(function, "expected the parameters (item) or (item, i)")
    bind = function.parameters[0].name
    hidden = {bind, f"{bind}_index"} & scope.variables
    if hidden:
        raise _fault(function.parameters[0], f"'{bind}' would hide the variable '@{min(hidden)}'")
    names: dict[str, str] = {}
    variables = (bind, f"{bind}_index")
    for parameter, variable in zip(function.parameters, variables, strict=False):
        if parameter.name in KNOWN or parameter.name in names or parameter.name in scope.names:
            raise _fault(
                parameter, f"expected a new name, got '{parameter.name}', which is known here"
            )
        names[parameter.name] = variable
    return bind, names


def _returned(function: Function) -> Expression:
    match function.body:
        case (Return(values=(value,)),):
            return value
        case _:
            hint = "write function(item) return e end"
            raise _fault(function, "expected a function that returns one value", hint)


_SPECIAL: Mapping[str, Callable[[str, Call, Scope, int], Wire]] = {
    "array": _constructor,
    "call": _named_call,
    "fail": _fail,
    "lit": _literal,
    "object": _constructor,
    **dict.fromkeys(QUANTIFIERS, _quantifier),
}
