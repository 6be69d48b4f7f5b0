"""Functions that only compute: what they may see, and the Lua step that runs them.

Such a function may be any Lua, as long as it looks at its arguments, at constants, at
the safe library and at others of its kind. Its step is implicit: no agent is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from flowir.syntax import (
    Binary,
    Call,
    Expression,
    Function,
    Paren,
    Syntax,
)
from swarm.lua.lowering import known, ops
from swarm.lua.lowering.access import ANY
from swarm.lua.lowering.free import changed_tables, free_names, root_of, writes_outside
from swarm.lua.lowering.globals import PURE
from swarm.lua.lowering.handed import handed_back
from swarm.lua.lowering.luatext import PRELUDE, RAISING, SEVERAL, lua_literal
from swarm.lua.lowering.names import Binding, Callee
from swarm.lua.lowering.raising import raise_again
from swarm.lua.lowering.refusal import Refused
from swarm.lua.lowering.values import Value
from swarm.lua.lowering.work import Lowers, Share
from swarm.lua.syntax import GenericFor, Local, walk

__all__ = (
    "PREFIX",
    "by_helper",
    "by_lua",
    "computes_only",
    "matches_by_lua",
    "several_by_helper",
    "several_by_lua",
    "sorted_by",
)

# Agents of this name are no author's: they are the flow's own arithmetic.
PREFIX = "plain."
_LONGEST = 56  # of the 63 that a name may have: a number may follow
_HEAD = re.compile(r"function\s*[\w.:\s]*\(")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RAISES = frozenset({"assert", "error"})
_OPERATORS = {
    "^": ("power", "{} ^ {}"),
    "&": ("bits_and", "{} & {}"),
    "|": ("bits_or", "{} | {}"),
    "~": ("bits_xor", "{} ~ {}"),
    "<<": ("shift_left", "{} << {}"),
    ">>": ("shift_right", "{} >> {}"),
}


# ---- does it only compute?


def computes_only(low: Lowers, callee: Callee) -> bool:
    """Tell whether a function looks at nothing but its arguments and constants."""
    return _computes(low, callee, set())


def _computes(low: Lowers, callee: Callee, seen: set[int]) -> bool:
    function = callee.function
    if id(function) in seen:
        return True
    seen.add(id(function))
    if writes_outside(function) or _changes_arguments(function):
        return False
    return all(_is_pure(low, name, callee, seen) for name in free_names(function))


def _is_pure(low: Lowers, name: str, callee: Callee, seen: set[int]) -> bool:
    bound = callee.scope.find(name)
    return name in PURE if bound is None else _may_see(low, bound, seen)


def _may_see(low: Lowers, bound: Binding, seen: set[int]) -> bool:
    match bound:
        case known.Constant():
            return True
        case known.Library(name=name):
            return name.split(".")[0] in PURE
        case Callee() as callee:
            return _computes(low, callee, seen)
        case known.Members(members=members):
            if id(bound) in seen:
                return True
            seen.add(id(bound))
            inner = [low.work.outside.binding(one) for one in members.values()]
            return all(_may_see(low, one, seen) for one in inner)
        case _:
            return False


def _changes_arguments(function: Function) -> bool:
    """Tell whether a function may change a table that its caller goes on using."""
    given = {parameter.name for parameter in function.parameters}
    pieces = [piece for one in function.body for piece in walk(one)]
    for piece in pieces:
        given |= set(_taken_from(piece, given))
    return any(root_of(changed) in given for piece in pieces for changed in changed_tables(piece))


def _taken_from(piece: Syntax, given: set[str]) -> Iterator[str]:
    """Yield the locals that a piece makes another name of something given."""
    if isinstance(piece, Local):
        for name, value in zip(piece.names, piece.values, strict=False):
            if any(root_of(one) in given for one in _alternatives(value)):
                yield name.name
    elif isinstance(piece, GenericFor):
        call = piece.values[0]
        over = call.arguments if isinstance(call, Call) else ()
        if any(root_of(one) in given for one in over):
            yield piece.names[-1].name


def _alternatives(e: Expression) -> Iterator[Expression]:
    match e:
        case Binary(op="and" | "or", left=left, right=right):
            yield from _alternatives(left)
            yield from _alternatives(right)
        case Paren(inner=inner):
            yield from _alternatives(inner)
        case _:
            yield e


# ---- the step


def by_helper(low: Lowers, callee: Callee, values: list[Value], line: int) -> Value:
    """Call a function in an implicit step of Lua."""
    return _helped(low, callee, values, line, None)


def several_by_helper(
    low: Lowers, callee: Callee, values: list[Value], line: int, count: int
) -> list[Value]:
    """Call a function that gives *count* results."""
    return _items(_helped(low, callee, values, line, count), count)


def _items(listed: Value, count: int) -> list[Value]:
    return [Value(ops.get(listed.ir, ops.lit(i))) for i in range(count)]


def _helped(
    low: Lowers,
    callee: Callee,
    values: list[Value],
    line: int,
    count: int | None,
    around: str | None = None,
) -> Value:
    """Call a function; or *around*, which takes it as its first argument."""
    text = _Text(low, line)
    name = text.function(callee)
    given = f"__unpack(__given, 1, {len(values)})"
    called, parts = name, [PRELUDE]
    if around is not None:
        called = f"(function(...) return {around}({name}, ...) end)"
    if count is not None:
        parts.append(SEVERAL)
        called = f"(function(...) return __several({count}, {name}(...)) end)"
    results = handed_back(callee)
    if not text.raises:
        source = "\n".join([*parts, *text.lines, f"return ({called}({given}))"])
        found = _step(low, name, source, values, line)
        low.work.nodes[-1].shares = _shared(results, count, ())
        return found
    source = "\n".join([*parts, RAISING, *text.lines, f"return __outcome({called}, {given})"])
    outcome = _step(low, name, source, values, line)
    low.work.nodes[-1].shares = _shared(results, count, ("value",))
    _raise_its_error(low, outcome, line)
    return Value(ops.get(outcome.ir, ops.lit("value")), quiet=True)


def _shared(
    results: list[tuple[Share, ...]], count: int | None, inside: tuple[str, ...]
) -> tuple[Share, ...]:
    """Return what an answer shares with what was given: the first result, or all in a list."""
    if count is None:
        return tuple(replace(one, inside=(*inside, *one.inside)) for one in results[0])
    shares = (one for shares in results for one in shares)
    return tuple(replace(one, inside=(*inside, ANY, *one.inside)) for one in shares)


def _raise_its_error(low: Lowers, outcome: Value, line: int) -> None:
    work = low.work
    with work.aside() as nodes:
        work.assign("$", raise_again(low, outcome, line), line, implicit=True)
    failed = ops.exists(ops.get(outcome.ir, ops.lit("code")))
    work.emit("branch", line, implicit=True, cond=failed, then=work.body(nodes, line))


def by_lua(low: Lowers, name: str, values: list[Value], line: int) -> Value:
    """Compute a function or operator of Lua's in an implicit step."""
    if name in _OPERATORS and len(values) == 2:
        called, form = _OPERATORS[name]
        result = form.format("__given[1]", "__given[2]")
    elif name == "~":
        called, result = "bits_not", "~__given[1]"
    else:
        called, result = _library_call(name, len(values))
    source = f"{PRELUDE}\nreturn ({result})"
    return _step(low, called, source, values, line)


def _library_call(name: str, count: int) -> tuple[str, str]:
    """Write the call of a function of the library, or of a method of a text, as `:sub`."""
    if name[0] == ":":
        return f"string.{name[1:]}", f"__given[1]{name}(__unpack(__given, 2, {count}))"
    return name, f"{name}(__unpack(__given, 1, {count}))"


def several_by_lua(
    low: Lowers, name: str, values: list[Value], line: int, count: int
) -> list[Value]:
    """Call a function of Lua's that gives *count* results."""
    called, result = _library_call(name, len(values))
    source = "\n".join([PRELUDE, SEVERAL, f"return __several({count}, {result})"])
    return _items(_step(low, called, source, values, line), count)


def matches_by_lua(low: Lowers, name: str, values: list[Value], line: int, count: int) -> Value:
    """List what a pattern finds in a text: of each find the first *count* captures.

    Shape: *name* is `string.gmatch`, or `:gmatch`, which asks for a text.
    """
    names = ", ".join(f"c{i}" for i in range(count))
    parts = ", ".join(f"c{i} == nil and null or c{i}" for i in range(count))
    loop = f"for {names} in {_library_call(name, 2)[1]} do"
    each = f"  found[#found + 1] = array {{ {parts} }}"
    source = "\n".join([PRELUDE, "local found = array {}", loop, each, "end", "return found"])
    return _step(low, "string.gmatch", source, values, line)


def sorted_by(low: Lowers, callee: Callee, listed: Value, line: int) -> Value:
    """Sort a list by a function that says what comes before what."""
    sort = "(function(order, list) table.sort(list, order) return list end)"
    return _helped(low, callee, [listed], line, None, sort)


def _step(low: Lowers, name: str, source: str, values: list[Value], line: int) -> Value:
    work = low.work
    ref = _agent(low, name, source)
    out = work.temp()
    given = ops.array([value.ir for value in values])
    work.emit("step", line, implicit=True, **{"ref": ref, "in": given, "out": out})
    return Value(ops.path(out), quiet=True)


def _agent(low: Lowers, name: str, source: str) -> str:
    """Return the agent of this source, one for all of its calls."""
    agents = low.work.agents
    ref, count = f"{PREFIX}{name}"[:_LONGEST], 1
    while ref in agents and agents[ref]["source"] != source:
        count += 1
        ref = f"{PREFIX}{name}"[:_LONGEST] + f"_{count}"
    agents[ref] = {"name": ref, "kind": "lua", "source": source}
    return ref


class _Text:
    """The Lua source of functions, with all that they see."""

    def __init__(self, low: Lowers, line: int) -> None:
        self._low = low
        self._line = line
        self._known: dict[str, Binding] = {}
        self.lines: list[str] = []
        self.raises = False

    def function(self, callee: Callee) -> str:
        """Write a function, behind what it needs; return its name there."""
        name = callee.name if _NAME.fullmatch(callee.name) else "helper"
        self._define(name, callee)
        return name

    def _define(self, name: str, bound: Binding) -> None:
        if name in self._known:
            self._same(name, bound)
            return
        self._known[name] = bound
        if isinstance(bound, (Callee, known.Members)):  # which may be seen by itself
            self.lines.insert(0, f"local {name}")
            self.lines.append(f"{name} = {self._member(bound)}")
        else:
            self.lines.append(f"local {name} = {self._value(bound)}")

    def _same(self, name: str, bound: Binding) -> None:
        if self._known[name] is not bound and self._known[name] != bound:
            why = f"the functions that are called here know two different things as '{name}'"
            raise Refused(self._line, why, "give one of them another name")

    def _written(self, callee: Callee) -> str:
        for name in free_names(callee.function):
            bound = callee.scope.find(name)
            if bound is None:
                self.raises = self.raises or name in _RAISES
            else:
                self._define(name, bound)
        source = self._low.work.sources[callee.file]
        text = source[callee.function.start : callee.function.end]
        return _HEAD.sub("function(", text, count=1)

    def _value(self, bound: Binding) -> str:
        match bound:
            case known.Constant(value=value):
                return "nil" if value is None else lua_literal(value)
            case known.Library(name=name):
                self.raises = self.raises or name in _RAISES
                return name
            case known.Members(members=members):
                inner = {key: self._low.work.outside.binding(one) for key, one in members.items()}
                fields = [f"[{lua_literal(k)}] = {self._member(v)}" for k, v in inner.items()]
                return "{ " + ", ".join(fields) + " }"
            case _:
                return self._member(bound)

    def _member(self, bound: Binding) -> str:
        return self._written(bound) if isinstance(bound, Callee) else self._value(bound)
