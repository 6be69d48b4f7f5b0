"""What a blueprint says of an agent's attempts, read once for a run and not for each.

An agent that the blueprint does not have, has no terms but the limits of all, and a worker
that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

from flowir.errors import WorkerFailure
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.contract import Contract
from swarm.core.gates import Gates, Needs, needs_of
from swarm.ports.worker import Call, Outcome, StepLink, Usage, Worker

__all__ = ("Terms", "TermsBook", "most_of")

_NOTHING: Final = Usage()


class Terms(NamedTuple):
    """Who does an agent's attempts, and what each of them may take.

    Shape: `most` is what one may use, as far as it is said; `needs` its places at the
    gates; `spec` is the agent as the blueprint has it, `contract` what it promises;
    `apart` whether its answer is data, and kept apart; `begins` is to be told of each
    attempt as it is written down.
    Units: `timeout_s` in seconds, where the step itself does not say.
    """

    agent: str
    worker: Worker
    most: Usage
    timeout_s: float | None
    needs: Needs
    spec: AgentSpec | None = None
    contract: Contract | None = None
    apart: bool = False
    begins: Callable[[str, str, int, str], None] | None = None


class TermsBook(dict[str, Terms]):
    """The terms of one blueprint's agents, by name, in a host with these gates.

    A dict that reads what is looked up for the first time: a step looks up twice.
    """

    __slots__ = ("_blueprint", "_gates")

    def __init__(self, blueprint: CompiledBlueprint, gates: Gates) -> None:
        super().__init__()
        self._blueprint = blueprint
        self._gates = gates

    def __missing__(self, agent: str) -> Terms:
        terms = self[agent] = self._read(agent)
        return terms

    def _read(self, agent: str) -> Terms:
        blueprint = self._blueprint
        spec = blueprint.agents.get(agent)
        settings = {} if spec is None else spec.settings
        worker = cast("Worker | None", blueprint.workers.get(agent))
        return Terms(
            agent,
            _Unknown(blueprint.id) if worker is None else worker,
            most_of(settings),
            settings.get("timeout_s"),
            needs_of(blueprint, agent, self._gates),
            spec,
            blueprint.contracts.get(agent),
            settings.get("output") == "ref",
            getattr(worker, "begins", None),
        )


class _Unknown:
    """Stands for a worker that is not there."""

    def __init__(self, blueprint: str) -> None:
        self._blueprint = blueprint

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        said = f"expected an agent of blueprint {self._blueprint!r}, got {call.agent!r}"
        raise WorkerFailure("agent.unknown", said, True)


def most_of(settings: Mapping[str, Any]) -> Usage:
    """Return what one attempt of an agent may use, as far as its settings say it."""
    most = settings.get("reserve")
    return _NOTHING if most is None else Usage(most.get("tokens", 0), most.get("cost", 0.0))
