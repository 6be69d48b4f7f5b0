"""Blueprints as commands name them, loaded by a host that has the project's functions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.cli.exits import Exit, WrongUse, say
from swarm.cli.project import find_project, import_functions
from swarm.cli.stores import IN_MEMORY, opened_store
from swarm.compiler.load import load_blueprint
from swarm.errors import BlueprintInvalid, Bug, Problem
from swarm.host.host import Host
from swarm.lua.pool import PooledScripts
from swarm.ports.worker import Toolbox

__all__ = ("InvalidBlueprint", "function_option", "load", "look_at", "opened_host")

_SUFFIXES = (".lua", ".json", ".yaml", ".yml")

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
            say(str(problem))


@asynccontextmanager
async def opened_host(
    blueprint: str, functions: Sequence[str], store: str | None = None
) -> AsyncGenerator[Host]:
    """Open a host that has the functions of *blueprint*'s project, and of the options.

    Raises: WrongUse; Refused, when the store cannot be opened.
    """
    project = find_project(Path(blueprint))
    host = opened_store(IN_MEMORY if store is None else store, project.includes)
    host.surround(project.layers)
    for name, function in import_functions(project, functions).items():
        host.function(name)(function)
    async with host:
        yield host


class _AnyFunction(Mapping[str, Callable[..., Any]]):
    """Every function there could be: who looks at a blueprint does not run its project.

    Which functions there are is known to the program that will run the blueprint; to look
    at a stranger's must not import their Python.
    """

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return _not_imported

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _not_imported(input: Any) -> Any:
    raise Bug(f"a blueprint that was only looked at was asked to run, with {input!r}")


async def look_at(name: str) -> CompiledBlueprint:
    """Compile the blueprint a command names, without importing or running anything of it.

    Raises: WrongUse, when it names no file; InvalidBlueprint.
    """
    _check_file(name)
    scripts = PooledScripts(warm=1)
    project = find_project(Path(name))
    tools = Toolbox(scripts, _AnyFunction(), Path.cwd(), project.includes)
    try:
        host = Host.in_memory(layers=project.layers)
        return await load_blueprint(name, registry=host.registry, tools=tools)
    except BlueprintInvalid as e:
        raise InvalidBlueprint(e.problems) from None
    finally:
        await scripts.aclose()


async def load(host: Host, name: str) -> CompiledBlueprint:
    """Load the blueprint a command names.

    Raises: WrongUse, when it names no file; InvalidBlueprint.
    """
    _check_file(name)
    try:
        return await host.load(name)
    except BlueprintInvalid as e:
        raise InvalidBlueprint(e.problems) from None


def _check_file(name: str) -> None:
    if "/" not in name and not name.endswith(_SUFFIXES):
        raise WrongUse(
            f"expected a blueprint file (with a '/', or ending in {', '.join(_SUFFIXES)}),"
            f" got {name!r}"
        )
