"""What a project says of agents that are programs: its secrets, and how they are run.

    [secrets]      a name for each: a variable of the environment, or a file beside swarm.toml
    [processes]    what swarm.ProcessSettings has

docs/processes.md shows them. A secret whose variable or file is not there is not registered: a
blueprint that needs it says so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from swarm.cli.exits import WrongUse
from swarm.errors import Refused
from swarm.host.host import Host
from swarm.workers.process.limits import Limits
from swarm.workers.process.settings import ProcessSettings

__all__ = ("ProgramSettings", "equip", "secret_values")

_LIMITS = frozenset(field.name for field in fields(Limits))


class ProgramSettings(BaseModel):
    """`[processes]` as it is written."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    parallel: int | None = Field(default=None, ge=1)
    timeout_s: float | None = Field(default=None, gt=0)
    pass_env: list[str] | None = None
    programs: list[str] | None = None
    keep_workdir: bool | None = None
    limits: dict[str, int] | None = None
    most: dict[str, int] | None = None


def equip(host: Host, folder: Path, secrets: Mapping[str, str], said: ProgramSettings) -> None:
    """Give a host what the project in *folder* says.

    Raises: WrongUse.
    """
    given: dict[str, Any] = said.model_dump(exclude_none=True)
    for name in ("limits", "most"):
        for limit in given.get(name, {}):
            if limit not in _LIMITS:
                raise WrongUse(f"{folder}/swarm.toml: processes.{name}: no limit {limit!r}")
    if "limits" in given:
        given["limits"] = Limits().changed(given["limits"])
    if given:
        host.run_programs(replace(ProcessSettings(), **given))
    for name, value in secret_values(folder, secrets).items():
        try:
            host.secret(name, value)
        except Refused as refused:
            raise WrongUse(f"{folder}/swarm.toml: secrets.{name}: {refused.message}") from None


def secret_values(folder: Path, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets that are there, by name.

    Raises: WrongUse.
    """
    values = {name: _value(folder, name, source) for name, source in secrets.items()}
    return {name: value for name, value in values.items() if value is not None}


def _value(folder: Path, name: str, source: str) -> str | None:
    kind, _, where = source.partition(":")
    if kind == "env" and where:
        return os.environ.get(where)
    if kind == "file" and where:
        try:
            return (folder / where).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
    place = f"{folder}/swarm.toml: secrets.{name}"
    raise WrongUse(f"{place}: expected 'env:NAME' or 'file:path', got something else")
