"""What kind of change it is, which the allowance speaks of; and what is never to be changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, get_args

from swarm.blueprint.canonical import canonical_bytes
from swarm.enhance.objections import Objection
from swarm.enhance.reading import Document, agents_of, below

__all__ = ("KINDS", "Kind", "kinds_of", "protected", "reserved")

Kind: TypeAlias = Literal["text", "tags", "limits", "prompt", "script", "flow", "agents"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

# Identity, form, what may be silenced, which files its programs are, and what a run begins
# with where nobody says: people's.
_PROTECTED: Final = ("swarm", "id", "allow", "files", "inputs")
_OF_SETTING: Final[Mapping[str, Kind]] = {
    "tags": "tags",
    "skills": "tags",
    "timeout_s": "limits",
    "retry": "limits",
    "concurrency": "limits",
    "budget": "limits",
    "reserve": "limits",
    "deadline_s": "limits",
    "source": "script",
    "instructions": "prompt",
    "description": "prompt",
    "prompt": "prompt",
    "extra": "prompt",
}
_OF_MEMBER: Final[Mapping[str, Kind]] = {"description": "text", "limits": "limits"}
_BOUNDS: Final = ("max", "limit", "timeout_s", "retry")
# Where the loop keeps what it says itself; no proposal may say it instead.
_RESERVED: Final = ("verdicts", "commit", "decision", "approval")


def protected(head: Document, result: Document) -> Iterator[Objection]:
    """Yield an objection for each member that no proposal may change."""
    for name in _PROTECTED:
        if head.get(name) != result.get(name):
            yield Objection("enhance.protected_path", f"{name!r} is people's to change")


def reserved(operations: Sequence[Mapping[str, Any]]) -> Iterator[Objection]:
    """Yield an objection for each operation that would say what the loop says."""
    for operation in operations:
        first = str(operation.get("path", "")).partition("/")[2].partition("/")[0]
        if first in _RESERVED:
            yield Objection("enhance.reserved_path", f"{first!r} is the loop's to say")


def kinds_of(head: Document, result: Document) -> frozenset[Kind]:
    """Return which kinds of change lead from one document to the other.

    >>> kinds_of({"agents": [], "flow": {"kind": "seq", "children": []}, "description": "a"},
    ...          {"agents": [], "flow": {"kind": "seq", "children": []}, "description": "b"})
    frozenset({'text'})
    """
    return frozenset(_kinds(head, result))


def _kinds(head: Document, result: Document) -> Iterator[Kind]:
    for name in head.keys() | result.keys():
        if name in ("agents", "flow"):
            continue
        if head.get(name) != result.get(name):
            yield _OF_MEMBER.get(name, "flow")
    had, has = agents_of(head), agents_of(result)
    if had.keys() != has.keys():
        yield "agents"
    for name in had.keys() & has.keys():
        old, new = had[name], has[name]
        for setting in old.keys() | new.keys():
            if old.get(setting) != new.get(setting):
                yield _OF_SETTING.get(setting, "agents")
    if canonical_bytes(head["flow"]) != canonical_bytes(result["flow"]):
        same = _unbounded(head["flow"]) == _unbounded(result["flow"])
        yield "limits" if same else "flow"


def _unbounded(node: Mapping[str, Any]) -> bytes:
    own = {k: v for k, v in node.items() if k not in _BOUNDS}
    parts = {part: _unbounded(child).decode() for part, child in below(node)}
    for part in parts:
        own.pop(part, None)
    own.pop("children", None)
    return canonical_bytes([own, parts])
