"""An act on the host, on its way to the first rows that it causes.

Who asked, and a use of his token, are to be written in the transaction of what comes of
the act: neither without the other. The way from the entry point to the journal is long and
awaits on it, so the act travels in the context of its task, and lands with the first rows
that are appended there. Tasks that are born on the way inherit it landed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import Any, Final

__all__ = ("Act", "acting", "current", "ends", "land", "sets_out", "tell")


_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Act:
    """What is to be done once, with the rows of an act.

    Shape: *landing* is given the run that the rows are of, if any; it must not await.
    `detail` is what else is to be known of it: it names what the act changes, where that
    is no run.
    """

    __slots__ = ("_landing", "detail", "landed")

    def __init__(self, landing: Callable[[str | None], None]) -> None:
        self._landing: Callable[[str | None], None] | None = landing
        self.detail = _NOTHING
        self.landed = False

    def land(self, run_id: str | None = None) -> None:
        """Do it, unless it was done."""
        landing, self._landing = self._landing, None
        if landing is not None:
            # Tasks that were born on the way hold the act as long as they live: it holds no more.
            self.landed = True
            landing(run_id)


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


def sets_out(act: Act) -> Token[Act | None]:
    """Let *act* be on its way until `ends`; `acting` does both."""
    return _ACT.set(act)


def ends(token: Token[Act | None]) -> None:
    """Let the act be on its way no more."""
    _ACT.reset(token)


@contextmanager
def acting(act: Act) -> Generator[Act]:
    """Let *act* be on its way while this lasts."""
    token = sets_out(act)
    try:
        yield act
    finally:
        ends(token)
