"""Where a run's blueprint is written: an event names places, its author knows lines.

The journal pins a run to a document. Its lines are in the store, where it came from a
version; else in the file that bears its name, as long as that still says the same.
"""

from __future__ import annotations

import os
from pathlib import Path

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.compiler.source import SUFFIXES
from swarm.core.events import RunStarted
from swarm.errors import SwarmError
from swarm.host.host import Host

__all__ = ("origin_of",)


async def origin_of(host: Host, started: RunStarted) -> CompiledBlueprint | None:
    """Compile what a run was started from, if it can be found; *host* has its functions."""
    for source in _sources(started):
        try:
            found = await host.load(source)
        except SwarmError:
            continue
        if found.digest == started["digest"]:
            return found
    return None


def _sources(started: RunStarted) -> list[str]:
    version, folder, name = started.get("version"), started["folder"], started["blueprint"]
    if version is not None:
        return [f"{name}@{version['label']}"]
    if folder is None:
        return []
    files = [Path(folder) / f"{name}{suffix}" for suffix in SUFFIXES]
    return [_shown(file) for file in files if file.is_file()]


def _shown(file: Path) -> str:
    """Name a file as its author would from here."""
    here = Path.cwd()
    return os.fspath(file.relative_to(here) if file.is_relative_to(here) else file)
