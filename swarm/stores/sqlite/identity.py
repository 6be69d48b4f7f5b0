"""Which file a store was opened with: a path is only its name, and may become another's.

Whoever deletes the folder of a store under a host leaves it an open file without a name:
SQLite goes on writing there, and everything acknowledged would be gone with the process.
The name is looked up again now and then; between two looks a host may be that much too
trusting, and no more.
"""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ("LOOK_S", "Identity")

LOOK_S = 1.0


class Identity:
    """The file behind a path, as it was at the opening.

    Units: *monotonic* gives seconds that never go back.
    """

    def __init__(self, path: str, monotonic: Callable[[], float]) -> None:
        self._path = path
        self._monotonic = monotonic
        # Where nothing is to be seen, the file is not on this system's disks: another VFS.
        self._opened = _seen(path)
        self._look_at = monotonic() + LOOK_S

    def lost(self, *, now: bool = False) -> str | None:
        """Say what stands at the path instead of the file; looked up once a second, or *now*."""
        if not now and self._monotonic() < self._look_at:
            return None
        self._look_at = self._monotonic() + LOOK_S
        return self.instead()

    def instead(self) -> str | None:
        """Say what stands at the path instead of the file, whenever that was last looked up."""
        if self._opened is None:
            return None
        try:
            seen = _seen(self._path)
        except OSError:
            return None  # nobody can tell now; writing will
        if seen == self._opened:
            return None
        return "nothing" if seen is None else "another file"


def _seen(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
