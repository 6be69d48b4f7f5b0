"""Where a run's blueprint is written: an event names places, its author knows lines.

The journal pins a run to a document. Its lines are in the store, where it came from a
version; else in a file of the recorded folder, as long as one still says the same: the one
that bears the blueprint's name, or another in which that name stands.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.compiler.source import SUFFIXES, read_source
from swarm.core.events import RunStarted
from swarm.errors import SwarmError
from swarm.host.host import Host

__all__ = ("origin_of",)

# Of a folder with more, whoever wants lines can name the file after its blueprint.
_MOST = 100


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


def _sources(started: RunStarted) -> Iterator[str]:
    version, folder, name = started.get("version"), started["folder"], started["blueprint"]
    if version is not None:
        yield f"{name}@{version['label']}"
    elif folder is not None:
        yield from (_shown(file) for file in _files(Path(folder), name))


def _files(folder: Path, name: str) -> Iterator[Path]:
    """Yield the files that may be the blueprint's, the likeliest first."""
    try:
        there = [file for file in sorted(folder.iterdir()) if file.suffix in SUFFIXES]
    except OSError:  # it is gone, or somebody else's
        return
    yield from (file for file in there if file.stem == name)
    others = [file for file in there if file.stem != name]
    yield from (file for file in others[:_MOST] if _mentions(file, name))


def _mentions(file: Path, name: str) -> bool:
    try:
        return name in read_source(str(file))
    except SwarmError:
        return False


def _shown(file: Path) -> str:
    """Name a file as its author would from here."""
    here = Path.cwd()
    return os.fspath(file.relative_to(here) if file.is_relative_to(here) else file)
