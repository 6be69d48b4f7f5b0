"""The process that does the works for one contender, and measures itself.

    python -m peers.on_NAME MODE FOLDER WORK=SIZE…      (in `bench/`)

It runs with the interpreter of the contender's own environment, so this file knows the
standard library only. What came of it is `FOLDER/result.json`: frameworks print as they
please. Every work is done in its order, in one process that was opened once: opening,
imports and what is compiled before a run are not in the figures.

Seconds are of the wall and of the processor, that of child processes included; memory is
the largest resident set since the process began, and that of its children beside it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ("Opened", "Works", "contend", "payload")

Works = Mapping[str, Callable[[int], Awaitable[Any]]]
Opened = Callable[[str, Path], AbstractAsyncContextManager[Works]]

_WARM = 5
_TICKS = os.sysconf("SC_CLK_TCK")


def payload() -> dict[str, str]:
    """Return 1 MB of context, an object of its own: 10,000 members of 100 bytes."""
    return _members().copy()


@cache
def _members() -> dict[str, str]:
    return {f"key{number:05}": "x" * 88 for number in range(10_000)}


def contend(opened: Opened, *, settings: Mapping[str, str], packages: tuple[str, ...]) -> None:
    """Do what the command line says, and leave the result in its folder.

    Shape: *settings* says for each mode how things are kept; *opened* is given the mode
    and a folder for its files, and offers an async function for each work.
    """
    mode, folder, *asked = sys.argv[1:]
    sizes = [(name, int(size)) for name, _, size in (word.partition("=") for word in asked)]
    works = asyncio.run(_measured(opened, mode, Path(folder), sizes))
    said = {
        "setting": settings[mode],
        "versions": {name: version(name) for name in packages},
        "works": works,
    }
    (Path(folder) / "result.json").write_text(json.dumps(said))


async def _measured(
    opened: Opened, mode: str, folder: Path, sizes: list[tuple[str, int]]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with opened(mode, folder) as works:
        for name, size in sizes:
            if name in works:
                await works[name](min(size, _WARM))  # what is made at the first use is not timed
                found.append({"work": name, "size": size, **await _one(works[name], size)})
    return found


async def _one(work: Callable[[int], Awaitable[Any]], size: int) -> dict[str, Any]:
    gc.collect()
    others = _others_s()  # looking for it takes time that is not the work's
    cpu, wall = time.process_time(), time.perf_counter()
    result = await work(size)
    wall = time.perf_counter() - wall
    cpu = time.process_time() - cpu + _others_s() - others
    return {"result": result, "wall_s": wall, "cpu_s": cpu, "peak_mb": _peak_mb()}


# -- what the system knows ---------------------------------------------------------------


def _others_s() -> float:
    """Return the processor time of child processes, those that have ended among them."""
    gone = resource.getrusage(resource.RUSAGE_CHILDREN)
    return gone.ru_utime + gone.ru_stime + sum(map(_ticks, _children()))


def _children() -> list[int]:
    """Return the processes that this one and its children started, and that still live."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir() if Path("/proc/self/stat").exists() else ():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                parents[int(entry.name)] = int(fields[1])
    found, more = set[int](), {os.getpid()}
    while more:
        more = {pid for pid, parent in parents.items() if parent in more} - found
        found |= more
    return sorted(found)


def _stat(pid: int) -> list[str]:
    """Return the fields of a process behind its name, which may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:  # gone meanwhile
        return []


def _ticks(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _peak_mb() -> float:
    """Return the peak of this process and its children.

    `ru_maxrss` will not do: a process inherits that of the one that started it.
    """
    own = _hwm_kb("self")
    if own is None:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return (own + sum(_hwm_kb(str(pid)) or 0 for pid in _children())) / 1000


def _hwm_kb(pid: str) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)
