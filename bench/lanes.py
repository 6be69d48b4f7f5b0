"""How much memory waiting lanes take: one fresh process for each variant.

`python -m bench.lanes BIND COUNT` prints bytes: what the process grew by.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import flowir
from bench import flows

__all__ = ("grown_mb",)

_STATM = Path("/proc/self/statm")
_PAGE = 4096


def grown_mb(bind: str, count: int) -> float:
    """Return by how many MB a process grows when *count* lanes wait."""
    command = (sys.executable, "-m", "bench.lanes", bind, str(count))
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ourselves
    return int(done.stdout) / 1e6


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    return int(_STATM.read_text().split()[1]) * _PAGE


def main(bind: str, count: int) -> None:
    """Let *count* lanes wait, and print by how much the process grew."""
    flow = flowir.load(flows.lanes(bind, count))
    machine = flowir.Machine(flow, {**flows.wide(), "items": list(range(count))})
    gc.collect()
    before = resident()
    effects = machine.start()
    gc.collect()
    grown = resident() - before
    if len(effects) != count:
        raise SystemExit(f"expected {count} lanes, got {len(effects)}")
    print(grown)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
