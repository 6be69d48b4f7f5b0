"""Files that others may take away at any moment: what is still there, with its status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from os import stat_result
from pathlib import Path

__all__ = ("present", "size_of")


def present(places: Iterable[Path]) -> Iterator[tuple[Path, stat_result]]:
    """Yield each place with its status; what has gone since it was listed is passed over."""
    for place in places:
        try:
            status = place.stat()
        except FileNotFoundError:
            continue
        yield place, status


def size_of(places: Iterable[Path]) -> int:
    """Add up what the files among these *places* hold, in bytes."""
    return sum(status.st_size for _, status in present(places))
