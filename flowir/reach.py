"""Which reads of the context find nothing, because nothing can have written there.

One walk in program order keeps a tree of the places that may exist. What a node writes
is added and never taken away again, except where the language does: one side of a
branch does not see the other, a lane's writes end with it, a catch begins where its
body began. A loop's body sees all that it writes itself: its own last iteration's. A
read that the tree does not hold is certain to fail if it is ever evaluated.

A guard counts: below `exists` and `default` nothing is reported, nor behind a condition
that has tested the same path.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, cast

from flowir.errors import FlowError, Problem
from flowir.nodes import (
    OP_FIELDS,
    Assign,
    Branch,
    Expr,
    Fanout,
    Flow,
    Loop,
    Node,
    Seq,
    Step,
    Try,
)
from flowir.path import Path, Segment, format_path, parse_path
from flowir.report import member, nearest, type_of

__all__ = ("unwritten",)

# What a write leaves below its place: the members by name (none below a scalar), or None
# where anything may be.
Shape = dict[str, "Shape"] | None

_ERROR: Shape = dict.fromkeys(
    ("code", "cause_code", "message", "at", "step", "attempt", "data"), None
)
_SCALAR: Shape = {}
# What these give may have members; what the other ops give is a boolean, number or text.
_ANYTHING = frozenset(
    ["path", "array", "map", "filter", "default", "if", "get", "call_extern", "fail"]
)
_MISSING = FlowError("path.missing", "")
# Where a schema has one of these, its properties are not all that may be there.
_OPEN_WORDS = frozenset(
    [
        "$ref",
        "$dynamicRef",
        "allOf",
        "anyOf",
        "oneOf",
        "if",
        "patternProperties",
        "dependentSchemas",
    ]
)


def unwritten(flow: Flow, inputs: Mapping[str, Any] | None) -> list[Problem]:
    """Report every read of a path that nothing can have written (`path.unwritten`).

    Shape: *inputs* is the JSON Schema of the first context; without one, a member of the
    context that is read before anything writes it is taken to come from there.
    """
    judge = _Judge()
    if inputs is not None:
        judge.tree.fill_schema(judge.tree.root, inputs, top=True)
    else:
        survey = _Survey()
        survey.visit(flow.root, "$")
        for segment in survey.given:
            judge.tree.put((segment,), None)
    judge.visit(flow.root, "$")
    return judge.problems


class _Place:
    """A place that may exist; `open`: so may anything below it."""

    __slots__ = ("members", "open")

    def __init__(self) -> None:
        self.members: dict[str, _Place] = {}
        self.open = False


class _Tree:
    """The places that may exist now, and how to take back what was added last."""

    def __init__(self) -> None:
        self.root = _Place()
        self._added: list[tuple[_Place, str | None]] = []

    def put(self, segments: tuple[Segment, ...], shape: Shape) -> None:
        here = self.root
        for segment in segments:
            if isinstance(segment, int):
                self._open(here)
                return
            here = self._member(here, segment)
        self._fill(here, shape)

    def find(self, segments: tuple[Segment, ...]) -> tuple[int, _Place] | None:
        """Return where a read leaves the tree, and the place there; None if it does not."""
        here = self.root
        for depth, segment in enumerate(segments):
            if here.open:
                return None
            inner = here.members.get(segment) if isinstance(segment, str) else None
            if inner is None:
                return depth, here
            here = inner
        return None

    def mark(self) -> int:
        return len(self._added)

    def take_back(self, mark: int) -> None:
        while len(self._added) > mark:
            place, name = self._added.pop()
            if name is None:
                place.open = False
            else:
                del place.members[name]

    def fill_schema(self, here: _Place, schema: Any, *, top: bool = False) -> None:
        """Add what a JSON Schema lets a value have: its properties if it names them all."""
        words = _object(schema)
        properties = _object(words.get("properties", {})) if words is not None else None
        if words is None or properties is None or _OPEN_WORDS & words.keys():
            self._open(here)
            return
        rest = words.get("additionalProperties", not top)
        types: Any = words.get("type", "object")
        kinds: list[Any] = types if type_of(types) is list else [types]
        if "array" in kinds or ("object" in kinds and rest is not False):
            self._open(here)
        for name, inner in properties.items():
            self.fill_schema(self._member(here, name), inner)

    def _fill(self, here: _Place, shape: Shape) -> None:
        if shape is None:
            self._open(here)
        else:
            for name, inner in shape.items():
                self._fill(self._member(here, name), inner)

    def _open(self, place: _Place) -> None:
        if not place.open:
            place.open = True
            self._added.append((place, None))

    def _member(self, place: _Place, name: str) -> _Place:
        found = place.members.get(name)
        if found is None:
            found = place.members[name] = _Place()
            self._added.append((place, name))
        return found


_Write = tuple[tuple[Segment, ...], Shape]


class _Walk(ABC):
    """The program order of reads and writes; what they mean is told by two subclasses."""

    looks_ahead = True  # a loop's body sees the writes of its last iteration

    def __init__(self) -> None:
        self.tree = _Tree()
        self._writes: list[_Write] = []
        self._tolerated = 0  # reads whose failure the flow expects
        self._only_writes = False
        self._ahead = False  # the writes of a loop around this have been added

    @abstractmethod
    def read(self, path: Path, at: str) -> None:
        """Meet a read of the context by the expression at a place."""

    def write(self, path: Path | None, shape: Shape) -> None:
        if path is not None:
            self._writes.append((path.segments, shape))
            self.tree.put(path.segments, shape)

    def visit(self, node: Node, at: str) -> None:
        match node:
            case Step():
                self.expr(node.in_, f"{at}.in")
                self.write(node.out, None)
            case Assign():
                self.expr(node.value, f"{at}.value")
                self.write(node.at, _shape_of(node.value))
            case Seq():
                for i, child in enumerate(node.children):
                    self.visit(child, f"{at}.children[{i}]")
            case Branch():
                self._branch(node, at)
            case Loop():
                self._loop(node, at)
            case Fanout():
                self._fanout(node, at)
            case _:
                self._try(node, at)

    def _branch(self, node: Branch, at: str) -> None:
        self.expr(node.cond, f"{at}.cond")
        written = self._side(node.cond, True, node.then, f"{at}.then")
        if node.else_ is not None:
            written += self._side(node.cond, False, node.else_, f"{at}.else")
        self._redo(written)

    def _side(self, cond: Expr, holds: bool, node: Node, at: str) -> list[_Write]:
        mark = self._mark()
        self._assume(cond, holds)
        self.visit(node, at)
        return self._undo(mark)

    def _loop(self, node: Loop, at: str) -> None:
        self.write(node.counter, _SCALAR)
        was = self._ahead
        if self.looks_ahead and not was and not self._only_writes:
            self._only_writes = True
            self.visit(node.body, f"{at}.body")
            self._only_writes = False
            self._ahead = True
        self.expr(node.cond, f"{at}.cond")
        self._redo(self._side(node.cond, True, node.body, f"{at}.body"))
        self._ahead = was
        self.write(node.exhausted_at, _SCALAR)

    def _fanout(self, node: Fanout, at: str) -> None:
        self.expr(node.items, f"{at}.items")
        for name in ("limit", "quorum"):
            count: int | Expr | None = getattr(node, name)
            if count is not None and not isinstance(count, int):
                self.expr(count, f"{at}.{name}")
        if not self._only_writes:
            self._lane(node, at)
        self.write(node.out, None)

    def _lane(self, node: Fanout, at: str) -> None:
        mark, was = self._mark(), self._ahead
        self._ahead = False
        self.write(node.bind, None)
        self.write(node.index, _SCALAR)
        self.visit(node.body, f"{at}.body")
        if node.collect is not None:
            self.expr(node.collect, f"{at}.collect")
        self._ahead = was
        self._undo(mark)

    def _try(self, node: Try, at: str) -> None:
        expected = any(map(_MISSING.matches, node.on or ()))
        mark = self._mark()
        self._tolerated += expected
        self.visit(node.body, f"{at}.body")
        self._tolerated -= expected
        written = self._undo(mark) if node.restore else []
        self.write(node.err_at, _SCALAR)
        self.write(node.error_at, _ERROR)
        self.visit(node.catch, f"{at}.catch")
        self._redo(written)
        if node.finally_ is not None:
            self.visit(node.finally_, f"{at}.finally")

    def expr(self, expr: Expr, at: str) -> None:
        if self._only_writes:
            return
        match expr["op"]:
            case "path":
                path = parse_path(expr["at"])
                if path.root is None:
                    self.read(path, at)
            case "exists":
                self._tolerate(expr["arg"], f"{at}.arg")
            case "default":
                self._tolerate(expr["arg"], f"{at}.arg")
                self.expr(expr["fallback"], f"{at}.fallback")
            case "and" | "or" as op:
                mark = self._mark()
                for i, arg in enumerate(expr["args"]):
                    self.expr(arg, f"{at}.args[{i}]")
                    self._assume(arg, op == "and")
                self._undo(mark)
            case "if":
                self.expr(expr["cond"], f"{at}.cond")
                for side in ("then", "else"):
                    mark = self._mark()
                    self._assume(expr["cond"], side == "then")
                    self.expr(expr[side], f"{at}.{side}")
                    self._undo(mark)
            case op:
                self._operands(op, expr, at)

    def _operands(self, op: str, expr: Expr, at: str) -> None:
        for name, spec in OP_FIELDS[op].items():
            if name not in expr:
                continue
            field = expr[name]
            if spec.type == "expr":
                self.expr(field, f"{at}.{name}")
            elif spec.type == "exprs":
                for i, inner in enumerate(field):
                    self.expr(inner, f"{at}.{name}[{i}]")
            elif spec.type == "fields":
                for key, inner in field.items():
                    self.expr(inner, f"{at}.{name}{member(key)}")

    def _tolerate(self, expr: Expr, at: str) -> None:
        self._tolerated += 1
        self.expr(expr, at)
        self._tolerated -= 1

    def _assume(self, cond: Expr, holds: bool) -> None:
        """Add the paths that must exist where *cond* has come out true, or false."""
        match cond["op"]:
            case "exists" if holds and cond["arg"]["op"] == "path":
                path = parse_path(cond["arg"]["at"])
                if path.root is None:
                    self.tree.put(path.segments, None)
            case "not":
                self._assume(cond["arg"], not holds)
            case "and" | "or" as op if holds is (op == "and"):
                for arg in cond["args"]:
                    self._assume(arg, holds)
            case _:
                return

    def _mark(self) -> tuple[int, int]:
        return self.tree.mark(), len(self._writes)

    def _undo(self, mark: tuple[int, int]) -> list[_Write]:
        """Take back what was added since *mark*, and return what of it was written."""
        self.tree.take_back(mark[0])
        written = self._writes[mark[1] :]
        del self._writes[mark[1] :]
        return written

    def _redo(self, written: Iterable[_Write]) -> None:
        for segments, shape in written:
            self._writes.append((segments, shape))
            self.tree.put(segments, shape)


class _Survey(_Walk):
    """Finds the members of the context that are read before anything writes them."""

    looks_ahead = False

    def __init__(self) -> None:
        super().__init__()
        self.given: set[Segment] = set()
        self._written: set[Segment] = set()

    def read(self, path: Path, at: str) -> None:
        self.given.update({*path.segments[:1]} - self._written)

    def write(self, path: Path | None, shape: Shape) -> None:
        if path is not None:
            if any(isinstance(segment, int) for segment in path.segments):
                # No write makes a list: it was there for its item to be written.
                self.given.update({*path.segments[:1]} - self._written)
            self._written.update(path.segments[:1] or (shape or ()))

    def _branch(self, node: Branch, at: str) -> None:
        """See neither side from the other: who reads there may mean what was given."""
        self.expr(node.cond, f"{at}.cond")
        before = set(self._written)
        self.visit(node.then, f"{at}.then")
        if node.else_ is not None:
            then, self._written = self._written, before
            self.visit(node.else_, f"{at}.else")
            self._written |= then


class _Judge(_Walk):
    """Reports the reads that find nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[Problem] = []

    def read(self, path: Path, at: str) -> None:
        found = None if self._tolerated else self.tree.find(path.segments)
        if found is None:
            return
        depth, place = found
        above = format_path(Path(path.segments[:depth]))
        message = f"expected a path that something can have written, got {format_path(path)!r}"
        segment = path.segments[depth]
        near = nearest(segment, place.members) if isinstance(segment, str) else None
        hint = near or f"nothing before it writes {above}{_step(segment)}"
        self.problems.append(Problem("path.unwritten", at, message, hint))


def _object(value: Any) -> Mapping[str, Any] | None:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def _step(segment: Segment) -> str:
    return format_path(Path((segment,)))[1:]


def _shape_of(expr: Expr) -> Shape:
    match expr["op"]:
        case "lit":
            return _shape_of_value(expr["value"])
        case "object":
            return {name: _shape_of(inner) for name, inner in expr["fields"].items()}
        case op:
            return None if op in _ANYTHING else _SCALAR


def _shape_of_value(value: Any) -> Shape:
    kind = type_of(value)
    if kind is list:
        return None
    if kind is dict:
        return {name: _shape_of_value(inner) for name, inner in value.items()}
    return _SCALAR
