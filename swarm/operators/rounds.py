"""Looking after lines: all of them in one task, so that a line that waits costs nothing.

Each line has a task that would do it, and waits for its turn; the first one does it for
all, and the next takes over when that line ends.
"""

from __future__ import annotations

import logging
from typing import Protocol

import anyio

__all__ = ("Rounds", "Tended")

_LOGGER = logging.getLogger(__name__)


class Tended(Protocol):
    """A line, as far as it is looked after."""

    def look_after(self) -> None:
        """See to what is due."""
        ...

    def give_up(self) -> None:
        """End: something is wrong with it that nobody foresaw."""
        ...


class Rounds:
    """Looks after the lines that take part, every *tick_s* seconds."""

    def __init__(self, tick_s: float) -> None:
        self._tick_s = tick_s
        self._turn = anyio.Lock()
        self._lines: dict[Tended, None] = {}

    async def take_part(self, line: Tended) -> None:
        """Let a line be looked after, until cancelled."""
        self._lines[line] = None
        try:
            async with self._turn:
                while True:
                    await anyio.sleep(self._tick_s)
                    self._go()
        finally:
            del self._lines[line]

    def _go(self) -> None:
        for line in list(self._lines):
            try:
                line.look_after()
            except Exception:
                # It would end the line whose task this is, and not the one that it is about.
                _LOGGER.exception("a line cannot be looked after")
                line.give_up()
