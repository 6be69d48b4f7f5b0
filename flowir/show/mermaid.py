"""A flow as a Mermaid flowchart, in the dialect that GitHub renders.

Nodes are declared inside their subgraphs and all edges after them: an edge that names a
node first would pull it into its own subgraph.
"""

from __future__ import annotations

import re

from flowir.nodes import Flow
from flowir.records import dataclass
from flowir.show.outline import Item, outline

__all__ = ("mermaid",)

_SHAPES = {
    "step": ('["', '"]'),
    "sleep": ('("', '")'),
    "assign": ('["', '"]:::assign'),
    "fail": ('(["', '"]):::fail'),
    "branch": ('{"', '"}'),
    "loop": ('{"', '"}'),
}
_CLASSES = (
    "classDef assign fill:#f6f6f6,stroke:#bbb,color:#333,font-size:12px",
    "classDef fail fill:#fde2e2,stroke:#c0392b,color:#7b1f14",
)
# Inside quotes Mermaid still reads markup, entities, Markdown and formulas. Letters and
# these marks mean nothing anywhere; all else is written as an entity, an underscore only
# where it could be Markdown's.
_SPECIAL = re.compile(r"[^\w .,=()/+!?'·→…-]|\b_|_\b")
_LIST_MARK = re.compile(r"^(\d*)([.)+-])(?= )")


def mermaid(flow: Flow, *, implicit: bool = False) -> str:
    """Draw a flow as a Mermaid flowchart.

    Shape: steps are boxes, branches and loops diamonds, fanouts and tries subgraphs; the
    id of a node is its place (`$.children[0].body` is `n_0_body`). With *implicit* the
    nodes that lowering made are drawn too.
    """
    chart = _Chart()
    ends = chart.sequence(outline(flow, implicit=implicit), [_End("start")])
    chart.join(ends, "finish")
    nodes = ('start(("start"))', *chart.nodes, 'finish(("end"))')
    lines = (*nodes, *chart.edges, *_CLASSES)
    return "\n".join(("flowchart TD", *(f"  {line}" for line in lines), ""))


@dataclass(frozen=True, slots=True)
class _End:
    """An edge that has left *source* and has not arrived yet."""

    source: str
    label: str = ""
    dotted: bool = False


class _Chart:
    """Gathers nodes and edges; a drawing takes the ends that enter, and gives what leaves."""

    def __init__(self) -> None:
        self.nodes: list[str] = []
        self.edges: list[str] = []
        self.indent = ""

    def sequence(self, items: tuple[Item, ...], ends: list[_End]) -> list[_End]:
        for item in items:
            ends = self.draw(item, ends)
        return ends

    def draw(self, item: Item, ends: list[_End]) -> list[_End]:
        match item.kind:
            case "seq":
                return self.sequence(item.part("body"), ends)
            case "branch":
                return self._branch(item, ends)
            case "loop":
                return self._loop(item, ends)
            case "fanout":
                return self._group(_id(item), ("for each", item.title), item, ends)
            case "try":
                return self._try(item, ends)
            case _:
                here = self._node(item, ends)
                return [] if item.kind == "fail" else [_End(here)]

    def join(self, ends: list[_End], target: str) -> None:
        for end in ends:
            arrow = "-.->" if end.dotted else "-->"
            label = f'|"{end.label}"|' if end.label else ""
            self.edges.append(f"{end.source} {arrow}{label} {target}")

    def _node(self, item: Item, ends: list[_End]) -> str:
        here = _id(item)
        left, right = _SHAPES[item.kind]
        self._declare(f"{here}{left}{_label((item.title,), item.notes)}{right}")
        self.join(ends, here)
        return here

    def _declare(self, line: str) -> None:
        self.nodes.append(self.indent + line)

    def _branch(self, item: Item, ends: list[_End]) -> list[_End]:
        here = self._node(item, ends)
        leaving = self.sequence(item.part("then"), [_End(here, "yes")])
        return leaving + self.sequence(item.part("else"), [_End(here, "no")])

    def _loop(self, item: Item, ends: list[_End]) -> list[_End]:
        here = self._node(item, ends)
        self.join(self.sequence(item.part("body"), [_End(here, "again")]), here)
        return [_End(here, "done")]

    def _try(self, item: Item, ends: list[_End]) -> list[_End]:
        here = _id(item)
        leaving = self._group(here, ("try",), item, ends)
        leaving = leaving + self.sequence(item.part("catch"), [_End(here, "catch", dotted=True)])
        last = item.part("finally")
        if not _draws(last):
            return leaving
        after = self.sequence(last, [*leaving, _End(here, "finally", dotted=True)])
        return after if leaving else []

    def _group(self, here: str, title: tuple[str, ...], item: Item, ends: list[_End]) -> list[_End]:
        self._declare(f'subgraph {here}["{_label(title, item.notes)}"]')
        outside, self.indent = self.indent, self.indent + "  "
        body = item.part("body")
        if not _draws(body):  # Mermaid draws no subgraph without a node
            self._declare(f'{here}_empty["nothing"]:::assign')
            self.join(ends, f"{here}_empty")
            ends = [_End(f"{here}_empty")]
        ends = self.sequence(body, ends)
        self.indent = outside
        self._declare("end")
        return ends


def _draws(items: tuple[Item, ...]) -> bool:
    return any(item.kind != "seq" or _draws(item.part("body")) for item in items)


def _id(item: Item) -> str:
    rest = item.place[1:].replace(".children[", "_").replace("]", "").replace(".", "_")
    return "n" + rest


def _label(title: tuple[str, ...], notes: tuple[str, ...]) -> str:
    lines = (" ".join(title), " · ".join(notes))
    return "<br/>".join(_escaped(line) for line in lines if line)


def _escaped(line: str) -> str:
    # At the start of a line, `1. ` and `- ` would begin a list.
    safe = _SPECIAL.sub(lambda found: f"#{ord(found[0])};", line)
    return _LIST_MARK.sub(lambda found: f"{found[1]}#{ord(found[2])};", safe)
