"""How long a flow may ask to wait, which is known before a run or only in it."""

from __future__ import annotations

from typing import Any

from flowir.errors import shorten
from swarm.blueprint.builders import SLEEP

__all__ = ("delay_fault",)


def delay_fault(value: Any) -> str | None:
    """Say why *value* is no delay, if it is none.

    >>> delay_fault(-1)
    'swarm.sleep: expected a number of seconds, zero or more, got -1'
    """
    if type(value) in (int, float) and value >= 0:
        return None
    return f"{SLEEP}: expected a number of seconds, zero or more, got {shorten(value)}"
