"""Where `require` looks: the packaged standard library, then files below one folder.

Names are dotted words; nothing they can spell leaves the folder, and neither does a
symbolic link. Reads files; knows nothing of runtimes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

__all__ = ("MAX_SOURCE", "Module", "ModuleMissing", "find_module")

MAX_SOURCE = 256 * 1024
STDLIB = "lua_stdlib"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*")


@dataclass(frozen=True, slots=True)
class Module:
    """A Lua module found; `trusted` if it is one of the standard library's."""

    name: str
    source: bytes
    trusted: bool = False


class ModuleMissing(Exception):
    """There is no such module, or it may not be read; the text is for the author."""


def find_module(name: str, folder: Path | None) -> Module:
    """Find the module that an author's `require` names.

    >>> find_module("flow", None).name
    'lua_stdlib/flow.lua'

    Shape: `a.b` is the file `a/b.lua`; the module's name is the path as *folder* writes it.
    Raises: ModuleMissing.
    """
    if not _NAME.fullmatch(name):
        raise ModuleMissing(f"{name!r}: expected words joined by dots, such as 'parts.review'")
    relative = name.replace(".", "/") + ".lua"
    packaged = files(STDLIB).joinpath(relative)
    if packaged.is_file():
        return Module(f"{STDLIB}/{relative}", packaged.read_bytes(), trusted=True)
    if folder is None:
        raise ModuleMissing(f"{name!r}: not in the standard library, and this script has no folder")
    return _own(name, folder, relative)


def _own(name: str, folder: Path, relative: str) -> Module:
    path = folder / relative
    if not path.is_file():
        raise ModuleMissing(f"{name!r}: no file {path}, and nothing in the standard library")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModuleMissing(f"{name!r}: {path} leads out of {folder}")
    with path.open("rb") as file:
        source = file.read(MAX_SOURCE + 1)
    if len(source) > MAX_SOURCE:
        raise ModuleMissing(f"{name!r}: {path} has more than {MAX_SOURCE} bytes")
    return Module(str(path), source)
