"""What Lua source says, as frozen data: the expressions, and how their tokens are read.

`EXPRESSIONS` says what each reduction of `grammar.lark` makes, bottom up and without
recursion, so that depth costs nothing here. Two readers stand on it:
`flowir.text` gives expressions their meaning, `swarm.lua.syntax` adds the statements.
Knows nothing of either, and resolves no name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from flowir.limits import INT_MAX
from flowir.parser import Reduction, Token
from flowir.records import dataclass

__all__ = (
    "EXPRESSIONS",
    "Binary",
    "Call",
    "Constant",
    "Expression",
    "Field",
    "Function",
    "Index",
    "Method",
    "Name",
    "Number",
    "Paren",
    "Place",
    "Return",
    "String",
    "Syntax",
    "SyntaxFault",
    "Table",
    "Unary",
    "Varargs",
    "function_of",
    "name_of",
    "one_newline",
)


class SyntaxFault(Exception):
    """Source that is wrong at `start` (an offset); each reader makes its own error of it."""

    def __init__(self, start: int, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.start = start
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Syntax:
    """A piece of source: the line it begins on, and its offsets, half open."""

    line: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Constant(Syntax):
    """`nil`, `true`, `false`."""

    value: bool | None


@dataclass(frozen=True, slots=True)
class Number(Syntax):
    """A numeral, as written."""

    literal: str

    @property
    def exact(self) -> int | float:
        """The number that is written; an integer may be of any size, a float infinite."""
        low = self.literal.lower()
        if low.startswith("0x"):
            return _hex_float(low) if "." in low or "p" in low else int(low, 16)
        if "." in low or "e" in low:
            return float(low)
        digits = low.lstrip("0") or "0"
        return int(digits) if len(digits) <= _DIGITS else float("inf")

    @property
    def value(self) -> int | float:
        """The number as Lua 5.4 reads it: hex integers wrap, large decimals are floats."""
        exact = self.exact
        if isinstance(exact, float) or exact <= INT_MAX:
            return exact
        if self.literal[:2] not in ("0x", "0X"):
            return float(exact)
        low = exact & ((1 << 64) - 1)
        return low - (1 << 64) if low > INT_MAX else low


@dataclass(frozen=True, slots=True)
class String(Syntax):
    """A string literal; bytes that are no UTF-8 stand in `value` as surrogate escapes."""

    value: str


@dataclass(frozen=True, slots=True)
class Varargs(Syntax):
    """`...`."""


@dataclass(frozen=True, slots=True)
class Name(Syntax):
    """A bare name: a local, a parameter, a global."""

    name: str


@dataclass(frozen=True, slots=True)
class Place(Syntax):
    """A path of the flow language, `$…` or `@name…`, as written; Lua has no such thing."""

    path: str


@dataclass(frozen=True, slots=True)
class Index(Syntax):
    """`base.name` (the key is a String then) or `base[key]`."""

    base: Expression
    key: Expression


@dataclass(frozen=True, slots=True)
class Call(Syntax):
    """`function(…)`, `function "…"`, `function {…}`.

    `open_line` is the line where the arguments begin: the one that Lua's debug
    information gives the call.
    """

    function: Expression
    arguments: tuple[Expression, ...]
    open_line: int


@dataclass(frozen=True, slots=True)
class Method(Syntax):
    """`receiver:name(…)`; `open_line` as for a Call."""

    receiver: Expression
    name: str
    arguments: tuple[Expression, ...]
    open_line: int


@dataclass(frozen=True, slots=True)
class Function(Syntax):
    """`function (parameters) body end`; `end_line` is the line of its `end`."""

    parameters: tuple[Name, ...]
    varargs: bool
    body: tuple[Syntax, ...]
    end_line: int


@dataclass(frozen=True, slots=True)
class Field(Syntax):
    """One field of a table: `key` is None for a positional one, a String for `name = …`."""

    key: Expression | None
    value: Expression


@dataclass(frozen=True, slots=True)
class Table(Syntax):
    """`{…}`; `end_line` is the line of its closing brace."""

    fields: tuple[Field, ...]
    end_line: int


@dataclass(frozen=True, slots=True)
class Unary(Syntax):
    """`op operand`; `op` as written."""

    op: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(Syntax):
    """`left op right`; `op` as written, `op_line` and `op_start` where it stands."""

    op: str
    left: Expression
    right: Expression
    op_line: int
    op_start: int


@dataclass(frozen=True, slots=True)
class Paren(Syntax):
    """`(inner)`: in Lua it cuts several values down to one."""

    inner: Expression


@dataclass(frozen=True, slots=True)
class Return(Syntax):
    """`return values`."""

    values: tuple[Expression, ...]


Expression: TypeAlias = (
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
    | Paren
)

Children: TypeAlias = list[Any]
Arguments: TypeAlias = tuple[tuple[Expression, ...], int, int]
Parameters: TypeAlias = tuple[tuple[Name, ...], bool]

_CONSTANTS: Mapping[str, bool | None] = {"nil": None, "true": True, "false": False}
_DIGITS = 400  # more of them are beyond every float, and int() refuses 4,300
_UTF8_MAX = 0x7FFFFFFF  # Lua writes code points of up to 31 bits
_ESCAPES = {
    "a": b"\a",
    "b": b"\b",
    "f": b"\f",
    "n": b"\n",
    "r": b"\r",
    "t": b"\t",
    "v": b"\v",
    "\\": b"\\",
    '"': b'"',
    "'": b"'",
}
_ESCAPE = re.compile(
    r"\\(?:(?P<skip>z[ \t\n\v\f\r]*)|(?P<newline>\r\n|\n\r|\n|\r)|x(?P<hex>[0-9a-fA-F]{2})"
    r"|u\{(?P<code>[0-9a-fA-F]+)\}|(?P<decimal>[0-9]{1,3})|(?P<other>[\s\S]))"
)
_NEWLINE = re.compile(r"\r\n|\n\r|\r")


def _binary(c: Children) -> Binary:
    left, op, right = c
    return Binary(left.line, left.start, right.end, str(op), left, right, op.line, op.start_pos)


def _unary(c: Children) -> Unary:
    op, operand = c
    return Unary(op.line, op.start_pos, operand.end, str(op), operand)


def _constant(c: Children) -> Constant:
    return Constant(*_span(c[0]), _CONSTANTS[c[0]])


def _number(c: Children) -> Number:
    return Number(*_span(c[0]), str(c[0]))


def _varargs(c: Children) -> Varargs:
    return Varargs(*_span(c[0]))


def _quoted(c: Children) -> String:
    return String(*_span(c[0]), _unescape(c[0][1:-1], c[0].start_pos + 1))


def _long(c: Children) -> String:
    return String(*_span(c[0]), _long_body(str(c[0]), c[0].start_pos))


def _paren(c: Children) -> Paren:
    left, inner, right = c
    return Paren(left.line, left.start_pos, right.end_pos, inner)


def _name(c: Children) -> Name:
    return name_of(c[0])


def _place(c: Children) -> Place:
    return Place(*_span(c[0]), str(c[0]))


def _member(c: Children) -> Index:
    base, name = c
    return Index(base.line, base.start, name.end_pos, base, _key_of(name))


def _index(c: Children) -> Index:
    base, _, key, right = c
    return Index(base.line, base.start, right.end_pos, base, key)


def _call(c: Children) -> Call:
    function, (arguments, line, end) = c
    return Call(function.line, function.start, end, function, arguments, line)


def _method(c: Children) -> Method:
    receiver, name, (arguments, line, end) = c
    return Method(receiver.line, receiver.start, end, receiver, str(name), arguments, line)


def _arguments(c: Children) -> Arguments:
    left, values, right = c
    return values or (), left.line, right.end_pos


def _argument(c: Children) -> Arguments:
    return (c[0],), c[0].line, c[0].end


def _function(c: Children) -> Function:
    keyword, body = c
    return function_of(keyword, body)


def _parameters(c: Children) -> Parameters:
    *names, dots = c
    return tuple(name_of(name) for name in names), dots is not None


def _only_varargs(_: Children) -> Parameters:
    return (), True


def _block(c: Children) -> tuple[Syntax, ...]:
    return tuple(piece for piece in c if piece is not None)


def _return(c: Children) -> Return:
    keyword, values = c
    end = values[-1].end if values else keyword.end_pos
    return Return(keyword.line, keyword.start_pos, end, values or ())


def _table(c: Children) -> Table:
    left, fields, right = c
    return Table(left.line, left.start_pos, right.end_pos, fields or (), right.line)


def _computed_field(c: Children) -> Field:
    left, key, _, value = c
    return Field(left.line, left.start_pos, value.end, key, value)


def _named_field(c: Children) -> Field:
    name, value = c
    return Field(name.line, name.start_pos, value.end, _key_of(name), value)


def _positional_field(c: Children) -> Field:
    value = c[0]
    return Field(value.line, value.start, value.end, None, value)


EXPRESSIONS: Mapping[str, Reduction] = {
    "argument": _argument,
    "arguments": _arguments,
    "binary": _binary,
    "block": _block,
    "call": _call,
    "computed_field": _computed_field,
    "constant": _constant,
    "explist": tuple,
    "fieldlist": tuple,
    "funcbody": tuple,
    "function": _function,
    "index": _index,
    "long": _long,
    "member": _member,
    "method": _method,
    "name": _name,
    "named_field": _named_field,
    "number": _number,
    "only_varargs": _only_varargs,
    "parameters": _parameters,
    "paren": _paren,
    "place": _place,
    "positional_field": _positional_field,
    "quoted": _quoted,
    "retstat": _return,
    "table": _table,
    "unary": _unary,
    "varargs": _varargs,
}


def name_of(token: Token) -> Name:
    """Make the name that a token spells."""
    return Name(*_span(token), str(token))


def function_of(keyword: Token, body: Sequence[Any]) -> Function:
    """Make the function whose `function` is *keyword* and whose `funcbody` is *body*."""
    _, parameters, _, statements, end = body
    names, varargs = parameters or ((), False)
    where = (keyword.line, keyword.start_pos, end.end_pos)
    return Function(*where, names, varargs, statements, end.line)


def _span(token: Token) -> tuple[int, int, int]:
    return token.line, token.start_pos, token.end_pos


def _key_of(token: Token) -> String:
    return String(*_span(token), str(token))


def _hex_float(literal: str) -> float:
    try:
        return float.fromhex(literal)
    except OverflowError:
        return float("inf")


def one_newline(text: str) -> str:
    r"""Write line ends as Lua reads them: each, and each pair of two kinds, as `\n`.

    >>> one_newline("a\r\nb\rc\n\rd\n\ne")
    'a\nb\nc\nd\n\ne'
    """
    return _NEWLINE.sub("\n", text)


def _long_body(literal: str, start: int) -> str:
    size = literal.index("[", 1) + 1
    if len(literal) < 2 * size or not literal.endswith("]" + "=" * (size - 2) + "]"):
        raise SyntaxFault(start, "expected the long string to be closed, got the end")
    return one_newline(literal[size:-size]).removeprefix("\n")


def _unescape(body: str, start: int) -> str:
    if "\\" not in body:
        return body
    parts: list[bytes] = []
    done = 0
    for found in _ESCAPE.finditer(body):
        parts += (body[done : found.start()].encode(), _escaped(found, start + found.start()))
        done = found.end()
    parts.append(body[done:].encode())
    return b"".join(parts).decode(errors="surrogateescape")


def _escaped(found: re.Match[str], start: int) -> bytes:
    if found["skip"] is not None:
        return b""
    if found["newline"] is not None:
        return b"\n"
    if found["hex"] is not None:
        return bytes([int(found["hex"], 16)])
    if found["code"] is not None:
        return _utf8(int(found["code"], 16), start)
    if found["decimal"] is not None:
        return _decimal(int(found["decimal"]), start)
    if found["other"] not in _ESCAPES:
        hint = r"write \\ for a backslash"
        raise SyntaxFault(start, f"expected an escape of Lua, got {found[0]!r}", hint)
    return _ESCAPES[found["other"]]


def _decimal(code: int, start: int) -> bytes:
    if code > 255:
        raise SyntaxFault(start, f"expected a byte of at most 255, got \\{code}")
    return bytes([code])


def _utf8(code: int, start: int) -> bytes:
    """Encode as Lua does: surrogates and up to six bytes are let pass."""
    if code > _UTF8_MAX:
        raise SyntaxFault(start, "expected a code point of at most 31 bits")
    if code < 0x80:
        return bytes([code])
    tail: list[int] = []
    room = 0x3F
    while code > room:
        tail.append(0x80 | code & 0x3F)
        code >>= 6
        room >>= 1
    return bytes([(~room << 1) & 0xFF | code, *reversed(tail)])
