"""A contender for tests: it counts in plain Python, and errs as it is told."""

# pyright: basic, reportMissingImports=false
# It lies beside the meter when it runs.

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from .meter import Works, contend

SETTINGS = dict.fromkeys(("right", "wrong", "dies", "hangs", "silent", "late"), "nothing is kept")


@asynccontextmanager
async def opened(mode: str, folder: Path) -> AsyncGenerator[Works]:
    async def chain(size: int) -> int:
        if mode == "dies":
            sys.exit("the disk is on fire")
        if mode == "hangs":
            (folder.parent / "pid").write_text(str(os.getpid()))
            await asyncio.Event().wait()
        if mode == "late" and size > 20:
            return size + 1
        return size - 1 if mode == "wrong" else size

    async def fan(size: int) -> list[int]:
        return [2 * n for n in range(size)]

    async def runs(size: int) -> list[int]:
        return [5] * size

    async def carried(size: int) -> list[int]:
        return [size, 10_000]

    works: dict[str, Any] = {"W1": chain, "W2": fan, "W3": runs, "W4": carried}
    yield {} if mode == "silent" else works


if __name__ == "__main__":
    contend(opened, settings=SETTINGS, packages=("pip",))
