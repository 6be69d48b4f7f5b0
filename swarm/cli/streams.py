"""The three streams a process is born with: some may be missing, full, or read by nobody.

A stream that is missing is `/dev/null`, so that no file of a store is ever opened under the
number that messages are written to.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

__all__ = ("give_up", "open_missing", "settle")

_NAMES = ("stdin", "stdout", "stderr")


def open_missing() -> None:
    """Open as `/dev/null` what this process was started without (`swarm … <&-`)."""
    for number, name in enumerate(_NAMES):
        if getattr(sys, name) is not None:
            continue
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        # Never closed: its number must stay taken.
        setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def settle(stream: TextIO) -> None:
    """Write what is still to be written, or give it up."""
    try:
        stream.flush()
    except OSError:
        give_up(stream)


def give_up(stream: TextIO) -> None:
    """Write no more to a stream that cannot be written: the interpreter must not try either."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
