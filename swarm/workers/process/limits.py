"""How much a program may take, use and say; an agent's `limits` names the same fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any, cast

from flowir.errors import shorten
from flowir.records import dataclass
from swarm.blueprint.words import suggest
from swarm.ports.worker import FieldProblem

__all__ = ("Limits", "limit_problems")

_LAUNCHED = ("memory_bytes", "cpu_s", "file_bytes", "open_files", "processes", "disk_bytes")
_SAID = ("output_bytes", "line_bytes", "stderr_bytes")
_MEBI = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for one program; None: nothing is limited.

    Units: `memory_bytes` of address space and `file_bytes` of one file it writes, by
    process; `cpu_s` of processor time (without it: its time and five seconds more);
    `processes` and `disk_bytes` of its working directory for all of it together;
    `output_bytes` before it is stopped, `line_bytes` of one message, `stderr_bytes` of
    which the last are kept.
    """

    memory_bytes: int | None = 1024 * _MEBI
    cpu_s: int | None = None
    file_bytes: int | None = 64 * _MEBI
    open_files: int | None = 256
    processes: int | None = 64
    disk_bytes: int | None = 256 * _MEBI
    output_bytes: int = 8 * _MEBI
    line_bytes: int = _MEBI
    stderr_bytes: int = 64 * 1024

    def launched(self) -> dict[str, int | None]:
        """Return what holds beside what it says."""
        return {name: value for name, value in asdict(self).items() if name in _LAUNCHED}

    def changed(self, wanted: Mapping[str, Any]) -> Limits:
        """Return these, but for those that an agent names."""
        return replace(self, **wanted)


def limit_problems(given: Any, most: Mapping[str, int]) -> Iterable[FieldProblem]:
    """Find what is wrong with an agent's `limits`; *most* is what the host allows."""
    if not isinstance(given, dict):
        yield _problem("limits", f"expected an object of limits, got {shorten(given)}")
        return
    names = [field.name for field in fields(Limits)]
    for name, value in cast("dict[str, Any]", given).items():
        place = f"limits.{name}"
        if name not in names:
            yield _problem(place, f"expected a limit, got {shorten(name)}", suggest(name, names))
        elif value is None and name not in _SAID:
            if name in most:
                yield _problem(place, f"expected at most {most[name]}, as the host allows")
        elif type(value) is not int or value <= 0:
            yield _problem(place, f"expected an integer above 0, got {shorten(value)}")
        elif value > most.get(name, value):
            yield _problem(place, f"expected at most {most[name]}, as the host allows, got {value}")


def _problem(place: str, said: str, hint: str | None = None) -> FieldProblem:
    return FieldProblem("process.limits", place, said, hint)
