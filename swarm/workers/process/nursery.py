"""The host's end of the nursery: it is started when first needed, and again should it die."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import weakref
from contextlib import suppress
from functools import cache
from pathlib import Path

import anyio

__all__ = ("Nursery", "NurseryUnavailable")

_END_S = 5.0
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from swarm.workers.process.keeper import main; main()"
)


class NurseryUnavailable(Exception):
    """It cannot be started; the text says why."""


class Nursery:
    """Makes keepers."""

    def __init__(self) -> None:
        self._door: socket.socket | None = None
        self._end: weakref.finalize[..., Nursery] | None = None
        self._spares: list[socket.socket] = []
        self.pid: int | None = None

    async def keeper(self) -> socket.socket:
        """Return the socket of a new keeper; closing it is the keeper's end.

        Raises: NurseryUnavailable.
        """
        while self._spares:
            spare = self._spares.pop()
            if _is_there(spare):
                return spare
            spare.close()
        for _ in range(2):
            try:
                return await self._made()
            except (BrokenPipeError, ConnectionResetError):
                self.close()
        raise NurseryUnavailable("the process that starts programs ends as soon as it is there")

    async def prepare(self) -> None:
        """Have a keeper ready for the next program: it is half of what a start takes.

        Where none can be had now, the next start will tell.
        """
        door = self._door
        if self._spares or door is None:
            return
        with suppress(OSError):
            made = await self._made()
            # Others may have done the same meanwhile, or the end came.
            if self._spares or self._door is not door:
                made.close()
            else:
                self._spares.append(made)

    @property
    def spares(self) -> int:
        """How many keepers wait for a program."""
        return len(self._spares)

    async def _made(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        try:
            await self._hand_over(theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return ours

    async def _hand_over(self, socket_: socket.socket) -> None:
        door = self._opened()
        while True:
            try:
                socket.send_fds(door, [b"k"], [socket_.fileno()])
            except BlockingIOError:
                await anyio.wait_writable(door)
            else:
                return

    def _opened(self) -> socket.socket:
        if self._door is None:
            ours, theirs = socket.socketpair()
            with theirs:
                popen = _spawn(theirs)
            ours.setblocking(False)
            self._door, self.pid = ours, popen.pid
            self._end = weakref.finalize(self, _end, popen, ours, self._spares, os.getpid())
        return self._door

    def close(self) -> None:
        """End it; keepers that are at work stay until their own sockets are closed."""
        if self._end is not None:
            self._end()
        self._door = self._end = self.pid = None
        self._spares = []


def _is_there(keeper: socket.socket) -> bool:
    """Tell whether a keeper that has nothing to say yet is alive."""
    try:
        return keeper.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _spawn(door: socket.socket) -> subprocess.Popen[bytes]:
    if not sys.executable:
        raise NurseryUnavailable("this Python does not know its own program")
    try:
        return subprocess.Popen(  # noqa: S603 - our own program, no shell
            [sys.executable, "-I", "-S", "-c", _BOOT, _root()],
            stdin=door.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,
        )
    except OSError as e:
        raise NurseryUnavailable(str(e)) from e


@cache
def _root() -> str:
    """Return the folder where it finds this package."""
    return str(Path(__file__).resolve().parents[3])


def _end(
    popen: subprocess.Popen[bytes], door: socket.socket, spares: list[socket.socket], owner: int
) -> None:
    """Leave nothing behind: also when nobody said goodbye, and when the interpreter exits."""
    for one in (door, *spares):
        one.close()
    if os.getpid() != owner:  # A fork of this process has no say in its children.
        return
    popen.kill()
    with suppress(subprocess.TimeoutExpired):
        popen.wait(_END_S)
