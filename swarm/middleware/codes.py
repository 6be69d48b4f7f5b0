"""Codes of failures, as `on` lists them: a code, `prefix.*`, or `*` for any."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from flowir.errors import FlowError, is_code_pattern

__all__ = ("Codes", "Words", "matches")


def _pattern(entry: str) -> str:
    """Refuse an entry that would match nothing."""
    if entry != "*" and not is_code_pattern(entry):
        raise PydanticCustomError("code_pattern", "a code, 'prefix.*' or '*'")
    return entry


# Parameters that are lists: documents have arrays, parameters are immutable.
Codes: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_pattern)], ...], Field(strict=False)
]
Words: TypeAlias = Annotated[tuple[str, ...], Field(strict=False)]


def matches(code: str, patterns: Iterable[str]) -> bool:
    """Tell whether one of *patterns* admits a code, as in the flow's `on`.

    >>> matches("net.reset", ["io.error", "net.*"])
    True
    """
    error = FlowError(code, "")
    return any(pattern == "*" or error.matches(pattern) for pattern in patterns)
