"""Objects of the repository, looked at before libgit2 is asked for them.

libgit2 reads a truncated loose object for ever, holding the interpreter's lock, and none
of its time limits reaches that. So a loose object is read here first: inflated within a
bound, and compared with its name; `packs` looks at packs. Trees may come from elsewhere:
they are walked within bounds too.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pygit2
from pygit2.enums import FileMode

from swarm.errors import SwarmError
from swarm.stores.version_rules import MAX_FILES

__all__ = ("MAX_OBJECT", "Blob", "Damaged", "Objects", "Stored", "Strange")

# The largest file of a version is below this; a tree of a thousand files is too.
MAX_OBJECT: Final = 32 * 1024 * 1024
# Of a version: its files and their folders.
_MAX_ENTRIES: Final = 10 * MAX_FILES
_MODES: Final = {FileMode.BLOB: False, FileMode.BLOB_EXECUTABLE: True}


class Damaged(SwarmError):
    """An object that is not what its name says; `values["oid"]` is the name."""

    def __init__(self, oid: str, why: str) -> None:
        super().__init__("version.damaged", f"object {oid}: {why}", oid=oid)


class Strange(Damaged):
    """Something that is whole, and that no version is made of."""


class Blob(NamedTuple):
    """A file of a tree."""

    oid: str
    executable: bool


class Stored(NamedTuple):
    """An object as it lies in its file: everything needed to write it again."""

    oid: str
    raw: bytes


class Objects:
    """The objects of one repository."""

    def __init__(self, git: pygit2.Repository) -> None:
        self._git = git
        self._folder = Path(git.path) / "objects"

    # -- reading -----------------------------------------------------------------------

    def commit(self, oid: str) -> pygit2.Commit:
        """Return a commit.

        Raises: Damaged.
        """
        found: Any = self._get(oid)
        if not isinstance(found, pygit2.Commit):
            raise Damaged(oid, "expected a commit")
        return found

    def files(self, tree: str) -> Mapping[str, Blob]:
        """Return the files below a tree, by their paths.

        Raises: Damaged; also for what is no plain file: a link, a repository.
        """
        found: dict[str, Blob] = {}
        for oid, path, mode in self._walk(tree):
            if mode in _MODES:
                found[path] = Blob(oid, _MODES[FileMode(mode)])
            elif mode != FileMode.TREE:
                raise Strange(tree, f"expected plain files, got {path!r} of mode {mode:o}")
        return found

    def _walk(self, tree: str) -> Iterator[tuple[str, str, int]]:
        """Yield everything below a tree: name of the object, path, mode.

        A few trees that name each other many times would be without end.
        """
        waiting, seen = [(tree, "")], 0
        while waiting:
            oid, above = waiting.pop()
            there = self._get(oid)
            if not isinstance(there, pygit2.Tree):
                raise Damaged(oid, "expected a tree")
            for entry in there:
                seen += 1
                if seen > _MAX_ENTRIES:
                    raise Strange(tree, f"expected at most {_MAX_ENTRIES} files and folders")
                path = f"{above}{entry.name}"
                yield str(entry.id), path, int(entry.filemode)
                if entry.filemode == FileMode.TREE:
                    waiting.append((str(entry.id), f"{path}/"))

    def body(self, oid: str) -> bytes:
        """Return the bytes of a blob.

        Raises: Damaged.
        """
        found = self._get(oid)
        if not isinstance(found, pygit2.Blob):
            raise Damaged(oid, "expected a blob")
        return found.data

    def _get(self, oid: str) -> pygit2.Object:
        self._check(oid)
        try:
            return self._git[oid]
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise Damaged(oid, str(error)) from error

    def check(self, oid: str) -> None:
        """Read an object whole, so that libgit2 may be given its name.

        Raises: Damaged; also where there is none.
        """
        self.stored(oid)

    def has(self, oid: str) -> bool:
        """Tell whether an object can be read whole."""
        try:
            self.check(oid)
        except Damaged:
            return False
        return True

    def _check(self, oid: str) -> None:
        """Compare a loose object with its name; of one that is packed see how large it is."""
        stored = self._loose(oid)
        if stored is None:
            self._check_packed(oid)
        elif hashlib.sha1(stored, usedforsecurity=False).hexdigest() != oid:
            raise Damaged(oid, "its bytes are not what its name says")

    def _check_packed(self, oid: str) -> None:
        try:
            _, size = self._git.odb.read_header(oid)
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise Damaged(oid, "expected an object, got none that can be read") from error
        if size > MAX_OBJECT:
            raise Damaged(oid, f"expected at most {MAX_OBJECT} bytes, got {size}")

    def _loose(self, oid: str) -> bytes | None:
        try:
            packed = self._path(oid).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Damaged(oid, (error.strerror or str(error)).lower()) from error
        inflate = zlib.decompressobj()
        try:
            body = inflate.decompress(packed, MAX_OBJECT)
        except zlib.error as error:
            raise Damaged(oid, str(error)) from error
        if not inflate.eof:
            raise Damaged(oid, "it is cut short, or too large")
        return body

    def _path(self, oid: str) -> Path:
        return self._folder / oid[:2] / oid[2:]

    # -- writing -----------------------------------------------------------------------

    def add(self, files: Mapping[str, tuple[bytes, bool]]) -> str:
        """Write files, (bytes, executable) by path, as a tree; return its name.

        Raises: Damaged, where a part of it lies damaged in a pack.
        """
        builder = self._git.TreeBuilder()
        folders: dict[str, dict[str, tuple[bytes, bool]]] = {}
        for path, (body, executable) in files.items():
            name, within, rest = path.partition("/")
            if within:
                folders.setdefault(name, {})[rest] = (body, executable)
            else:
                mode = FileMode.BLOB_EXECUTABLE if executable else FileMode.BLOB
                oid = self._sound(lambda body=body: self._git.create_blob(body))
                builder.insert(name, pygit2.Oid(hex=oid), mode)
        for name, below in folders.items():
            builder.insert(name, pygit2.Oid(hex=self.add(below)), FileMode.TREE)
        return self._sound(builder.write)

    def _sound(self, write: Callable[[], pygit2.Oid]) -> str:
        """Write an object, and look at it; libgit2 may be given its name then.

        One of that name that lies there is kept by libgit2, whatever it is like, and not
        every failure to write is told.
        """
        oid = str(write())
        try:
            self.check(oid)
        except Damaged:
            self._path(oid).unlink(missing_ok=True)
            write()
            self.check(oid)
        return oid

    def stored(self, oid: str) -> Stored:
        """Return an object with its header, to be kept elsewhere as a spare.

        Raises: Damaged.
        """
        self._check(oid)
        try:
            kind, body = self._git.read(oid)
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise Damaged(oid, str(error)) from error
        return Stored(oid, b"%s %d\0" % (_KINDS[int(kind)], len(body)) + body)

    def restore(self, stored: Stored) -> None:
        """Write an object again from a spare, in the place of what lies there."""
        path = self._path(stored.oid)
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        kind, _, body = stored.raw.partition(b"\0")
        number = next(n for n, name in _KINDS.items() if kind.startswith(name))
        self._git.odb.write(number, body)

    def below(self, tree: str) -> list[str]:
        """Return the names of a tree and of all below it, each once.

        Raises: Damaged.
        """
        return list(dict.fromkeys([tree, *(oid for oid, _, _ in self._walk(tree))]))

    def of(self, commit: str) -> list[str]:
        """Return the names of all objects that a commit is made of, without its parents.

        Raises: Damaged.
        """
        return [commit, *self.below(str(self.commit(commit).tree_id))]


_KINDS: Final = {1: b"commit", 2: b"tree", 3: b"blob"}
