"""What a process gives up before it runs scripts, for good.

    limits          rlimits: memory, no file to write, no descriptor beyond 0 to 2, no process
    parent_death    the system kills it with its parent                         Linux
    not_dumpable    no core, and no other process of the user may look into it  Linux
    no_new_privs    no program it could start would have more rights            Linux
    seccomp         system calls on a list of twenty, else the system kills it  Linux on
                    x86_64 and aarch64

Each is applied where the system has it; what holds is reported, and `swarm doctor` says
what is missing. Everything must be imported before: afterwards no file can be opened.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

TYPE_CHECKING = False  # `typing` takes long to load, and a child is waited for
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ("MEASURES", "lock_down")

MEASURES = ("limits", "parent_death", "not_dumpable", "no_new_privs", "seccomp")

_MEMORY = 512 * 1024 * 1024
_DESCRIPTORS = 3
# From signal.h, linux/prctl.h, linux/seccomp.h, linux/audit.h and linux/filter.h.
_SIGKILL = 9
_SET_PDEATHSIG = 1
_SET_DUMPABLE = 4
_SET_SECCOMP = 22
_SET_NO_NEW_PRIVS = 38
_FILTER_MODE = 2
_KILL_PROCESS = 0x80000000
_ALLOW = 0x7FFF0000
_LOAD = 0x20
_JUMP_EQUAL = 0x15
_JUMP_BITS = 0x45
_RETURN = 0x06
# Where seccomp_data has the call's number, the machine, and the third argument's low half.
_AT_NUMBER, _AT_MACHINE, _AT_THIRD = 0, 4, 32
_PROT_EXEC = 4


class _Table:
    """The system calls of one machine: those that map memory, and all others allowed."""

    def __init__(self, audit: int, mapping: tuple[int, ...], others: tuple[int, ...]) -> None:
        self.audit = audit
        self.mapping = mapping
        self.others = others


_TABLES = {
    "x86_64": _Table(
        0xC000003E,
        (9, 10),  # mmap mprotect
        # read write munmap brk rt_sigprocmask rt_sigreturn sched_yield mremap madvise exit
        # gettimeofday getrusage time futex restart_syscall clock_gettime exit_group getrandom
        (0, 1, 11, 12, 14, 15, 24, 25, 28, 60, 96, 98, 201, 202, 219, 228, 231, 318),
    ),
    "aarch64": _Table(
        0xC00000B7,
        (222, 226),
        (63, 64, 215, 214, 135, 139, 124, 216, 233, 93, 169, 165, 98, 128, 113, 94, 278),
    ),
}


class _Step(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("yes", ctypes.c_ubyte),
        ("no", ctypes.c_ubyte),
        ("k", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.POINTER(_Step)))


def lock_down() -> tuple[str, ...]:
    """Give up everything, and return which of `MEASURES` hold."""
    held = ["limits"] if _limit() else []
    if sys.platform != "linux":
        return tuple(held)
    prctl = _prctl()
    if prctl(_SET_PDEATHSIG, _SIGKILL):
        held.append("parent_death")
    if prctl(_SET_DUMPABLE, 0):
        held.append("not_dumpable")
    if prctl(_SET_NO_NEW_PRIVS, 1):
        held.append("no_new_privs")
        if _filter_calls(prctl):
            held.append("seccomp")
    return tuple(held)


def _limit() -> bool:
    names = {"AS": _MEMORY, "NOFILE": _DESCRIPTORS, "FSIZE": 0, "CORE": 0, "NPROC": 0}
    applied = [_set_limit(f"RLIMIT_{name}", most) for name, most in names.items()]
    return all(applied)


def _set_limit(name: str, most: int) -> bool:
    try:
        resource.setrlimit(getattr(resource, name), (most, most))
    except (AttributeError, OSError, ValueError):
        return False
    return True


def _prctl() -> Callable[..., bool]:
    function = ctypes.CDLL(None).prctl
    function.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)

    def prctl(option: int, first: int, second: int = 0) -> bool:
        return function(option, first, second, 0, 0) == 0

    return prctl


def _filter_calls(prctl: Callable[..., bool]) -> bool:
    table = _TABLES.get(os.uname().machine)
    if table is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    written = list(_steps(table))
    steps = (_Step * len(written))(*written)
    program = _Program(len(written), steps)
    return prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.addressof(program))


def _steps(table: _Table) -> Iterator[_Step]:
    """Write the filter: the machine is ours, and the call is on the list.

    A call that maps memory goes through unless the memory could be executed: code that
    is not here now never will be.
    """
    kill, allow = _Step(code=_RETURN, k=_KILL_PROCESS), _Step(code=_RETURN, k=_ALLOW)
    yield _Step(code=_LOAD, k=_AT_MACHINE)
    yield _Step(_JUMP_EQUAL, 1, 0, table.audit)
    yield kill
    yield _Step(code=_LOAD, k=_AT_NUMBER)
    for number in table.mapping:
        yield _Step(_JUMP_EQUAL, 0, 4, number)
        yield _Step(code=_LOAD, k=_AT_THIRD)
        yield _Step(_JUMP_BITS, 0, 1, _PROT_EXEC)
        yield kill
        yield allow
    for number in table.others:
        yield _Step(_JUMP_EQUAL, 0, 1, number)
        yield allow
    yield kill
