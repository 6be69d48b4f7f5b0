"""One child process from start to end: fed, listened to, and gone with its whole group.

The pipes and the exit are watched here rather than through the event loop's own
processes: asyncio's `wait` returns only when every pipe is closed, and a grandchild can
keep a pipe open for ever.

The leader is reaped last. Until then its id, and so the id of its group, cannot be given
to a stranger, and a signal to the group meets nobody else.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import anyio

__all__ = ("DEFAULT_LIMITS", "Child", "ChildLimits", "Ended")

_CHUNK = 64 * 1024
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """How much a child may say, and how long its end may take.

    Units: bytes of stdout before it is stopped, bytes of stderr that are kept (the
    last ones); seconds between TERM and KILL, for pipes that stay open after the exit,
    and for a KILL to work (a child stuck in the kernel is left to the system).
    """

    stdout_bytes: int = 8 * 1024 * 1024
    stderr_bytes: int = 64 * 1024
    grace_s: float = 5.0
    drain_s: float = 2.0
    kill_s: float = 2.0


DEFAULT_LIMITS = ChildLimits()


@dataclass(frozen=True, slots=True)
class Ended:
    """What a child left: `code` as `subprocess` gives it, negative for a signal.

    `overflowed`: it said more than it may, and was stopped.
    """

    code: int
    stdout: bytes
    stderr: bytes
    overflowed: bool


class Child:
    """A running child process, the leader of a session and group of its own."""

    def __init__(self, process: subprocess.Popen[bytes], limits: ChildLimits) -> None:
        self._process = process
        self._limits = limits
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._overflowed = False
        self._watch = _exit_descriptor(process.pid)

    @classmethod
    def spawn(
        cls,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None,
        limits: ChildLimits,
    ) -> Child:
        """Start a child; it inherits its three pipes and nothing else.

        In place, as every event loop does it: about a millisecond, and no moment at which
        a cancellation could leave a child that nobody knows.
        Raises: OSError; ValueError, for a NUL in an argument.
        """
        process = subprocess.Popen(  # noqa: S603 - argv is a list, there is no shell
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=env,
            cwd=cwd,
            start_new_session=True,
            umask=0o077,
        )
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None  # noqa: S101 - all three were asked for
            os.set_blocking(pipe.fileno(), False)
        return cls(process, limits)

    async def communicate(self, stdin: bytes) -> Ended:
        """Feed the child while listening to it, wait for its end, and clear up.

        Whatever happens, cancellation included, the whole group is gone afterwards.
        """
        try:
            await self._listen(stdin)
        finally:
            with anyio.CancelScope(shield=True):
                await self._end()
        code = self._process.returncode
        return Ended(
            -signal.SIGKILL if code is None else code,
            bytes(self._stdout),
            bytes(self._stderr),
            self._overflowed,
        )

    async def _listen(self, stdin: bytes) -> None:
        heard = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._feed, stdin)
            tasks.start_soon(self._hear, heard, tasks.cancel_scope)
            await self._exited()
            with anyio.move_on_after(self._limits.drain_s):
                await heard.wait()
            tasks.cancel_scope.cancel()

    async def _feed(self, data: bytes) -> None:
        pipe = _open(self._process.stdin)
        left = memoryview(data)
        try:
            while left:
                await anyio.wait_writable(pipe)
                left = left[os.write(pipe.fileno(), left[:_CHUNK]) :]
        except BrokenPipeError:
            pass  # It closed its stdin: it has read all it wants.
        pipe.close()

    async def _hear(self, heard: anyio.Event, stop: anyio.CancelScope) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hear_stdout, stop)
            tasks.start_soon(self._hear_stderr)
        heard.set()

    async def _hear_stdout(self, stop: anyio.CancelScope) -> None:
        pipe = _open(self._process.stdout)
        while chunk := await _read(pipe):
            self._stdout += chunk
            if len(self._stdout) > self._limits.stdout_bytes:
                self._overflowed = True
                stop.cancel()
                return

    async def _hear_stderr(self) -> None:
        pipe = _open(self._process.stderr)
        while chunk := await _read(pipe):
            self._stderr += chunk
            del self._stderr[: -self._limits.stderr_bytes]

    async def _exited(self) -> None:
        """Wait until the leader has ended, without reaping it."""
        if self._watch is not None:
            await anyio.wait_readable(self._watch)
            return
        while not _has_ended(self._process.pid):  # noqa: ASYNC110 - nobody would set an event
            await anyio.sleep(_POLL_S)

    async def _end(self) -> None:
        """Make an end of the leader and its group, then reap and close."""
        if not _has_ended(self._process.pid):
            self._signal(signal.SIGTERM)
            with anyio.move_on_after(0 if self._overflowed else self._limits.grace_s):
                await self._exited()
        self._signal(signal.SIGKILL)
        with anyio.move_on_after(self._limits.kill_s):
            await self._exited()
        self._process.poll()
        self._close()

    def _signal(self, number: signal.Signals) -> None:
        # Nobody may be left; macOS says "not permitted" of a group of zombies.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        if self._watch is not None:
            os.close(self._watch)
            self._watch = None


def _exit_descriptor(pid: int) -> int | None:
    """Open what becomes readable when the process ends, where the system has it."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _has_ended(pid: int) -> bool:
    seen = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return seen is not None


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101 - `spawn` asks for all three
    return pipe


async def _read(pipe: IO[bytes]) -> bytes:
    await anyio.wait_readable(pipe)
    return os.read(pipe.fileno(), _CHUNK)
