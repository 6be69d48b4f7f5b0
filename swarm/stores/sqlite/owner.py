"""One owner of a store at a time: a lock on a file that names who holds it.

The lock ends with the process, however that ends. Where it is lost while the process
lives (a folder copied by hand, a file system without locks), the epoch in the store
refuses the older owner's writes.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final
from weakref import WeakSet

from swarm.errors import Refused

__all__ = ("Owner", "is_owned")

# Who only looks holds the lock for a moment, which is no reason to be refused.
_TRIES: Final = 20
_AGAIN_S: Final = 0.005


def is_owned(folder: Path) -> bool:
    """Tell whether a process has the store open, as far as this one can see."""
    try:
        file = os.open(folder / "LOCK", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(file)


class Owner:
    """Holds `LOCK` in the folder of a store until `release`."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises: Refused (store.locked), naming the process that has it.
        """
        self._file = os.open(folder / "LOCK", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._lock()
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
        _OWNERS.add(self)

    def _lock(self) -> None:
        for left in reversed(range(_TRIES)):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if not left:
                    raise
                time.sleep(_AGAIN_S)
            else:
                return

    def release(self) -> None:
        """Let go; may be called again."""
        if self._file < 0:
            return
        # The file stays: removing it would let two processes lock two files of one name.
        os.ftruncate(self._file, 0)
        os.close(self._file)
        self._file = -1

    def forked(self) -> None:
        """Leave the lock to the process that this one was forked off."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


_OWNERS: Final = WeakSet[Owner]()


def _forked() -> None:
    for owner in _OWNERS:
        owner.forked()


os.register_at_fork(after_in_child=_forked)
