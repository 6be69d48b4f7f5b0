"""An act on the host, on its way to the first rows that it causes.

Who asked, and a use of his token, are to be written in the transaction of what comes of
the act: neither without the other. The way from the entry point to the journal is long and
awaits on it, so the act travels in the context of its task, and lands with the first rows
that are appended there. Tasks that are born on the way inherit it landed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final

__all__ = ("Act", "acting", "current", "land", "tell")


_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Act:
    """What is to be done once, with the rows of an act.

    Shape: *landing* is given the run that the rows are of, if any; it must not await.
    `detail` is what else is to be known of it: it names what the act changes, where that
    is no run.
    """

    __slots__ = ("_landing", "detail", "landed")

    def __init__(self, landing: Callable[[str | None], None]) -> None:
        self._landing = landing
        self.detail = _NOTHING
        self.landed = False

    def land(self, run_id: str | None = None) -> None:
        """Do it, unless it was done."""
        if not self.landed:
            self.landed = True
            self._landing(run_id)


_ACT: ContextVar[Act | None] = ContextVar("act", default=None)


def current() -> Act | None:
    """Return the act that is on its way here, if one is."""
    act = _ACT.get()
    return None if act is None or act.landed else act


def land(run_id: str) -> None:
    """Land the act that is on its way here: rows of it were appended to a run."""
    act = _ACT.get()
    if act is not None and not act.landed:
        act.land(run_id)


def tell(detail: Mapping[str, Any]) -> None:
    """Say what the act that is on its way here has changed, though it appends no rows."""
    act = current()
    if act is not None:
        act.detail = detail


@contextmanager
def acting(act: Act) -> Generator[Act]:
    """Let *act* be on its way while this lasts."""
    token = _ACT.set(act)
    try:
        yield act
    finally:
        _ACT.reset(token)
