"""Expressions, compiled once to Python functions.

All expressions of a flow become one Python module's source, executed once. A generated
function takes the context and a `Meter` and returns the value. The source arranges
evaluation order, short circuits and loops; what an op *does* is in `flowir.ops`, except
three shortcuts for cases that cannot fail there: reading plain names, comparing with a
literal, and adding small integers.

No text of an author reaches the source but as `repr` of a string or number. Statements
rather than one expression, because `exists` and `default` need `try`; what nests deeper
than CPython's limit of 20 blocks becomes a function of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from flowir import ops
from flowir.errors import FlowError
from flowir.limits import DEFAULT_LIMITS, Limits
from flowir.nodes import QUANTIFIERS, Expr, subexpressions
from flowir.path import Path, parse_path, read
from flowir.records import dataclass
from flowir.values import private_copy, truth

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = (
    "SCALAR",
    "UNKNOWN",
    "Batch",
    "Bounds",
    "Compiled",
    "Meter",
    "Reach",
    "cost_of",
    "evaluate_compiled",
    "reach_of",
)

Compiled: TypeAlias = Callable[[Any, ops.Meter], Any]

_DEEPEST_BLOCK = 8
_SMALL = 1 << 62  # the sum of two integers below this fits 64 bit
_LOOKUP = (KeyError, TypeError)

_ARITHMETIC = {"add": "+", "sub": "-"}
_ORDER = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_BOOLEAN = frozenset(
    ("eq", "ne", "lt", "lte", "gt", "gte", "not", "and", "or", "exists", "in", "any", "every")
)


def cost_of(expr: Expr) -> int:
    """Count the ops that are charged when *expr* is entered (flow-ir.md §5, fuel).

    A quantifier's body is not among them: it is charged once for each item.
    """
    total = 1
    for place, inner in subexpressions(expr):
        if not (expr["op"] in QUANTIFIERS and place == ".body"):
            total += cost_of(inner)
    return total


@dataclass(frozen=True, slots=True)
class Reach:
    """How large the value of an expression can be, in terms of the context it reads.

    At most `reads` times the context's size plus `own`, and `levels` deeper. `reads` is
    None where only measuring tells.
    """

    reads: int | None
    own: int
    levels: int


class Bounds(NamedTuple):
    """How large a value is, at most."""

    size: int
    depth: int


SCALAR = Bounds(8, 0)
UNKNOWN = Reach(None, 0, 0)


def reach_of(expr: Expr) -> Reach:
    """Bound the size of an expression's value without evaluating it."""
    op = expr["op"]
    if op == "path":
        return Reach(None if expr["at"].startswith("@") else 1, 0, 0)
    if op in ("object", "array", "default", "if", "get"):
        inner = [reach_of(part) for _, part in subexpressions(expr)]
        names = sum(len(name) + 3 for name in expr.get("fields", ()))
        reads = [part.reads for part in inner]
        return Reach(
            None if None in reads else sum(r for r in reads if r is not None),
            names + 2 + sum(part.own + 1 for part in inner),
            max((part.levels for part in inner), default=0) + (op in ("object", "array")),
        )
    if op in _BOOLEAN or op in ("add", "sub", "mul", "div", "mod", "idiv", "len"):
        return Reach(0, 8, 0)
    return Reach(None, 0, 0)


class Batch:
    """Expressions on their way to functions: `add` each, then `compile` once."""

    def __init__(self) -> None:
        self._functions: list[str] = []
        self._names: dict[int, str] = {}
        self._written: dict[str, str] = {}
        self._kept: list[Expr] = []  # keeps the ids in `_names` alive
        self.constants: dict[str, Any] = {
            "FlowError": FlowError,
            "LOOKUP": _LOOKUP,
            "copy": private_copy,
            "read": read,
            **{name: getattr(ops, name) for name in ops.__all__},
        }
        self._paths: dict[str, str] = {}

    def add(self, expr: Expr) -> None:
        """Take an expression in."""
        if id(expr) in self._names:
            return
        text = json.dumps(expr)
        if text not in self._written:  # flows repeat themselves: equal text, one function
            self._written[text] = self.function(expr, ())
        self._names[id(expr)] = self._written[text]
        self._kept.append(expr)

    def compile(self) -> Callable[[Expr], Compiled]:
        """Compile everything taken in; the result finds the function of an expression."""
        space = self.constants
        code = compile("\n".join(self._functions), "<flow expressions>", "exec")
        exec(code, space)  # noqa: S102 - our own source: see the module's docstring
        names = self._names
        return lambda expr: space[names[id(expr)]]  # type: ignore[no-any-return]

    def function(self, expr: Expr, bound: tuple[tuple[str, str], ...]) -> str:
        """Write the function of *expr*, whose free variables are *bound*; return its name."""
        name = f"e{len(self._functions)}"
        self._functions.append("")  # its place, before inner functions take theirs
        writer = _Writer(self, name, dict(bound))
        atom = writer.value(expr)
        params = "".join(f", {local}" for _, local in bound)
        index = int(name[1:])
        self._functions[index] = "\n".join(
            [f"def {name}(ctx, m{params}):", *writer.lines, f" return {atom}"]
        )
        return name

    def constant(self, value: Any) -> str:
        """Name a value that the source cannot spell."""
        name = f"K{len(self.constants)}"
        self.constants[name] = value
        return name

    def path(self, text: str) -> tuple[str, Path]:
        """Name a parsed path."""
        path = parse_path(text)
        if text not in self._paths:
            self._paths[text] = self.constant(Path(path.segments, path.root))
        return self._paths[text], path


class _Writer:
    """Writes the body of one function; `value` returns the atom that holds a value."""

    def __init__(self, batch: Batch, name: str, bound: dict[str, str]) -> None:
        self.batch = batch
        self.name = name
        self.bound = bound
        self.lines: list[str] = []
        self.depth = 1
        self.temps = 0

    def line(self, text: str) -> None:
        self.lines.append(" " * self.depth + text)

    def temp(self) -> str:
        # the function's name is part of it: an outlined body has its caller's as parameters
        self.temps += 1
        return f"{self.name}_{self.temps}"

    @contextmanager
    def block(self, head: str) -> Generator[None]:
        self.line(head)
        self.depth += 1
        yield
        self.depth -= 1

    def keep(self, source: str) -> str:
        name = self.temp()
        self.line(f"{name} = {source}")
        return name

    # -- ops ---------------------------------------------------------------------------

    def value(self, expr: Expr) -> str:
        if self.depth > _DEEPEST_BLOCK:
            return self._outline(expr)
        op: str = expr["op"]
        if op in _ORDER:
            return self._order(expr, op)
        if op in _ARITHMETIC:
            return self._sum(expr, op)
        if op in QUANTIFIERS:
            return self._quantifier(expr, op)
        write: Callable[[Expr], str] = getattr(self, f"_op_{op}", self._two)
        return write(expr)

    def _outline(self, expr: Expr) -> str:
        bound = tuple(self.bound.items())
        name = self.batch.function(expr, bound)
        args = "".join(f", {local}" for _, local in bound)
        return self.keep(f"{name}(ctx, m{args})")

    def _two(self, expr: Expr) -> str:
        """Write an op that is one rule over two values: mul, div, mod, idiv."""
        a = self.value(expr["lhs"])
        b = self.value(expr["rhs"])
        return self.keep(f"{expr['op']}({a}, {b})")

    def _op_path(self, expr: Expr) -> str:
        name, path = self.batch.path(expr["at"])
        base = "ctx" if path.root is None else self.bound[path.root]
        if not path.segments:
            return base
        if any(isinstance(segment, int) for segment in path.segments):
            return self.keep(f"read({base}, {name})")
        out = self.temp()
        with self.block("try:"):
            self.line(f"{out} = {_subscript(base, path)}")
        self.line(f"except LOOKUP: read({base}, {name})  # says what is missing")
        return out

    def _op_lit(self, expr: Expr) -> str:
        value = expr["value"]
        if isinstance(value, (dict, list)):
            # a literal is a fresh value each time: whoever gets it may change it
            return self.keep(f"copy({self.batch.constant(value)})")
        return _spelled(value)

    def _op_eq(self, expr: Expr) -> str:
        return self.keep(self._equality(expr))

    def _op_ne(self, expr: Expr) -> str:
        return self.keep(f"not ({self._equality(expr)})")

    def _equality(self, expr: Expr) -> str:
        a = self._operand(expr["lhs"])
        b = self._operand(expr["rhs"])
        literals = [side["op"] == "lit" for side in (expr["lhs"], expr["rhs"])]
        if literals != [True, True]:  # two literals: Python would warn of `5 is None`
            other, literal = (b, expr["lhs"]) if literals[0] else (a, expr["rhs"])
            value = literal.get("value", ...)
            if value is None or isinstance(value, bool):
                return f"{other} is {_spelled(value)}"
            if isinstance(value, str):
                return f"{other} == {_spelled(value)}"
            if isinstance(value, (int, float)):
                return f"{other} == {_spelled(value)} and type({other}) is not bool"
        return f"equal(m, {a}, {b})"

    def _operand(self, expr: Expr) -> str:
        """Write a value that is only looked at: a literal needs no copy."""
        if expr["op"] == "lit" and isinstance(expr["value"], (dict, list)):
            return self.batch.constant(expr["value"])
        return self.value(expr)

    def _order(self, expr: Expr, op: str) -> str:
        a = self.value(expr["lhs"])
        b = self.value(expr["rhs"])
        for side, tested in ((expr["lhs"], b), (expr["rhs"], a)):
            if side["op"] == "lit" and type(side["value"]) in (int, float):
                return self.keep(
                    f"{a} {_ORDER[op]} {b} if type({tested}) is int or type({tested}) is float "
                    f"else {op}({a}, {b})"
                )
        return self.keep(f"{op}({a}, {b})")

    def _sum(self, expr: Expr, op: str) -> str:
        a = self.value(expr["lhs"])
        b = self.value(expr["rhs"])
        rhs = expr["rhs"]
        if rhs["op"] == "lit" and type(rhs["value"]) is int and abs(rhs["value"]) < _SMALL:
            return self.keep(
                f"{a} {_ARITHMETIC[op]} {b} if type({a}) is int and {-_SMALL} < {a} < {_SMALL} "
                f"else {op}({a}, {b})"
            )
        return self.keep(f"{op}({a}, {b})")

    def truth(self, expr: Expr) -> str:
        """Write a value of which only the truth counts; return a Python condition."""
        if expr["op"] == "lit":
            return repr(truth(expr["value"]))
        atom = self.value(expr)
        if expr["op"] in _BOOLEAN:
            return atom
        return f"{atom} is not None and {atom} is not False"

    def _op_not(self, expr: Expr) -> str:
        return self.keep(f"not ({self.truth(expr['arg'])})")

    def _op_and(self, expr: Expr) -> str:
        return self._circuit(expr["args"], "True", "if {}:")

    def _op_or(self, expr: Expr) -> str:
        return self._circuit(expr["args"], "False", "if not {}:")

    def _circuit(self, args: list[Expr], start: str, go_on: str) -> str:
        out = self.keep(start)
        for arg in args:
            with self.block(go_on.format(out)):
                self.line(f"{out} = {self.truth(arg)}")
        return out

    def _op_exists(self, expr: Expr) -> str:
        out = self.temp()
        with self.block("try:"):
            self.line(f"{out} = {self.value(expr['arg'])}")
            self.line(f"{out} = {out} is not None")
        self._if_missing(f"{out} = False")
        return out

    def _op_default(self, expr: Expr) -> str:
        out = self.temp()
        with self.block("try:"):
            self.line(f"{out} = {self.value(expr['arg'])}")
        self._if_missing(f"{out} = None")
        with self.block(f"if {out} is None:"):
            self.line(f"{out} = {self.value(expr['fallback'])}")
        return out

    def _if_missing(self, action: str) -> None:
        with self.block("except FlowError as e:"):
            self.line("if e.code != 'path.missing': raise")
            self.line(action)

    def _op_if(self, expr: Expr) -> str:
        out = self.temp()
        with self.block(f"if {self.truth(expr['cond'])}:"):
            self.line(f"{out} = {self.value(expr['then'])}")
        with self.block("else:"):
            self.line(f"{out} = {self.value(expr['else'])}")
        return out

    def _op_len(self, expr: Expr) -> str:
        return self.keep(f"length({self._operand(expr['arg'])})")

    def _op_in(self, expr: Expr) -> str:
        needle = self._operand(expr["needle"])
        haystack = self._operand(expr["haystack"])
        return self.keep(f"contains(m, {needle}, {haystack})")

    def _op_get(self, expr: Expr) -> str:
        of = self.value(expr["of"])
        key = self.value(expr["key"])
        return self.keep(f"get({of}, {key})")

    def _op_object(self, expr: Expr) -> str:
        members = [f"{name!r}: {self.value(part)}" for name, part in expr["fields"].items()]
        return self.keep("{" + ", ".join(members) + "}")

    def _op_array(self, expr: Expr) -> str:
        return self.keep("[" + ", ".join(self._list(expr["items"])) + "]")

    def _op_concat(self, expr: Expr) -> str:
        return self.keep(f"concat(m, {self._tuple(expr['args'])})")

    def _op_call_extern(self, expr: Expr) -> str:
        return self.keep(f"call_extern(m, {expr['ref']!r}, {self._tuple(expr['args'])})")

    def _op_fail(self, expr: Expr) -> str:
        message = self.value(expr["message"])
        data = self.value(expr["data"]) if "data" in expr else "None"
        cause = self.value(expr["cause_code"]) if "cause_code" in expr else "None"
        self.line(f"fail({expr['code']!r}, {message}, {data}, {cause})")
        return "None"

    def _list(self, exprs: list[Expr]) -> list[str]:
        return [self.value(part) for part in exprs]

    def _tuple(self, exprs: list[Expr]) -> str:
        return "(" + "".join(f"{atom}, " for atom in self._list(exprs)) + ")"

    def _quantifier(self, expr: Expr, op: str) -> str:
        over = self.value(expr["over"])
        body, bind = expr["body"], expr["bind"]
        items = self.keep(f"items_of(m, {op!r}, {over}, {cost_of(body)})")
        out = self.keep({"any": "False", "every": "True"}.get(op, "[]"))
        item, index = self.temp(), self.temp()
        outer, self.bound = self.bound, {**self.bound, bind: item, f"{bind}_index": index}
        with self.block(f"for {index}, {item} in enumerate({items}):"):
            if op == "map":
                self.line(f"{out}.append({self.value(body)})")
            else:
                self._select(op, out, item, self.truth(body))
        self.bound = outer
        return out

    def _select(self, op: str, out: str, item: str, condition: str) -> None:
        if op == "filter":
            self.line(f"if {condition}: {out}.append({item})")
            return
        with self.block(f"if {condition}:" if op == "any" else f"if not ({condition}):"):
            self.line(f"{out} = {op == 'any'}")
            self.line("break")


def _subscript(base: str, path: Path) -> str:
    return base + "".join(f"[{segment!r}]" for segment in path.segments)


def _spelled(value: Any) -> str:
    """Spell a scalar as Python; a negative number needs brackets beside an operator."""
    return f"({value!r})" if type(value) in (int, float) and value < 0 else repr(value)


# ---- one expression alone ------------------------------------------------------------


class Meter:
    """Pays for a single evaluation."""

    __slots__ = ("externs", "fuel", "limits")

    def __init__(self, externs: Mapping[str, Callable[..., Any]], limits: Limits) -> None:
        self.externs = externs
        self.limits = limits
        self.fuel = limits.fuel


def evaluate_compiled(
    expr: Expr,
    ctx: Any,
    externs: Mapping[str, Callable[..., Any]],
    limits: Limits = DEFAULT_LIMITS,
) -> Any:
    """Evaluate a well-formed expression on a context that is not changed."""
    meter = Meter(externs, limits)
    function, cost = _compiled(json.dumps(expr))
    ops.spend(meter, cost)
    return function(ctx, meter)


@lru_cache(maxsize=1024)
def _compiled(text: str) -> tuple[Compiled, int]:
    expr = json.loads(text)
    batch = Batch()
    batch.add(expr)
    return batch.compile()(expr), cost_of(expr)
