"""`swarm doctor`: what this machine gives, what is missing, and how a store is."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import anyio
import apsw
import click

from flowir.records import dataclass
from swarm.cli.amounts import amount
from swarm.cli.doctor_store import StoreHealth, look_at_store
from swarm.cli.exits import Exit, print_result
from swarm.cli.stores import checked_store
from swarm.lua.isolation import Isolation, try_isolation
from swarm.lua.sandbox import LUA_VERSION
from swarm.workers.process.isolation import Programs, try_programs

__all__ = ("command",)

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


# The same for programs that agents start.
_PROGRAM_MEASURES = {
    "subreaper": (
        "all that a program leaves behind is found and ended, daemons too",
        "a daemon that a program starts may outlive it",
    ),
    "pidfd": (
        "whom a signal is for cannot have become another",
        "descendants that left their group are not signalled",
    ),
    "parent_death": (
        "a program dies with its keeper, and so with the host",
        "a program whose keeper is killed may go on",
    ),
    "no_new_privs": (
        "no program that is started wins rights",
        "a program could start others that have more rights",
    ),
    "marks": (
        "what a host that was killed left behind is found by the next one",
        "what a host that was killed left behind has to be ended by hand",
    ),
}


@dataclass(frozen=True, slots=True)
class _Findings:
    """All that was found."""

    versions: dict[str, str]
    isolation: Isolation
    programs: Programs
    store: StoreHealth | None

    @property
    def well(self) -> bool:
        """Whether work can be done: scripts and programs start, the store is whole."""
        starts = self.isolation.problem is None and self.programs.problem is None
        return starts and (self.store is None or self.store.well)


@click.command("doctor")
@click.option("--store", metavar="DIR", help="Look at this store too; it may be in use.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(store: str | None, as_json: bool) -> int:
    """Print what isolation this machine gives to scripts and programs, and how a store is.

    Exits with 1 where neither can be started or the store is damaged; what is missing is
    said, and is no failure.
    """
    findings = anyio.run(_looked, None if store is None else Path(checked_store(store)))
    if as_json:
        print_result(json.dumps(_as_json(findings)))
    else:
        for line in _lines(findings, store):
            print_result(line)
    return Exit.OK if findings.well else Exit.FAILED


async def _looked(folder: Path | None) -> _Findings:
    health = None if folder is None else await look_at_store(folder)
    return _Findings(_versions(), await try_isolation(), await try_programs(), health)


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
    isolation, programs = findings.isolation, findings.programs
    lines = [f"{name:<14}{said}" for name, said in findings.versions.items()]
    lines += ["", "Lua scripts run in processes of their own:"]
    if isolation.problem is None:
        lines.append(_line("ready", f"after {isolation.start_s * 1000:.0f} ms"))
    lines += _measures(isolation.held, isolation.problem, _MEASURES)
    lines += ["", "Agents may be programs:"]
    lines += _measures(programs.held, programs.problem, _PROGRAM_MEASURES)
    if findings.store is not None:
        lines += ["", *_store_lines(findings.store, store or "")]
    return lines


def _measures(
    held: Sequence[str], problem: str | None, table: Mapping[str, tuple[str, str]]
) -> list[str]:
    if problem is not None:
        return [_line("missing", f"all of it: {problem}")]
    return [
        _line("ok", f"{name}: {does}") if name in held else _line("missing", f"{name}: {lacks}")
        for name, (does, lacks) in table.items()
    ]


def _store_lines(health: StoreHealth, store: str) -> list[str]:
    runs = health.runs
    used = f", open by process {runs.holder}" if runs.holder is not None else ""
    there = (amount(runs.runs, "run"), amount(runs.events, "event"), f"{runs.size_bytes} bytes")
    said = f"store {store}: {', '.join(there)}{used}"
    return [said, *(_line(how, what) for how, what in health.findings())]


def _line(how: str, said: str) -> str:
    return f"  {how:<9}{said}"


def _as_json(findings: _Findings) -> dict[str, Any]:
    nothing = {"store": None, "blueprints": None, "audit": None, "keys": None}
    return {
        "well": findings.well,
        "versions": findings.versions,
        "executable": sys.executable,
        "isolation": asdict(findings.isolation),
        "programs": asdict(findings.programs),
        **(nothing if findings.store is None else findings.store.as_json()),
    }
