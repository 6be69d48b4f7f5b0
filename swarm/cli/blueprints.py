"""Blueprints as commands name them, loaded by a host that has the project's functions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import click

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.cli.exits import Exit, WrongUse, say
from swarm.cli.project import find_project, import_functions
from swarm.errors import BlueprintInvalid, Problem
from swarm.host.host import Host

__all__ = ("InvalidBlueprint", "function_option", "load", "opened_host")

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
    host = Host.in_memory() if store is None else Host(store)
    for name, function in import_functions(find_project(Path(blueprint)), functions).items():
        host.function(name)(function)
    async with host:
        yield host


async def load(host: Host, name: str) -> CompiledBlueprint:
    """Load the blueprint a command names.

    Raises: WrongUse, when it names no file; InvalidBlueprint.
    """
    if "/" not in name and not name.endswith(_SUFFIXES):
        raise WrongUse(
            f"expected a blueprint file (with a '/', or ending in {', '.join(_SUFFIXES)}),"
            f" got {name!r}"
        )
    try:
        return await host.load(name)
    except BlueprintInvalid as e:
        raise InvalidBlueprint(e.problems) from None
