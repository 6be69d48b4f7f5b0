"""The drafted nodes as a wire flow, and the author's line of each place in it."""

from __future__ import annotations

from typing import Any

from swarm.blueprint.places import inside
from swarm.errors import Place
from swarm.lua.lowering import ops
from swarm.lua.lowering.work import CORNER, Drafted

__all__ = ("Written", "written")


class Written:
    """A wire flow under construction, with the lines of its places and who its steps ask."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self.asked: set[str] = set()

    def node(self, node: Drafted, at: str) -> dict[str, Any]:
        """Write one node."""
        self.places[at] = node.where
        if node.kind == "step":
            self.asked.add(node.fields["ref"])
        wire: dict[str, Any] = {"kind": node.kind}
        for name, value in node.fields.items():
            wire[name] = self._field(name, value, at)
        if node.implicit:
            wire["implicit"] = True
        return wire

    def _field(self, name: str, value: Any, at: str) -> Any:
        if isinstance(value, Drafted):
            return self.node(value, inside(at, name))
        if name != "children":
            return _referring(value) if isinstance(value, dict) else value
        place = inside(at, name)
        kept: list[Drafted] = [one for one in value if one.kind != "end"]
        return [self.node(one, inside(place, i)) for i, one in enumerate(kept)]


def _referring(e: Any) -> Any:
    """Return an expression with the texts of files as references, as documents have them."""
    if isinstance(e, list):
        items: list[Any] = e
        return [_referring(one) for one in items]
    if not isinstance(e, dict):
        return e
    members: dict[str, Any] = e
    match members.get("op"):
        case "lit" | "path":
            return members
        case "file":
            return {"$file": members["path"]}  # as swarm.compiler.references reads it
        case _:
            return {name: _referring(one) for name, one in members.items()}


def written(nodes: list[Drafted], where: Place, root: str) -> tuple[dict[str, Any], Written]:
    """Write a whole flow; its corner is emptied first, so that no caller fills it."""
    result = Written()
    corner = Drafted("assign", where, True, {"at": ops.place(CORNER), "value": ops.EMPTY_OBJECT})
    whole = Drafted("seq", where, True, {"children": [corner, *nodes]})
    return result.node(whole, root), result
