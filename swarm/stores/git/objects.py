"""Objects of the repository, looked at before libgit2 is asked for them.

libgit2 reads a truncated loose object for ever, holding the interpreter's lock, and none
of its time limits reaches that. So a loose object is read here first: inflated within a
bound, and compared with its name. What is packed carries checksums that libgit2 heeds.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pygit2
from pygit2.enums import FileMode

from swarm.errors import SwarmError

__all__ = ("MAX_OBJECT", "Blob", "Damaged", "Objects", "Stored")

# The largest file of a version is below this; a tree of a thousand files is too.
MAX_OBJECT: Final = 32 * 1024 * 1024
_MODES: Final = {FileMode.BLOB: False, FileMode.BLOB_EXECUTABLE: True}


class Damaged(SwarmError):
    """An object that is not what its name says; `values["oid"]` is the name."""

    def __init__(self, oid: str, why: str) -> None:
        super().__init__("version.damaged", f"object {oid}: {why}", oid=oid)


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
        self._walk(tree, "", found)
        return found

    def _walk(self, oid: str, above: str, found: dict[str, Blob]) -> None:
        tree = self._get(oid)
        if not isinstance(tree, pygit2.Tree):
            raise Damaged(oid, "expected a tree")
        for entry in tree:
            path = f"{above}{entry.name}"
            if entry.filemode == FileMode.TREE:
                self._walk(str(entry.id), f"{path}/", found)
            elif entry.filemode in _MODES:
                found[path] = Blob(str(entry.id), _MODES[FileMode(entry.filemode)])
            else:
                raise Damaged(oid, f"expected plain files, got {path!r} of mode {entry.filemode:o}")

    def body(self, oid: str) -> bytes:
        """Return the bytes of a blob.

        Raises: Damaged.
        """
        found = self._get(oid)
        if not isinstance(found, pygit2.Blob):
            raise Damaged(oid, "expected a blob")
        return found.data

    def _get(self, oid: str) -> pygit2.Object:
        self.check(oid)
        try:
            found = self._git.get(oid)
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise Damaged(oid, str(error)) from error
        if found is None:
            raise Damaged(oid, "expected an object, got none")
        return found

    def check(self, oid: str) -> None:
        """Compare a loose object with its name; one that is packed, or missing, passes.

        Raises: Damaged.
        """
        stored = self._loose(oid)
        if stored is not None and hashlib.sha1(stored, usedforsecurity=False).hexdigest() != oid:
            raise Damaged(oid, "its bytes are not what its name says")

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
        """Write files, (bytes, executable) by path, as a tree; return its name."""
        index = pygit2.Index()
        for path, (body, executable) in files.items():
            oid = self._sound(self._git.create_blob(body), body)
            mode = FileMode.BLOB_EXECUTABLE if executable else FileMode.BLOB
            index.add(pygit2.IndexEntry(path, pygit2.Oid(hex=oid), mode))
        return str(index.write_tree(self._git))

    def _sound(self, oid: pygit2.Oid, body: bytes) -> str:
        """Write a blob again where one of that name lay damaged: libgit2 keeps that one."""
        try:
            self.check(str(oid))
        except Damaged:
            self._path(str(oid)).unlink()
            self._git.create_blob(body)
        return str(oid)

    def stored(self, oid: str) -> Stored:
        """Return an object with its header, to be kept elsewhere as a spare.

        Raises: Damaged.
        """
        self.check(oid)
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

    def tree_objects(self, commit: str) -> list[str]:
        """Return the names of all objects that a commit is made of, without its parents.

        Raises: Damaged.
        """
        found = [commit]
        waiting = [str(self.commit(commit).tree_id)]
        while waiting:
            oid = waiting.pop()
            found.append(oid)
            tree = self._get(oid)
            assert isinstance(tree, pygit2.Tree)  # noqa: S101 - `files` refuses others
            for entry in tree:
                is_tree = entry.filemode == FileMode.TREE
                (waiting if is_tree else found).append(str(entry.id))
        return found


_KINDS: Final = {1: b"commit", 2: b"tree", 3: b"blob"}
