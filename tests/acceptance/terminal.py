"""A command at a terminal of its own: what it shows is read, and what it asks for typed."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import termios
import time
from codecs import getincrementaldecoder
from collections.abc import Callable

__all__ = ("Terminal",)

_BOUND_S = 60
# Wide enough that no line of a page is folded.
_SIZE = (40, 120)


class Terminal:
    """One command, from its start until it is left with Ctrl-C."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, _SIZE)
        self._said, self._text = "", getincrementaldecoder("utf-8")("replace")
        self._process = subprocess.Popen(  # noqa: S602 - the commands are our own pages'
            f"exec {command}", shell=True, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)

    def expect(self, holds: Callable[[str], bool]) -> None:
        """Read on until what was said since the last time is what is expected.

        Raises: AssertionError, where it says something else for a minute, or ends.
        """
        give_up = time.monotonic() + _BOUND_S
        while not holds(self._said):
            ready, _, _ = select.select([self._ours], [], [], max(0, give_up - time.monotonic()))
            more = self._read() if ready else b""
            assert more, f"$ {self._command}\n{self._said}"
            self._said += self._text.decode(more).replace("\r\n", "\n")
        self._said = ""

    def _read(self) -> bytes:
        try:
            return os.read(self._ours, 65536)
        except OSError:
            return b""  # Nobody has the other side any more.

    def type(self, line: str) -> None:
        """Type a line; the terminal shows it as well, so it is expected next."""
        os.write(self._ours, f"{line}\n".encode())

    def leave(self) -> int:
        """Send what Ctrl-C sends, and return what the command ended with."""
        self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(_BOUND_S)
        finally:
            self.close()

    def close(self) -> None:
        """End it, whatever it does; may be called again."""
        self._process.kill()
        self._process.wait(_BOUND_S)
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1
