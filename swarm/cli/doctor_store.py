"""What a store says of its health: runs, versions of blueprints, log of acts, signing keys.

Everything is read beside whoever has the store open; nothing is written.
"""

from __future__ import annotations

import stat
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, NamedTuple

import apsw

from flowir.records import dataclass
from swarm.cli.amounts import amount
from swarm.cli.audit import inspected
from swarm.errors import SwarmError
from swarm.host.parts import git_versions
from swarm.stores.keyfile import KEY_FILE, KeyFile
from swarm.stores.sqlite.checkup import Checkup, examine
from swarm.stores.sqlite.store import FILE

__all__ = ("Finding", "StoreHealth", "look_at_store")

# Where `swarm.stores.git` keeps the histories of blueprints.
_REPOSITORY = "blueprints.git"
_DAY_S = 86_400.0
# A key that signs for longer than this is said to be old: nothing turns it by itself.
_OLD_DAYS = 90.0


class Finding(NamedTuple):
    """One thing that was looked at: how it is, and a sentence."""

    how: Literal["ok", "missing", "damaged"]
    said: str


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """All that was found in a store; None where a thing was never made."""

    runs: Checkup
    blueprints: tuple[str, ...] | None
    audit: Finding
    keys: Finding

    @property
    def well(self) -> bool:
        """Whether nothing of it is damaged."""
        damaged = "damaged" in (self.audit.how, self.keys.how)
        return not (self.runs.problems or self.blueprints or damaged)

    def findings(self) -> list[Finding]:
        """Return a line for each thing, and for each thing that is wrong with it."""
        found = [Finding("damaged", problem) for problem in self.runs.problems]
        found = found or [Finding("ok", "every page and every run's chain of events")]
        if self.blueprints is not None:
            faults = [Finding("damaged", fault) for fault in self.blueprints]
            found += faults or [Finding("ok", "every version of every blueprint")]
        return [*found, self.audit, self.keys]

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return {
            "store": asdict(self.runs),
            "blueprints": None if self.blueprints is None else {"problems": self.blueprints},
            "audit": self.audit._asdict(),
            "keys": self.keys._asdict(),
        }


async def look_at_store(folder: Path) -> StoreHealth:
    """Read all that is kept in *folder*."""
    return StoreHealth(
        examine(folder / FILE), await _faults(folder), _audit(folder), _keys(folder / KEY_FILE)
    )


async def _faults(folder: Path) -> tuple[str, ...] | None:
    """Look at every version of every blueprint; None where none was ever kept."""
    if not (folder / _REPOSITORY).is_dir():
        return None
    try:
        faults = await git_versions(folder).verify()
    except SwarmError as e:
        return (str(e),)
    return tuple(f"{fault.blueprint}: {fault.message}" for fault in faults)


def _audit(folder: Path) -> Finding:
    try:
        found = inspected(folder)
    except (apsw.Error, SwarmError) as e:
        return Finding("damaged", f"the log of acts: {e}")
    if found.fault is not None:
        return Finding("damaged", f"the log of acts: {found.fault}")
    if not found.size:
        return Finding("missing", "the log of acts is empty: nobody has done anything yet")
    entries = amount(found.size, "entry", "entries")
    if not found.checkpoints:
        return Finding(
            "missing",
            f"no checkpoint of the {entries} in the log of acts: "
            "an end that was cut off would not show — swarm audit checkpoint",
        )
    checkpoints = amount(found.checkpoints, "checkpoint")
    return Finding("ok", f"the log of acts: {entries}, {checkpoints}, as written")


def _keys(file: Path) -> Finding:
    if not file.exists() and not file.is_symlink():
        said = f"no {KEY_FILE}: it is made with the first token; until then nothing is signed"
        return Finding("missing", said)
    try:
        ring = KeyFile(file, time.time).keyring()
    except SwarmError as e:
        return Finding("damaged", str(e))
    days = (time.time() - ring.current.made_s) / _DAY_S
    mode = stat.S_IMODE(file.stat().st_mode)
    said = f"{KEY_FILE}: mode {mode:04o}, signing for {_days(days)}, {len(ring.keys)} live"
    if days > _OLD_DAYS:
        return Finding(
            "missing", f"{said}: a new key for {_OLD_DAYS:.0f} days — swarm token rotate"
        )
    return Finding("ok", said)


def _days(days: float) -> str:
    if days < 1:
        return "less than a day"
    return f"{days:.0f} day{'' if round(days) == 1 else 's'}"
