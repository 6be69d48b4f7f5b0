"""What a function's text says of its locals: which kinds they hold, and which are lists.

One walk resolves every name to its declaration; kinds are then worked out on demand from
all that is ever assigned there. Nothing here is about the order in which things happen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from flowir.syntax import (
    Binary,
    Call,
    Constant,
    Expression,
    Function,
    Index,
    Name,
    Number,
    Paren,
    String,
    Syntax,
    Table,
    Unary,
)
from swarm.lua.lowering.names import Callee
from swarm.lua.lowering.values import Kind, constant, join_kinds
from swarm.lua.syntax import (
    Assignment,
    GenericFor,
    Local,
    LocalFunction,
    NumericFor,
    Repeat,
    children,
)

__all__ = ("CalleeOf", "Facts", "Target")

# A table's place as far as the text tells: a declaration, and the names behind it.
Target: TypeAlias = tuple[int, tuple[str, ...]]
_Names: TypeAlias = dict[str, int]
# Finds the function of the script that an expression names.
CalleeOf: TypeAlias = Callable[[Callee, Expression], Callee | None]

_LIST_USES = frozenset({"ipairs", "parallel"})
_LIST_FUNCTIONS = frozenset({"insert", "remove", "concat", "sort", "unpack"})
_INTEGERS = frozenset({"integer", "position", "never"})
_NUMBERS = frozenset({"integer", "position", "number"})
_BOOLEANS = frozenset({"==", "~=", "<", "<=", ">", ">="})


class Facts:
    """The facts of every function that was studied."""

    def __init__(self, callee_of: CalleeOf) -> None:
        self._callee_of = callee_of
        self._declared: dict[int, int] = {}
        self._values: dict[Target, list[Expression | None]] = {}
        self._kinds: dict[Target, Kind] = {}
        self._assigned: set[int] = set()
        self._indexed: dict[Target, list[Expression]] = {}
        self._lists: set[Target] = set()
        self._objects: set[Target] = set()
        # Names are known by the identity of their nodes: these must not die.
        self._studied: dict[int, Function] = {}
        self._reading: Callee | None = None
        self._local_functions: dict[int, Function] = {}

    def study(self, callee: Callee) -> None:
        """Read a function, once, and those that it hands tables to; outer names are unknown."""
        function = callee.function
        if id(function) not in self._studied:
            self._studied[id(function)] = function
            outer, self._reading = self._reading, callee
            self._function(function, {})
            self._reading = outer

    # ---- what was found

    def is_assigned(self, key: int) -> bool:
        """Tell whether a local gets another value than its first."""
        return key in self._assigned

    def is_list(self, target: Target) -> bool:
        """Tell whether an empty table at *target* is meant as a list."""
        if target in self._objects:
            return False
        keys = self._indexed.get(target, ())
        return target in self._lists or any(self.kind_of(key) in _NUMBERS for key in keys)

    def target_of(self, expression: Expression) -> Target | None:
        """Return the place that an expression names, if it is a local and names behind it."""
        names: list[str] = []
        while isinstance(expression, Index) and isinstance(expression.key, String):
            names.append(expression.key.value)
            expression = expression.base
        if not isinstance(expression, Name):
            return None
        key = self._declared.get(id(expression))
        return None if key is None else (key, tuple(reversed(names)))

    def kind_at(self, target: Target) -> Kind:
        """Return the kind of all that is ever assigned to *target*."""
        if target[1]:
            return "any"  # it may have come from anywhere, before anything is assigned
        known = self._kinds.get(target)
        if known is not None:
            return known
        values = self._values.get(target)
        if not values:
            return "any"
        self._kinds[target] = "never"  # while it is worked out: a loop adds nothing
        kind: Kind = "never"
        for value in values:
            kind = join_kinds(kind, "any" if value is None else self.kind_of(value, target))
        self._kinds[target] = kind = "any" if kind == "never" else kind
        return kind

    def kind_of(self, expression: Expression, into: Target | None = None) -> Kind:
        """Return the kind of an expression's value; *into* is where an empty table goes."""
        match expression:
            case Constant(value=value):
                return "nil" if value is None else "boolean"
            case Number():
                return constant(expression.value).kind
            case String():
                return "string"
            case Table(fields=fields):
                if fields:
                    return "list" if fields[0].key is None else "object"
                return "list" if into is not None and self.is_list(into) else "object"
            case Paren(inner=inner):
                return self.kind_of(inner, into)
            case Unary(op="not"):
                return "boolean"
            case Unary(op="#"):
                return "integer"
            case Unary(op="-", operand=operand):
                return "integer" if self.kind_of(operand) in _INTEGERS else "number"
            case Binary():
                return self._binary_kind(expression)
            case Name():
                key = self._declared.get(id(expression))
                return "any" if key is None else self.kind_at((key, ()))
            case _:
                return "any"

    def _binary_kind(self, binary: Binary) -> Kind:
        if binary.op in _BOOLEANS:
            return "boolean"
        if binary.op == "..":
            return "string"
        if binary.op in ("+", "-", "*", "//", "%"):
            both = join_kinds(self.kind_of(binary.left), self.kind_of(binary.right))
            if both == "position" and binary.op in ("+", "*"):
                return "position"
            return "integer" if both in _INTEGERS else "number"
        if binary.op in ("and", "or"):
            return join_kinds(self.kind_of(binary.left), self.kind_of(binary.right))
        return "number"

    # ---- the walk

    def _function(self, function: Function, names: _Names) -> None:
        inner = dict(names)
        for parameter in function.parameters:
            self._declare(inner, parameter.name, parameter, None)
        self._body(function.body, inner)

    def _declare(self, names: _Names, name: str, node: Syntax, value: Expression | None) -> None:
        names[name] = key = id(node)
        self._values.setdefault((key, ()), []).append(value)

    def _body(self, body: tuple[Syntax, ...], names: _Names) -> _Names:
        names = dict(names)
        for statement in body:
            self._statement(statement, names)
        return names

    def _statement(self, statement: Syntax, names: _Names) -> None:
        match statement:
            case Local():
                self._expressions(statement.values, names)
                for i, local in enumerate(statement.names):
                    value = _value_at(statement.values, i)
                    self._declare(names, local.name, local, value)
                    if isinstance(value, Function):
                        self._local_functions[id(local)] = value
            case LocalFunction(name=name, function=function):
                self._declare(names, name.name, name, None)
                self._local_functions[id(name)] = function
                self._function(function, names)
            case Assignment():
                self._assignment(statement, names)
            case NumericFor():
                self._numeric_for(statement, names)
            case GenericFor():
                self._expressions(statement.values, names)
                inner = dict(names)
                for name in statement.names:
                    self._declare(inner, name.name, name, None)
                self._body(statement.body, inner)
            case Repeat():
                inner = self._body(statement.body, names)
                self._expressions((statement.condition,), inner)
            case _:
                self._other(statement, names)

    def _other(self, statement: Syntax, names: _Names) -> None:
        """Read a statement that declares nothing, and whose bodies are scopes of their own."""
        for name in ("condition", "call", "values", "arms", "function"):
            inner = getattr(statement, name, None)
            if isinstance(inner, Function):
                self._function(inner, names)
            elif isinstance(inner, Syntax):
                self._expressions((inner,), names)
            elif inner:
                for one in inner:
                    self._arm_or_expression(one, names)
        for name in ("body", "otherwise"):
            self._body(getattr(statement, name, None) or (), names)

    def _arm_or_expression(self, one: Syntax, names: _Names) -> None:
        condition = getattr(one, "condition", None)
        if condition is None:
            self._expressions((one,), names)
        else:
            self._expressions((condition,), names)
            self._body(getattr(one, "body", ()), names)

    def _numeric_for(self, statement: NumericFor, names: _Names) -> None:
        bounds = (statement.first, statement.last, statement.step)
        self._expressions(tuple(bound for bound in bounds if bound is not None), names)
        inner = dict(names)
        self._declare(inner, statement.variable.name, statement.variable, statement.first)
        if statement.step is not None:
            self._values[id(statement.variable), ()].append(statement.step)
        self._body(statement.body, inner)

    def _assignment(self, statement: Assignment, names: _Names) -> None:
        self._expressions(statement.values, names)
        self._expressions(statement.targets, names)
        for i, goal in enumerate(statement.targets):
            target = self.target_of(goal)
            if target is not None:
                value = _value_at(statement.values, i)
                self._values.setdefault(target, []).append(value)
                if not target[1]:
                    self._assigned.add(target[0])

    def _expressions(self, found: tuple[Syntax, ...], names: _Names) -> None:
        left = list(found)
        while left:
            piece = left.pop()
            match piece:
                case Function():
                    self._function(piece, names)
                    continue
                case Name():
                    if piece.name in names:
                        self._declared[id(piece)] = names[piece.name]
                    continue
                case _:
                    left += children(piece)
            # The names inside are resolved by now only if they are read first.
            self._use(piece, names)
            if isinstance(piece, Call) and piece.arguments:
                self._hand_over(piece, names)

    def _use(self, piece: Syntax, names: _Names) -> None:
        match piece:
            case Index(base=base, key=key):
                if isinstance(key, String):
                    self._note(base, names, self._objects)
                else:
                    self._note_key(base, key, names)
            case Unary(op="#", operand=operand):
                self._note(operand, names, self._lists)
            case Call(function=Name(name=name), arguments=(first, *_)) if name in _LIST_USES:
                self._note(first, names, self._lists)
            case Call(
                function=Index(base=Name(name="table"), key=String(value=name)),
                arguments=(first, *_),
            ) if name in _LIST_FUNCTIONS:
                self._note(first, names, self._lists)
            case _:
                pass

    def _hand_over(self, call: Call, names: _Names) -> None:
        """Let a table that is handed to a function be what that function takes it for."""
        function = self._called(call.function, names)
        if function is None:
            return
        for parameter, given in zip(function.parameters, call.arguments, strict=False):
            place = (id(parameter), ())
            if self.is_list(place):
                self._note(given, names, self._lists)
            elif place in self._objects:
                self._note(given, names, self._objects)

    def _called(self, e: Expression, names: _Names) -> Function | None:
        if isinstance(e, Name) and e.name in names:
            return self._local_functions.get(names[e.name])
        callee = None if self._reading is None else self._callee_of(self._reading, e)
        if callee is None:
            return None
        self.study(callee)
        return callee.function

    def _note(self, expression: Expression, names: _Names, into: set[Target]) -> None:
        self._resolve(expression, names)
        target = self.target_of(expression)
        if target is not None:
            into.add(target)

    def _note_key(self, base: Expression, key: Expression, names: _Names) -> None:
        self._resolve(base, names)
        target = self.target_of(base)
        if target is not None:
            self._indexed.setdefault(target, []).append(key)

    def _resolve(self, expression: Expression, names: _Names) -> None:
        while isinstance(expression, Index):
            expression = expression.base
        if isinstance(expression, Name) and expression.name in names:
            self._declared[id(expression)] = names[expression.name]


def _value_at(values: tuple[Expression, ...], i: int) -> Expression | None:
    """Return the expression that the i-th name gets; None where it comes out of a call."""
    if i < len(values):
        return values[i]
    if values and not isinstance(values[-1], (Constant, Number, String, Table)):
        return None
    return Constant(0, 0, 0, None)
