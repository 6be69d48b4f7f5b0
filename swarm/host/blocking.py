"""One run without `async`, for scripts: a host in memory that lives as long as the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.compiler.load import Source
from swarm.errors import Refused
from swarm.host.host import Host

__all__ = ("run_blocking",)


def run_blocking(
    blueprint: CompiledBlueprint | Source,
    input: Any = None,
    *,
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> Any:
    """Run a blueprint to its end, in memory, and return the final context.

    Shape: *functions* by the names under which the blueprint's agents know them.
    Raises: BlueprintInvalid; RunFailed; Refused (host.loop), inside of an event loop, which
    this would stop.
    """
    if _in_a_loop():
        said = "run_blocking: expected to be called outside of an event loop, got a running one"
        hint = "await swarm.Host.start there, or call this in a thread"
        raise Refused("host.loop", f"{said} — {hint}")

    async def main() -> Any:
        async with Host.in_memory() as host:
            for name, function in (functions or {}).items():
                host.function(name)(function)
            return await (await host.start(blueprint, input)).result()

    return anyio.run(main)


def _in_a_loop() -> bool:
    try:
        anyio.get_current_task()
    except RuntimeError:
        return False
    return True
