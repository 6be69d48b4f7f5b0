"""Tries one forbidden thing in a locked-down process; prints what came of it if it lives.

Run by tests/swarm/test_lua_jail.py. The names are imported before, as the product does it:
what is tried is the act itself, by somebody who has taken the process over.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from swarm.lua import jail
from swarm.lua.jail import lock_down


def fork() -> None:
    os.fork()


def settings() -> None:
    """Print what the system has noted of this process, which the filter would not let it ask."""
    names = ("AS", "NOFILE", "FSIZE", "CORE", "NPROC")
    limits = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in names}
    prctl, parent_death = ctypes.CDLL(None).prctl, ctypes.c_int()
    prctl(2, ctypes.byref(parent_death))
    noted = {"parent_death": parent_death.value, "dumpable": prctl(3)}
    noted["no_new_privs"] = prctl(39, 0, 0, 0, 0)
    os.write(1, json.dumps({**limits, **noted}).encode() + b"\n")


ACTS: dict[str, Callable[[], object]] = {
    "nothing": lambda: [bytearray(1000) for _ in range(1000)] and os.write(1, b""),
    "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "create": lambda: os.open("/tmp/jailed", os.O_CREAT | os.O_WRONLY),  # noqa: S108
    "list": lambda: os.listdir("/"),
    "stat": lambda: os.stat("/etc"),
    "unlink": lambda: os.unlink("/tmp/jailed"),  # noqa: S108
    "duplicate": lambda: os.dup(0),
    "pipe": os.pipe,
    "socket": socket.socket,
    "fork": fork,
    "execute": lambda: os.execve("/bin/true", ["true"], {}),  # noqa: S606
    "kill": lambda: os.kill(os.getppid(), signal.SIGTERM),
    "limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)),
    "code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "trace": lambda: ctypes.CDLL(None).ptrace(0, 0, 0, 0),
    "settings": settings,
    "memory": lambda: bytearray(600 * 1024 * 1024),
}

act = ACTS[sys.argv[1]]
if act is settings:
    jail._filter_calls = lambda prctl: False  # pyright: ignore[reportPrivateUsage]
print(" ".join(lock_down()), flush=True)  # noqa: T201 - its answer is what it prints
try:
    act()
except (OSError, MemoryError) as e:
    os.write(1, f"refused {type(e).__name__}".encode())
else:
    os.write(1, b"done")
os._exit(0)
