"""The health of a store, looked at from outside: nothing is written, nobody is kept out.

A host may have the store open meanwhile; what is found is what was committed when it was
looked at.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from flowir.records import dataclass
from swarm.errors import SwarmError
from swarm.stores.present import size_of
from swarm.stores.sqlite import schema
from swarm.stores.sqlite.connection import Source, connect_reader
from swarm.stores.sqlite.reader import Reader

__all__ = ("Checkup", "examine")


@dataclass(frozen=True, slots=True)
class Checkup:
    """What was found; `problems` has a sentence for each thing that is wrong.

    Shape: `holder` is the process that says it has the store open.
    """

    runs: int
    events: int
    size_bytes: int
    holder: int | None
    problems: tuple[str, ...]


def examine(file: Path) -> Checkup:
    """Read all of the store's *file*: pages, and each run's chain of events."""
    size = size_of(file.parent.glob(f"{file.name}*"))  # a host that closes takes its log away
    try:
        problems = _pages(file)
        heads, broken = _chains(file) if not problems else ({}, [])
    except (apsw.Error, SwarmError) as e:
        return Checkup(0, 0, size, _holder(file), (str(e),))
    return Checkup(len(heads), sum(heads.values()), size, _holder(file), tuple(problems + broken))


def _pages(file: Path) -> list[str]:
    connection = connect_reader(Source(str(file)))
    try:
        schema.admit(connection, str(file))
        said = [str(row[0]) for row in connection.execute("pragma quick_check(10)")]
    finally:
        connection.close(True)
    return [] if said == ["ok"] else [f"{file}: {line}" for line in said]


def _chains(file: Path) -> tuple[dict[str, int], list[str]]:
    reader = Reader(Source(str(file)))
    try:
        heads = reader.heads()
        damaged = {run_id: reader.verify(run_id) for run_id in heads}
    finally:
        reader.close()
    broken = [
        f"run {run_id}: event {seq} is not what was written"
        for run_id, seq in damaged.items()
        if seq is not None
    ]
    return {str(run_id): head or 0 for run_id, head in heads.items()}, broken


def _holder(file: Path) -> int | None:
    try:
        said = (file.parent / "LOCK").read_text("ascii", "replace").strip()
    except OSError:
        return None
    return int(said) if said.isdigit() else None
