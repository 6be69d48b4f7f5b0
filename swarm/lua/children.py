"""The children that run scripts: kept warm, handed out, replaced; and whose turn it is."""

from __future__ import annotations

from collections import deque
from contextlib import suppress

import anyio

from swarm.lua.process import ProcessUnavailable, ScriptProcess

__all__ = ("Children", "Turns")

_KEPT_BYTES = 128 * 1024 * 1024
_RUNS = 1000
_LOOKED = 16  # runs between two looks at a child's memory
# A command that loads and runs one small blueprint is over by then: no child in advance.
_SETTLED = 4


class Children:
    """A stock of children: *warm* of them there to be taken, at most *most* kept idle.

    Each is taken by one script, and kept afterwards or dropped. Those that have gone
    meanwhile are never handed out.
    """

    def __init__(self, warm: int, most: int) -> None:
        self._warm = warm
        self._most = most
        self._idle: list[ScriptProcess] = []
        self._taken: set[ScriptProcess] = set()
        self._open = False
        self._served = 0

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes there are."""
        return tuple(process.pid for process in (*self._idle, *self._taken))

    def take(self) -> ScriptProcess:
        """Return a child for one script.

        Raises: ProcessUnavailable.
        """
        self._open = True
        process = self._living() or ScriptProcess()
        process.runs += 1
        self._served += 1
        self._taken.add(process)
        return process

    def adopt(self, process: ScriptProcess) -> None:
        """Take a child that somebody else started, to be handed out as the first."""
        self._idle.append(process)

    def keep(self, process: ScriptProcess) -> bool:
        """Take a child back after a script that ended; say no where it has to be dropped."""
        if not self._open or len(self._idle) >= self._most or _worn(process):
            return False
        self._taken.discard(process)
        self._idle.append(process)
        self._top_up()
        return True

    async def drop(self, process: ScriptProcess) -> None:
        """End a child, and see to it that there is another in its place."""
        await process.end()
        self._forget(process)

    def drop_nowait(self, process: ScriptProcess) -> None:
        """Do the same while nothing else runs."""
        process.end_nowait()
        self._forget(process)

    async def aclose(self) -> None:
        """End all; whoever has taken one sees it end."""
        self._open = False
        for process in self._taken:
            process.kill()
        while self._idle:
            await self._idle.pop().end()

    def _living(self) -> ScriptProcess | None:
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            process.end_nowait()
        return None

    def _forget(self, process: ScriptProcess) -> None:
        self._taken.discard(process)
        self._top_up()

    def _top_up(self) -> None:
        # What cannot be started now is tried again, and complained of, when it is wanted.
        with suppress(ProcessUnavailable):
            while self._wanting():
                self._idle.append(ScriptProcess())

    def _wanting(self) -> bool:
        there = len(self._idle) + len(self._taken)
        return self._open and self._served > _SETTLED and there < self._warm


def _worn(process: ScriptProcess) -> bool:
    if process.runs >= _RUNS:
        return True
    return process.runs % _LOOKED == 0 and process.resident_bytes > _KEPT_BYTES


class Turns:
    """Lets a number of scripts compute at a time, in the order in which they came."""

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._waiting: deque[anyio.Event] = deque()

    @property
    def alone(self) -> bool:
        """Whether who has a turn is the only one."""
        return self._free == self._most - 1

    async def acquire(self) -> None:
        """Wait for a turn."""
        if self._free:
            self._free -= 1
            return
        turn = anyio.Event()
        self._waiting.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self.release()  # It was given to us as we left.
            else:
                self._waiting.remove(turn)
            raise

    def release(self) -> None:
        """Give the turn to the next."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._free += 1
