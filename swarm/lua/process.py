"""One child that runs scripts, as the host holds it: started, talked to, and ended.

Its process group has no other member (it cannot start one), so the id of the process is
all there is to end. The host reaps it before it forgets it; a host that dies takes it
along (the system's parent-death signal, and the end of its pipe).
"""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
import weakref
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from time import monotonic
from typing import IO

import anyio

from swarm.lua.frames import FrameBuffer, Garbled

__all__ = ("Overdue", "ProcessEnded", "ProcessUnavailable", "ScriptProcess")

# What a pipe holds: the room for more would be asked of the system at every read, which takes
# longer than to read a short frame.
_CHUNK = 64 * 1024
_START_S = 20.0  # a machine under full load takes its time
_END_S = 2.0
_POLL_S = 0.001
# How long the loop may stand still for a reply: most scripts are through by then, and to be
# told of it by the loop takes as long as they do.
_AT_ONCE_S = 0.0005
# Replies that are waited for by the loop after one that took longer.
_PATIENT = 16
# Above this, select takes no descriptor.
_SELECTED = 1024
_SPARE_CPU_S = 5
# What is made while it starts is there to stay: nothing for the collector to look at. `main` calls
# it back.
_BOOT = (
    "import gc, sys; gc.disable(); sys.path += sys.argv[1:];"
    "from swarm.lua.child import main; main()"
)
_UNREADY = "before it was ready, it {}"


class ProcessUnavailable(Exception):
    """No child can be started, or it ended before it was ready; the text says why."""


class ProcessEnded(Exception):
    """The child has gone, or said what it never says; the text says how."""


class Overdue(Exception):
    """The child did not come back in time."""


class ScriptProcess:
    """A child that takes requests and gives replies, one at a time.

    Whoever has a reply outstanding and does not wait for it must `kill` the child.
    """

    def __init__(self) -> None:
        self._popen = _spawn()
        self._buffer = FrameBuffer()
        self._cpu_s = 0
        self._patience = 0
        self._began = monotonic()
        self.measures: tuple[str, ...] | None = None
        self.runs = 0
        self._finalizer = weakref.finalize(self, _end, self._popen, os.getpid())

    # -- talking -----------------------------------------------------------------------

    async def exchange(self, frame: bytes, seconds: float, *, alone: bool = False) -> list[bytes]:
        """Send a request to a child that is ready and return the reply.

        *alone*: no other child computes, so that a quick reply may be waited for in place.
        Units: *seconds* of real time.
        Raises: Overdue, ProcessEnded.
        """
        self._allow_cpu(seconds)
        try:
            if alone and self._patience == 0:
                left = memoryview(frame)
                left = left[self._write(left) :]
                if not left and self._answers_at_once():
                    fields = self._take()
                    if fields is not None:
                        return fields
                self._patience = _PATIENT
            else:
                left = frame
                self._patience -= self._patience > 0
            with anyio.move_on_after(seconds):
                await self._send(left)
                return await self._receive()
        except (EOFError, BrokenPipeError) as e:
            raise ProcessEnded(await self._how()) from e
        except Garbled as e:
            raise ProcessEnded("said what no script can say") from e
        raise Overdue

    def exchange_nowait(self, frame: bytes, seconds: float) -> list[bytes]:
        """Do the same while nothing else runs: for requests that are short for certain."""
        self._allow_cpu(seconds)
        try:
            self._send_nowait(frame, seconds)
            return self._receive_nowait(seconds)
        except (EOFError, BrokenPipeError) as e:
            self.end_nowait()
            raise ProcessEnded(self._described()) from e
        except Garbled as e:
            raise ProcessEnded("said what no script can say") from e

    async def ready(self) -> None:
        """Wait until it has started and given up what it must.

        Raises: ProcessUnavailable.
        """
        if self.measures is not None:
            return
        try:
            with anyio.fail_after(_START_S):
                self._started(await self._receive())
        except (Garbled, TimeoutError, EOFError) as e:
            await self.end()
            raise ProcessUnavailable(_UNREADY.format(self._described())) from e

    def ready_nowait(self) -> None:
        """Do the same while nothing else runs."""
        if self.measures is not None:
            return
        try:
            self._started(self._receive_nowait(_START_S))
        except (Garbled, Overdue, EOFError) as e:
            self.end_nowait()
            raise ProcessUnavailable(_UNREADY.format(self._described())) from e

    def _started(self, fields: list[bytes]) -> None:
        if len(fields) != 2 or fields[0] != b"ready":
            raise Garbled("no start")
        self.measures = tuple(fields[1].decode().split())

    def _answers_at_once(self) -> bool:
        reads = self._stdout
        return reads < _SELECTED and bool(select.select((reads,), (), (), _AT_ONCE_S)[0])

    def _take(self) -> list[bytes] | None:
        """Read what is there; return the reply, where that makes it whole."""
        self._buffer.feed(os.read(self._stdout, _CHUNK))
        return self._buffer.take()

    async def _send(self, frame: bytes | memoryview) -> None:
        left = memoryview(frame)
        while left := left[self._write(left) :]:
            await anyio.wait_writable(self._stdin)

    async def _receive(self) -> list[bytes]:
        while True:
            await anyio.wait_readable(self._stdout)
            fields = self._take()
            if fields is not None:
                return fields

    def _send_nowait(self, frame: bytes, seconds: float) -> None:
        left = memoryview(frame)
        while left := left[self._write(left) :]:
            _wait(self._stdin, select.POLLOUT, seconds)

    def _receive_nowait(self, seconds: float) -> list[bytes]:
        while True:
            _wait(self._stdout, select.POLLIN, seconds)
            fields = self._take()
            if fields is not None:
                return fields

    def _write(self, data: memoryview) -> int:
        try:
            return os.write(self._stdin, data)
        except BlockingIOError:
            return 0

    # Asked for each time: the number of a pipe that was closed may be another file's by now.
    @property
    def _stdin(self) -> int:
        return _open(self._popen.stdin).fileno()

    @property
    def _stdout(self) -> int:
        return _open(self._popen.stdout).fileno()

    # -- looking at it -----------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._popen.poll() is None

    @property
    def resident_bytes(self) -> int:
        """How much memory it holds; 0 where the system does not tell."""
        try:
            pages = Path(f"/proc/{self._popen.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * resource.getpagesize()

    def _allow_cpu(self, seconds: float) -> None:
        """Let the system end it if it computes on while this process stands still.

        It has computed at most as long as it is there; the limit is moved in strides,
        because moving it costs something.
        """
        needed = ceil(monotonic() - self._began + seconds) + 1
        if needed <= self._cpu_s or not hasattr(resource, "prlimit"):
            return
        self._cpu_s = needed + _SPARE_CPU_S
        with suppress(OSError):
            limits = (self._cpu_s, resource.RLIM_INFINITY)
            resource.prlimit(self._popen.pid, resource.RLIMIT_CPU, limits)

    async def _how(self) -> str:
        await self.end()
        return self._described()

    def _described(self) -> str:
        code = self._popen.returncode
        if code is None or code >= 0:
            return f"ended with {code}"
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"

    # -- the end -----------------------------------------------------------------------

    def kill(self) -> None:
        """End it now; `end` waits for it."""
        if self._popen.poll() is None:
            self._popen.kill()

    async def end(self) -> None:
        """End it, wait until it has gone, and close the pipes; cancelled or not."""
        self.kill()
        with anyio.CancelScope(shield=True), anyio.move_on_after(_END_S):
            while self._popen.poll() is None:  # noqa: ASYNC110 - nobody would set an event
                await anyio.sleep(_POLL_S)
        self._finalizer()

    def end_nowait(self) -> None:
        """Do the same while nothing else runs."""
        self._finalizer()


def _spawn() -> subprocess.Popen[bytes]:
    if not sys.executable:
        raise ProcessUnavailable("this Python does not know its own program")
    try:
        popen = subprocess.Popen(  # noqa: S603 - our own program, no shell
            [sys.executable, "-I", "-S", "-c", _BOOT, *_roots()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env={},
            start_new_session=True,
        )
    except OSError as e:
        raise ProcessUnavailable(str(e)) from e
    for pipe in (popen.stdin, popen.stdout):
        os.set_blocking(_open(pipe).fileno(), False)
    return popen


@cache
def _roots() -> tuple[str, ...]:
    """Return the folders where the child finds what it imports: this package, and lupa."""
    found = [spec.origin for name in ("swarm", "lupa") if (spec := find_spec(name)) is not None]
    return tuple(dict.fromkeys(str(Path(str(file)).resolve().parents[1]) for file in found))


def _end(popen: subprocess.Popen[bytes], owner: int) -> None:
    """Leave nothing behind: also when nobody said goodbye, and when the interpreter exits."""
    if os.getpid() == owner:  # A fork of this process has no say in its children.
        popen.kill()
        with suppress(subprocess.TimeoutExpired):
            popen.wait(_END_S)
    for pipe in (popen.stdin, popen.stdout):
        _open(pipe).close()


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101 - `_spawn` asks for both
    return pipe


def _wait(descriptor: int, what: int, seconds: float) -> None:
    poll = select.poll()
    poll.register(descriptor, what)
    if not poll.poll(ceil(seconds * 1000)):
        raise Overdue
