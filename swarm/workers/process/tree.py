"""Looking at processes and files of the system, as a keeper does: by the standard library alone."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

__all__ = (
    "children_by_parent",
    "descendants",
    "disk_usage",
    "is_only_child",
    "kill_below",
    "signal_tree",
    "tasks_of_system",
)

_MOST_ENTRIES = 100_000


def signal_tree(leader: int, number: signal.Signals) -> None:
    """Signal the group, and descendants that have left it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
    for pid in descendants(os.getpid()):
        with suppress(OSError):
            if os.getpgid(pid) != leader:
                kill_below(pid, number)


def kill_below(pid: int, number: signal.Signals) -> None:
    """Signal a descendant, and never a stranger who was given its id meanwhile."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        # The handle holds whoever has the id now; that must still be a descendant.
        if _is_below(os.getpid(), pid):
            signal.pidfd_send_signal(handle, number)
    except OSError:
        pass
    finally:
        os.close(handle)


def _is_below(top: int, pid: int) -> bool:
    for _ in range(10_000):
        parent = _parent_of(pid)
        if parent is None or parent <= 1:
            return False
        if parent == top:
            return True
        pid = parent
    return False


def descendants(top: int) -> list[int]:
    """Return the ids of all processes below one."""
    parents = children_by_parent()
    found, todo = [], list(parents.get(top, ()))
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += parents.get(pid, ())
    return found


def children_by_parent() -> dict[int, list[int]]:
    """Return the ids of all processes by that of their parent; nothing without /proc."""
    found: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return found
    for name in names:
        if name.isdecimal():
            parent = _parent_of(int(name))
            if parent is not None:
                found.setdefault(parent, []).append(int(name))
    return found


def is_only_child(pid: int) -> bool:
    """Tell whether a child of this process is the only one; False where nobody tells."""
    me = os.getpid()
    try:
        return _read(f"/proc/{me}/task/{me}/children").split() == [b"%d" % pid]
    except OSError:
        return False


def _parent_of(pid: int) -> int | None:
    try:
        return int(_read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def tasks_of_system() -> int | None:
    """Return how many processes and threads there are, where the system tells."""
    try:
        return int(_read("/proc/loadavg").split()[3].partition(b"/")[2])
    except (OSError, IndexError, ValueError):
        return None


def _read(file: str) -> bytes:
    """Read a file of /proc: in a process that was forked a moment ago, a twentieth of `Path`."""
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)


def disk_usage(folder: str, enough: int) -> int:
    """Return what the files of a folder take; stops counting at *enough*."""
    used, seen, todo = 0, 0, [folder]
    while todo and used <= enough:
        with suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                seen += 1
                with suppress(OSError):
                    used += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                if seen > _MOST_ENTRIES:
                    return enough + 1
    return used
