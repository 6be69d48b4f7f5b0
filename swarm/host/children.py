"""Children of runs: carried like any other run, and taken along by their parents."""

from __future__ import annotations

from typing import Protocol

import anyio

from swarm.core.children import Child
from swarm.core.meter import Meter
from swarm.core.run import RunOutcome
from swarm.host.run import Run

__all__ = ("ChildCarrier", "Starter")


class Starter(Protocol):
    """Who starts children, and goes on with them: the host's runs."""

    async def child(self, child: Child) -> tuple[Run, Meter]:
        """Return the run of a child, carried on unless it has ended, and its meter."""
        ...


class ChildCarrier:
    """Carries children out for the runs of a host."""

    def __init__(self, runs: Starter) -> None:
        self._runs = runs

    async def carry(self, child: Child) -> RunOutcome:
        """Start a child, or go on with it; return how it ended, or rests."""
        run, meter = await self._runs.child(child)
        try:
            await _watch(run, child)
            outcome = await run.wait()
        except anyio.get_cancelled_exc_class():
            # As long as its workers take to go; the parent waits for its own as well.
            with anyio.CancelScope(shield=True):
                await _take_along(run, child)
            child.ended(run.status, meter.spent)
            raise
        child.ended(outcome.status, meter.spent)
        return outcome


async def _watch(run: Run, child: Child) -> None:
    """Tell the parent when the child begins and ceases to wait, until it rests or ends."""
    since, waiting = run.log.shown, run.status == "waiting"
    if waiting:
        await child.waits(True)
    async for event in run.events(since):
        if event["kind"].startswith("run.") and waiting != (event["kind"] == "run.waiting"):
            waiting = not waiting
            await child.waits(waiting)


async def _take_along(run: Run, child: Child) -> None:
    if child.rests():
        await run.interrupt()
    else:
        await run.stop("its parent was cancelled, or does not need it")
    await run.wait()
