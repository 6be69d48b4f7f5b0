"""Lua 5.4 source as frozen data: statements here, expressions from `flowir.syntax`.

`parse_lua` accepts what Lua's grammar accepts. What Lua's compiler refuses after that (a
`goto` without its label, `break` outside a loop, `...` outside a vararg function, writing
to a constant) passes here: names and labels are resolved later, by whoever reads the tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeAlias, cast

import flowir.syntax
from flowir.caret import allowed
from flowir.errors import shorten
from flowir.parser import Parser, Reduction, Stopped, Token
from flowir.records import dataclass
from flowir.syntax import (
    EXPRESSIONS,
    Call,
    Expression,
    Field,
    Function,
    Method,
    Name,
    Return,
    String,
    Syntax,
    SyntaxFault,
    Table,
    function_of,
    name_of,
)
from swarm.errors import Place, ScriptFailed

__all__ = (
    "Arm",
    "Assignment",
    "Break",
    "CallStatement",
    "Chunk",
    "Do",
    "FunctionStatement",
    "GenericFor",
    "Goto",
    "If",
    "Label",
    "Local",
    "LocalFunction",
    "LocalName",
    "NumericFor",
    "Repeat",
    "Statement",
    "While",
    "bound_names",
    "children",
    "field_at",
    "field_line",
    "lua_parser",
    "parse_lua",
    "walk",
)

# How deep pieces may lie inside each other, so that a reader may recurse. Lua's own limit
# (LUAI_MAXCCALLS, 200) counts nesting only; here the length of `a + b + c …` counts too.
_DEPTH = 200
_OPENINGS = frozenset(("DO", "FUNCTION", "IF", "REPEAT", "LPAR", "LSQB", "LBRACE"))
_CLOSINGS = frozenset(("END", "UNTIL", "RPAR", "RSQB", "RBRACE"))
_POSITION = frozenset(field.name for field in fields(Syntax))


@dataclass(frozen=True, slots=True)
class Chunk(Syntax):
    """A whole source."""

    body: Body


@dataclass(frozen=True, slots=True)
class LocalName(Syntax):
    """One name of `local a <const>, b`; `attribute` is "const", "close" or None."""

    name: str
    attribute: str | None


@dataclass(frozen=True, slots=True)
class Local(Syntax):
    """`local names = values`; `values` is empty where nothing is assigned."""

    names: tuple[LocalName, ...]
    values: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Assignment(Syntax):
    """`targets = values`; a target is a Name or an Index."""

    targets: tuple[Expression, ...]
    values: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class CallStatement(Syntax):
    """A call for its effect."""

    call: Call | Method


@dataclass(frozen=True, slots=True)
class Do(Syntax):
    """`do body end`."""

    body: Body


@dataclass(frozen=True, slots=True)
class While(Syntax):
    """`while condition do body end`."""

    condition: Expression
    body: Body


@dataclass(frozen=True, slots=True)
class Repeat(Syntax):
    """`repeat body until condition`; the condition sees the body's locals."""

    body: Body
    condition: Expression


@dataclass(frozen=True, slots=True)
class Arm(Syntax):
    """`if condition then body`, or one `elseif`."""

    condition: Expression
    body: Body


@dataclass(frozen=True, slots=True)
class If(Syntax):
    """The arms in order; `otherwise` is None without an `else`."""

    arms: tuple[Arm, ...]
    otherwise: Body | None


@dataclass(frozen=True, slots=True)
class NumericFor(Syntax):
    """`for variable = first, last, step do body end`; `step` is None where not written."""

    variable: Name
    first: Expression
    last: Expression
    step: Expression | None
    body: Body


@dataclass(frozen=True, slots=True)
class GenericFor(Syntax):
    """`for names in values do body end`."""

    names: tuple[Name, ...]
    values: tuple[Expression, ...]
    body: Body


@dataclass(frozen=True, slots=True)
class FunctionStatement(Syntax):
    """`function a.b.c:method() … end`; `path` holds a, b, c; `self` is not among the parameters."""

    path: tuple[Name, ...]
    method: Name | None
    function: Function


@dataclass(frozen=True, slots=True)
class LocalFunction(Syntax):
    """`local function name() … end`."""

    name: Name
    function: Function


@dataclass(frozen=True, slots=True)
class Break(Syntax):
    """`break`."""


@dataclass(frozen=True, slots=True)
class Goto(Syntax):
    """`goto label`."""

    label: str


@dataclass(frozen=True, slots=True)
class Label(Syntax):
    """`::label::`."""

    label: str


Statement: TypeAlias = (
    Local
    | Assignment
    | CallStatement
    | Do
    | While
    | Repeat
    | If
    | NumericFor
    | GenericFor
    | FunctionStatement
    | LocalFunction
    | Return
    | Break
    | Goto
    | Label
)
# Statements, in the type that flowir.syntax gives a function's body.
Body: TypeAlias = tuple[Syntax, ...]


def parse_lua(source: str, *, file: str = "?") -> Chunk:
    """Parse Lua 5.4 source.

    Raises: ScriptFailed script.syntax, at the line in *file*.
    """
    try:
        return _parse(source)
    except SyntaxFault as fault:
        hint = f" — {fault.hint}" if fault.hint else ""
        line = source.count("\n", 0, fault.start) + 1
        message, where = f"{fault.message}{hint}", Place(file, line)
        raise ScriptFailed("script.syntax", message, where=where) from None


def field_line(source: str, line: int, field: str) -> int | None:
    r"""Find the line of `field = …` in the table that is handed to the call at *line*.

    >>> field_line('return flow.step {\n  agent = "a",\n  out = "x",\n}', 1, "out")
    3

    None where there is no such field, and for source that does not parse.
    """
    found = field_at(source, line, field)
    return None if found is None else found.line


def field_at(source: str, line: int, field: str) -> Field | None:
    """Find `field = …` in the table that is handed to the call at *line*.

    Shape: *line* is what Lua's debug information gives the call: where its arguments
    begin; failing that, where the call itself does. Tables inside the fields do not count.
    Several calls on the line are searched in order.
    """
    try:
        calls = [piece for piece in walk(_remembered(source)) if isinstance(piece, Call)]
    except SyntaxFault:
        return None
    opened = [call for call in calls if call.open_line == line]
    begun = [call for call in calls if call.line == line]
    found = (_field_of(call, field) for call in (*opened, *begun))
    return next((one for one in found if one is not None), None)


def bound_names(source: str) -> set[str]:
    """Return every name that some line of a script that parses gives a value."""
    found: set[str] = set()
    for piece in walk(_remembered(source)):
        match piece:
            case Local(names=names) | GenericFor(names=names) | Function(parameters=names):
                found |= {one.name for one in names}
            case LocalFunction(name=name) | NumericFor(variable=name):
                found.add(name.name)
            case FunctionStatement(path=(first, *_)):
                found.add(first.name)
            case Assignment(targets=targets):
                found |= {one.name for one in targets if isinstance(one, Name)}
            case _:
                pass
    return found


def walk(piece: Syntax) -> Iterator[Syntax]:
    """Yield *piece* and all that is inside it, in the order of the source."""
    left = [piece]
    while left:
        piece = left.pop()
        yield piece
        left.extend(reversed(children(piece)))


def children(piece: Syntax) -> list[Syntax]:
    """Return the pieces directly inside *piece*, in the order of the source."""
    found: list[Syntax] = []
    for name in _fields_of(type(piece)):
        value = getattr(piece, name)
        if isinstance(value, Syntax):
            found.append(value)
        elif isinstance(value, tuple):
            found += cast("tuple[Syntax, ...]", value)
    return found


@cache
def _fields_of(kind: type[Syntax]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name not in _POSITION)


def _field_of(call: Call, name: str) -> Field | None:
    for argument in call.arguments:
        for field in argument.fields if isinstance(argument, Table) else ():
            if isinstance(field.key, String) and field.key.value == name:
                return field
    return None


@lru_cache(maxsize=8)
def _remembered(source: str) -> Chunk:
    return _parse(source)


def _parse(source: str) -> Chunk:
    try:
        source.encode()
        body: Body = lua_parser().parse(source)
    except UnicodeEncodeError as e:
        raise SyntaxFault(e.start, "expected Unicode, got a lone surrogate") from None
    except Stopped as e:
        got = "the end of the file" if e.got is None else shorten(e.got)
        hint = _unclosed(e, source.count("\n", 0, e.offset) + 1)
        raise SyntaxFault(e.offset, allowed(e.allowed, got), hint) from None
    chunk = Chunk(1, 0, len(source), body)
    _refuse_depth(chunk)
    return chunk


def _unclosed(stopped: Stopped, line: int) -> str | None:
    """Name the innermost opening that stands open, where it is on another line."""
    opened: list[Token] = []
    for token in stopped.pending:
        if token.type in _OPENINGS:
            opened.append(token)
        elif token.type in _CLOSINGS:
            opened.pop()
    if not opened or opened[-1].line == line:
        return None
    return f"'{opened[-1]}' at line {opened[-1].line} is not closed"


def _refuse_depth(chunk: Chunk) -> None:
    level: list[Syntax] = [chunk]
    for _ in range(_DEPTH):
        level = [child for piece in level for child in children(piece)]
        if not level:
            return
    message = f"expected at most {_DEPTH} pieces of syntax inside each other, got more"
    raise SyntaxFault(level[0].start, message, "give a part a name of its own")


@cache
def lua_parser() -> Parser:
    """Return the parser of Lua."""
    return Parser(
        Path(__file__).with_name("lua.lark"),
        {**EXPRESSIONS, **_STATEMENTS},
        start="chunk",
        imports=(Path(flowir.syntax.__file__).with_name("grammar.lark"),),
    )


# ---- what each reduction of lua.lark makes

Children: TypeAlias = list[Any]


def _place(c: Children) -> Expression:
    hint = "paths with $ and @ stand in texts; in Lua code the context is ctx"
    raise SyntaxFault(c[0].start_pos, f"expected Lua, got {str(c[0])!r}", hint)


def _local(c: Children) -> Local:
    keyword, names, values = c
    end = values[-1].end if values else names[-1].end
    return Local(keyword.line, keyword.start_pos, end, names, values or ())


def _attributed(c: Children) -> LocalName:
    name, _, attribute, right = c
    start = (name.line, name.start_pos)
    if attribute is None:
        return LocalName(*start, name.end_pos, str(name), None)
    if str(attribute) not in ("const", "close"):
        message = f"expected the attribute <const> or <close>, got <{attribute}>"
        raise SyntaxFault(attribute.start_pos, message)
    return LocalName(*start, right.end_pos, str(name), str(attribute))


def _assignment(c: Children) -> Assignment:
    targets, values = c
    first = targets[0]
    return Assignment(first.line, first.start, values[-1].end, targets, values)


def _call_statement(c: Children) -> CallStatement:
    call = c[0]
    return CallStatement(call.line, call.start, call.end, call)


def _label(c: Children) -> Label:
    left, name, right = c
    return Label(*_from_to(left, right), str(name))


def _break(c: Children) -> Break:
    return Break(*_from_to(c[0], c[0]))


def _goto(c: Children) -> Goto:
    keyword, name = c
    return Goto(*_from_to(keyword, name), str(name))


def _do(c: Children) -> Do:
    keyword, body, end = c
    return Do(*_from_to(keyword, end), body)


def _while(c: Children) -> While:
    keyword, condition, _, body, end = c
    return While(*_from_to(keyword, end), condition, body)


def _repeat(c: Children) -> Repeat:
    keyword, body, _, condition = c
    return Repeat(keyword.line, keyword.start_pos, condition.end, body, condition)


def _if(c: Children) -> If:
    *first, otherwise, end = c
    arms = (_arm(first[:4]), *first[4:])
    return If(*_from_to(c[0], end), arms, otherwise)


def _arm(c: Children) -> Arm:
    keyword, condition, then, body = c
    stop = body[-1].end if body else then.end_pos
    return Arm(keyword.line, keyword.start_pos, stop, condition, body)


def _else(c: Children) -> Body:
    _, body = c
    return body


def _numeric_for(c: Children) -> NumericFor:
    keyword, name, first, last, step, _, body, end = c
    return NumericFor(*_from_to(keyword, end), name_of(name), first, last, step, body)


def _generic_for(c: Children) -> GenericFor:
    keyword, names, _, values, _, body, end = c
    return GenericFor(*_from_to(keyword, end), names, values, body)


def _names(c: Children) -> tuple[Name, ...]:
    return tuple(name_of(name) for name in c)


def _function_name(c: Children) -> tuple[tuple[Name, ...], Name | None]:
    *path, method = c
    return _names(path), None if method is None else name_of(method)


def _function_statement(c: Children) -> FunctionStatement:
    keyword, (path, method), body = c
    function = function_of(keyword, body)
    return FunctionStatement(*_span(function), path, method, function)


def _local_function(c: Children) -> LocalFunction:
    keyword, function_keyword, name, body = c
    function = function_of(function_keyword, body)
    where = (keyword.line, keyword.start_pos, function.end)
    return LocalFunction(*where, name_of(name), function)


def _nothing(_: Children) -> None:
    return None


def _whole(c: Children) -> Body:
    return c[0]


def _from_to(first: Token, last: Token) -> tuple[int, int, int]:
    return first.line, first.start_pos, last.end_pos


def _span(piece: Syntax) -> tuple[int, int, int]:
    return piece.line, piece.start, piece.end


_STATEMENTS: Mapping[str, Reduction] = {
    "assignment": _assignment,
    "attributed": _attributed,
    "break_statement": _break,
    "call_statement": _call_statement,
    "chunk": _whole,
    "do": _do,
    "else_block": _else,
    "else_if": _arm,
    "empty": _nothing,
    "function_name": _function_name,
    "function_statement": _function_statement,
    "generic_for": _generic_for,
    "goto": _goto,
    "if_statement": _if,
    "label": _label,
    "local": _local,
    "local_function": _local_function,
    "locals": tuple,
    "names": _names,
    "numeric_for": _numeric_for,
    "place": _place,
    "repeat": _repeat,
    "targets": tuple,
    "while_statement": _while,
}
