"""Blueprints as commands name them, loaded by a host that has the project's functions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import click

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.words import allowed
from swarm.cli.exits import Exit, say
from swarm.cli.problems import problem_line
from swarm.cli.project import Project, find_project, import_functions
from swarm.cli.stores import IN_MEMORY, chosen_store, opened_store
from swarm.compiler.source import SUFFIXES, is_file_name
from swarm.errors import BlueprintInvalid, Problem, Refused
from swarm.host.blueprints import Blueprints
from swarm.host.host import Host
from swarm.host.parts import SystemClock, git_versions
from swarm.lua.choice import ChosenScripts
from swarm.lua.pool import PooledScripts
from swarm.lua.process import ScriptProcess
from swarm.ports.worker import Toolbox
from swarm.stores.memory_versions import MemoryVersions
from swarm.workers.any_function import AnyFunction

__all__ = (
    "InvalidBlueprint",
    "function_option",
    "load",
    "look_at",
    "opened_blueprints",
    "opened_host",
)

function_option = click.option(
    "--function",
    "functions",
    metavar="NAME=MODULE:FUNCTION",
    multiple=True,
    help="A Python function for agents of kind 'function', beside those of swarm.toml.",
)


class InvalidBlueprint(click.ClickException):
    """A blueprint that has problems; they go to stderr, one a line."""

    exit_code = Exit.WRONG

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(str(problems[0]))
        self.problems = tuple(problems)

    def show(self, file: object = None) -> None:
        """Say every problem on stderr."""
        for problem in self.problems:
            say(problem_line(problem))


@asynccontextmanager
async def opened_host(
    blueprint: str,
    functions: Sequence[str],
    store: str | None = None,
    *,
    child: ScriptProcess | None = None,
) -> AsyncGenerator[Host]:
    """Open a host that has the functions of *blueprint*'s project, and of the options.

    Shape: *child* is there for its first script.
    Raises: WrongUse; Refused, when the store cannot be opened.
    """
    project = find_project(Path(blueprint))
    host = opened_store(IN_MEMORY if store is None else store, project.includes)
    project.equip(host)
    for name, function in import_functions(project, functions).items():
        host.function(name)(function)
    if child is not None and isinstance(host.scripts, ChosenScripts):
        host.scripts.adopt(child)
    async with host:
        yield host


@asynccontextmanager
async def opened_blueprints(
    store: str, project: Project | None = None
) -> AsyncGenerator[Blueprints]:
    """Open the versions in a store, beside whoever runs a host there.

    Nothing of a stranger's project is imported or run to look at its blueprints.
    Raises: InvalidBlueprint, for what the body finds invalid.
    """
    scripts = PooledScripts(warm=1)
    project = find_project(None) if project is None else project
    # Where nothing is kept there are versions nowhere, but files are looked at as well.
    versions = MemoryVersions() if store == IN_MEMORY else git_versions(store)
    kept = Blueprints(
        versions,
        SystemClock(),
        lambda: Path(store).absolute() / "versions",
        registry=Host.in_memory(layers=project.layers).registry,
        tools=Toolbox(scripts, AnyFunction(), Path.cwd(), project.includes),
        recording=_unrecorded,
    )
    try:
        yield kept
    except BlueprintInvalid as e:
        raise InvalidBlueprint(e.problems) from None
    finally:
        kept.close()
        await scripts.aclose()


async def _unrecorded(verb: str, told: Mapping[str, Any]) -> None:
    """Record nothing: the log is the running host's. Histories say by themselves who did it."""


async def look_at(name: str) -> CompiledBlueprint:
    """Compile the blueprint a command names, without importing or running anything of it.

    Raises: InvalidBlueprint; Refused (version.…).
    """
    path = Path(name) if is_file_name(name) else None
    async with opened_blueprints(chosen_store(None, path), find_project(path)) as kept:
        if path is not None:
            return await kept.compiled(name)
        with _files_beside(name):
            return await kept.load(name)


async def load(host: Host, name: str) -> CompiledBlueprint:
    """Load the blueprint a command names.

    Raises: InvalidBlueprint; Refused (version.…).
    """
    try:
        with _files_beside(name):
            return await host.load(name)
    except BlueprintInvalid as e:
        raise InvalidBlueprint(e.problems) from None


@contextmanager
def _files_beside(name: str) -> Generator[None]:
    """Say how a file is named, where a version was not found and there is such a file."""
    try:
        yield
    except Refused as refused:
        hint = _file_meant(name) if refused.code in ("version.unknown", "version.id") else None
        if hint is None:
            raise
        said = f"{refused.message} — {hint}"
        raise Refused(refused.code, said, **refused.values) from refused


def _file_meant(name: str) -> str | None:
    """Return the hint that *name* may have been meant for a file."""
    spelled = (f"{name}{suffix}" for suffix in SUFFIXES)
    there = next((file for file in spelled if Path(file).is_file()), None)
    if there is not None:
        return f"for the file, say {there!r}"
    if Path(name).is_file():
        return f"for the file, give it a name that ends in {allowed(SUFFIXES)}"
    if Path(name).is_dir():
        return "for a file of the folder, name the file"
    return None
