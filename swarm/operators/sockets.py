"""What sockets say of themselves, in the words of the system alone."""

from __future__ import annotations

import os

__all__ = ("why_of",)


def why_of(error: Exception) -> str:
    """Say why there is no line, without the address that asyncio and Python add to it.

    Errors of looking up a name are below zero, and the system has no words for them.
    """
    if not isinstance(error, OSError) or not error.errno:
        return str(error) or type(error).__name__
    if error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error)).partition(" (")[0].lower()
