"""What stands between the host and a program: the nursery, and in it a keeper for each.

    host ── nursery ──┬── keeper ── program ── whatever it starts
                      └── keeper ── program

This runs in processes of its own, never in the host. The nursery starts once and forks a
keeper for each program, which costs a millisecond where a new interpreter costs twenty. A
keeper adopts whatever its program leaves behind (it is a subreaper), so it can end all of
it, daemons included, and the app that embeds the host stays as it is.

The keeper's socket is the lifeline: when the host closes it, or dies, the keeper ends the
whole tree. Should the keeper die, the system ends the program, and the nursery, a
subreaper too, what else there was. Knows the standard library only: every fork carries
what was imported.

Talk on the socket: the host sends one request (length, then JSON, with the descriptors of
the program), then `T` to ask the program to end; where it says nothing more, all is ended. The
keeper answers with lines: `pid N` or `failed WHERE ERRNO`; then `limit NAME`, `exited CODE` and
`gone`. No JSON on this way, and nothing else that a process need not touch: each page that it
does is copied, and a keeper has few instructions beside that.
"""

from __future__ import annotations

import array
import fcntl
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

from swarm.workers.process.execute import execute
from swarm.workers.process.tree import (
    children_by_parent,
    descendants,
    disk_usage,
    is_only_child,
    kill_below,
    signal_tree,
    tasks_of_system,
)

__all__ = ("HEADER", "main")

HEADER = struct.Struct("!I")
_MOST_FDS = 8
_FIRST_FREE = 16
_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_SET_NO_NEW_PRIVS = 38
# The keeper looks at what it watches this often, and at the disk each so many looks.
_LOOK_S = 0.1
_DISK_LOOKS = 5
_SWEEP_S = 10.0
_IGNORED = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM")
_RLIMITS = {
    "memory_bytes": "RLIMIT_AS",
    "cpu_s": "RLIMIT_CPU",
    "file_bytes": "RLIMIT_FSIZE",
    "open_files": "RLIMIT_NOFILE",
}


def main() -> None:
    """Be the nursery, on the socket that is descriptor 0, until the host lets go of it."""
    for name in _IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    prctl = _prctl()
    prctl(_SET_CHILD_SUBREAPER, 1)
    door = socket.socket(fileno=os.dup(0))
    _to_null(0)
    gc.freeze()
    _Nursery(door, prctl).run()


class _Bell:
    """Becomes readable when a child has ended; SIGCHLD has a handler, which a fork keeps."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()
        for end in (self.reading, self._writing):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)

    def hush(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.reading, select.PIPE_BUF * 16)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self.reading)
        os.close(self._writing)


class _Nursery:
    """Forks keepers, and ends what a keeper that was killed left behind."""

    def __init__(self, door: socket.socket, prctl: Callable[..., bool]) -> None:
        self._door = door
        self._prctl = prctl
        self._keepers: set[int] = set()
        self._bell = _Bell()

    def run(self) -> None:
        poll = select.poll()
        poll.register(self._door, select.POLLIN)
        poll.register(self._bell.reading, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._bell.reading in ready:
                self._bell.hush()
                self._reap()
            if self._door.fileno() in ready and not self._take():
                return

    def _take(self) -> bool:
        """Fork a keeper for the socket that comes; False: the host has gone."""
        said, fds = _receive(self._door, 1)
        if not said:
            return False
        for fd in fds:
            pid = os.fork()
            if pid == 0:
                self._door.close()
                self._bell.close()
                _keep(socket.socket(fileno=fd), self._prctl)
            self._keepers.add(pid)
            os.close(fd)
        return True

    def _reap(self) -> None:
        orphaned = False
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
                if pid == 0:
                    break
                if os.WIFSTOPPED(status):
                    # Nobody but its program stops a keeper, and would outlive its end so.
                    os.kill(pid, signal.SIGKILL)
                    continue
                orphaned |= pid not in self._keepers or status != 0
                self._keepers.discard(pid)
        if orphaned:
            for pid in children_by_parent().get(os.getpid(), []):
                if pid not in self._keepers:
                    os.kill(pid, signal.SIGKILL)  # unreaped, so it is still this child


def _keep(control: socket.socket, prctl: Callable[..., bool]) -> None:
    """Be a keeper; does not return."""
    status = 1
    try:
        prctl(_SET_CHILD_SUBREAPER, 1)
        request = _receive_request(control)
        if request is not None:
            _Keeper(control, prctl, *request).run()
        status = 0
    finally:
        os._exit(status)


def _receive_request(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    data, fds = _receive(control, HEADER.size)
    head = _whole(control, data, HEADER.size)
    said = _whole(control, b"", HEADER.unpack(head)[0]) if head else b""
    if not said:
        return None
    # Out of the way of the numbers that they get in the program.
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE) for fd in fds]
    for fd in fds:
        os.close(fd)
    return json.loads(said), moved


def _whole(control: socket.socket, data: bytes, size: int) -> bytes:
    """Return *size* bytes, of which *data* is there; none, where the host has gone."""
    while len(data) < size:
        more = control.recv(size - len(data))
        if not more:
            return b""
        data += more
    return data


class _Keeper:
    """Holds one program and its descendants, until none is left."""

    def __init__(
        self,
        control: socket.socket,
        prctl: Callable[..., bool],
        request: Mapping[str, Any],
        fds: list[int],
    ) -> None:
        self._control = control
        self._prctl = prctl
        self._request = request
        self._limits: Mapping[str, Any] = request["limits"]
        self._fds = fds
        self._bell = _Bell()
        self._pid = 0
        self._exited = False
        self._looks = 0
        self._tasks = tasks_of_system()

    def run(self) -> None:
        failure = self._launch()
        if failure is not None:
            self._say("failed", *failure)
            return
        self._say("pid", self._pid)
        try:
            self._watch()
        finally:
            self._sweep()
        self._say("gone")

    def _say(self, *words: str | int) -> None:
        with suppress(OSError):
            self._control.sendall(" ".join(map(str, words)).encode() + b"\n")

    # -- its start ---------------------------------------------------------------------

    def _launch(self) -> tuple[str, int] | None:
        """Start the program; return where and by what error it failed."""
        reading, writing = os.pipe()
        keeper = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._become(writing, keeper)
        os.close(writing)
        for fd in self._fds:
            os.close(fd)
        said = os.read(reading, 64)
        os.close(reading)
        if not said:
            return None
        os.waitpid(self._pid, 0)
        at, number = said.decode().split()
        return at, int(number)

    def _become(self, failures: int, keeper: int) -> None:
        """Turn into the program; does not return."""
        at = "exec"
        try:
            os.setsid()
            self._prctl(_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != keeper:
                os._exit(1)
            self._prctl(_SET_NO_NEW_PRIVS, 1)
            os.umask(0o077)
            at = "cwd"
            os.chdir(self._request["cwd"])
            at = "exec"
            for number, fd in enumerate(self._fds):
                os.dup2(fd, number)
            self._limit()
            self._free_signals()
            execute(self._request["argv"], self._request["env"])
        except OSError as error:
            os.write(failures, f"{at} {error.errno or 0}".encode())
        except BaseException:  # noqa: BLE001 - what cannot be told must not run on either
            os.write(failures, b"exec 0")
        finally:
            os._exit(127)

    def _limit(self) -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for name, constant in _RLIMITS.items():
            most = self._limits.get(name)
            if most is not None:
                # Of processor time the first warns (SIGXCPU), and the next second kills.
                _lower(getattr(resource, constant), int(most), int(name == "cpu_s"))
        most = self._limits.get("processes")
        if most is not None and os.geteuid() != 0 and self._tasks is not None:
            # It counts all of the user's, so it is no more than a last line: looking is exact.
            _lower(resource.RLIMIT_NPROC, self._tasks + 4 * int(most), 0)

    def _free_signals(self) -> None:
        for name in (*_IGNORED, "SIGCHLD", "SIGXFSZ"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        signal.set_wakeup_fd(-1)

    # -- while it runs -----------------------------------------------------------------

    def _watch(self) -> None:
        """Return when the host wants the end, or has gone; or when nothing is left to watch."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._bell.reading, select.POLLIN)
        due = monotonic() + _LOOK_S
        while True:
            ready = {fd for fd, _ in poll.poll(max(0.0, due - monotonic()) * 1000)}
            if self._control.fileno() in ready and not self._obey():
                return
            if self._bell.reading in ready:
                self._bell.hush()
                if not self._look_at_ends():
                    return
            if monotonic() >= due:
                due = monotonic() + _LOOK_S
                if not self._look_at_limits():
                    return

    def _obey(self) -> bool:
        try:
            said = self._control.recv(64)
        except ConnectionError:
            return False
        if not said:
            return False
        signal_tree(self._pid, signal.SIGTERM)
        return True

    def _look_at_ends(self) -> bool:
        """Tell that the program has ended, and reap what it left behind; False: nothing is left.

        The program itself stays unreaped: until then its id, which names its group, cannot
        be given to a stranger. Where it was the last of all the host need not ask for an end.
        """
        while not self._exited:
            seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if seen is None:
                return True
            if seen.si_pid == self._pid:
                self._exited = True
                code = seen.si_status if seen.si_code == os.CLD_EXITED else -seen.si_status
                self._say("exited", code)
            else:
                os.waitpid(seen.si_pid, 0)
        return not is_only_child(self._pid)

    def _look_at_limits(self) -> bool:
        """Return whether it keeps to what cannot be limited beforehand."""
        self._looks += 1
        most = self._limits.get("processes")
        if most is not None and self._may_be_many(most):
            count = len(descendants(os.getpid()))
            if count > most:
                self._say("limit", "processes")
                return False
        most = self._limits.get("disk_bytes")
        if most is not None and self._looks % _DISK_LOOKS == 0:
            used = disk_usage(self._request["workdir"], most)
            if used > most:
                self._say("limit", "disk_bytes")
                return False
        return True

    def _may_be_many(self, most: int) -> bool:
        """Tell whether the system has as many tasks more as would be too many.

        Looking at each process costs milliseconds, one number for all of them nothing.
        """
        tasks = tasks_of_system()
        if tasks is None or self._tasks is None:
            return True
        self._tasks = min(self._tasks, tasks)
        return tasks - self._tasks >= most // 2

    # -- its end -----------------------------------------------------------------------

    def _sweep(self) -> None:
        """End everything: the group at once, then whoever turns up as an orphan."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        stop = monotonic() + _SWEEP_S
        while monotonic() < stop:
            if not _reap_all():
                return
            for pid in descendants(os.getpid()):
                kill_below(pid, signal.SIGKILL)


def _reap_all() -> bool:
    """Reap who has ended, waiting a moment; return whether children are left."""
    pause = 0.0002
    for _ in range(6):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return False
        select.select((), (), (), pause)
        pause *= 2
    return True


def _lower(limit: int, most: int, more: int) -> None:
    hard = resource.getrlimit(limit)[1]
    if hard == resource.RLIM_INFINITY:
        hard = most + more
    resource.setrlimit(limit, (min(most, hard), min(most + more, hard)))


def _receive(door: socket.socket, size: int) -> tuple[bytes, list[int]]:
    fds = array.array("i")
    try:
        data, extra, _, _ = door.recvmsg(size, socket.CMSG_SPACE(_MOST_FDS * fds.itemsize))
    except ConnectionError:
        return b"", []
    for level, kind, content in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    for fd in fds:
        os.set_inheritable(fd, False)
    return data, list(fds)


def _to_null(fd: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, fd)
    os.close(null)


def _prctl() -> Callable[..., bool]:
    if sys.platform != "linux":
        return _no_prctl
    # Here alone: a host that runs no program does without it, which saves it 6 % of a start.
    import ctypes

    function = ctypes.CDLL(None).prctl
    function.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)

    def prctl(option: int, value: int) -> bool:
        return function(option, value, 0, 0, 0) == 0

    return prctl


def _no_prctl(option: int, value: int) -> bool:
    return False
