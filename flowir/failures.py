"""What the failure of a step means: its error, whether to ask again, who catches it.

A retry is a policy: it says when the next attempt is due, and never waits.
"""

from __future__ import annotations

import hashlib

from flowir.effects import Failure
from flowir.errors import FlowError
from flowir.joins import UNCATCHABLE
from flowir.lane import Lane
from flowir.nodes import Retry

__all__ = ("admits", "asks_again", "delay_of", "error_of")

_BY_NAME_ONLY = "budget.exhausted"
# Codes that a driver gives a failure on its own account: they are not the worker's. The
# last three say that the answer did not pass the door, which a driver may find first.
_HOST_CODES = frozenset(
    {"step.timeout", _BY_NAME_ONLY, "malformed", "value.too_large", "value.too_deep"}
)


def error_of(lane: Lane, outcome: Failure, ref: str) -> FlowError:
    """Make the error of a failed step (flow-ir.md §4, step)."""
    by_host = outcome.code in _HOST_CODES
    return FlowError(
        outcome.code if by_host else "step.failed",
        _as_text(outcome.message),
        cause_code=None if by_host else outcome.code,
        step=ref,
        attempt=lane.attempt,
        permanent=outcome.permanent,
        data=lane.admit(outcome.data, ref)[0],
    )


def _as_text(message: str) -> str:
    """Write what no text can hold as escapes: the message of an OSError names files."""
    return message if message.isascii() else message.encode("utf-8", "backslashreplace").decode()


def asks_again(retry: Retry, error: FlowError, attempt: int) -> bool:
    """Tell whether a step that failed with *error* is asked for once more."""
    if error.permanent or attempt >= retry.max_attempts:
        return False
    return retry.on is None or any(map(error.matches, retry.on))


def delay_of(retry: Retry, key: str | None, attempt: int) -> float:
    """Say how long to wait before the next attempt; the same in every replay."""
    try:
        delay: float = min(retry.delay_s * float(retry.factor) ** (attempt - 1), retry.max_delay_s)
    except OverflowError:
        delay = retry.max_delay_s
    if retry.jitter:
        digest = hashlib.sha256(f"{key}/{attempt}".encode()).digest()
        chance = int.from_bytes(digest[:8], "big") / (1 << 64)
        delay *= 1 + retry.jitter * (2 * chance - 1)
    return min(delay, retry.max_delay_s)


def admits(error: FlowError, on: tuple[str, ...] | None) -> bool:
    """Tell whether a `try` with this `on` catches *error*."""
    if _ends_the_run(error):
        return False
    if error.code == _BY_NAME_ONLY:
        return on is not None and error.code in on
    return on is None or any(map(error.matches, on))


def _ends_the_run(error: BaseException | None) -> bool:
    """Tell whether *error* may not be caught, or replaced in a `finally` one that may not.

    Otherwise a `finally` that fails would undo a cancellation.
    """
    while isinstance(error, FlowError):
        if error.code in UNCATCHABLE:
            return True
        error = error.__cause__
    return False
