"""The flow under construction: nodes with their lines, slots, and what the parts share.

The parts of the lowering call each other through `Lowers`, and never import one another
in a circle.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from typing import Any, Protocol

from flowir.records import dataclass
from flowir.syntax import Call, Expression, Function, Method, Syntax
from swarm.errors import Place
from swarm.lua.lowering import ops
from swarm.lua.lowering.facts import Facts, Target
from swarm.lua.lowering.names import Callee, Outside, Scope, Slot, Through
from swarm.lua.lowering.ops import Op
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.values import Kind, Value

__all__ = ("CORNER", "Drafted", "Exit", "Frame", "Lowers", "Round", "Share", "Work")

# Where the locals of a flow live: a member of the context that no result shows.
CORNER = "__"
# How many nodes one flow may become; helpers that are inlined in helpers multiply.
_MOST_NODES = 20_000
_TEMP = re.compile(r"_[0-9]+")


@dataclass(frozen=True, slots=True)
class Share:
    """A table that a helper may hand back as it was given.

    Shape: `inside` is where in the answer; `source` the number of the argument, or the name
    of a table of the script; `below` means some table in it, else the argument itself.
    """

    inside: tuple[str, ...]
    source: int | str
    below: bool


@dataclass(slots=True, eq=False)
class Drafted:
    """A node under construction, or the end of some locals (`kind` "end").

    Shape: `fields` as on the wire, with Drafted nodes in the place of nodes. `edits` is
    the place of the table that an assignment changes, None where it makes a value anew;
    `moved`: its value is not reachable under another name afterwards. `through`: the
    change is made in that list too; `at_item`: it is made at the item that the loop over
    that list has just read. `shares`: what the answer of a helper's step has in common
    with what it was given.
    """

    kind: str
    where: Place
    implicit: bool
    fields: dict[str, Any]
    edits: str | None = None
    moved: bool = False
    through: Through | None = None
    at_item: Through | None = None
    shares: tuple[Share, ...] = ()


@dataclass(slots=True, eq=False)
class Exit:
    """A flag that says that control has left something, and who sets it."""

    place: str
    read: bool = False
    sets: list[Drafted] = field(default_factory=list[Drafted])


@dataclass(slots=True, eq=False)
class Round:
    """The loop around a statement; `label` is what a `goto` to its end is called."""

    label: str | None
    stop: Exit | None = None
    skip: Exit | None = None


@dataclass(slots=True, eq=False)
class Frame:
    """The function around a statement: how its `return` is answered.

    Shape: `result` is the place of the value, None for the flow's own function, whose
    value becomes the context; `exit` is there where a return must leave what is around it.
    """

    result: str | None = None
    exit: Exit | None = None
    main: bool = False


class Work:
    """What all parts share while one flow is lowered.

    Shape: `looped` are the places of tables that loops go over, with the loops' lines;
    `temps` are in use; of `most_temps` some were, in statements that have ended since;
    `scripts` the tables of the script that were read, by identity, with what they are
    called; `codes` are the codes of errors that the script can raise; `declared` the names
    of the blueprint's agents: a function does not hold those that it never names.
    """

    def __init__(self, file: str, sources: Mapping[str, str], rounds: int, facts: Facts) -> None:
        self.file = file
        self.sources = sources
        self.rounds = rounds
        self.facts = facts
        self.outside = Outside()
        self.nodes: list[Drafted] = []
        self.refused: list[tuple[Place, Refused]] = []
        self.agents: dict[str, dict[str, Any]] = {}
        self.codes: set[str] = set()
        self.declared: set[str] = set()
        self.looped: dict[str, int] = {}
        self.scripts: dict[int, tuple[str, ...]] = {}
        self.frames: list[Frame] = []
        self.loops: list[Round] = []
        self.calling: list[Function] = []
        self.lane = 0
        self.lanes = 0
        self.temps = 0
        self.most_temps = 0
        self._count = 0
        self._taken: set[str] = set()
        self._used: dict[str, int] = {}

    # ---- nodes

    def emit(self, kind: str, line: int, *, implicit: bool = False, **fields: Any) -> Drafted:
        """Add a node behind the last one."""
        self._count += 1
        if self._count > _MOST_NODES:
            hint = "call fewer functions that call agents from one another"
            raise Refused(line, f"the flow becomes more than {_MOST_NODES} nodes", hint)
        node = Drafted(kind, Place(self.file, line), implicit, fields)
        self.nodes.append(node)
        return node

    def assign(
        self,
        at: str,
        ir: Op,
        line: int,
        *,
        implicit: bool = False,
        edits: str | None = None,
        moved: bool = False,
    ) -> Drafted:
        """Add an assignment."""
        node = self.emit("assign", line, implicit=implicit, at=at, value=ir)
        node.edits, node.moved = edits, moved
        return node

    def end(self, places: list[str], line: int) -> None:
        """Say that locals are out of scope: nothing reaches their values by them."""
        if places:
            node = Drafted("end", Place(self.file, line), True, {"places": list(places)})
            self.nodes.append(node)

    @contextmanager
    def aside(self) -> Generator[list[Drafted]]:
        """Collect what is emitted inside, instead of adding it."""
        outer, self.nodes = self.nodes, []
        inner = self.nodes
        try:
            yield inner
        finally:
            self.nodes = outer

    def body(self, nodes: list[Drafted], line: int) -> Drafted:
        """Make one node of several."""
        if len(nodes) == 1 and nodes[0].kind != "end":
            return nodes[0]
        return Drafted("seq", Place(self.file, line), True, {"children": nodes})

    @contextmanager
    def inside(self, file: str) -> Generator[None]:
        """Let lines be those of *file*."""
        outer, self.file = self.file, file
        try:
            yield
        finally:
            self.file = outer

    # ---- places in the corner

    def slot(self, name: str, scope: Scope | None = None) -> str:
        """Make a place of its own for a local, named after it."""
        if _TEMP.fullmatch(name):
            name = f"local{name}"
        count = self._used.get(name, 0) + 1
        while (unique := name if count == 1 else f"{name}_{count}") in self._taken:
            count += 1
        self._used[name] = count
        self._taken.add(unique)
        at = ops.place(CORNER, unique)
        if scope is not None:
            scope.slots.append(at)
        return at

    def declare(self, scope: Scope, name: str, kind: Kind = "any", key: int = 0) -> str:
        """Make a local and bring its name into scope."""
        at = self.slot(name, scope)
        self.bind(scope, name, at, kind, key)
        return at

    def bind(self, scope: Scope, name: str, at: str, kind: Kind, key: int) -> None:
        """Bring the name of a local into scope."""
        scope.names[name] = Slot(at, self.lane, kind, key)

    def temp(self) -> str:
        """Make a place for a value that lives until its statement ends."""
        self.temps += 1
        self.most_temps = max(self.most_temps, self.temps)
        return ops.place(CORNER, f"_{self.temps}")

    def keep(self, value: Value, line: int) -> Value:
        """Put a value away now, so that it may be read later, and more than once."""
        if value.literal:
            return value
        at = self.temp()
        self.assign(at, value.ir, line, implicit=True)
        return Value(ops.path(at), value.kind, quiet=True)

    def exit(self, name: str) -> Exit:
        """Make a flag."""
        return Exit(self.slot(name))


class Lowers(Protocol):
    """What the parts of the lowering ask of each other."""

    @property
    def work(self) -> Work:
        """What all parts share."""
        ...

    def value(self, e: Expression, scope: Scope, into: Target | None = None) -> Value:
        """Lower an expression; *into* is where an empty table would go."""
        ...

    def values(
        self, es: tuple[Expression, ...], scope: Scope, goals: Sequence[Target | None] = ()
    ) -> list[Value]:
        """Lower expressions that are evaluated one after the other; *goals* as for one."""
        ...

    def condition(self, e: Expression, scope: Scope) -> Op:
        """Lower an expression that is asked for its truth only, to a boolean."""
        ...

    def call(self, e: Call | Method, scope: Scope, into: str | None, *, used: bool) -> Value | None:
        """Lower a call; None where its value was written to *into*, or is not *used*."""
        ...

    def store(
        self, at: str, e: Expression, scope: Scope, line: int, goal: Target | None = None
    ) -> None:
        """Lower an expression into a place; *goal* is what the text says of that place."""
        ...

    def function_body(self, body: tuple[Syntax, ...], scope: Scope, frame: Frame) -> None:
        """Lower the statements of a function."""
        ...

    def by_lua(self, name: str, values: list[Value], line: int) -> Value:
        """Let a function or operator of Lua be computed by an implicit step."""
        ...

    def block(self, body: tuple[Syntax, ...], scope: Scope) -> set[Exit]:
        """Lower the whole body of a loop; return the flags it may set."""
        ...

    def inline(
        self,
        callee: Callee,
        arguments: list[Value | Expression],
        scope: Scope,
        line: int,
        into: str | None,
    ) -> Value | None:
        """Lower a function's body in the place of its call."""
        ...
