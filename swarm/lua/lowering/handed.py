"""What a helper hands back of what it was given, read off its text.

A helper runs as a step of Lua on copies; the table that it returns may be, or hold, one of
its arguments, which Lua would share. Where the answer is made anew nothing is shared. The
order of statements is not looked at: a local may be all that is ever assigned to it. Helpers
that call helpers are read within each other, up to a bound; beyond it anything may be
handed back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from flowir.syntax import (
    Binary,
    Call,
    Expression,
    Function,
    Index,
    Method,
    Name,
    Paren,
    Return,
    String,
    Syntax,
    Table,
)
from swarm.lua.lowering import known
from swarm.lua.lowering.access import ANY
from swarm.lua.lowering.effort import Effort, TooMuch
from swarm.lua.lowering.free import free_names
from swarm.lua.lowering.names import Callee
from swarm.lua.lowering.work import Share
from swarm.lua.syntax import Assignment, GenericFor, Local, LocalFunction, children

__all__ = ("handed_back",)

# A table given to the function: how deep in a value it stands, which argument or outer
# table it comes from, and whether it is that one itself or something in it.
_Part: TypeAlias = tuple[int, int | str, bool]
_Parts: TypeAlias = frozenset[_Part]

_NONE: _Parts = frozenset()
_DEEPEST = 3
# Pieces of text that are read for one call, those of the functions called in it included.
_MOST = 20_000
# What gives back a table that it was given, or one of those in it.
_SAME = frozenset({"assert", "array", "table.sort", "setmetatable", "select", "next"})
_ITEMS = frozenset({"table.remove", "table.unpack", "next", "select", "rawget"})
_PACKED = frozenset({"table.pack", "table.move"})


def handed_back(callee: Callee) -> list[tuple[Share, ...]]:
    """Return, for each result of a function, what it shares with what was given."""
    try:
        found = _results(callee, frozenset(), Effort(_MOST))
    except TooMuch:
        found = [_everything(callee)]
    return [_shares(parts) for parts in found]


def _shares(parts: _Parts) -> tuple[Share, ...]:
    found = sorted(parts, key=str)
    return tuple(Share((ANY,) * depth, source, below) for depth, source, below in found)


def _results(callee: Callee, calling: frozenset[int], effort: Effort) -> list[_Parts]:
    effort.spend()
    function = callee.function
    if id(function) in calling or _has_closures(function):
        return [_everything(callee)]
    return _Reader(callee, calling | {id(function)}, effort).results()


def _has_closures(function: Function) -> bool:
    return any(isinstance(piece, Function) for one in function.body for piece in _pieces(one))


def _everything(callee: Callee) -> _Parts:
    """Return all that may be handed back by a function that is not looked into."""
    sources = [*range(len(callee.function.parameters)), *_tables(callee)]
    depths = range(_DEEPEST + 1)
    return frozenset(
        (depth, one, below) for one in sources for depth in depths for below in (False, True)
    )


def _tables(callee: Callee) -> list[str]:
    """Return the tables of the script that a function sees."""
    names = free_names(callee.function)
    bound = {name: callee.scope.find(name) for name in names}
    return [
        name
        for name, one in bound.items()
        if isinstance(one, known.Constant) and isinstance(one.value, (dict, list))
    ]


def _pieces(piece: Syntax) -> Iterator[Syntax]:
    left = [piece]
    while left:
        one = left.pop()
        yield one
        left += children(one)


class _Reader:
    """Reads one function: what each local may be, until nothing new is found."""

    def __init__(self, callee: Callee, calling: frozenset[int], effort: Effort) -> None:
        self._effort = effort
        self._callee = callee
        self._calling = calling
        self._pieces = [piece for one in callee.function.body for piece in _pieces(one)]
        self._locals: dict[str, _Parts] = {
            one.name: frozenset({(0, i, False)}) for i, one in enumerate(callee.function.parameters)
        }
        for name in _tables(callee):
            self._locals.setdefault(name, frozenset({(0, name, False)}))
        # Locals that name a table inside another: what goes into the one is in the other.
        self._inside: set[tuple[str, str, int]] = set()

    def results(self) -> list[_Parts]:
        before = None
        while before != self._locals:
            before = dict(self._locals)
            self._effort.spend(len(self._pieces))
            for piece in self._pieces:
                self._read(piece)
            self._lift()
        found: list[_Parts] = []
        for piece in self._pieces:
            if isinstance(piece, Return):
                for i, parts in enumerate(self._of_all(piece.values)):
                    found += [_NONE] * (i + 1 - len(found))
                    found[i] |= parts
        return found or [_NONE]

    # ---- statements

    def _read(self, piece: Syntax) -> None:
        match piece:
            case Local(names=names, values=values):
                for name, parts in zip(names, self._values(values, len(names)), strict=False):
                    self._add(name.name, parts)
                for name, value in zip(names, values, strict=False):
                    self._note_inside(name.name, value)
            case LocalFunction(name=name):
                self._add(name.name, _NONE)
            case Assignment(targets=targets, values=values):
                for target, parts in zip(targets, self._values(values, len(targets)), strict=False):
                    self._store(target, parts)
                for target, value in zip(targets, values, strict=False):
                    if isinstance(target, Name):
                        self._note_inside(target.name, value)
            case GenericFor(names=names, values=values):
                self._generic(names, values)
            case Call(function=Index(base=Name(name="table"), key=String(value="insert"))):
                for value in piece.arguments[1:]:
                    self._put(piece.arguments[0], 1, self._of(value))
            case _:
                pass

    def _generic(self, names: tuple[Syntax, ...], values: tuple[Expression, ...]) -> None:
        over = values[0].arguments if isinstance(values[0], Call) else values
        for value in over:
            parts = _items(self._of(value))
            for name in names[-1:]:
                self._add(getattr(name, "name", ""), parts)
                self._note_inside(getattr(name, "name", ""), value, 1)

    def _store(self, target: Expression, parts: _Parts) -> None:
        if isinstance(target, Name):
            self._add(target.name, parts)
        else:
            self._put(target, 0, parts)

    def _put(self, table: Expression, depth: int, parts: _Parts) -> None:
        """Note that *parts* are put into a table, so deep below what the expression names."""
        while isinstance(table, (Index, Paren)):
            depth += isinstance(table, Index)
            table = table.base if isinstance(table, Index) else table.inner
        if isinstance(table, Name):
            self._add(table.name, _deeper(parts, depth))

    def _note_inside(self, name: str, value: Expression, depth: int = 0) -> None:
        for one in _alternatives(value):
            below, base = depth, one
            while isinstance(base, (Index, Paren)):
                below += isinstance(base, Index)
                base = base.base if isinstance(base, Index) else base.inner
            if isinstance(base, Name) and base.name != name:
                self._inside.add((name, base.name, below))

    def _lift(self) -> None:
        for name, table, depth in self._inside:
            held = frozenset(part for part in self._locals.get(name, _NONE) if part[0])
            self._add(table, _deeper(held, depth))

    def _add(self, name: str, parts: _Parts) -> None:
        self._locals[name] = self._locals.get(name, _NONE) | parts

    # ---- expressions

    def _values(self, values: tuple[Expression, ...], wanted: int) -> list[_Parts]:
        """Return what each of several names gets; a call at the end may fill the rest."""
        found = self._of_all(values)
        if len(found) < wanted and values and isinstance(values[-1], (Call, Method)):
            found += [found[-1]] * (wanted - len(found))
        return found

    def _of_all(self, values: tuple[Expression, ...]) -> list[_Parts]:
        if len(values) == 1 and isinstance(values[0], Call):
            return self._call(values[0])
        return [self._of(value) for value in values]

    def _of(self, e: Expression) -> _Parts:
        match e:
            case Name(name=name):
                return self._locals.get(name, _NONE)
            case Paren(inner=inner):
                return self._of(inner)
            case Index(base=base):
                return _items(self._of(base))
            case Binary(op="and" | "or", left=left, right=right):
                return self._of(left) | self._of(right)
            case Table(fields=fields):
                return _deeper(frozenset(p for one in fields for p in self._of(one.value)), 1)
            case Call():
                return frozenset(part for parts in self._call(e) for part in parts)
            case _:
                return _NONE

    def _call(self, e: Call) -> list[_Parts]:
        given = [self._of(one) for one in e.arguments]
        name = _called(e.function)
        bound = self._callee.scope.find(name) if "." not in name else None
        if isinstance(bound, Callee):
            return [
                _replaced(parts, given) for parts in _results(bound, self._calling, self._effort)
            ]
        every = frozenset(part for parts in given for part in parts)
        found = _NONE
        if name in _SAME:
            found |= every
        if name in _ITEMS:
            found |= _items(every)
        if name in _PACKED:
            found |= _deeper(every, 1)
        if name == "pcall" or bound is not None or name in self._locals:
            found = frozenset((depth, one[1], True) for one in every for depth in range(_DEEPEST))
            found |= every
        return [found]


def _called(e: Expression) -> str:
    match e:
        case Name(name=name):
            return name
        case Index(base=Name(name=table), key=String(value=name)):
            return f"{table}.{name}"
        case _:
            return ""


def _alternatives(e: Expression) -> Iterator[Expression]:
    if isinstance(e, Binary) and e.op in ("and", "or"):
        yield from _alternatives(e.left)
        yield from _alternatives(e.right)
    else:
        yield e


def _items(parts: _Parts) -> _Parts:
    """Return what the items of a table may be."""
    found = [(0, source, True) for depth, source, _ in parts if depth == 0]
    found += [(depth - 1, source, below) for depth, source, below in parts if depth]
    found += [part for part in parts if part[0] == _DEEPEST]
    return frozenset(found)


def _deeper(parts: _Parts, more: int) -> _Parts:
    return frozenset((min(depth + more, _DEEPEST), source, below) for depth, source, below in parts)


def _replaced(parts: _Parts, given: list[_Parts]) -> _Parts:
    """Return what a called function hands back, in the terms of its caller."""
    found: set[_Part] = set()
    for depth, source, below in parts:
        if isinstance(source, str):
            found.add((depth, source, below))
        elif source < len(given):
            one = _items(given[source]) if below else given[source]
            found |= _deeper(one, depth)
    return frozenset(found)
