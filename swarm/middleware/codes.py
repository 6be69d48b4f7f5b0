"""Codes of failures, as `on` lists them: a code, or `prefix.*`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeAlias

from pydantic import Field

from flowir.errors import FlowError

__all__ = ("Codes", "matches")

# A parameter that lists codes: documents have arrays, parameters are immutable.
Codes: TypeAlias = Annotated[tuple[str, ...], Field(strict=False)]


def matches(code: str, patterns: Iterable[str]) -> bool:
    """Tell whether one of *patterns* admits a code, as in the flow's `on`.

    >>> matches("net.reset", ["io.error", "net.*"])
    True
    """
    error = FlowError(code, "")
    return any(pattern == "*" or error.matches(pattern) for pattern in patterns)
