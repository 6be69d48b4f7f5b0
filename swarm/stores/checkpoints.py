"""Where checkpoints of the audit log are kept: a file of JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from anyio import to_thread

__all__ = ("CHECKPOINTS", "FileSink")

CHECKPOINTS: Final = "checkpoints.jsonl"
# More than two lines are long.
_TAIL: Final = 64 * 1024


class FileSink:
    """Appends each checkpoint to a file; keep it where the store is not."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    async def put(self, checkpoint: Mapping[str, Any]) -> None:
        """Keep a checkpoint.

        Raises: OSError.
        """
        await to_thread.run_sync(self.write, checkpoint)

    def write(self, checkpoint: Mapping[str, Any]) -> None:
        """Do so, and return when it is on the disk.

        Raises: OSError.
        """
        line = json.dumps(checkpoint).encode() + b"\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        handle = os.open(self._path, flags, 0o600)
        try:
            # A line that a crash has cut short must not swallow this one.
            if os.fstat(handle).st_size and not self._is_whole():
                line = b"\n" + line
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)

    async def latest(self) -> Mapping[str, Any] | None:
        """Return the last checkpoint of the file; a line that was cut short counts for nothing.

        Raises: OSError, ValueError.
        """
        return await to_thread.run_sync(self._last)

    def _last(self) -> Mapping[str, Any] | None:
        try:
            with self._path.open("rb") as opened:
                size = opened.seek(0, os.SEEK_END)
                opened.seek(max(size - _TAIL, 0))
                lines = opened.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return None
        whole = [line for line in lines if line.endswith(b"}")]
        found = json.loads(whole[-1]) if whole else None
        return found if isinstance(found, dict) else None

    def _is_whole(self) -> bool:
        with self._path.open("rb") as opened:
            opened.seek(-1, os.SEEK_END)
            return opened.read(1) == b"\n"
