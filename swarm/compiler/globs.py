"""The files that a blueprint's processes need: found by pattern, told by digest.

A pattern is a path below the blueprint's folder with `*`, `?` and `[…]` within a name and
`**` for folders at any depth; a folder stands for all that is in it. In a document that was
built before, each file stands with its digest, and is held against it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from flowir.errors import Problem, shorten
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_array, is_object
from swarm.compiler.shelf import FileRefused, Shelf, path_fault

__all__ = ("Globs",)

_AT = "$.files"
_FILE_BYTES = 4 * 1024 * 1024
_ALL_BYTES = 32 * 1024 * 1024
_MOST = 1_000
# Folders and files that one search looks at.
_SEEN = 50_000
_WILD = frozenset("*?[")


class Globs:
    """Finds and reads what `files` names; tells in *found* what it cannot."""

    def __init__(self, shelf: Shelf, found: list[Problem]) -> None:
        self._shelf = shelf
        self._found = found
        self._left = _ALL_BYTES
        self._is_full = False

    def digests(self, files: Any) -> Any:
        """Return the digest of each file, by its path; what is no list of paths as it is."""
        if is_object(files):
            self._held(files)
            return files
        if not is_array(files) or not all(isinstance(name, str) and name for name in files):
            return files  # the model says so
        if self._shelf.folder is None:
            said = "expected a blueprint that has a folder, for its files to be in"
            self._found.append(Problem("file.folder", _AT, said, "load it from a file"))
            return {}
        made: dict[str, str] = {}
        for i, pattern in enumerate(files):
            self._pattern(pattern, self._shelf.folder, inside(_AT, i), made)
            if self._is_full:
                break
        return dict(sorted(made.items()))

    def _pattern(self, pattern: str, folder: Path, at: str, made: dict[str, str]) -> None:
        pattern = pattern.removeprefix("./")
        fault = path_fault(pattern.rstrip("/"))
        if fault is not None or ":" in pattern:
            said = f"expected a path below the blueprint's folder, got {fault or repr(pattern)}"
            self._tell("file.path", at, said)
            return
        try:
            names = list(_matching(pattern.rstrip("/"), folder))
        except FileRefused as refused:
            self._tell(refused.code, at, refused.sentence)
            return
        if not names:
            self._missing(pattern, at)
        for name in names:
            self._file(name, at, made)
            if len(made) > _MOST:
                self._full(at, f"expected at most {_MOST} files, got more")
            if self._is_full:
                return

    def _full(self, at: str, said: str) -> None:
        """Say that there is too much, once: whatever comes behind is too much as well."""
        self._tell("file.too_large", at, said)
        self._is_full = True

    def _missing(self, pattern: str, at: str) -> None:
        """Say of a plain path why it is not to be had, of a pattern that nothing has it."""
        if _WILD.isdisjoint(pattern):
            try:
                self._shelf.read(pattern, _FILE_BYTES)
            except FileRefused as refused:
                self._tell(refused.code, at, refused.sentence, refused.hint)
                return
        self._tell("file.missing", at, f"expected a file of this pattern, got none: {pattern!r}")

    def _file(self, name: str, at: str, made: dict[str, str]) -> None:
        if name in made:
            return
        try:
            read = self._shelf.read(name, _FILE_BYTES)
        except FileRefused as refused:
            self._tell(refused.code, at, refused.sentence, refused.hint)
            return
        self._left -= len(read.data)
        if self._left < 0:
            self._full(at, f"expected at most {_ALL_BYTES} bytes of files, got more")
            return
        made[name] = read.digest

    def _held(self, files: dict[str, Any]) -> None:
        """Hold the files of a document that was built before against their digests."""
        for name, digest in files.items():
            at = inside(_AT, name)
            try:
                read = self._shelf.read(name, _FILE_BYTES)
            except FileRefused as refused:
                self._tell(refused.code, at, refused.sentence, refused.hint)
                continue
            if read.digest != digest:
                said = f"expected the file of digest {shorten(digest, 16)}, got {read.digest[:12]}"
                self._tell("file.changed", at, said, "build the document anew")

    def _tell(self, code: str, at: str, sentence: str, hint: str | None = None) -> None:
        self._found.append(Problem(code, at, sentence, hint))


def _matching(pattern: str, folder: Path) -> Iterator[str]:
    """Yield the files below *folder* that a pattern names, or that are in a folder it names."""
    parts = pattern.split("/")
    if _WILD.isdisjoint(pattern) and not (folder / pattern).is_dir():
        if os.path.lexists(folder / pattern):
            yield pattern
        return
    seen = 0
    todo = [("", folder, _after({0}, parts))]
    while todo:
        above, here, reached = todo.pop()
        with os.scandir(here) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            seen += 1
            if seen > _SEEN:
                said = f"expected at most {_SEEN} files to look at, got more for {pattern!r}"
                raise FileRefused("file.too_large", said)
            further = _step(reached, parts, entry.name)
            if entry.name.startswith(".") or not further:
                continue
            if entry.is_dir(follow_symlinks=False):
                todo.append((f"{above}{entry.name}/", Path(entry.path), further))
            elif len(parts) in further:
                yield above + entry.name


def _step(reached: set[int], parts: list[str], name: str) -> set[int]:
    """Return how far a pattern is met by one name more, where it was met so far.

    Shape: sets of indices of *parts*, all that may come next; beyond the last: it is met.
    """
    met = {
        i if parts[i] == "**" else i + 1
        for i in reached
        if i < len(parts) and (parts[i] == "**" or fnmatchcase(name, parts[i]))
    }
    # What is in a folder that is named is named.
    return _after(met | ({len(parts)} & reached), parts)


def _after(reached: set[int], parts: list[str]) -> set[int]:
    """Add what comes after folders of which there may be none."""
    further = set(reached)
    for i in range(len(parts)):
        if i in further and parts[i] == "**":
            further.add(i + 1)
    return further
