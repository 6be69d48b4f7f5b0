"""Listening to a program: its stdout becomes messages, and each is told as it comes.

Reading never waits for telling: what is heard is bounded by the program's own limit, and
a pipe that is not emptied would keep it from ending. A read of many short messages is heard
a piece at a time, and what else the host does has its turn in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint

from swarm.ports.worker import StepLink
from swarm.workers.process.program import Program
from swarm.workers.process.reading import Found
from swarm.workers.process.secrets import Redactor
from swarm.workers.process.streams import STREAMED, StreamFault, open_stream

__all__ = ("Hearing",)

# A run has only so many events; who says more is heard, and no longer told.
_MOST_TOLD = 1000
_SHOWN = 2000
# Each message costs the host some microseconds, however short it is.
_MOST_HEARD = 250_000
# So does each line, empty ones too; an event has some.
_MOST_LINES = 4 * _MOST_HEARD
# A streamed form is heard so many bytes at a time, and others have a turn after so many lines and
# messages: some 2 ms for the shortest, and none within a read of long ones.
_PIECE = 512
_TURN = 128


class Hearing:
    """What one attempt has said.

    Shape: `fault` is what was wrong with it; `faulted` is set with it, and with `broken`,
    the error of a link that takes no more.
    """

    def __init__(self, program: Program, link: StepLink, redactor: Redactor) -> None:
        self.found = Found(program.reading)
        self.fault: StreamFault | None = None
        self.broken: Exception | None = None
        self.faulted = anyio.Event()
        self._stream = open_stream(program.output, program.limits)
        # A form that is read as a whole is only kept until the end: that takes no time.
        self._piece = _PIECE if program.output in STREAMED else 0
        self._is_told = program.output in STREAMED and program.reading.progress is not None
        self._most = program.limits.output_bytes
        self._heard = 0
        self._link = link
        self._redactor = redactor
        self._telling: deque[str] = deque()
        self._told = 0
        self._messages = self._lines = 0
        self._news = anyio.Event()
        self._over = False

    async def hear(self, data: bytes) -> None:
        """Take in what came from the program: all of it, cancelled or not."""
        self._heard += len(data)
        if self._heard > self._most:
            said = f"wrote more than {self._most} bytes"
            self._fail(StreamFault("process.output_limit", said, overflows=True))
            return
        size = self._piece or max(len(data), 1)
        dear = 0
        for begin in range(0, len(data), size):
            if self.fault is not None:
                return
            if dear >= _TURN:
                dear = 0
                await cancel_shielded_checkpoint()
            piece, before = data[begin : begin + size], self._messages
            lines = piece.count(b"\n")
            self._lines += lines
            if self._lines > _MOST_LINES:
                said = f"said more than {_MOST_LINES} lines"
                self._fail(StreamFault("process.output_limit", said, overflows=True))
                return
            self._take(self._stream.feed(piece))
            dear += lines + self._messages - before

    def end(self) -> None:
        """Note that nothing more will come."""
        if self.fault is None:
            self._take(self._stream.end())
        self._over = True
        self._news.set()

    def _take(self, messages: Iterator[Any]) -> None:
        try:
            for message in messages:
                self._messages += 1
                if self._messages > _MOST_HEARD:
                    said = f"said more than {_MOST_HEARD} messages"
                    raise StreamFault("process.output_limit", said, overflows=True)
                self.found.take(message)
                if self._is_told:
                    self._queue(self.found.told(message))
        except StreamFault as fault:
            self._fail(fault)

    def _fail(self, fault: StreamFault) -> None:
        if self.fault is None or fault.overflows:
            self.fault = fault
            self.faulted.set()

    # -- telling -----------------------------------------------------------------------

    def _queue(self, text: str) -> None:
        text = self._redactor.text(text)[:_SHOWN].strip()
        if text:
            self._told += 1
            if self._told <= _MOST_TOLD:
                self._telling.append(text)
                self._news.set()

    async def tell(self) -> None:
        """Tell each message, until all are told after the end."""
        try:
            while True:
                while self._telling:
                    await self._link.progress(self._telling.popleft())
                if self._over:
                    break
                self._news = anyio.Event()
                await self._news.wait()
            for note in self._notes():
                await self._link.progress(note)
        except Exception as error:  # noqa: BLE001 - raised by the worker, outside its tasks
            self.broken = error
            self.faulted.set()

    def _notes(self) -> Iterator[str]:
        if self._told > _MOST_TOLD:
            yield f"{self._told - _MOST_TOLD} messages more were heard, and not told"
        for pointer in self.found.uncounted if self.fault is None else ():
            yield f"nothing was counted as used: no number at {pointer!r} in the output"


def last_line(text: str) -> str:
    """Return the last line of a text that says something."""
    with suppress(IndexError):
        return text.strip().splitlines()[-1].strip()
    return ""
