"""What this machine gives to programs and to whoever ends them: tried, not guessed.

A program is started as any is, looks at what it was given, leaves an orphan in a session of
its own behind, and ends. What holds is what was seen of that.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from flowir.records import dataclass
from swarm.workers.process.child import Child, Launch, Patience, Unstarted
from swarm.workers.process.environment import MARK
from swarm.workers.process.house import marked_processes
from swarm.workers.process.limits import Limits
from swarm.workers.process.nursery import Nursery, NurseryUnavailable

__all__ = ("MEASURES", "Programs", "try_programs")

MEASURES = ("subreaper", "pidfd", "parent_death", "no_new_privs", "marks")

_START_S = 20.0
_PATIENCE = Patience(grace_s=1.0, drain_s=0.1, kill_s=10.0)
# What it prints: the signal it gets when its parent dies, whether it may win rights, and the
# id of the orphan that it leaves.
_LOOK = """
import ctypes, json, os, time
death = ctypes.c_int(0)
try: ctypes.CDLL(None).prctl(2, ctypes.byref(death), 0, 0, 0)
except Exception: pass
orphan = os.fork()
if orphan == 0:
    os.setsid()
    for fd in range(3): os.close(fd)
    time.sleep(60)
    os._exit(0)
try: status = open("/proc/self/status").read()
except OSError: status = ""
print(json.dumps({
    "death": death.value, "bound": "NoNewPrivs:\\t1" in status, "orphan": orphan,
}), flush=True)
input()
"""


@dataclass(frozen=True, slots=True)
class Programs:
    """Which measures hold and which are missing; `problem` says why no program starts."""

    held: tuple[str, ...]
    missing: tuple[str, ...]
    problem: str | None = None


async def try_programs() -> Programs:
    """Start a program as agents have it, and see what becomes of it and its orphan."""
    nursery = Nursery()
    try:
        with TemporaryDirectory(prefix="swarm-") as folder:
            seen = await _seen(nursery, Path(folder))
    except (NurseryUnavailable, OSError, ValueError) as e:
        return Programs((), MEASURES, str(e))
    except Unstarted as e:
        return Programs((), MEASURES, f"{e.at}: {os.strerror(e.number)}")
    finally:
        nursery.close()
    held = tuple(measure for measure in MEASURES if seen[measure])
    return Programs(held, tuple(measure for measure in MEASURES if measure not in held))


async def _seen(nursery: Nursery, folder: Path) -> dict[str, bool]:
    mark = f"doctor.{os.getpid()}.{os.urandom(6).hex()}"
    argv = [sys.executable, "-I", "-S", "-c", _LOOK]
    launch = Launch(argv, {MARK: mark}, folder, folder, Limits())
    child = await Child.start(nursery, launch, _PATIENCE)
    said = bytearray()
    try:
        with anyio.move_on_after(_START_S):
            while b"\n" not in said:
                await anyio.wait_readable(child.stdout)
                data = os.read(child.stdout, 4096)
                if not data:
                    break
                said += data
        told: dict[str, Any] = json.loads(said)
        marks = child.pid in marked_processes(mark)
    finally:
        await child.end(gently=False)
    gone = not _is_alive(told["orphan"])
    if not gone:
        with suppress(OSError):
            os.kill(told["orphan"], 9)
    return {
        "subreaper": gone,
        "pidfd": _has_pidfd(),
        "parent_death": told["death"] == 9,
        "no_new_privs": told["bound"] is True,
        "marks": marks,
    }


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True
