"""What this machine gives a process that runs scripts: tried, not guessed."""

from __future__ import annotations

from time import perf_counter

from flowir.records import dataclass
from swarm.lua.jail import MEASURES
from swarm.lua.process import ProcessUnavailable, ScriptProcess

__all__ = ("Isolation", "try_isolation")


@dataclass(frozen=True, slots=True)
class Isolation:
    """Which measures hold and which are missing; `problem` says why there is no process.

    Units: `start_s`, from the request to a child that is ready.
    """

    held: tuple[str, ...]
    missing: tuple[str, ...]
    start_s: float
    problem: str | None = None


async def try_isolation() -> Isolation:
    """Start a child as scripts have it, and ask what it has given up."""
    began = perf_counter()
    try:
        process = ScriptProcess()
    except ProcessUnavailable as e:
        return Isolation((), MEASURES, 0.0, str(e))
    try:
        await process.ready()
    except ProcessUnavailable as e:
        return Isolation((), MEASURES, perf_counter() - began, str(e))
    finally:
        await process.end()
    held = process.measures or ()
    missing = tuple(measure for measure in MEASURES if measure not in held)
    return Isolation(held, missing, perf_counter() - began)
