"""What may be asked of a list: how much of it, from where, and which states."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, cast, get_args

from flowir.errors import shorten
from flowir.report import nearest, one_of
from swarm.core.run import RunStatus
from swarm.errors import Refused

__all__ = ("MOST", "counted", "is_plural", "one_of_statuses", "page")

# Of one list at a time: whoever wants more continues it.
MOST: Final = 10_000
_STATUSES: Final[tuple[str, ...]] = get_args(RunStatus)
# More than any list has members: a number of the store's.
_HUGE: Final = 2**63 - 1


def page(what: str, limit: Any) -> int:
    """Return how many are wanted.

    Raises: Refused (list.limit).
    """
    return counted(what, "limit", limit, 1, MOST)


def counted(what: str, name: str, got: Any, least: int, most: int = _HUGE) -> int:
    """Return a whole number that was asked for, if it is one within bounds.

    Raises: Refused (list.limit).
    """
    if isinstance(got, int) and not isinstance(got, bool) and least <= got <= most:
        return got
    wanted = f"from {least} to {most:,}" if most < _HUGE else f"of at least {least}"
    hint = " — continue the list for more" if name == "limit" else ""
    said = f"{what}: expected {name!r} to be a whole number {wanted}, got {shorten(got)}{hint}"
    raise Refused("list.limit", said)


def one_of_statuses(
    status: RunStatus | Collection[RunStatus] | None,
) -> Collection[RunStatus] | None:
    """Return the states that were asked for, one or several; None: all.

    Raises: Refused (list.status).
    """
    if status is None:
        return None
    # Callers are not all checked: whatever this is, it is looked at.
    given: Any = status
    several: list[Any] = [given] if isinstance(given, str) or not is_plural(given) else [*given]
    for one in several:
        if one not in _STATUSES:
            near = nearest(one, _STATUSES) if isinstance(one, str) else None
            said = f"runs: expected 'status' to be {one_of(_STATUSES)}, got {shorten(one)}"
            raise Refused("list.status", f"{said} — {near}" if near else said)
    return frozenset(cast("list[RunStatus]", several))


def is_plural(given: Any) -> bool:
    """Tell whether somebody asks for several."""
    return isinstance(given, Collection) and not isinstance(given, (bytes, bytearray))
