"""The audit log of a host, to be read and proved while the host goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

from anyio import to_thread

from swarm.core.audit.entries import Kept
from swarm.errors import Refused, SwarmError
from swarm.ports.audit import AuditReading

__all__ = ("Records",)


class Records:
    """Reads through *opened*, beside who writes; *sign* makes a checkpoint of how it is now."""

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[AuditReading]] | None,
        sign: Callable[[], Awaitable[Mapping[str, Any]]],
    ) -> None:
        self._opened = opened
        self._sign = sign

    async def entries(
        self, since: int = 0, limit: int = 100, run: str | None = None
    ) -> Sequence[Kept]:
        """Return entries behind number *since*, those about *run* where one is named.

        Raises: SwarmError (audit.unavailable, audit.unreadable).
        """
        opened = self._there()

        def read() -> list[Kept]:
            with opened() as log:
                rows = log.rows(since) if run is None else log.of_step(run)
                return list(islice((row for row in rows if row.no > since), limit))

        return await to_thread.run_sync(read)

    async def prove(self, run: str, step: str | None = None) -> Mapping[str, Any]:
        """Prove what is in the log about a run, or about a step of it.

        Raises: Refused (audit.unknown), where there is nothing; SwarmError
        (audit.unavailable, audit.unreadable).
        """
        from swarm.core.audit.checkpoint import read_checkpoint
        from swarm.core.audit.proof import make_proof

        opened = self._there()
        checkpoint = read_checkpoint(dict(await self._sign()))

        def made() -> Mapping[str, Any]:
            with opened() as log:
                rows = [row for row in log.of_step(run, step) if row.no <= checkpoint.size]
                if not rows:
                    about = f"run {run}" if step is None else f"run {run}, step {step}"
                    raise Refused("audit.unknown", f"{about}: expected entries, found none")
                return make_proof(rows, checkpoint, log.node).to_wire()

        return await to_thread.run_sync(made)

    def _there(self) -> Callable[[], AbstractContextManager[AuditReading]]:
        if self._opened is None:
            raise SwarmError("audit.unavailable", "expected a host with an audit log, got none")
        return self._opened
