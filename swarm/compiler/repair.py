"""A flow with its malformed parts taken out, so that the rest of it can be judged.

Whatever is put in a part's place reads and writes the whole context: it may have done
anything, and nothing new is wrong because of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowir.errors import Malformed, Problem
from flowir.nodes import NODE_FIELDS, FieldSpec
from flowir.path import Segment, parse_path
from flowir.values import private_copy
from swarm.blueprint.shapes import is_array, is_object
from swarm.blueprint.texts import PLACEHOLDER

__all__ = ("repaired",)

_STAND_IN: Mapping[str, Any] = {"kind": "assign", "at": "$", "value": dict(PLACEHOLDER)}
# What stands for a required field, by the type of the field.
_HARMLESS: Mapping[str, Any] = {
    "expr": PLACEHOLDER,
    "target": "$",
    "count": 1,
    "node": _STAND_IN,
    "nodes": [_STAND_IN],
    "name": "unknown",
    "join": "all",
}


def repaired(flow: Any, problems: Iterable[Problem]) -> Any:
    """Return a copy of a wire flow without what the *problems* are about.

    Shape: places of problems begin at the flow's own root, `$`.
    """
    copy = private_copy(flow)
    holder = {"flow": copy}
    for problem in problems:
        try:
            segments = parse_path(problem.at.rstrip("…")).segments
        except Malformed:
            segments = ()
        _take_out(holder, segments)
    return holder["flow"]


def _take_out(holder: Any, segments: tuple[Segment, ...]) -> None:
    """Walk the nodes along *segments*, and harmlessly end what lies at their end."""
    slot: Any = "flow"
    while True:
        node = holder[slot]
        fields = _fields_of(node)
        if fields is None or not (segments or _fill(node, fields)):
            holder[slot] = dict(_STAND_IN)
        if fields is None or not segments:
            return
        name, type_ = segments[0], _type_of(fields, segments[0])
        if type_ == "node" and is_object(node.get(name)):
            holder, slot, segments = node, name, segments[1:]
        elif type_ == "nodes" and is_array(node.get(name)) and len(segments) > 1:
            holder, slot, segments = node[name], segments[1], segments[2:]
        else:
            node.pop(name, None)
            _fill(node, fields)
            return


def _fields_of(node: Any) -> Mapping[str, FieldSpec] | None:
    kind = node.get("kind") if is_object(node) else None
    if not isinstance(kind, str):
        return None
    return NODE_FIELDS.get("assign" if kind == "let" else kind)


def _type_of(fields: Mapping[str, FieldSpec], name: Segment) -> str:
    return fields[name].type if isinstance(name, str) and name in fields else ""


def _fill(node: dict[str, Any], fields: Mapping[str, FieldSpec]) -> bool:
    """Give a node the required fields that it lacks; tell whether it lacked any."""
    missing = [name for name, spec in fields.items() if spec.required and name not in node]
    node.update({name: private_copy(_HARMLESS[fields[name].type]) for name in missing})
    return bool(missing)
