"""Steering a run whose store another process has open: by a letter to that process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import anyio

from swarm.errors import Denied, Refused
from swarm.stores.inbox import Inbox

__all__ = ("done_or_written",)

_PATIENCE_S: Final = 10.0
# What was taken up may take its time: a large collection.
_DOING_S: Final = 600.0
_LOOK_S: Final = 0.05


async def done_or_written(
    store: str,
    letter: Mapping[str, Any],
    act: Callable[[], Awaitable[None]],
    *,
    long: bool = False,
) -> Mapping[str, Any] | None:
    """Do it here; where another process has the store, let that one do it.

    Return the receipt of the other one; None: it was done here. *long*: what is taken up
    within ten seconds may take ten minutes.
    Raises: Refused or Denied, with the code and sentence of whoever did it; Refused (store.silent),
    where the other one did not act in time.
    """
    try:
        await act()
    except Refused as error:
        if error.code != "store.locked":
            raise
    else:
        return None
    inbox = Inbox(Path(store))
    name = inbox.put(letter)
    receipt = await _receipt(inbox, name, _PATIENCE_S)
    if receipt is None:
        claimed = not inbox.withdraw(name)
        if claimed and long:
            receipt = await _receipt(inbox, name, _DOING_S)
        if receipt is None:
            raise _silent(store, claimed=claimed)
    if not receipt["ok"]:
        kind = Denied if receipt["code"].startswith("capability.") else Refused
        raise kind(receipt["code"], receipt["message"])
    return receipt


async def _receipt(inbox: Inbox, name: str, patience_s: float) -> Mapping[str, Any] | None:
    receipt = None
    with anyio.move_on_after(patience_s):
        while (receipt := inbox.receipt(name)) is None:  # noqa: ASYNC110 - another process
            await anyio.sleep(_LOOK_S)
    return receipt


def _silent(store: str, *, claimed: bool) -> Refused:
    now = "it was taken, and may still be done" if claimed else "nothing was done"
    return Refused(
        "store.silent",
        f"{store}: expected the process that holds it to act within {_PATIENCE_S:g} s, got no "
        f"answer: {now} — swarm runs show",
    )
