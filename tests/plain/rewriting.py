"""Lua source with its operators, fields and tables as calls of `__o`, for `oracle.lua`.

The oracle runs real Lua, with the differences built in that a flow has: `a + b` becomes
`__o.add(a, b)`, which also reads both sides before it adds. Only texts are written here;
that the tree is the one that Lua reads is shown by `parenthesized`, whose bytecode is that
of the source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
    Return,
    String,
    Syntax,
    Table,
    Unary,
)
from swarm.lua.syntax import (
    Arm,
    Assignment,
    CallStatement,
    Do,
    FunctionStatement,
    GenericFor,
    If,
    Local,
    LocalFunction,
    NumericFor,
    Repeat,
    While,
    children,
    parse_lua,
)

__all__ = ("functions_of", "parenthesized", "rewritten")

_OPS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "//": "idiv",
    "%": "mod",
    "..": "concat",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "==": "eq",
}
# What no loop of a flow may promise.
_MOST_ROUNDS = 10_000_000
# Operators that read a local on their left only when the right side is known.
_LATE = frozenset(_OPS) - {".."}


def rewritten(source: str, rounds: int, *, early_reads: bool = True) -> str:
    """Rewrite a whole script; a loop may go *rounds* rounds where it says nothing."""
    return _Writer(source, rounds, early_reads=early_reads).body(parse_lua(source).body)


def functions_of(source: str) -> dict[int, Function]:
    """Return every function of a script by where it begins."""
    found: dict[int, Function] = {}
    left: list[Syntax] = [parse_lua(source)]
    while left:
        piece = left.pop()
        if isinstance(piece, Function):
            found[piece.start] = piece
        left += children(piece)
    return found


def parenthesized(source: str) -> str:
    """Put every operator with its operands into parentheses, as the tree has them."""
    found: list[tuple[int, int, str]] = []
    left: list[Syntax] = [parse_lua(source)]
    while left:
        piece = left.pop()
        if isinstance(piece, (Binary, Unary)):
            found += [(piece.start, -piece.end, "("), (piece.end, -piece.start, ")")]
        left += children(piece)
    # Of what begins at one place the longest comes first, of what ends there the shortest;
    # and what ends comes before what begins.
    out: list[str] = []
    last = 0
    for at, _, mark in sorted(found, key=lambda one: (one[0], one[2] == "(", one[1])):
        out += [source[last:at], mark]
        last = at
    return "".join([*out, source[last:]])


class _Writer:
    def __init__(self, source: str, rounds: int, *, early_reads: bool) -> None:
        self._source = source
        self._rounds = rounds
        self._early = early_reads
        self._locals: list[frozenset[str]] = [frozenset()]

    # ---- statements

    def body(self, body: Iterable[Syntax]) -> str:
        return "\n".join(self.statement(one) for one in body)

    def statement(self, one: Syntax) -> str:
        match one:
            case Local(names=names, values=values):
                shown = ", ".join(
                    n.name + (f" <{n.attribute}>" if n.attribute else "") for n in names
                )
                return f"local {shown} = {self.all(values)}" if values else f"local {shown}"
            case Assignment():
                return self.assignment(one)
            case CallStatement(call=call):
                return f";{self.of(call)}"
            case Do(body=body):
                return f"do {self.body(body)} end"
            case If(arms=arms, otherwise=otherwise):
                return self.choice(arms, otherwise)
            case While() | Repeat() | NumericFor() | GenericFor():
                return self.loop(one)
            case LocalFunction(name=name, function=function):
                return f"local {name.name} {name.name} = {self.of(function)}"
            case FunctionStatement(path=path, method=None, function=function):
                return f"{'.'.join(n.name for n in path)} = {self.of(function)}"
            case Return(values=values):
                return f"return {self.all(values)}"
            case _:
                return self._source[one.start : one.end]

    def choice(self, arms: tuple[Arm, ...], otherwise: tuple[Syntax, ...] | None) -> str:
        words = (f"if {self.of(arm.condition)} then {self.body(arm.body)} " for arm in arms)
        last = "" if otherwise is None else f"else {self.body(otherwise)} "
        return f"{'else'.join(words)}{last}end"

    def loop(self, loop: While | Repeat | NumericFor | GenericFor) -> str:
        most = self.limit(loop)
        body = self.body(loop.body)
        if most is not None:
            body = f"__round() {body}"
        match loop:
            case While(condition=condition):
                text = f"while {self.of(condition)} do {body} end"
            case Repeat(condition=condition):
                text = f"repeat {body} until {self.of(condition)}"
            case NumericFor(variable=name, first=first, last=last, step=step):
                bounds = [self.of(one) for one in (first, last, step) if one is not None]
                text = f"for {name.name} = {', '.join(bounds)} do {body} end"
            case GenericFor(names=names, values=values):
                shown = ", ".join(name.name for name in names)
                text = f"for {shown} in {self.all(values)} do {body} end"
        return text if most is None else f"do local __round = __o.rounds({most}) {text} end"

    def limit(self, loop: While | Repeat | NumericFor | GenericFor) -> int | None:
        if isinstance(loop, NumericFor):
            first, last = _constant(loop.first), _constant(loop.last)
            step = 1 if loop.step is None else _constant(loop.step)
            if first is not None and last is not None and step:
                whole = all(isinstance(one, int) for one in (first, last, step))
                if whole and (last - first) // step < _MOST_ROUNDS:
                    return None
        match loop.body[:1]:
            case (
                CallStatement(call=Call(function=Name(name="limit"), arguments=(Number() as n,))),
            ):
                return int(n.value)
            case _:
                return self._rounds

    def assignment(self, one: Assignment) -> str:
        if len(one.targets) == 1 and isinstance(one.targets[0], Name):
            return f"{one.targets[0].name} = {self.all(one.values)}"
        kept: list[str] = []
        given: list[str] = []
        sets: list[str] = []
        for i, target in enumerate(one.targets):
            value = one.values[i] if i < len(one.values) else None
            if isinstance(target, Name):
                sets.append(f"{target.name} = __v{i}")
                continue
            assert isinstance(target, Index)
            table = self.of(target.base)
            if not isinstance(target.base, Name):
                kept.append(f"__t{i}")
                given.append(table)
                table = f"__t{i}"
            is_nothing = isinstance(value, Constant) and value.value is None
            if is_nothing and _is_last(target):
                sets.append(f"__o.pop({table})")
                continue
            kept.append(f"__k{i}")
            given.append(self.of(target.key))
            # By a name that the text says, a nil is there; by another it takes away.
            away = is_nothing and not isinstance(target.key, (String, Number))
            sets.append(f"__o.set({table}, __k{i}, __v{i}, {'true' if away else 'false'})")
        names = ", ".join([*kept, *(f"__v{i}" for i in range(len(one.targets)))])
        values = ", ".join([*(f"({one})" for one in given), self.all(one.values)])
        return f"do local {names} = {values} {' '.join(sets)} end"

    # ---- expressions

    def all(self, values: Iterable[Expression]) -> str:
        return ", ".join(map(self.of, values))

    def of(self, e: Syntax) -> str:
        match e:
            case Binary():
                return self.binary(e)
            case Unary(op="not", operand=operand):
                return f"(not {self.of(operand)})"
            case Unary(op=op, operand=operand):
                return f"__o.{ {'-': 'neg', '#': 'len', '~': 'bnot'}[op] }({self.of(operand)})"
            case Paren(inner=inner):
                return f"({self.of(inner)})"
            case Index(base=base, key=key):
                if not self._early and self._is_register(base) and not _is_plain(key):
                    return f"__o.late('index', {self.of(key)}, {self.of(base)})"
                return f"__o.index({self.of(base)}, {self.of(key)})"
            case Call(function=function, arguments=arguments):
                return f"{self.callee(function)}({self.all(arguments)})"
            case Method(receiver=receiver, name=name, arguments=arguments):
                return f"__o.method({self.all((_quoted(name, e), receiver, *arguments))})"
            case Function():
                return self.function(e)
            case Table():
                return self.table(e)
            case String():
                return _lua_text(e.value)
            case _:
                return self._source[e.start : e.end]

    def callee(self, e: Expression) -> str:
        return self.of(e) if isinstance(e, (Name, Paren)) else f"({self.of(e)})"

    def binary(self, e: Binary) -> str:
        left, right = self.of(e.left), self.of(e.right)
        if e.op in ("and", "or"):
            return f"({left} {e.op} {right})"
        if e.op == "~=":
            return f"(not {self.call('eq', e, left, right)})"
        if e.op in _OPS:
            return self.call(_OPS[e.op], e, left, right)
        return f"__o.bits('{e.op}', {left}, {right})"

    def call(self, name: str, e: Binary, left: str, right: str) -> str:
        late = not self._early and (e.op in _LATE or e.op == "~=")
        if late and self._is_register(e.left) and not _is_plain(e.right):
            return f"__o.late('{name}', {right}, {left})"
        return f"__o.{name}({left}, {right})"

    def _is_register(self, e: Expression) -> bool:
        return isinstance(e, Name) and e.name in self._locals[-1]

    def field(self, one: Field) -> str:
        key = "" if one.key is None else f"[{self.of(one.key)}] = "
        return key + self.of(one.value)

    def function(self, e: Function) -> str:
        names = [one.name for one in e.parameters]
        self._locals.append(frozenset([*names, *_declared(e.body)]))
        body = self.body(e.body)
        self._locals.pop()
        given = ", ".join([*names, *(["..."] if e.varargs else [])])
        return f"__o.fn({e.start}, function({given}) {body} end)"

    def table(self, e: Table) -> str:
        values = [one.value for one in e.fields]
        keys = [one.key for one in e.fields]
        if len(self._locals) == 1:  # the script's own, which may be long, and is Lua's
            return "{ " + ", ".join(map(self.field, e.fields)) + " }"
        if all(key is None or _is_position(key, i) for i, key in enumerate(keys, 1)):
            shown = [self.of(one) for one in values]
            if shown and isinstance(values[-1], (Call, Method)):
                shown[-1] = f"({shown[-1]})"
            return f"__o.list({', '.join([str(len(shown)), *shown])})" if shown else "{}"
        if any(key is None for key in keys):
            return self._source[e.start : e.end]  # refused in a flow
        pairs = [
            part
            for key, value in zip(keys, values, strict=True)
            if key is not None
            for part in (self.of(key), f"({self.of(value)})")
        ]
        return f"__o.object({len(pairs)}, {', '.join(pairs)})"


def _declared(body: Iterable[Syntax]) -> Iterator[str]:
    """Yield the locals that a function declares, those of functions inside left out."""
    left = list(body)
    while left:
        piece = left.pop()
        match piece:
            case Local(names=names):
                yield from (one.name for one in names)
            case LocalFunction(name=name):
                yield name.name
            case NumericFor(variable=name):
                yield name.name
            case GenericFor(names=names):
                yield from (one.name for one in names)
            case _:
                pass
        if not isinstance(piece, Function):
            left += children(piece)


def _constant(e: Expression) -> float | None:
    match e:
        case Number(value=value):
            return value
        case Unary(op="-", operand=Number(value=value)):
            return -value
        case _:
            return None


def _is_plain(e: Expression) -> bool:
    return isinstance(e, (Constant, Number, String, Name))


def _is_position(key: Expression | None, i: int) -> bool:
    return isinstance(key, Number) and key.value == i


def _is_last(target: Index) -> bool:
    """Recognise `t[#t]`."""
    match target.key:
        case Unary(op="#", operand=Name(name=name)):
            return isinstance(target.base, Name) and target.base.name == name
        case Unary(op="#", operand=Index(base=Name(name=table), key=String(value=key))):
            match target.base:
                case Index(base=Name(name=other), key=String(value=name)):
                    return (table, key) == (other, name)
                case _:
                    return False
        case _:
            return False


def _quoted(name: str, e: Syntax) -> String:
    return String(e.line, e.start, e.end, name)


def _lua_text(text: str) -> str:
    """Write a text byte by byte, so that no quoting rule matters."""
    data = text.encode("utf-8", "surrogateescape")
    plain = (chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\{b:03d}" for b in data)
    return f'"{"".join(plain)}"'
