"""A host for flows of agents: blueprints in, runs out.

    Host           loads blueprints, runs them            `async with swarm.Host(…) as host:`
    run_blocking   the same for one blueprint, without `async`
    connect        a host from afar                       `async with swarm.connect(url, token=…)`

Names are handed on when they are first used (PEP 562): importing this costs nothing. No
inner room imports it.
"""

from __future__ import annotations

# A child that runs scripts imports this too, and is waited for: no `typing`, no `importlib`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flowir.errors import WorkerFailure
    from swarm.api.client import connect
    from swarm.blueprint.compiled import CompiledBlueprint
    from swarm.core.events import Event
    from swarm.core.run import RunOutcome, RunStatus
    from swarm.errors import (
        BlueprintInvalid,
        Bug,
        Denied,
        Place,
        Problem,
        Refused,
        RunFailed,
        ScriptFailed,
        SwarmError,
    )
    from swarm.host.blocking import run_blocking
    from swarm.host.enhance import Enhancer
    from swarm.host.host import Host
    from swarm.host.outputs import Output
    from swarm.host.run import Run
    from swarm.ports.worker import Outcome, Usage
    from swarm.workers.context import StepContext
    from swarm.workers.process.settings import ProcessSettings

__all__ = (
    "BlueprintInvalid",
    "Bug",
    "CompiledBlueprint",
    "Denied",
    "Enhancer",
    "Event",
    "Host",
    "Outcome",
    "Output",
    "Place",
    "Problem",
    "ProcessSettings",
    "Refused",
    "Run",
    "RunFailed",
    "RunOutcome",
    "RunStatus",
    "ScriptFailed",
    "StepContext",
    "SwarmError",
    "Usage",
    "WorkerFailure",
    "connect",
    "run_blocking",
)

_ROOMS = {
    "BlueprintInvalid": "swarm.errors",
    "Bug": "swarm.errors",
    "CompiledBlueprint": "swarm.blueprint.compiled",
    "Denied": "swarm.errors",
    "Enhancer": "swarm.host.enhance",
    "Event": "swarm.core.events",
    "Host": "swarm.host.host",
    "Outcome": "swarm.ports.worker",
    "Output": "swarm.host.outputs",
    "Place": "swarm.errors",
    "Problem": "swarm.errors",
    "ProcessSettings": "swarm.workers.process.settings",
    "Refused": "swarm.errors",
    "Run": "swarm.host.run",
    "RunFailed": "swarm.errors",
    "RunOutcome": "swarm.core.run",
    "RunStatus": "swarm.core.run",
    "ScriptFailed": "swarm.errors",
    "StepContext": "swarm.workers.context",
    "SwarmError": "swarm.errors",
    "Usage": "swarm.ports.worker",
    "WorkerFailure": "flowir.errors",
    "connect": "swarm.api.client",
    "run_blocking": "swarm.host.blocking",
}


# A name that there is not is a type checker's to find: it would take this for any.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        room = _ROOMS.get(name)
        if room is None:
            raise AttributeError(f"module 'swarm' has no attribute {name!r}")
        value = getattr(import_module(room), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
