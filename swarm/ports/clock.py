"""What the host needs of time: nothing above this port asks the machine it runs on."""

from __future__ import annotations

from typing import Protocol

from anyio import CancelScope

__all__ = ("Clock",)


class Clock(Protocol):
    """Tells the time, waits, and sets deadlines. A test's clock moves when it is told to."""

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean anything."""
        ...

    def wall(self) -> float:
        """Return the time of day: UTC seconds since 1970. It may jump either way."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return *seconds* from now, never earlier; zero or less yields once."""
        ...

    def deadline(self, seconds: float | None) -> CancelScope:
        """Make a scope that is cancelled *seconds* from now; None: never by itself."""
        ...
