"""What the compiler hands on: a blueprint without problems, ready to run.

Knows nothing of how it was compiled or who runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, TypeAlias

from flowir.effects import Admitted
from flowir.nodes import Flow, places_of
from flowir.records import dataclass
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.budget import Budget, unknown_slices
from swarm.blueprint.contract import Contract
from swarm.blueprint.frozen import thawed
from swarm.blueprint.inputs import first_context
from swarm.blueprint.layers import LayerUse
from swarm.blueprint.model import EVENTS
from swarm.blueprint.places import nearest
from swarm.blueprint.shared import Shared
from swarm.errors import Place, Refused

__all__ = ("CompiledBlueprint", "Doer", "VersionName")

# `swarm.ports.worker.Worker`, which stands above this room.
Doer: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class VersionName:
    """Which entry of a store of versions a blueprint was loaded from."""

    label: str
    commit: str


@dataclass(frozen=True, slots=True)
class CompiledBlueprint:
    """An immutable blueprint: its canonical document, its flow and its workers.

    Document and settings are frozen to their depth (`swarm.blueprint.frozen`).

    Shape: `digest` is the SHA-256 of the document's canonical bytes; equal digests mean
    equal documents, whatever form they were written in. `agents` and `workers` have one
    entry for each agent a step may name, the built-in ones that the flow uses among
    them; `contracts` has those of agents that promise something. `places` maps places in
    the document (`$.flow.children[0]`, `$.agents[1]`) to the author's lines, and `sources`
    files to their text; neither counts for equality. `files` has the SHA-256 of every file
    that it was made of or needs, by the name its author has for it. `folder` is where its
    processes work: that of the file it was loaded from. `layers` are those around each
    agent, outermost first; they are part of its worker already. `version` is there for one
    that a store of versions holds.
    """

    id: str
    document: Mapping[str, Any] = field(compare=False, repr=False)
    digest: str
    flow: Flow = field(compare=False, repr=False)
    agents: Mapping[str, AgentSpec] = field(compare=False, repr=False)
    workers: Mapping[str, Doer] = field(compare=False, repr=False)
    contracts: Mapping[str, Contract] = field(compare=False, repr=False)
    places: Mapping[str, Place] = field(compare=False, repr=False)
    sources: Mapping[str, str] = field(compare=False, repr=False)
    files: Mapping[str, str] = field(default_factory=dict[str, str], compare=False, repr=False)
    folder: Path | None = field(default=None, compare=False, repr=False)
    layers: Mapping[str, tuple[LayerUse, ...]] = field(
        default_factory=dict[str, tuple[LayerUse, ...]], compare=False, repr=False
    )
    version: VersionName | None = field(default=None, compare=False)
    _shared: Shared | None = field(default=None, init=False, compare=False, repr=False)
    # What a run of it may use where nobody says more: none, or one, once that is known.
    _budget: tuple[Budget | None] | None = field(
        default=None, init=False, compare=False, repr=False
    )

    def shared(self) -> Shared:
        """Return the document in bytes, made once: every run of it is pinned to them."""
        if self._shared is None:
            object.__setattr__(self, "_shared", Shared(self.document))
        assert self._shared is not None  # noqa: S101 - just made
        return self._shared

    def first_context(self, input: Any) -> Any:
        """Return the first context of a run that is given *input*, a copy with defaults.

        Raises: Refused (run.input), with the place as `values["at"]`.
        """
        return self.admitted(input).value

    def admitted(self, input: Any) -> Admitted:
        """Do as `first_context` does, and say how large it is: a machine takes it over so."""
        schema = self.document.get("inputs")
        return first_context(None if schema is None else thawed(schema), input, self.flow.limits)

    def budget(self, given: Budget | None = None) -> Budget | None:
        """Return what a run of it may use, where its starter gave a budget as well.

        Raises: Refused (budget.malformed), for a slice of what the blueprint does not have.
        """
        if given is not None:
            self._check_slices(given)
            return self._within(given)
        if self._budget is None:
            object.__setattr__(self, "_budget", (self._within(None),))
        assert self._budget is not None  # noqa: S101 - just made
        return self._budget[0]

    def _within(self, given: Budget | None) -> Budget | None:
        own = self.document.get("limits", {}).get("budget")
        budget = given if own is None else Budget.of(own).within(given)
        agents = {
            name: spec.settings["budget"]
            for name, spec in self.agents.items()
            if spec.settings.get("budget")
        }
        return Budget.of({"agents": agents, "warn_at": 1.0}).within(budget) if agents else budget

    def _check_slices(self, given: Budget) -> None:
        nodes = places_of(self.flow) if given.nodes else ()
        for what, name, said, hint in unknown_slices(given.to_wire(), self.agents, nodes):
            more = f" — {hint}" if hint else ""
            raise Refused("budget.malformed", f"budget.{what}.{name}: {said}{more}")

    @property
    def events(self) -> int:
        """How many events a run of it may have."""
        return self.document.get("limits", {}).get("events", EVENTS)

    def place_of(self, at: str) -> Place | None:
        """Return the author's line of a place in the flow, as its machine names it.

        Shape: `$.children[1].body` stands on the line of the nearest node that has one.
        """
        found = nearest(self.places, f"$.flow{at[1:]}")
        return None if found is None else self.places[found]
