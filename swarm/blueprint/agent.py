"""An agent as a blueprint names it: who may be asked to do a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ("COMMON_FIELDS", "AgentSpec")

# Settings that an agent of every kind may have.
COMMON_FIELDS = frozenset(
    {
        "name",
        "kind",
        "description",
        "timeout_s",
        "verdict",
        "tags",
        "model",
        "instructions",
        "reserve",
        "concurrency",
    }
)


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent of a document: `settings` holds the fields beside `name` and `kind`."""

    name: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
