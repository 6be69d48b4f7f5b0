"""What a name stands for while a flow function is lowered, by Lua's lexical scope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TypeAlias

from flowir.records import dataclass
from flowir.report import near
from flowir.syntax import Function
from swarm.lua.lowering.known import (
    Agent,
    Closure,
    Constant,
    File,
    Known,
    Library,
    Members,
    Opaque,
)
from swarm.lua.lowering.ops import Op
from swarm.lua.lowering.values import Kind, Value

__all__ = ("Binding", "Callee", "Context", "Outside", "Scope", "Slot", "Through")


@dataclass(frozen=True, slots=True)
class Context:
    """The run's context, under whatever name the function gives it."""


@dataclass(frozen=True, slots=True)
class Through:
    """The table whose item a loop's variable is: writes into the item go there as well.

    Shape: `place` is the table's, `copy` the place from which the loop reads. `index` is
    the item's, from zero; `name`, where the table may be no list, the item's name or
    position, and `named` says that it is a name for sure.
    """

    place: str
    copy: str
    index: Op
    name: Op | None = None
    named: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """A local: its place in the corner, the lane that owns it, and what it holds.

    `key` tells the declaration, for `facts`; 0 where there is none. `through`: it is the
    item of a loop that writes into it; `at_item`: it is where that item stands. `inside`:
    it is a parameter that stands for a field of a table, which may be missing.
    """

    place: str
    lane: int
    kind: Kind = "any"
    key: int = 0
    through: Through | None = None
    at_item: Through | None = None
    inside: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Callee:
    """A function, and the scope in which its outer names are looked up."""

    name: str
    file: str
    function: Function
    scope: Scope


Binding: TypeAlias = (
    Context | Slot | Value | Callee | Agent | Constant | File | Library | Members | Opaque
)


@dataclass(slots=True, eq=False)
class Scope:
    """Names to what they stand for; `slots` are the places that end with it."""

    parent: Scope | None = None
    names: dict[str, Binding] = field(default_factory=dict[str, "Binding"])
    slots: list[str] = field(default_factory=list[str])

    def find(self, name: str) -> Binding | None:
        """Look a name up, from the inside out."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(name)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def near(self, name: str) -> str | None:
        """Return the name that may be looked up here and that *name* was probably meant for."""
        known: set[str] = set()
        scope: Scope | None = self
        while scope is not None:
            known |= scope.names.keys()
            scope = scope.parent
        return near(name, sorted(known))

    def as_it_is(self) -> Scope:
        """Return the scope as a function that is declared now sees it, whatever comes later."""
        return Scope(self.parent, dict(self.names), self.slots)


class Outside:
    """The scopes of closures: each is made once, so that a function is known by itself."""

    def __init__(self) -> None:
        self._callees: dict[int, Callee] = {}

    def callee(self, closure: Closure) -> Callee:
        """Return the closure as what may be called."""
        known = self._callees.get(id(closure))
        if known is None:
            scope = Scope()
            known = Callee(closure.name, closure.file, closure.function, scope)
            self._callees[id(closure)] = known
            scope.names |= self.bindings(closure.outer)
        return known

    def bindings(self, outer: Mapping[str, Known]) -> dict[str, Binding]:
        """Return what outer names stand for."""
        return {name: self.binding(known) for name, known in outer.items()}

    def binding(self, known: Known) -> Binding:
        """Return what one outer value stands for."""
        return self.callee(known) if isinstance(known, Closure) else known
