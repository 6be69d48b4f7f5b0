"""A run as its owner sees it: what it is called, how it stands, how to watch and end it."""

from __future__ import annotations

from typing import Any

import anyio

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.core.driver import Driver
from swarm.core.log import EventStream, RunLog
from swarm.core.run import RunOutcome, RunStatus

__all__ = ("Run",)


class Run:
    """One run of one blueprint; `input` is the digest of what it was started with."""

    def __init__(
        self, blueprint: CompiledBlueprint, input: str, driver: Driver, log: RunLog
    ) -> None:
        self.blueprint = blueprint
        self.input = input
        self._driver = driver
        self._log = log
        self._begun = anyio.Event()
        self._ended = anyio.Event()

    @property
    def id(self) -> str:
        """The run's name."""
        return self._log.run_id

    @property
    def status(self) -> RunStatus:
        """How the run stands, as far as that is written down."""
        return self._log.status

    def events(self, since: int = 0) -> EventStream:
        """Watch the run: `async for event in run.events()`.

        Shape: every event with `seq` above *since*, those of the past first, then each
        as it happens, without a gap; ends with the run. A slow watcher delays nobody.
        """
        return EventStream(self._log, since)

    async def wait(self) -> RunOutcome:
        """Return how the run ended, once it has, and all that it started is gone."""
        await self._ended.wait()
        return self._driver.outcome or RunOutcome(self.id, self.status, None, _INTERRUPTED)

    async def result(self) -> Any:
        """Return the final context, once the run has ended.

        Raises: RunFailed, with `.error`.
        """
        return (await self.wait()).unwrap()

    async def cancel(self, reason: str = "cancelled by its owner") -> None:
        """Ask for the end of the run; `wait` tells when it has come.

        What is in flight is stopped and `finally` bodies run. A run that has ended stays
        as it is.
        """
        await self._driver.cancel(reason)

    async def begin(self) -> None:
        """Make the run exist. The host's to call."""
        await self._driver.begin()
        self._begun.set()

    async def begun(self) -> None:
        """Return when the run exists. The host's to call."""
        await self._begun.wait()

    async def drive(self) -> None:
        """Work until the run has ended. The host's to call."""
        try:
            await self._driver.drive()
        finally:
            self._ended.set()


_INTERRUPTED = {
    "code": "run.interrupted",
    "cause_code": None,
    "message": "the host ended before the run did",
    "at": "",
    "step": None,
    "attempt": None,
    "data": None,
}
