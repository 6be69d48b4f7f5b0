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

    def _is_whole(self) -> bool:
        with self._path.open("rb") as opened:
            opened.seek(-1, os.SEEK_END)
            return opened.read(1) == b"\n"
