"""What a blueprint says of an agent's attempts, read once for a run and not for each.

An agent that the blueprint does not have, has no terms but the limits of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.contract import Contract
from swarm.core.gates import Gates, Needs, needs_of
from swarm.ports.worker import Usage, Worker

__all__ = ("Terms", "TermsBook", "most_of")

_NOTHING: Final = Usage()


class Terms(NamedTuple):
    """Who does an agent's attempts, and what each of them may take.

    Shape: `most` is what one may use, as far as it is said; `needs` its places at the
    gates; `spec` is the agent as the blueprint has it, `contract` what it promises;
    `apart` whether its answer is data, and kept apart.
    Units: `timeout_s` in seconds, where the step itself does not say.
    """

    worker: Worker | None
    most: Usage
    timeout_s: float | None
    needs: Needs
    spec: AgentSpec | None = None
    contract: Contract | None = None
    apart: bool = False


class TermsBook:
    """The terms of one blueprint's agents, in a host with these gates."""

    def __init__(self, blueprint: CompiledBlueprint, gates: Gates) -> None:
        self._blueprint = blueprint
        self._gates = gates
        self._known: dict[str, Terms] = {}

    def of(self, agent: str) -> Terms:
        """Return the terms of an agent."""
        terms = self._known.get(agent)
        if terms is None:
            terms = self._known[agent] = self._read(agent)
        return terms

    def _read(self, agent: str) -> Terms:
        blueprint = self._blueprint
        spec = blueprint.agents.get(agent)
        settings = {} if spec is None else spec.settings
        return Terms(
            cast("Worker | None", blueprint.workers.get(agent)),
            most_of(settings),
            settings.get("timeout_s"),
            needs_of(blueprint, agent, self._gates),
            spec,
            blueprint.contracts.get(agent),
            settings.get("output") == "ref",
        )


def most_of(settings: Mapping[str, Any]) -> Usage:
    """Return what one attempt of an agent may use, as far as its settings say it."""
    most = settings.get("reserve")
    return _NOTHING if most is None else Usage(most.get("tokens", 0), most.get("cost", 0.0))
