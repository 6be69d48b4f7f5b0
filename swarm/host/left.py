"""Runs that an earlier host left, until this one goes on with them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable

import anyio

from swarm.ids import RunId

__all__ = ("Left",)


class Left:
    """What is to be gone on with, in its order; whoever asks for one run waits for that."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[RunId, anyio.Event] = OrderedDict()

    def expect(self, run_ids: Iterable[RunId]) -> None:
        """Note what was left, the first to go on with first."""
        self._waiting.update((run_id, anyio.Event()) for run_id in run_ids)

    async def wait(self, run_id: RunId) -> None:
        """Return once a run goes on, or will not by itself; the next to go on with is this one."""
        waiting = self._waiting.get(run_id)
        if waiting is not None:
            self._waiting.move_to_end(run_id, last=False)
            await waiting.wait()

    async def go_through(self, go_on: Callable[[RunId], Awaitable[None]]) -> None:
        """Go on with one after the other."""
        try:
            while self._waiting:
                run_id, waiting = next(iter(self._waiting.items()))
                await go_on(run_id)
                self._waiting.pop(run_id, None)
                waiting.set()
        finally:
            self.leave()

    def leave(self) -> None:
        """Let nobody wait for what this host does not go on with any more."""
        while self._waiting:
            self._waiting.popitem()[1].set()
