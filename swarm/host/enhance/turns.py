"""Whose turn it is: one issue of a blueprint is in flight at a time."""

from __future__ import annotations

from typing import Final

import anyio

from swarm.host.host import Host

__all__ = ("Turns",)

_LOOK_S: Final = 0.05


class Turns:
    """Who works on which blueprint; an issue that waits for a person holds nobody up."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._holders: dict[str, str] = {}

    async def hold(self, run_id: str, blueprint: str) -> None:
        """Return when it is this issue's turn."""
        while True:
            holder = self._holders.setdefault(blueprint, run_id)
            if holder == run_id:
                return
            other = await self._host.run(holder)
            if other.status not in ("pending", "running"):
                self.free(holder)
            else:
                await anyio.sleep(_LOOK_S)

    def free(self, run_id: str) -> None:
        """Let another issue have its turn."""
        self._holders = {b: holder for b, holder in self._holders.items() if holder != run_id}
