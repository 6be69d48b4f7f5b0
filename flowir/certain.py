"""What is certain of a flow before it runs: constants, booleans, nodes that can't be reached.

Everything here errs to one side: what is not certain is not said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowir.nodes import COMPARISONS, Assign, Branch, Expr, Fanout, Loop, Node, Seq, Try, children
from flowir.values import truth

__all__ = ("Certainty", "constant", "is_boolean", "never_boolean")

_BOOLEAN_OPS = frozenset({*COMPARISONS, "not", "exists", "in", "any", "every"})
_OTHER_OPS = frozenset(
    ["add", "sub", "mul", "div", "mod", "idiv", "len", "concat", "object", "array", "map", "filter"]
)  # each gives something that is never a boolean
_BOOLEAN_EXTERNS = frozenset({"string.contains", "string.starts_with", "string.ends_with"})


def constant(expr: Expr) -> list[Any]:
    """Return the value of a constant expression in a list, or an empty list.

    Shape: literals, and `not`, `and`, `or` as far as literals decide them.
    """
    match expr["op"]:
        case "lit":
            return [expr["value"]]
        case "not":
            return [not truth(value) for value in constant(expr["arg"])]
        case "and" | "or" as op:
            return _junction(op == "or", expr["args"])
        case _:
            return []


def _junction(decisive: bool, args: list[Expr]) -> list[bool]:
    """Decide `or` (by a true operand) and `and` (by a false one) from the left."""
    for arg in args:
        known = constant(arg)
        if not known:
            return []
        if truth(known[0]) is decisive:
            return [decisive]
    return [not decisive]


def _truths(expr: Expr) -> list[bool]:
    return [truth(value) for value in constant(expr)]


def _decided(cond: Expr) -> bool | None:
    """Return the boolean that *cond* always is, if it is one."""
    known = constant(cond)
    return known[0] if known and type(known[0]) is bool else None


def is_boolean(expr: Expr) -> bool:
    """Tell whether an expression gives a boolean whenever it gives anything.

    `and` and `or` always do; here they count only over booleans, as their author may
    have meant one of the operands. Over one operand they ask for nothing but its truth.
    """
    match expr["op"]:
        case "lit":
            return type(expr["value"]) is bool
        case "and" | "or":
            return len(expr["args"]) == 1 or all(map(is_boolean, expr["args"]))
        case "if":
            return is_boolean(expr["then"]) and is_boolean(expr["else"])
        case "default":
            return is_boolean(expr["fallback"])
        case "call_extern":
            return expr["ref"] in _BOOLEAN_EXTERNS
        case op:
            return op in _BOOLEAN_OPS


def never_boolean(expr: Expr) -> bool:
    """Tell whether an expression surely gives something that is no boolean."""
    if expr["op"] == "lit":
        return type(expr["value"]) is not bool
    return expr["op"] in _OTHER_OPS


class Certainty:
    """Which nodes of one flow surely fail, and which surely don't."""

    def __init__(self) -> None:
        self._fails: dict[int, bool] = {}
        self._succeeds: dict[int, bool] = {}

    def unreachable(self, node: Node) -> Iterator[tuple[str, Node, str]]:
        """Yield what *node* surely never runs: the rest of its place, the node, and why."""
        if isinstance(node, Seq):
            yield from self._after_a_failure(node)
            return
        for rest, child in children(node):
            why = self._never_runs(node, rest)
            if why is not None:
                yield rest, child, why

    def _after_a_failure(self, node: Seq) -> Iterator[tuple[str, Node, str]]:
        for i, child in enumerate(node.children[:-1], start=1):
            if self.fails(child):
                yield f".children[{i}]", node.children[i], "the node before it always fails"
                return  # what follows is told by the first

    def _never_runs(self, node: Node, rest: str) -> str | None:
        match node:
            case Branch():
                other = rest != ".then"
                never = _decided(node.cond) is other
                return f"cond is always {str(other).lower()}" if never else None
            case Loop():
                if node.max == 0:
                    return "max is 0"
                return "cond is never true" if _truths(node.cond) == [False] else None
            case Fanout():
                return "items is always empty" if constant(node.items) == [[]] else None
            case _:
                caught = isinstance(node, Try) and rest == ".catch" and self.succeeds(node.body)
                return "the body can't fail" if caught else None

    def fails(self, node: Node) -> bool:
        """Tell whether *node* surely raises an error, if it is reached."""
        known = self._fails.get(id(node))
        if known is None:
            known = self._fails[id(node)] = self._surely_fails(node)
        return known

    def _surely_fails(self, node: Node) -> bool:
        match node:
            case Assign():
                return node.value["op"] == "fail"
            case Seq():
                return any(map(self.fails, node.children))
            case Branch():
                taken = _decided(node.cond)
                then = taken is False or self.fails(node.then)
                other = taken is True or (node.else_ is not None and self.fails(node.else_))
                return then and other
            case Loop():
                return node.max > 0 and _truths(node.cond) == [True] and self.fails(node.body)
            case Try():
                last = node.finally_ is not None and self.fails(node.finally_)
                return last or (self.fails(node.body) and self.fails(node.catch))
            case _:
                return False

    def succeeds(self, node: Node) -> bool:
        """Tell whether *node* surely raises no error that could be caught."""
        known = self._succeeds.get(id(node))
        if known is None:
            known = self._succeeds[id(node)] = self._surely_succeeds(node)
        return known

    def _surely_succeeds(self, node: Node) -> bool:
        match node:
            case Seq():
                return all(map(self.succeeds, node.children))
            case Branch():
                taken = _decided(node.cond)
                if taken is True:
                    return self.succeeds(node.then)
                return taken is False and (node.else_ is None or self.succeeds(node.else_))
            case Try():
                last = node.finally_ is None or self.succeeds(node.finally_)
                return last and self.succeeds(node.body)
            case _:
                return False
