"""What a flow function sees of its script: agents, constants, functions, tables of them.

The author runtime tells it as plain data: which functions the flow function closes over,
by file and lines, and what their outer names stood for when the blueprint was made. Here
each is found again in the source, as a tree.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import field
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

from flowir.records import dataclass
from flowir.syntax import Constant as SyntaxConstant
from flowir.syntax import Field, Function, Number, String, Syntax, Unary
from swarm.lua.lowering.free import free_names, outer_locals
from swarm.lua.lowering.refusal import Refused
from swarm.lua.syntax import Chunk, FunctionStatement, Local, children, parse_lua, walk

__all__ = (
    "Agent",
    "Closure",
    "Constant",
    "File",
    "Known",
    "Library",
    "Members",
    "Opaque",
    "read_closures",
)


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent, by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """A plain value, of JSON."""

    value: Any


@dataclass(frozen=True, slots=True)
class File:
    """The text of a file, which is put in when the blueprint is compiled."""

    path: str


@dataclass(frozen=True, slots=True)
class Library:
    """A function that every script has: `string.format`, `pcall`, `flow.sleep`."""

    name: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """What no flow can use: `what` says what it is."""

    what: str


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """A table that holds more than plain values."""

    members: Mapping[Any, Known]


@dataclass(slots=True, eq=False)
class Closure:
    """A function of the script, and what its outer names stand for."""

    name: str
    file: str
    function: Function
    outer: dict[str, Known] = field(default_factory=dict[str, "Known"])


Known: TypeAlias = Agent | Constant | File | Library | Opaque | Members | Closure


def read_closures(told: Mapping[str, Any], sources: Mapping[str, str]) -> Closure:
    """Return the flow function as the runtime told it.

    Raises: Refused, where a function cannot be told from another on its lines.
    """
    return _Reader(told, sources).closure(told["root"], "flow")


class _Reader:
    def __init__(self, told: Mapping[str, Any], sources: Mapping[str, str]) -> None:
        self._told = told
        self._sources = sources
        self._chunks: dict[str, _Functions] = {}
        self._closures: dict[int, Closure] = {}
        self._tables: dict[int, Known] = {}
        # Tables being read, one within the other: behind the last function that was met, and
        # all of them, with what stands for those that one of their own functions sees.
        self._within: list[int] = []
        self._begun: dict[int, dict[Any, Known]] = {}
        self._globals: dict[str, Known] | None = None

    def closure(self, number: int, name: str) -> Closure:
        known = self._closures.get(number)
        if known is not None:
            return known
        told = self._told["functions"][number - 1]
        file = told["file"]
        function = self._functions(file).find(told, is_flow=number == self._told["root"])
        closure = self._closures[number] = Closure(name, file, function)
        within, self._within = self._within, []
        closure.outer |= self._outer(told["names"])
        taken = {one["name"] for one in told["names"]}
        closure.outer |= self._functions(file).folded(function, taken)
        self._within = within
        return closure

    def _outer(self, names: Any) -> dict[str, Known]:
        known = {one["name"]: self._known(one["value"], one["name"]) for one in names}
        return self._script_globals() | known

    def _script_globals(self) -> dict[str, Known]:
        """Return the globals that the script set."""
        if self._globals is None:
            found = self._globals = {}
            for one in self._told["globals"]:
                found[one["name"]] = self._known(one["value"], one["name"])
        return self._globals

    def _known(self, told: Mapping[str, Any], name: str) -> Known:
        match told["is"]:
            case "agent":
                return Agent(told["name"])
            case "constant":
                return Constant(told.get("value"))
            case "file":
                return File(told["path"])
            case "library":
                return Library(told["name"])
            case "function":
                if told["file"] not in self._sources:
                    return Opaque("a function of the standard library")
                if self._is_method(told["number"]):
                    return Opaque("a method")
                return self.closure(told["number"], name)
            case "table":
                return self._table(told["number"])
            case _:
                return Opaque(told["what"])

    def _is_method(self, number: int) -> bool:
        told = self._told["functions"][number - 1]
        return self._functions(told["file"]).is_method(told)

    def _table(self, number: int) -> Known:
        if number in self._within:
            return Opaque("a table that holds itself")
        if number in self._tables:
            return self._tables[number]
        if number in self._begun:  # a module's function sees its module
            return self._tables.setdefault(number, Members(self._begun[number]))
        members = self._begun[number] = {}
        self._within.append(number)
        for one in self._told["tables"][number - 1]:
            members[one["key"]] = self._known(one["value"], str(one["key"]))
        self._within.pop()
        known = self._tables.get(number) or _plain(members) or Members(members)
        self._tables[number] = known
        return known

    def _functions(self, file: str) -> _Functions:
        found = self._chunks.get(file)
        if found is None:
            found = self._chunks[file] = _read(self._sources[file], file)
        return found


@lru_cache(maxsize=8)
def _read(source: str, file: str) -> _Functions:
    return _Functions(source, parse_lua(source, file=file))


def _plain(members: Mapping[Any, Known]) -> Constant | None:
    """Return a table of plain values as one, if JSON has it."""
    values = {key: one.value for key, one in members.items() if isinstance(one, Constant)}
    if len(values) != len(members):
        return None
    if values and all(key in values for key in range(1, len(values) + 1)):
        return Constant([values[i + 1] for i in range(len(values))])
    if all(isinstance(key, str) for key in values):
        return Constant(values)
    return None


def _folded(e: Syntax) -> Constant | None:
    """Return the value of an expression that Lua computes while it compiles, if it is plain."""
    match e:
        case Number(value=value) if math.isfinite(value):
            return Constant(value)
        case Unary(op="-", operand=Number(value=value)) if math.isfinite(value):
            return Constant(-value)
        case String(value=text) if not any("\ud800" <= c <= "\udfff" for c in text):
            return Constant(text)
        case SyntaxConstant(value=value):
            return Constant(value)
        case _:
            return None


class _Functions:
    """The functions of one source, by their lines."""

    def __init__(self, source: str, chunk: Chunk) -> None:
        self._source = source
        self._chunk = chunk

    @cached_property
    def _at(self) -> dict[tuple[int, int], list[Function]]:
        found: dict[tuple[int, int], list[Function]] = {}
        left: list[Any] = [self._chunk]
        while left:
            piece = left.pop()
            if isinstance(piece, Function):
                found.setdefault((piece.line, piece.end_line), []).append(piece)
            left += children(piece)
        return found

    @cached_property
    def _flows(self) -> set[int]:
        """The functions that are written as `flow = function …`."""
        fields = (piece for piece in walk(self._chunk) if isinstance(piece, Field))
        return {
            id(one.value)
            for one in fields
            if isinstance(one.key, String) and one.key.value == "flow"
        }

    @cached_property
    def _takes(self) -> dict[int, frozenset[str]]:
        return outer_locals(self._chunk.body)

    @cached_property
    def _constants(self) -> dict[str, list[tuple[int, Constant]]]:
        """The chunk's own `local n <const> = 3`, and where each ends, by name."""
        found: dict[str, list[tuple[int, Constant]]] = {}
        for one in self._chunk.body:
            if isinstance(one, Local) and one.names[-1].attribute == "const":
                value = _folded(one.values[-1]) if len(one.values) == len(one.names) else None
                if value is not None:
                    found.setdefault(one.names[-1].name, []).append((one.end, value))
        return found

    def folded(self, function: Function, taken: Collection[str]) -> dict[str, Known]:
        """Return the constants that Lua put in their places; *taken* are names closed over."""
        found: dict[str, Known] = {}
        for name in free_names(function):
            above = [v for end, v in self._constants.get(name, ()) if end <= function.start]
            if above and name not in taken:
                found[name] = above[-1]
        return found

    @cached_property
    def _methods(self) -> set[int]:
        """The functions that are written as `function t:name() …`, which have a `self`."""
        written = (one for one in walk(self._chunk) if isinstance(one, FunctionStatement))
        return {id(one.function) for one in written if one.method is not None}

    def is_method(self, told: Mapping[str, Any]) -> bool:
        """Tell whether a function is a method; of several on its lines, if all are."""
        found = self._at.get((told["line"], told["last"]), [])
        return bool(found) and all(id(one) in self._methods for one in found)

    def find(self, told: Mapping[str, Any], *, is_flow: bool) -> Function:
        """Find the function; several on the same lines must be the same text."""
        line, last = told["line"], told["last"]
        found = self._at.get((line, last), [])
        if len(found) > 1:
            names: frozenset[str] = frozenset(one["name"] for one in told["names"])
            found = [f for f in found if self._takes[id(f)] - self._constants.keys() == names]
        shape = (told["parameters"], told["varargs"])
        found = [f for f in found if self._shape(f) == shape]
        if is_flow and len(found) > 1:
            found = [f for f in found if id(f) in self._flows] or found
        texts = {self._source[f.start : f.end] for f in found}
        if len(texts) == 1:
            return found[0]
        why = "several functions begin and end on these lines" if found else "no function is here"
        raise Refused(line, why, "give each function lines of its own")

    @staticmethod
    def _shape(function: Function) -> tuple[int, bool]:
        return len(function.parameters), function.varargs
