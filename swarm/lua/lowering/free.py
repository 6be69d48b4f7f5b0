"""What a function takes from outside, and what code changes, read off the tree."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from flowir.syntax import Call, Expression, Function, Index, Name, Paren, String, Syntax
from swarm.lua.syntax import (
    Arm,
    Assignment,
    FunctionStatement,
    GenericFor,
    If,
    Local,
    LocalFunction,
    NumericFor,
    Repeat,
    children,
    walk,
)

__all__ = (
    "changed_parameters",
    "changed_tables",
    "free_names",
    "outer_locals",
    "root_of",
    "writes_outside",
)

# Functions of `table` that change their first argument.
_CHANGES = frozenset({"insert", "move", "remove", "sort"})


def free_names(function: Function) -> tuple[str, ...]:
    """Return the outer names that a function reads or writes, in order of first use."""
    return _found(function)[0]


def writes_outside(function: Function) -> bool:
    """Tell whether a function assigns to a name that is not its own."""
    return _found(function)[1]


def outer_locals(body: tuple[Syntax, ...]) -> dict[int, frozenset[str]]:
    """Return, by identity, which locals from around it each function of a chunk uses."""
    walk = _Walk()
    walk.taken = {}
    walk.body(body, frozenset())
    return walk.taken


@lru_cache(maxsize=512)
def _found(function: Function) -> tuple[tuple[str, ...], bool]:
    walk = _Walk()
    walk.function(function, frozenset())
    return tuple(walk.used), walk.writes


class _Walk:
    def __init__(self) -> None:
        self.used: dict[str, None] = {}
        self.writes = False
        self.taken: dict[int, frozenset[str]] | None = None

    def function(self, function: Function, own: frozenset[str]) -> None:
        if self.taken is not None:
            self.taken[id(function)] = own.intersection(free_names(function))
        self.body(function.body, own | {p.name for p in function.parameters})

    def body(self, body: tuple[Syntax, ...], own: frozenset[str]) -> frozenset[str]:
        for statement in body:
            own = self.statement(statement, own)
        return own

    def statement(self, statement: Syntax, own: frozenset[str]) -> frozenset[str]:
        """Read a statement; return the names that are local behind it."""
        match statement:
            case Local():
                self.read(statement.values, own)
                return own | {local.name for local in statement.names}
            case LocalFunction(name=name, function=function):
                self.function(function, own | {name.name})
                return own | {name.name}
            case FunctionStatement(function=function):
                self.writes = True
                self.function(function, own)
            case Assignment():
                self.assigned(statement, own)
            case Repeat():
                inner = self.body(statement.body, own)
                self.read((statement.condition,), inner)
            case NumericFor():
                bounds = (statement.first, statement.last, statement.step)
                self.read(tuple(one for one in bounds if one is not None), own)
                self.body(statement.body, own | {statement.variable.name})
            case GenericFor():
                self.read(statement.values, own)
                self.body(statement.body, own | {name.name for name in statement.names})
            case If():
                self.arms(statement, own)
            case _:
                self.other(statement, own)
        return own

    def assigned(self, statement: Assignment, own: frozenset[str]) -> None:
        self.read((*statement.targets, *statement.values), own)
        for target in statement.targets:
            base = target
            while isinstance(base, Index):
                base = base.base
            if isinstance(base, Name) and base.name not in own:
                self.writes = True

    def arms(self, statement: If, own: frozenset[str]) -> None:
        for arm in statement.arms:
            self.arm(arm, own)
        self.body(statement.otherwise or (), own)

    def arm(self, arm: Arm, own: frozenset[str]) -> None:
        self.read((arm.condition,), own)
        self.body(arm.body, own)

    def other(self, statement: Syntax, own: frozenset[str]) -> None:
        for name in ("condition", "call", "values"):
            inner = getattr(statement, name, ())
            self.read(inner if isinstance(inner, tuple) else (inner,), own)
        self.body(getattr(statement, "body", ()), own)

    def read(self, found: tuple[Syntax, ...], own: frozenset[str]) -> None:
        left = list(reversed(found))
        while left:
            piece = left.pop()
            if isinstance(piece, Function):
                self.function(piece, own)
            elif isinstance(piece, Name):
                if piece.name not in own:
                    self.used.setdefault(piece.name)
            else:
                left += reversed(children(piece))


def changed_tables(piece: Syntax) -> Iterator[Expression]:
    """Yield the tables, as they are written, in which a piece of code changes something."""
    match piece:
        case Assignment(targets=targets):
            yield from (one for one in targets if isinstance(one, Index))
        case Call(
            function=Index(base=Name(name="table"), key=String(value=name)),
            arguments=(first, *_),
        ) if name in _CHANGES:
            yield first
        case _:
            return


def changed_parameters(function: Function) -> frozenset[str]:
    """Return the parameters in whose tables a function changes something, or lets others do."""
    pieces = [piece for one in function.body for piece in walk(one)]
    changed = {root_of(table) for piece in pieces for table in changed_tables(piece)}
    for piece in pieces:
        if isinstance(piece, Call) and not isinstance(piece.function, Index):
            changed |= {root_of(one) for one in piece.arguments}
    return frozenset(one.name for one in function.parameters if one.name in changed)


def root_of(e: Expression) -> str | None:
    """Return the name at the beginning of a chain of fields and items."""
    while isinstance(e, (Index, Paren)):
        e = e.base if isinstance(e, Index) else e.inner
    return e.name if isinstance(e, Name) else None
