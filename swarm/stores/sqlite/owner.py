"""One owner of a store at a time: a lock on a file that names who holds it.

The lock ends with the process, however that ends. Where it is lost while the process
lives (a folder copied by hand, a file system without locks), the epoch in the store
refuses the older owner's writes.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from swarm.errors import Refused

__all__ = ("Owner",)


class Owner:
    """Holds `LOCK` in the folder of a store until `release`."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises: Refused (store.locked), naming the process that has it.
        """
        self._file = os.open(folder / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            raise Refused(
                "store.locked",
                f"{folder}: expected a store that nobody has open, got one that process "
                f"{holder or 'unknown'} holds — stop it, or use another store",
                store=str(folder),
                pid=int(holder) if holder.isdigit() else None,
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go; may be called again."""
        if self._file < 0:
            return
        # The file stays: removing it would let two processes lock two files of one name.
        os.ftruncate(self._file, 0)
        os.close(self._file)
        self._file = -1
