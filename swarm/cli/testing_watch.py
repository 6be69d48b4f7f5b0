"""Waiting for files to change: `watchfiles`, which is there where somebody installed it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from swarm.cli.exits import WrongUse

__all__ = ("SUFFIXES", "changes")

SUFFIXES = (".lua", ".json", ".jsonl", ".yaml", ".yml", ".md", ".toml", ".txt")


async def changes(paths: Sequence[Path]) -> AsyncIterator[None]:
    """Yield whenever something changed that a test may depend on.

    Raises: WrongUse, where `watchfiles` is not installed.
    """
    try:
        from watchfiles import awatch
    except ImportError:
        hint = "pip install 'lua-swarm[watch]'"
        raise WrongUse(f"--watch: expected the package watchfiles, found none — {hint}") from None
    folders = {path if path.is_dir() else path.resolve().parent for path in paths}
    async for _ in awatch(*folders, watch_filter=_matters):
        yield


def _matters(_: object, path: str) -> bool:
    # Golden logs are written by a run with --update: they must not begin another.
    file = Path(path)
    return file.suffix in SUFFIXES and file.parent.name != "golden"
