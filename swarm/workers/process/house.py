"""What all programs of one host share: the nursery, the directories, the secrets, the mark."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from swarm.ports.worker import Call
from swarm.workers.process.environment import MARK
from swarm.workers.process.nursery import Nursery
from swarm.workers.process.secrets import SecretBook
from swarm.workers.process.settings import ProcessSettings
from swarm.workers.process.workdir import Workdirs

__all__ = ("ProcessHouse", "marked_processes")

_FOLDER = "processes"


class ProcessHouse:
    """The shared part; `open` and `close` frame its use, and may come again."""

    def __init__(self, settings: ProcessSettings | None = None) -> None:
        # How many attempts may go on at a time, by kind of agent.
        self.gates: dict[str, int] = {}
        self.settings = ProcessSettings()
        self.configure(settings or self.settings)
        self.nursery = Nursery()
        self.workdirs = Workdirs()
        self.secrets = SecretBook()
        self._origin = f"{os.getpid()}.{os.urandom(6).hex()}"

    def configure(self, settings: ProcessSettings) -> None:
        """Take other settings, from the next attempt on."""
        self.settings = settings
        self.gates.clear()
        if settings.parallel is not None:
            self.gates["process"] = settings.parallel

    def mark(self, call: Call) -> str:
        """Return what an attempt's processes carry in their environment."""
        return self.mark_of(call.idempotency_key)

    def mark_of(self, attempt: str) -> str:
        """Return the mark of an attempt, named by its idempotency key."""
        return f"{self._origin}:{attempt}"

    def open(self, store: Path | None) -> int:
        """Settle in a store, of which this host is the owner now; return how many it ended.

        Directories of attempts that are still there are the sign that a host died: what it
        started, and its keepers did not live to end, carries the mark of the store.
        """
        if store is None:
            return 0
        folder = store.resolve() / _FOLDER
        self._origin = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        if not self.workdirs.settle(folder):
            return 0
        return sum(map(_end, marked_processes(self._origin + ":")))

    def close(self) -> None:
        """Let go of everything."""
        self.nursery.close()
        self.workdirs.close()


def marked_processes(mark: str) -> Iterator[int]:
    """Find the processes whose mark begins with *mark*; none where the system hides them."""
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(entry.startswith(wanted) for entry in _environment_of(folder)):
                yield int(folder.name)


def _environment_of(folder: Path) -> list[bytes]:
    return (folder / "environ").read_bytes().split(b"\0")


def _end(pid: int) -> bool:
    """End a process that was marked a moment ago; its id may be another's by now."""
    try:
        handle = os.pidfd_open(pid)
    except (AttributeError, OSError):
        return False
    try:
        # The handle holds whoever has the id now; that must still be one of ours.
        if any(
            entry.startswith(f"{MARK}=".encode())
            for entry in _environment_of(Path("/proc", str(pid)))
        ):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            return True
    except OSError:
        pass
    finally:
        os.close(handle)
    return False
