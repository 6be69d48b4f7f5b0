"""`swarm.toml`: what a project tells the command line about itself.

docs/project.md shows every key; `[secrets]` and `[processes]` are read in `programs.py`.
Knows how to find the file and to import what it names; knows no blueprint.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from flowir.door import admit
from flowir.errors import FlowError, shorten
from flowir.records import dataclass
from swarm.blueprint.words import suggest
from swarm.cli.exits import WrongUse
from swarm.cli.programs import ProgramSettings, equip
from swarm.host.host import Host

__all__ = ("Project", "RetentionSettings", "find_project", "import_functions")

_FILE = "swarm.toml"
_MOST = 256 * 1024


class RetentionSettings(BaseModel):
    """What `swarm runs gc` lets go of where its options do not say: `older_than = "30d"`."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    older_than: str | None = None
    status: list[str] | None = None
    keep: int = 0


class _Settings(BaseModel):
    """The file as it is written."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    functions: dict[str, str] = {}
    includes: dict[str, str] = {}
    store: str | None = None
    layers: dict[str, dict[str, Any] | list[dict[str, Any]]] = {}
    secrets: dict[str, str] = {}
    processes: ProgramSettings = ProgramSettings()
    retention: RetentionSettings | None = None
    enhance: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Project:
    """A project's folder, and what its file says.

    Shape: functions as written (`name -> module:function`); layers as `Host(layers=…)` has
    them; includes are folders by name.
    """

    folder: Path
    functions: Mapping[str, str] = field(default_factory=dict[str, str])
    store: Path | None = None
    layers: tuple[Mapping[str, Any], ...] = ()
    includes: Mapping[str, Path] = field(default_factory=dict[str, Path])
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    processes: ProgramSettings = field(default_factory=ProgramSettings)
    retention: RetentionSettings | None = None
    enhance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def equip(self, host: Host) -> None:
        """Give a host the layers of the project, and what it says of programs.

        Raises: WrongUse.
        """
        host.surround(self.layers)
        equip(host, self.folder, self.secrets, self.processes)


def find_project(blueprint: Path | None) -> Project:
    """Read `swarm.toml` of the working directory, else the nearest above *blueprint*.

    Raises: WrongUse, when the file is not what it should be.
    """
    here = Path.cwd()
    folders = [here]
    if blueprint is not None:
        folders += blueprint.resolve().parents
    found = next((folder for folder in folders if (folder / _FILE).is_file()), None)
    return Project(here) if found is None else _read(found)


def _read(folder: Path) -> Project:
    file = folder / _FILE
    try:
        settings = _Settings.model_validate(admit(tomllib.loads(_text(file))))
    except ValidationError as e:
        raise WrongUse(f"{file}: {_wrong(e)}") from None
    except FlowError as e:
        raise WrongUse(f"{file}: {e}") from None
    except RecursionError:
        raise WrongUse(f"{file}: expected TOML, got one nested too deep") from None
    except UnicodeDecodeError as e:
        said = f"expected UTF-8 text, got the byte 0x{e.object[e.start]:02x} at {e.start}"
        raise WrongUse(f"{file}: {said}") from None
    except (OSError, ValueError) as e:
        raise WrongUse(f"{file}: expected TOML, got {e}") from None
    if settings.store == "":  # the project's own folder is none for a store
        raise WrongUse(f"{file}: store: expected a folder's name, got ''")
    store = None if settings.store is None else folder / settings.store
    includes = {name: folder / path for name, path in settings.includes.items()}
    layers = tuple(_layers(settings.layers))
    return Project(
        folder,
        settings.functions,
        store,
        layers,
        includes,
        settings.secrets,
        settings.processes,
        settings.retention,
        settings.enhance,
    )


def _wrong(error: ValidationError) -> str:
    """Say the first thing that is wrong: place, what was expected, what was got."""
    first = error.errors(include_url=False)[0]
    where = [*map(str, first["loc"])]
    if first["type"] == "extra_forbidden":
        model = {"processes": ProgramSettings, "retention": RetentionSettings}.get(
            where[0], _Settings
        )
        hint = suggest(where[-1], model.model_fields)
        return f"{'.'.join(where)}: expected a key that there is — {hint}"
    said = f"{'.'.join(where)}: {first['msg'][0].lower()}{first['msg'][1:]}"
    return said if where[0] == "secrets" else f"{said}, got {shorten(first['input'])}"


def _text(file: Path) -> str:
    with file.open("rb") as opened:
        data = opened.read(_MOST + 1)
    if len(data) > _MOST:
        raise WrongUse(f"{file}: expected at most {_MOST} bytes, got more")
    return data.decode()


def _layers(written: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key, params in written.items():
        for one in params if isinstance(params, list) else [params]:
            yield {"use": key, **one}


def import_functions(
    project: Project, options: Sequence[str] = ()
) -> dict[str, Callable[..., Any]]:
    """Import the project's functions, and those of `--function NAME=MODULE:FUNCTION`.

    Raises: WrongUse, naming the one that cannot be had.
    """
    found = {
        name: _import(target, project.folder, f"{project.folder / _FILE}: functions.{name}")
        for name, target in project.functions.items()
    }
    for option in options:
        name, equals, target = option.partition("=")
        if not equals:
            raise WrongUse(f"--function: expected NAME=MODULE:FUNCTION, got {option!r}")
        found[name] = _import(target, Path.cwd(), f"--function {name}")
    return found


def _import(target: str, folder: Path, place: str) -> Callable[..., Any]:
    module_name, colon, name = target.rpartition(":")
    if not colon or not module_name or not name:
        raise WrongUse(f"{place}: expected 'module:function', got {target!r}")
    try:
        module = _module(module_name, folder)
    except Exception as e:  # noqa: BLE001  the author's module may raise anything at import
        raise WrongUse(f"{place}: cannot import {module_name!r}: {type(e).__name__}: {e}") from None
    function = getattr(module, name, None)
    if not callable(function):
        raise WrongUse(f"{place}: {module_name!r} has no function {name!r}")
    return function


def _module(name: str, folder: Path) -> ModuleType:
    """Import a file (its name ends in .py), or a module that *folder* or the path offers."""
    if not name.endswith(".py"):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        return import_module(name)
    file = folder / name
    spec = spec_from_file_location(f"swarm_functions_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
