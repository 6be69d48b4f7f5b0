"""`swarm doctor`: what this machine gives, what is missing, and how a store is."""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import anyio
import apsw
import click

from swarm.cli.exits import Exit, WrongUse, print_lines, print_result
from swarm.errors import SwarmError
from swarm.host.parts import git_versions
from swarm.lua.isolation import Isolation, try_isolation
from swarm.lua.sandbox import LUA_VERSION
from swarm.stores.sqlite.checkup import Checkup, examine
from swarm.stores.sqlite.store import FILE

__all__ = ("command",)

# Where `swarm.stores.git` keeps the histories of blueprints.
_REPOSITORY = "blueprints.git"
_LIBRARIES = ("anyio", "apsw", "click", "lark", "lupa", "pydantic", "rich", "ruamel-yaml")
# Measure -> what it does, what its absence means.
_MEASURES = {
    "limits": (
        "memory, files, descriptors and processes are limited",
        "a script that breaks out could use up the machine",
    ),
    "parent_death": (
        "a script's process dies with its host",
        "it ends when its pipe does: a script that computes may go on for some seconds",
    ),
    "not_dumpable": (
        "no other process of the user looks into it",
        "other processes of the same user may read its memory",
    ),
    "no_new_privs": (
        "nothing it could start would have more rights",
        "a script that breaks out could start programs that have more rights",
    ),
    "seccomp": (
        "the system ends it if it opens, connects or starts anything",
        "a script that breaks out could open files and connections: run the host apart",
    ),
}


@dataclass(frozen=True, slots=True)
class _Findings:
    """All that was found."""

    versions: dict[str, str]
    isolation: Isolation
    store: Checkup | None
    blueprints: tuple[str, ...] | None

    @property
    def well(self) -> bool:
        """Whether work can be done: scripts have their processes, the store is whole."""
        damaged = (self.store is not None and self.store.problems) or self.blueprints
        return self.isolation.problem is None and not damaged


@click.command("doctor")
@click.option("--store", metavar="DIR", help="Look at this store too; it may be in use.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(store: str | None, as_json: bool) -> int:
    """Print what isolation this machine gives to scripts, the versions, a store's health.

    Exits with 1 where scripts cannot be run or the store is damaged; a measure that is
    missing is said, and is no failure.
    """
    checkup = None if store is None else examine(_file(store))
    faults = None if store is None else anyio.run(_faults, Path(store))
    findings = _Findings(_versions(), anyio.run(try_isolation), checkup, faults)
    if as_json:
        print_result(json.dumps(_as_json(findings)))
    else:
        print_lines(*_lines(findings, store))
    return Exit.OK if findings.well else Exit.FAILED


def _file(store: str) -> Path:
    file = Path(store) / FILE
    if not file.is_file():
        raise WrongUse(f"{store}: expected a folder in which runs are kept, found none")
    return file


async def _faults(folder: Path) -> tuple[str, ...] | None:
    """Look at every version of every blueprint; None where none was ever kept."""
    if not (folder / _REPOSITORY).is_dir():
        return None
    try:
        faults = await git_versions(folder).verify()
    except SwarmError as e:
        return (str(e),)
    return tuple(f"{fault.blueprint}: {fault.message}" for fault in faults)


def _versions() -> dict[str, str]:
    found = {
        "swarm": _version("lua-swarm"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "lua": LUA_VERSION,
        "sqlite": apsw.sqlite_lib_version(),
    }
    return found | {name: _version(name) for name in _LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _lines(findings: _Findings, store: str | None) -> list[str]:
    lines = [f"{name:<14}{said}" for name, said in findings.versions.items()]
    lines += ["", "Lua scripts run in processes of their own:"]
    lines += _isolation_lines(findings.isolation)
    if findings.store is not None:
        lines += ["", *_store_lines(findings.store, store or "")]
    if findings.blueprints is not None:
        lines += [f"  damaged  {fault}" for fault in findings.blueprints]
        lines += [] if findings.blueprints else ["  ok       every version of every blueprint"]
    return lines


def _isolation_lines(isolation: Isolation) -> list[str]:
    if isolation.problem is not None:
        return [f"  missing  all of it: {isolation.problem}"]
    lines = [f"  ready    after {isolation.start_s * 1000:.0f} ms"]
    for measure, (does, lacks) in _MEASURES.items():
        held = measure in isolation.held
        lines.append(f"  {'ok' if held else 'missing':<9}{measure}: {does if held else lacks}")
    return lines


def _store_lines(checkup: Checkup, store: str) -> list[str]:
    used = f", open by process {checkup.holder}" if checkup.holder is not None else ""
    said = (
        f"store {store}: {checkup.runs} runs, {checkup.events} events, "
        f"{checkup.size_bytes} bytes{used}"
    )
    if not checkup.problems:
        return [said, "  ok       every page and every run's chain of events"]
    return [said, *(f"  damaged  {problem}" for problem in checkup.problems)]


def _as_json(findings: _Findings) -> dict[str, Any]:
    return {
        "well": findings.well,
        "versions": findings.versions,
        "executable": sys.executable,
        "isolation": asdict(findings.isolation),
        "store": None if findings.store is None else asdict(findings.store),
        "blueprints": None if findings.blueprints is None else {"problems": findings.blueprints},
    }
