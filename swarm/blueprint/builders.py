"""The builders of the author's form: which wire node each makes, field by field.

The one table between the author's words and the wire's; lowering and the lines of
problems both read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from flowir.records import dataclass

__all__ = ("BUILDERS", "SLEEP", "AuthorField", "Builder")

# The agent that every host has: its input is the seconds to wait.
SLEEP = "swarm.sleep"

Kind = Literal["expr", "words", "target", "node", "count", "plain"]


@dataclass(frozen=True, slots=True)
class AuthorField:
    """One field: its name on the wire, what stands there, and what an absent one means.

    Shape: `default` is in the author's form; None means that the field stays absent.
    `stand_in` is what a plain field has, on the wire, where the author's was wrong.
    """

    wire: str
    type: Kind
    required: bool = False
    default: Any = None
    stand_in: Any = None


@dataclass(frozen=True, slots=True)
class Builder:
    """One builder: the node's kind, its fields, and the wire fields that are given."""

    kind: str
    fields: Mapping[str, AuthorField]
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def author_name(self, wire: str) -> str:
        """Return the author's name of a field of the wire node."""
        return next((name for name, spec in self.fields.items() if spec.wire == wire), wire)

    def wire_name(self, name: str) -> str:
        """Return the name on the wire of a field of the author's."""
        return self.fields[name].wire if name in self.fields else name


def _need(wire: str, type_: Kind, stand_in: Any = None) -> AuthorField:
    return AuthorField(wire, type_, required=True, stand_in=stand_in)


def _may(wire: str, type_: Kind, default: Any = None, stand_in: Any = None) -> AuthorField:
    return AuthorField(wire, type_, default=default, stand_in=stand_in)


_ID = {"id": _may("id", "plain"), "implicit": _may("implicit", "plain")}
_NULL: dict[str, Any] = {"__swarm": "lit"}

BUILDERS: Mapping[str, Builder] = {
    "step": Builder(
        "step",
        {
            "agent": _need("ref", "plain", SLEEP),
            "input": _may("in", "expr", _NULL),
            "out": _may("out", "target"),
            "timeout_s": _may("timeout_s", "plain"),
            "retry": _may("retry", "plain"),
            **_ID,
        },
    ),
    "seq": Builder("seq", _ID),
    "branch": Builder(
        "branch",
        {
            "when": _need("cond", "expr"),
            "run": _need("then", "node"),
            "otherwise": _may("else", "node"),
            **_ID,
        },
    ),
    "loop": Builder(
        "loop",
        {
            "counter": _need("counter", "target"),
            "when": _may("cond", "expr", default=True),
            "max": _need("max", "plain", 1),
            "run": _need("body", "node"),
            "exhausted_at": _may("exhausted_at", "target"),
            **_ID,
        },
    ),
    "fanout": Builder(
        "fanout",
        {
            "over": _need("items", "expr"),
            "as": _need("bind", "target"),
            "run": _need("body", "node"),
            "join": _may("join", "plain", "all", "all"),
            "out": _need("out", "target"),
            "collect": _may("collect", "expr"),
            "index": _may("index", "target"),
            "limit": _may("limit", "count"),
            "quorum": _may("quorum", "count"),
            **_ID,
        },
    ),
    "try": Builder(
        "try",
        {
            "run": _need("body", "node"),
            "catch": _may("catch", "node"),
            "err_at": _may("err_at", "target"),
            "error_at": _may("error_at", "target"),
            "on": _may("on", "plain"),
            "finally": _may("finally", "node"),
            "restore": _may("restore", "plain"),
            **_ID,
        },
    ),
    "assign": Builder(
        "assign", {"at": _need("at", "target"), "value": _need("value", "expr"), **_ID}
    ),
    "sleep": Builder("step", {"seconds": _need("in", "expr"), **_ID}, {"ref": SLEEP}),
    # Its fields are the op's; the node around it assigns what never comes.
    "fail": Builder(
        "fail",
        {
            "code": _need("code", "plain", "unknown"),
            "message": _need("message", "words"),
            "data": _may("data", "expr"),
            **_ID,
        },
        {"op": "fail"},
    ),
}
