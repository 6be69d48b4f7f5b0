"""What verifying an audit log costs: `python -m bench.audit_bench [--strict] [FOLDER]`.

A log on a disk is read from its beginning as `swarm audit verify` does it: each entry's
bytes, the chain, and the tree; a longer one stands beside a short one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import process_time

import anyio

from bench.rounds import Figure, in_folder, interleave, ratio
from swarm.core.audit.inspect import inspect
from swarm.ports.audit import AuditEntry
from swarm.stores.sqlite import open_store
from swarm.stores.sqlite.audit import AuditReader
from swarm.stores.sqlite.store import FILE

__all__ = ("figures", "main", "verifying", "written")

_SHORT = 1_000
_LONG = 20_000
_ROUNDS = 5


def figures(folder: Path) -> Iterator[Figure]:
    """Measure everything, one figure after the other."""
    logs = [written(folder / str(size), size) for size in (_SHORT, _LONG)]
    sizes = (_SHORT, _LONG)
    rounds = (verifying(log, size) for log, size in zip(logs, sizes, strict=True))
    short, long = interleave(*rounds, times=_ROUNDS)
    yield Figure(f"audit: an entry of {_LONG:,} verified", median(long) * 1e6, "µs")
    yield Figure(f"audit: the same, against one of {_SHORT:,}", ratio(long, short), "times", 1.5)


def main() -> int:
    """Print every figure as it is found."""
    return in_folder(figures)


def written(folder: Path, size: int) -> Path:
    """Write a log of *size* entries to a new store, and return its file."""

    async def write() -> None:
        store = open_store(folder, "normal")
        for number in range(size):
            entry = AuditEntry(
                1_790_000_000 + number, "agent:writer", "do", "done", f"r_{number % 50}",
                f"$.children[{number % 7}]", 1, "ab" * 32, "cd" * 32, {"tokens": number},
            )  # fmt: skip
            if number % 500 == 499:
                await store.audit.append(entry)
            else:
                store.audit.record(entry)
        await store.journal.commit()
        store.close()

    anyio.run(write)
    return folder / FILE


def verifying(log: Path, size: int) -> Callable[[], float]:
    """Build a round: processor time an entry, of a whole verification."""

    def verify() -> float:
        began = process_time()
        with AuditReader(log) as reader:
            found = inspect(reader.rows())
        if found.fault is not None or found.size != size:
            raise SystemExit(f"{log}: expected {size} entries without a fault, got {found}")
        return (process_time() - began) / size

    return verify


if __name__ == "__main__":
    sys.exit(main())
