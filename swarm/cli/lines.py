"""The lines of stdin, for commands that ask while other things go on.

Read without a thread, which nothing could take away from a terminal, and without the
buffer of `sys.stdin`, behind which nobody sees that a line waits: whoever pastes several
lines has answered several questions.
"""

from __future__ import annotations

import os
import sys

import anyio

__all__ = ("Lines",)


class Lines:
    """What is typed; what was read too much is kept for the next."""

    def __init__(self) -> None:
        self._rest = b""

    async def next(self) -> str | None:
        """Return a line, without the blanks around it; None: there will be none."""
        while b"\n" not in self._rest:
            await anyio.wait_readable(sys.stdin)
            more = os.read(sys.stdin.fileno(), 65536)
            if not more:
                # A last line may end with the input.
                rest, self._rest = self._rest, b""
                return _text(rest) if rest else None
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return _text(line)

    def forget(self) -> None:
        """Forget what was typed and not read; what comes through a pipe was not typed."""
        if sys.stdin.isatty():
            import termios

            self._rest = b""
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").strip()
