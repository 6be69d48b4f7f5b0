"""What is to be said on one line, until it is."""

from __future__ import annotations

from collections import deque

import anyio

from swarm.operators.faults import FAULTS

__all__ = ("Outlet",)


class Outlet:
    """Texts for one line, in their order; `end` says how it is closed behind them."""

    __slots__ = ("_wake", "closing", "texts")

    def __init__(self) -> None:
        self.texts: deque[str] = deque()
        self.closing: tuple[int, str] | None = None
        self._wake = anyio.Event()

    def push(self, text: str) -> None:
        """Say something."""
        if self.closing is None:
            self.texts.append(text)
            self._wake.set()

    def end(self, code: str, message: str = "") -> None:
        """Close the line, as the table of faults has it; the first reason counts."""
        self.shut(FAULTS[code].number, message or code)

    def shut(self, number: int, reason: str) -> None:
        """Close the line with any number."""
        if self.closing is None:
            self.closing = (number, reason)
            self._wake.set()

    def wake(self) -> None:
        """Let whoever carries this look again."""
        self._wake.set()

    async def wait(self) -> None:
        """Return when there may be something to say."""
        await self._wake.wait()
        self._wake = anyio.Event()
