"""Which store a command works on: an option, the environment, the project, `.swarm`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from swarm.cli.exits import WrongUse
from swarm.cli.project import find_project
from swarm.compiler.source import is_text
from swarm.errors import Refused
from swarm.host.host import Host
from swarm.stores.sqlite.store import FILE

__all__ = (
    "IN_MEMORY",
    "checked_store",
    "chosen_store",
    "missing_store",
    "opened_store",
    "store_option",
)

IN_MEMORY = ":memory:"
_DEFAULT = ".swarm"

store_option = click.option(
    "--store",
    metavar="DIR",
    help=f"The folder that remembers runs; '{IN_MEMORY}': nothing does. Default: {_DEFAULT}.",
)


def chosen_store(option: str | None, blueprint: Path | None = None) -> str:
    """Return the store's folder: `--store`, `SWARM_STORE`, `swarm.toml`, else `.swarm` here.

    Raises: WrongUse, for a `swarm.toml` that is not what it should be, and for no name.
    """
    if option == "":  # an unset variable of a shell, not the working directory
        raise WrongUse("--store: expected a folder's name, got ''")
    given = option or os.environ.get("SWARM_STORE")
    store = given or str(find_project(blueprint).store or _DEFAULT)
    if not is_text(os.path.abspath(store)):  # as SQLite, git and the journal want it
        said = f"--store: expected a folder whose path is UTF-8, got {os.path.abspath(store)!a}"
        raise WrongUse(said)
    return store


def checked_store(option: str | None) -> str:
    """Return the folder of a store that is there already.

    Raises: Refused (store.missing), where no run was ever kept.
    """
    store = chosen_store(option)
    if not (Path(store) / FILE).is_file():
        raise missing_store(store)
    return store


def missing_store(folder: str) -> Refused:
    """Say that there is no store to look at."""
    return Refused(
        "store.missing", f"{folder}: expected the folder of a store, found none — --store DIR"
    )


def opened_store(store: str, includes: Mapping[str, Path] | None = None) -> Host:
    """Make the host over a store; what was interrupted waits to be told to go on."""
    if store == IN_MEMORY:
        return Host.in_memory(includes=includes)
    return Host(store, resume="manual", includes=includes)
