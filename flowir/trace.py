"""Which nodes a machine came by, and which ways it took: for whoever measures coverage.

A traced flow is the same flow with other instructions: each is wrapped in one that counts
and hands on. Nothing else of a run changes, neither its fuel nor its keys; a flow that is
not traced pays nothing.

    branch   `then`, `else` (also where there is none: going past is a way)
    loop     `turn`, `end`
    try      `well`, `caught`
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from flowir.lane import Lane, Op
from flowir.nodes import Branch, Flow, Loop, Node, Try, children
from flowir.program import Program

__all__ = ("WAYS", "Trace", "nodes_of", "traced", "ways_of")

# The ways through a node of each kind, in the order in which they are told.
WAYS: dict[type[Node], tuple[str, ...]] = {
    Branch: ("then", "else"),
    Loop: ("turn", "end"),
    Try: ("well", "caught"),
}
# Where the kind of an instruction tells the way by itself.
_BY_ROLE = {"leave": "well", "caught": "caught"}
# Where the instruction that follows tells it: what is inside the node, and what lies behind.
_BY_NEXT = {
    "branch": (".then", "then", "else"),
    "loop": (".body", "turn", "end"),
    "again": (".body", "turn", "end"),
}
# With these an instruction's node begins; the others are met again on the way through.
_ENTRIES = frozenset({"assign", "branch", "fanout", "loop", "nothing", "step", "try"})


class Trace:
    """What machines of one traced flow came by, since it was last taken.

    Shape: `nodes` by place, how often each was entered; `ways` by (place, way). A seq is
    where its first child is.
    """

    def __init__(self) -> None:
        self.nodes: Counter[str] = Counter()
        self.ways: Counter[tuple[str, str]] = Counter()

    def take(self) -> Trace:
        """Return what was noted, and begin anew."""
        taken = Trace()
        taken.nodes, self.nodes = self.nodes, taken.nodes
        taken.ways, self.ways = self.ways, taken.ways
        return taken

    def add(self, other: Trace) -> None:
        """Count what another noted as well."""
        self.nodes.update(other.nodes)
        self.ways.update(other.ways)


def traced(flow: Flow) -> tuple[Flow, Trace]:
    """Return the same flow, and what its machines will have come by."""
    trace = Trace()
    return replace(flow, program=_TracedProgram(flow, trace)), trace


def nodes_of(flow: Flow) -> Iterator[tuple[str, Node]]:
    """Yield every node with its place, in the order in which they are written.

    >>> from flowir.wire import load
    >>> [place for place, _ in nodes_of(load({"kind": "seq", "children": []}))]
    ['$']
    """
    todo: list[tuple[str, Node]] = [("$", flow.root)]
    while todo:
        place, node = todo.pop()
        yield place, node
        inside = [(place + rest, child) for rest, child in children(node)]
        todo.extend(reversed(inside))


def ways_of(node: Node) -> tuple[str, ...]:
    """Return the ways through a node; none where there is but one."""
    return WAYS.get(type(node), ())


class _TracedProgram(Program):
    """A program whose instructions note what comes by; their names are the same."""

    def __init__(self, flow: Flow, trace: Trace) -> None:
        self._trace = trace
        self._heads = _heads(flow)
        super().__init__(flow)

    def add(
        self, op: Op, place: str, role: str, handler: Op | None, shield: int | None = None
    ) -> Op:
        """Add an instruction; the one that others go on to is the noting one."""
        # A node's instructions also go on to each other, past what is returned here.
        super().add(op, place, role, handler, shield)
        return super().add(self._noting(op, place, role), place, role, handler, shield)

    def _noting(self, op: Op, place: str, role: str) -> Op:
        trace, heads = self._trace, self._heads.get(place, (place,))
        by_next, by_role = _BY_NEXT.get(role), _BY_ROLE.get(role)

        def noting(lane: Lane) -> Op | None:
            if role in _ENTRIES:
                trace.nodes.update(heads)
            if by_role is not None:
                trace.ways[place, by_role] += 1
            follows = op(lane)
            if by_next is not None and follows is not None:
                inner, within, behind = by_next
                known = self.meta.get(follows)
                inside = known is not None and known.place.startswith(place + inner)
                trace.ways[place, within if inside else behind] += 1
            return follows

        return noting


def _heads(flow: Flow) -> dict[str, tuple[str, ...]]:
    """Return, for each place at which something is done, the seqs that begin there too."""
    found: dict[str, tuple[str, ...]] = {}
    for place, _ in nodes_of(flow):
        above = [place]
        while above[-1].endswith(".children[0]"):
            above.append(above[-1].removesuffix(".children[0]"))
        found[place] = tuple(above)
    return found
