"""A bare repository of ours: made, opened, locked for writing, its leftovers swept away.

Only objects and refs are used: no work tree, no hooks, no filters, no remote. Whoever
writes holds `blueprints.lock`, which stands beside the repository and ends with its
process; so a `*.lock` of git itself that is there meanwhile was left by a killed one.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pygit2

from swarm.errors import Refused, SwarmError

__all__ = ("DRAFTS", "HEADS", "TAGS", "RefDamaged", "Repository")

HEADS: Final = "refs/blueprints/"
TAGS: Final = "refs/tags/"
DRAFTS: Final = "refs/drafts/"
_FOLDERS: Final = (
    "",
    "refs",
    "refs/blueprints",
    "refs/drafts",
    "refs/heads",
    "refs/tags",
    "objects",
)
_WAIT_S = 30.0
_STALE_S = 3600.0
_HEAD = b"ref: refs/heads/"


class RefDamaged(Exception):
    """A ref that holds no name of an object; `args[0]` is its name."""


class Repository:
    """A repository at *path*, made when it is first written to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_path = path.parent / "blueprints.lock"
        self._opened: pygit2.Repository | None = None
        self._swept = False

    @property
    def exists(self) -> bool:
        """Whether it was made, or begun."""
        return (self.path / "objects").is_dir()

    @property
    def git(self) -> pygit2.Repository:
        """The repository for libgit2.

        Raises: SwarmError (version.damaged); Refused (version.foreign).
        """
        if self._opened is None:
            self._check_ours()
            try:
                self._opened = pygit2.Repository(str(self.path))
            except (pygit2.GitError, KeyError, ValueError) as error:
                raise SwarmError(
                    "version.damaged", f"{self.path}: expected a git repository: {error}"
                ) from error
        return self._opened

    def close(self) -> None:
        """Let go of it; may be called again."""
        if self._opened is not None:
            self._opened.free()
            self._opened = None

    def _check_ours(self) -> None:
        """Refuse a repository that leads somewhere else: links, borrowed objects."""
        for name in _FOLDERS:
            if (self.path / name).is_symlink():
                raise _foreign(self.path, f"{name or 'the folder'} is a link")
        if (self.path / "objects/info/alternates").exists():
            raise _foreign(self.path, "it borrows objects of another (objects/info/alternates)")

    @contextmanager
    def writing(self) -> Generator[pygit2.Repository]:
        """Hold the lock of all writers, in whatever process.

        Raises: Refused (version.busy), when that took too long; Refused (version.foreign).
        """
        # State of libgit2, of the whole process: a version that was acknowledged is on
        # the disk. Writing more durably than asked harms nobody else.
        pygit2.settings.enable_fsync_gitdir(True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(
            self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644
        )
        try:
            self._acquire(lock)
            self._make()
            self._sweep()
            yield self.git
        finally:
            os.close(lock)

    def _acquire(self, lock: int) -> None:
        give_up = time.monotonic() + _WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if time.monotonic() >= give_up:
                    raise Refused(
                        "version.busy",
                        f"{self.path}: expected to write within {_WAIT_S:g} s, but another "
                        "process holds it — try again",
                        path=str(self.path),
                    ) from error
            time.sleep(0.002)

    def _make(self) -> None:
        """Make the repository, or finish one whose making was cut short."""
        self._check_ours()
        if not _is_head(self.path / "HEAD"):
            # libgit2 leaves what is there as it is, but wants a HEAD to know it by.
            self.path.mkdir(mode=0o700, exist_ok=True)
            (self.path / "HEAD").unlink(missing_ok=True)
            pygit2.init_repository(str(self.path), bare=True, initial_head="main")
            self._point_head()
            self.close()

    def _point_head(self) -> None:
        """Let HEAD name a branch that exists, so that a clone has something to show."""
        heads = self.path / "refs/heads"
        names = sorted(one.name for one in heads.iterdir()) if heads.is_dir() else []
        if names:
            (self.path / "HEAD").write_bytes(_HEAD + names[0].encode() + b"\n")

    def _sweep(self) -> None:
        """Remove what killed writers left: git's own locks, and temporary objects."""
        if self._swept:
            return
        places = [self.path, *(p for p in (self.path / "refs").rglob("*") if p.is_dir())]
        places.append(self.path / "refs")
        for place in places:
            for left in place.glob("*.lock"):
                left.unlink(missing_ok=True)
        young = time.time() - _STALE_S
        for left in (self.path / "objects").rglob("tmp_*"):
            if left.stat().st_mtime < young:
                left.unlink(missing_ok=True)
        self._swept = True

    # -- refs --------------------------------------------------------------------------

    def ref(self, name: str) -> str | None:
        """Return the object that a ref names, as hex, if there is such a ref.

        Raises: RefDamaged.
        """
        try:
            # Not followed: a ref of ours that names another ref was not written by us.
            target = self.git.references[name].target
        except KeyError:
            if self._is_broken(name):
                raise RefDamaged(name) from None
            return None
        except (pygit2.GitError, ValueError) as error:
            raise RefDamaged(name) from error
        if isinstance(target, str):
            raise RefDamaged(name)
        return str(target)

    def _is_broken(self, name: str) -> bool:
        """Tell a ref that is not there from one that cannot be read."""
        return (self.path / name).is_file() or (self.path / name).is_symlink()

    def names(self, prefix: str) -> list[str]:
        """Return the names behind *prefix* of all refs that begin with it, sorted.

        Damaged refs among them: their files are there.
        """
        if not self.exists:
            return []
        packed = (ref for ref in self.git.raw_listall_references())
        found = {raw.decode("utf-8", "replace") for raw in packed}
        folder = self.path / prefix
        if folder.is_dir():
            for place in folder.rglob("*"):
                if not place.is_dir() and not place.name.endswith(".lock"):
                    found.add(prefix + place.relative_to(folder).as_posix())
        return sorted(ref[len(prefix) :] for ref in found if ref.startswith(prefix))

    def set_ref(self, name: str, commit: str) -> None:
        """Let a ref name a commit, whatever it named before. For whoever holds the lock."""
        path = self.path / name
        if self._is_broken(name) and (path.is_symlink() or self._is_unreadable(name)):
            path.unlink(missing_ok=True)
        self.git.references.create(name, commit, force=True)

    def _is_unreadable(self, name: str) -> bool:
        try:
            return self.ref(name) is None
        except RefDamaged:
            return True

    def show_as_branch(self, blueprint: str, commit: str) -> None:
        """Let a plain clone bring the history too: it takes branches only.

        Nobody reads the branch here, so one that a kill left behind misleads nobody. A
        symbolic ref would follow by itself, but git calls a HEAD that leads out of
        refs/heads strange.
        """
        is_new = not (self.path / "refs/heads" / blueprint).exists()
        self.set_ref(f"refs/heads/{blueprint}", commit)
        if is_new:
            self._point_head()


def _is_head(path: Path) -> bool:
    try:
        return not path.is_symlink() and path.read_bytes().startswith(_HEAD)
    except OSError:
        return False


def _foreign(path: Path, why: str) -> Refused:
    return Refused(
        "version.foreign",
        f"{path}: expected a repository that keeps everything in its own folder: {why}",
        path=str(path),
    )
