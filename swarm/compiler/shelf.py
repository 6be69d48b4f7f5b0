"""Files that a blueprint may name: those below its folder, and below named include folders.

A name is a path with slashes below the blueprint's own folder, or `shared:path` below the
include folder `shared` of the host. Nothing that a name can spell leaves its folder, and
neither does a symbolic link, one that is put there while the file is opened among them. What
is hidden (`.env`, `.git`) is not to be had. Hard links cannot be told from files.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from flowir.errors import shorten
from flowir.records import dataclass
from flowir.syntax import one_newline
from swarm.blueprint.words import allowed, near, suggest
from swarm.errors import Place

__all__ = ("INCLUDE_NAME", "FileRefused", "Read", "Shelf", "path_fault")

_LONGEST = 512
_INCLUDE = re.compile(r"([^:/]*):(.*)", re.DOTALL)
INCLUDE_NAME = re.compile(r"[a-z][a-z0-9_-]{1,31}")
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class FileRefused(Exception):
    """Why a name leads to no file that may be read; `where` is a line of the file itself."""

    def __init__(
        self, code: str, sentence: str, hint: str | None = None, where: Place | None = None
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.hint = hint
        self.where = where


@dataclass(frozen=True, slots=True)
class Read:
    """A file's bytes, the name that its author has for it, and the path that is shown."""

    name: str
    shown: str
    data: bytes

    @property
    def digest(self) -> str:
        """The SHA-256 of the bytes, in lower case hex."""
        return hashlib.sha256(self.data).hexdigest()

    def text(self) -> str:
        r"""Return the bytes as text, with `\n` for every line end.

        Raises: FileRefused (file.binary, file.encoding).
        """
        if b"\0" in self.data:
            raise FileRefused("file.binary", f"expected text, got the binary file {self.name!r}")
        try:
            text = self.data.decode("utf-8-sig")
        except UnicodeDecodeError as e:
            line = self.data.count(b"\n", 0, e.start) + 1
            said = f"expected UTF-8 text, got the byte 0x{self.data[e.start]:02x}"
            raise FileRefused("file.encoding", said, None, Place(self.shown, line)) from None
        return one_newline(text)


class Shelf:
    """Reads the files of one blueprint, each once.

    Shape: *folder* is as the author gave it, None for a document without a file of its own.
    """

    def __init__(self, folder: Path | None, includes: Mapping[str, Path]) -> None:
        self._folder = folder
        self._includes = includes
        self._known: dict[str, Read] = {}

    @property
    def folder(self) -> Path | None:
        """The blueprint's own folder."""
        return self._folder

    def read(self, name: object, most: int) -> Read:
        """Read the file of a name, of at most *most* bytes.

        Raises: FileRefused (file.path, file.include, file.folder, file.outside, file.missing,
        file.special, file.unreadable, file.too_large).
        """
        if not isinstance(name, str):
            _refuse("file.path", f"expected the path of a file, got {shorten(name)}")
        found = self._known.get(name)
        if found is None:
            root, path = self._below(name)
            data = _bytes(root, path, name, most)
            found = self._known[name] = Read(name, _shown(root / path), data)
        if len(found.data) > most:
            _refuse("file.too_large", f"expected at most {most} bytes, got more in {name!r}")
        return found

    def _below(self, name: str) -> tuple[Path, str]:
        """Return the folder that a name begins in, and the way from there."""
        include, path = _INCLUDE.fullmatch(name), name.removeprefix("./")
        root = self._folder
        if include is not None:
            word, path = include.groups()
            root = self._includes.get(word)
            if root is None:
                _refuse(
                    "file.include",
                    f"expected an include folder of the host before ':', got {word!r}",
                    suggest(word, self._includes) or "the host has none",
                )
        fault = path_fault(path)
        if fault is not None:
            _refuse("file.path", f"expected a path below the blueprint's folder, got {fault}")
        if root is None:
            _refuse(
                "file.folder",
                f"expected a blueprint that has a folder, for {name!r} to be in",
                "load it from a file, or write the text out",
            )
        return root, path


def _shown(path: Path) -> str:
    """Return the shortest honest way to write a path: from here, if it is below."""
    plain = os.path.normpath(path)
    here = os.getcwd()
    below = path.is_absolute() and os.path.commonpath((plain, here)) == here
    return os.path.relpath(plain, here) if below else plain


def path_fault(path: str) -> str | None:
    """Return what is wrong with a way below a folder, if anything is."""
    parts = path.split("/")
    if len(path) > _LONGEST or not path.isprintable() or "\\" in path:
        return shorten(path)
    if path.startswith(("/", "~")):
        return f"{path!r}, which is no way below it"
    if any(part in ("", ".", "..") for part in parts):
        return repr(path)
    hidden = next((part for part in parts if part.startswith(".")), None)
    return None if hidden is None else f"{path!r}, in which {hidden!r} is hidden"


def _bytes(root: Path, path: str, name: str, most: int) -> bytes:
    try:
        opened = _open(root, path, name)
    except (FileNotFoundError, NotADirectoryError):
        hint = _neighbour(root / path)
        _refuse("file.missing", f"expected a file, got nothing of the name {name!r}", hint)
    except OSError as e:
        what = "a link in a circle" if e.errno == errno.ELOOP else (e.strerror or str(e)).lower()
        _refuse("file.unreadable", f"expected a file that can be read, got {name!r}: {what}")
    mode = os.fstat(opened).st_mode
    if not stat.S_ISREG(mode):
        os.close(opened)
        what = "a folder" if stat.S_ISDIR(mode) else "something else"
        _refuse("file.special", f"expected a file, got {what} of the name {name!r}")
    with os.fdopen(opened, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        _refuse("file.too_large", f"expected at most {most} bytes, got more in {name!r}")
    return data


def _open(root: Path, path: str, name: str) -> int:
    """Open a file by its real way from the root, along which no link is followed.

    A link that appears after the way was found is met here, and is an error.
    """
    # What leads out is refused whether it is there or not.
    real_root = Path(os.path.realpath(root))
    real = Path(os.path.realpath(real_root / path))
    if not real.is_relative_to(real_root):
        _refuse("file.outside", f"expected a file below {root}, got {name!r}, which leads out")
    here = os.open(real_root, _FLAGS | os.O_DIRECTORY)
    parts = real.relative_to(real_root).parts
    for i, part in enumerate(parts):
        # Not blocking: a pipe may never have a writer.
        kind = os.O_NONBLOCK if i == len(parts) - 1 else os.O_DIRECTORY
        try:
            inner = os.open(part, _FLAGS | kind, dir_fd=here)
        finally:
            os.close(here)
        here = inner
    return here


def _neighbour(path: Path) -> str | None:
    """Return the hint that another file of the folder was meant."""
    try:
        there = [other.name for other in path.parent.iterdir() if not other.name.startswith(".")]
    except (OSError, ValueError):
        return None
    alike = {Path(name).stem: name for name in there if Path(name).suffix == path.suffix}
    meant = near(path.stem, alike)
    if meant is not None:
        return f"did you mean {alike[meant]!r}?"
    shown = list(alike.values()) or there
    return f"there are {allowed(shown)}" if shown else None


def _refuse(code: str, sentence: str, hint: str | None = None) -> NoReturn:
    raise FileRefused(code, sentence, hint)
