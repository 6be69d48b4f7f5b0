"""An agent as a blueprint names it: who may be asked to do a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from flowir.records import dataclass

__all__ = ("COMMON_FIELDS", "OUTPUT_FORMS", "AgentSpec")

# Settings that an agent of every kind may have.
COMMON_FIELDS = frozenset(
    {
        "name",
        "kind",
        "description",
        "timeout_s",
        "verdict",
        "input_schema",
        "output_schema",
        "tags",
        "tools",
        "model",
        "instructions",
        "extra",
        "reserve",
        "budget",
        "retry",
        "concurrency",
        "skills",
        "layers",
        "output",
    }
)
# What whoever does the agent's steps is told of it.
_TOLD = ("description", "model", "instructions", "tools", "tags", "verdict", "extra")


# What becomes of an answer: it stands in the context, or is kept apart as data. A kind that
# has `output` among its own fields adds words to these.
OUTPUT_FORMS = ("value", "ref")


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent of a document: `settings` holds the fields beside `name` and `kind`."""

    name: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def description(self) -> str:
        """What it is for; empty where nobody said."""
        return self.settings.get("description", "")

    @property
    def model(self) -> str:
        """The model that does its steps, in its provider's words; empty: any."""
        return self.settings.get("model", "")

    @property
    def instructions(self) -> str:
        """What it is told before the step's input."""
        return self.settings.get("instructions", "")

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools that it may use."""
        return tuple(self.settings.get("tools", ()))

    @property
    def tags(self) -> tuple[str, ...]:
        """The words by which others choose it."""
        return tuple(self.settings.get("tags", ()))

    @property
    def verdict(self) -> tuple[str, ...]:
        """The closed set of words that it may answer with; empty: any answer will do."""
        return tuple(self.settings.get("verdict", ()))

    @property
    def extra(self) -> Mapping[str, Any]:
        """What its author noted beside; no part of the host reads it."""
        return self.settings.get("extra", {})

    def told(self) -> dict[str, Any]:
        """Return what whoever does its steps is told, as JSON: what is there, and no more.

        >>> AgentSpec("editor", "lua", {"model": "large", "source": "…"}).told()
        {'name': 'editor', 'kind': 'lua', 'model': 'large'}
        """
        said = {name: self.settings[name] for name in _TOLD if name in self.settings}
        return {"name": self.name, "kind": self.kind, **said}
