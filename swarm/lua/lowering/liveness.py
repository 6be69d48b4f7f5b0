"""Which variables are looked at again: another name for a table matters only if it is.

Nodes are numbered in the order of the text. A variable is looked at behind a node if one
with a greater number reads it, or, where a loop around the node goes round once more, any
node of that loop; one that is declared inside the loop is set anew in each iteration.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flowir.records import dataclass
from swarm.lua.lowering.access import WHOLE, Access, access_of, variable
from swarm.lua.lowering.effort import Effort
from swarm.lua.lowering.ops import Op
from swarm.lua.lowering.work import CORNER, Drafted

__all__ = ("MOST", "Lives")

_LOCAL = re.compile(rf"\$\.{CORNER}\.([^.\[]+)")
# The fields of nodes that hold expressions, those that hold places that are written, and
# those that hold nodes, in the order in which they happen.
_EXPRESSIONS = ("in", "items", "limit", "quorum", "cond", "value")
_BEFORE = ("counter", "bind", "index")
_NODES = ("then", "else", "body", "catch")
_AFTER = ("at", "out", "error_at", "exhausted_at")
# Nodes, parts of expressions and loops that are looked at: some seconds. The largest flow
# that was written or generated to be lowered took 115,469.
MOST = 4_000_000


@dataclass(slots=True)
class _Loop:
    """A loop, from its first number to its last."""

    first: int
    last: int
    around: _Loop | None


class Lives:
    """Where variables are set first and where they are read, in a flow.

    Shape: `reached` is the node that was read last.
    """

    def __init__(self, effort: Effort) -> None:
        self.reached: Drafted | None = None
        self._effort = effort
        self._reads: dict[str, list[int]] = {}
        self._firsts: dict[str, int] = {}
        self._places: dict[int, tuple[int, _Loop | None]] = {}
        self._next = 1
        self._loop: _Loop | None = None

    def read(self, nodes: Iterable[Drafted]) -> None:
        """Read a flow, before anything is asked.

        Raises: TooMuch.
        """
        for node in nodes:
            self._node(node)

    def first(self, access: Access) -> int:
        """Return when a variable is set first; 0 where it comes from outside."""
        return self._firsts.get(variable(access), 0)

    def may_be_read(self, access: Access, node: Drafted) -> bool:
        """Tell whether a variable may be looked at behind a node.

        Raises: TooMuch.
        """
        if access[:1] == WHOLE or access[0].startswith("="):
            return True  # the context is the result, and the script goes on
        name = variable(access)
        reads = self._reads.get(name, [])
        at, loop = self._places[id(node)]
        if reads and reads[-1] > at:
            return True
        while loop is not None:
            self._effort.spend()
            i = bisect_left(reads, loop.first)
            if self._firsts.get(name, 0) < loop.first and i < len(reads) and reads[i] <= loop.last:
                return True
            loop = loop.around
        return False

    # ---- the walk

    def _node(self, node: Drafted) -> None:
        fields = node.fields
        self.reached = node
        self._effort.spend()
        outer = self._loop
        if node.kind == "loop":
            self._loop = _Loop(self._next, self._next, outer)
        self._expressions(fields)
        self._written(fields, _BEFORE)
        for name in _NODES:
            if name in fields:
                self._node(fields[name])
        for child in fields.get("children", ()):
            self._node(child)
        if self._loop is not outer and self._loop is not None:
            self._loop.last = self._next
        self._loop = outer
        self._next += 1
        self._read(fields.get("collect"))
        self._places[id(node)] = (self._next, self._loop)
        self._written(fields, _AFTER)
        self._next += 1

    def _expressions(self, fields: Mapping[str, Any]) -> None:
        for name in _EXPRESSIONS:
            self._read(fields.get(name))

    def _read(self, e: Op | None) -> None:
        for name in self._locals_of(e):
            reads = self._reads.setdefault(f"{CORNER}.{name}", [])
            if not reads or reads[-1] != self._next:
                reads.append(self._next)

    def _written(self, fields: Mapping[str, Any], names: Iterable[str]) -> None:
        for name in names:
            at = fields.get(name)
            if at is None:
                continue
            access = access_of(at)
            whole = variable(access)
            if access[:1] != WHOLE and len(access) > 1:
                self._reads.setdefault(whole, []).append(self._next)
            self._firsts.setdefault(whole, self._next)

    def _locals_of(self, e: Any) -> Iterator[str]:
        """Yield the locals that an expression reads."""
        left: list[Any] = [e]
        while left:
            one = left.pop()
            self._effort.spend()
            if isinstance(one, list):
                items: list[Any] = one
                left += items
            elif isinstance(one, dict):
                members: dict[str, Any] = one
                if members.get("op") == "lit":
                    continue
                if members.get("op") == "path":
                    found = _LOCAL.match(members["at"])
                    if found:
                        yield found[1]
                    continue
                left += members.values()
