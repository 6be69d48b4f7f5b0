"""One program from start to end, as the host holds it: fed, listened to, and gone.

The pipes are watched here rather than through the event loop's own processes: asyncio's
`wait` returns only when every pipe is closed, and a grandchild can keep one open for ever.
A keeper (`keeper.py`) starts the program, tells of its end, and ends all that it started.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from pathlib import Path

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from flowir.records import dataclass
from swarm.workers.process.keeper import HEADER
from swarm.workers.process.limits import Limits
from swarm.workers.process.nursery import Nursery

__all__ = ("Child", "Ended", "Launch", "Patience", "Unstarted", "signal_name")

_CHUNK = 64 * 1024
_TERM = b"T"


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start, and where.

    Shape: `secrets` is what descriptor 3 gives; without it there is none.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    workdir: Path
    limits: Limits
    secrets: bytes | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the end of a program may take.

    Units: seconds between TERM and KILL; for pipes that stay open after its exit; for a
    KILL to work (what is stuck in the kernel is left to the system).
    """

    grace_s: float = 5.0
    drain_s: float = 2.0
    kill_s: float = 10.0


class Unstarted(Exception):
    """The program could not be started: `at` is `exec` or `cwd`, `number` an errno."""

    def __init__(self, at: str, number: int) -> None:
        super().__init__(at, number)
        self.at = at
        self.number = number


@dataclass(slots=True)
class Ended:
    """How it ended.

    Shape: `code` as `subprocess` gives it, negative for a signal, None where its keeper was
    lost; `limit` is one that the keeper saw broken; `stderr` is its last bytes.
    """

    code: int | None = None
    limit: str | None = None
    stderr: bytearray = field(default_factory=bytearray)


class Child:
    """A program that runs, in a session and group of its own."""

    def __init__(self, control: socket.socket, pipes: Sequence[int], patience: Patience) -> None:
        self._control = control
        self._stdin, self.stdout, self._stderr = pipes
        self._patience = patience
        self._told = bytearray()
        self._exited = anyio.Event()
        self.pid = 0
        self.asked = False
        self.ended = Ended()

    @classmethod
    async def start(cls, nursery: Nursery, launch: Launch, patience: Patience) -> Child:
        """Start a program; a start that is cancelled leaves nothing.

        Raises: Unstarted; NurseryUnavailable.
        """
        ours: tuple[int, ...]
        ours, theirs = _pipes()
        extra = [] if launch.secrets is None else [_filled(launch.secrets)]
        try:
            control = await nursery.keeper()
            child = cls(control, ours, patience)
            try:
                await _send(control, _request(launch), [*theirs, *extra])
                # Once it is asked for it is waited for: who gives up now ends a program that
                # may be at work already, and not one that is nobody's.
                with anyio.CancelScope(shield=True), anyio.move_on_after(patience.kill_s):
                    await child._started()
                if child.pid == 0:
                    raise Unstarted("keeper", 0)
                await checkpoint_if_cancelled()
                await nursery.prepare()
            except BaseException:
                ours = ()
                await child.end(gently=child.pid != 0)
                raise
        except BaseException:
            _close(*ours)
            raise
        finally:
            _close(*theirs, *extra)
        return child

    async def _started(self) -> None:
        match await self._hear():
            case ["pid", pid]:
                self.pid = int(pid)
            case ["failed", at, number]:
                raise Unstarted(at, int(number))
            case _:
                raise Unstarted("keeper", 0)

    # -- talking -----------------------------------------------------------------------

    async def feed(self, data: bytes) -> None:
        """Write all its stdin, as fast as it reads; that it does not is no failure."""
        left = memoryview(data)
        try:
            while left:
                try:
                    left = left[os.write(self._stdin, left[:_CHUNK]) :]
                except BlockingIOError:
                    await anyio.wait_writable(self._stdin)
        except BrokenPipeError:
            pass  # It closed its stdin: it has read all it wants.
        _close(self._stdin)
        self._stdin = -1

    async def listen(self, hear: Callable[[bytes], Awaitable[None]]) -> None:
        """Hand over its stdout as it comes, until everybody has closed it."""
        while chunk := await _read(self.stdout):
            await hear(chunk)

    async def keep_stderr(self, most: int) -> None:
        """Keep the last bytes of its stderr, until everybody has closed it."""
        kept = self.ended.stderr
        while chunk := await _read(self._stderr):
            kept += chunk
            del kept[:-most]

    async def watch(self) -> None:
        """Listen to the keeper until the program has exited, or was stopped by a limit."""
        while not self._exited.is_set():
            self._note(await self._hear())

    async def exited(self) -> None:
        """Wait until `watch` knows of its end."""
        await self._exited.wait()

    def _note(self, told: Sequence[str]) -> None:
        match told:
            case ["limit", name]:
                self.ended.limit = name
            case ["exited", code]:
                self.ended.code = int(code)
            case _:
                pass  # It has gone, or its last word was that it goes.
        self._exited.set()

    async def _hear(self) -> list[str]:
        """Return what the keeper says next, in words; none where it has gone."""
        while b"\n" not in self._told:
            await anyio.wait_readable(self._control)
            try:
                data = self._control.recv(_CHUNK)
            except ConnectionError:
                return []
            except BlockingIOError:
                continue
            if not data:
                return []
            self._told += data
        line, _, self._told = self._told.partition(b"\n")
        return line.decode().split()

    # -- the end -----------------------------------------------------------------------

    def _ask_to_end(self) -> None:
        """Send TERM to it and all its descendants."""
        self.asked = True
        with suppress(OSError):  # It has gone, and everything with it.
            self._control.send(_TERM)

    async def end(self, *, gently: bool = True) -> None:
        """Make an end of it and all that it started, and close the pipes; cancelled or not.

        *gently*: what still runs is asked to end first, and has `grace_s` for it.
        """
        with anyio.CancelScope(shield=True):
            if gently and not self._exited.is_set():
                self._ask_to_end()
                with anyio.move_on_after(self._patience.grace_s):
                    await self.watch()
            with suppress(OSError):
                # To the keeper this is what the host's death is: the end of the lifeline.
                self._control.shutdown(socket.SHUT_WR)
            with anyio.move_on_after(self._patience.kill_s):
                while (told := await self._hear()) and "gone" not in told:
                    self._note(told)
        self._control.close()
        _close(self._stdin, self.stdout, self._stderr)
        self._stdin = self.stdout = self._stderr = -1


def signal_name(code: int) -> str:
    """Name the signal of a negative exit code."""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _request(launch: Launch) -> bytes:
    body = json.dumps(
        {
            "argv": list(launch.argv),
            "env": dict(launch.env),
            "cwd": str(launch.cwd),
            "workdir": str(launch.workdir),
            "limits": launch.limits.launched(),
        }
    ).encode()
    return HEADER.pack(len(body)) + body


async def _send(control: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    sent = socket.send_fds(control, [data[: HEADER.size]], list(fds))
    left = memoryview(data)[sent:]
    while left:
        try:
            left = left[control.send(left[:_CHUNK]) :]
        except BlockingIOError:
            await anyio.wait_writable(control)
        except ConnectionError:
            return  # The answer will tell.


def _pipes() -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    made: list[int] = []
    try:
        for _ in range(3):
            made += os.pipe()
    except OSError:
        _close(*made)
        raise
    ours, theirs = (made[1], made[2], made[4]), (made[0], made[3], made[5])
    for end in ours:
        os.set_blocking(end, False)
    return ours, theirs


def _filled(data: bytes) -> int:
    """Return the reading end of a pipe that holds *data*, no more than a pipe takes."""
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        if os.write(writing, data) < len(data):
            raise OSError("a pipe took less than it must")
    except BaseException:
        _close(reading)
        raise
    finally:
        _close(writing)
    return reading


async def _read(fd: int) -> bytes:
    while True:
        await anyio.wait_readable(fd)
        with suppress(BlockingIOError):
            return os.read(fd, _CHUNK)


def _close(*fds: int) -> None:
    for fd in fds:
        if fd >= 0:
            os.close(fd)
