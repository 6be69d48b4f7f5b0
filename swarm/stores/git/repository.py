"""A bare repository of ours: made, opened, locked for writing, its leftovers swept away.

Only objects and refs are used: no work tree, no hooks, no filters, no remote. Whoever
writes holds `blueprints.lock`, which stands beside the repository and ends with its
process. So a `*.lock` of git itself that is there meanwhile was left by a killed one, or
belongs to a plain git that is done within a second.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

import pygit2
from pygit2.enums import ConfigLevel

from swarm.errors import Refused, SwarmError
from swarm.stores.git.packs import Packs
from swarm.stores.present import present

__all__ = ("ASIDE", "DRAFTS", "HEADS", "TAGS", "RefDamaged", "Repository", "unwritable")

HEADS: Final = "refs/blueprints/"
TAGS: Final = "refs/tags/"
DRAFTS: Final = "refs/drafts/"
ASIDE: Final = "refs/aside/"
_FOLDERS: Final = (
    "",
    "refs",
    "refs/blueprints",
    "refs/drafts",
    "refs/heads",
    "refs/tags",
    "objects",
    "objects/info",
    "objects/pack",
)
# Each of them lets git read something else than what stands here.
_ELSEWHERE: Final = {
    "objects/info/alternates": "it borrows objects of another",
    "commondir": "it is a part of another",
    "info/grafts": "its commits have other parents than they say",
    "shallow": "its histories are cut off",
}
_WAIT_S = 30.0
# A plain git holds a lock for milliseconds.
_LOCK_S = 1.0
_STALE_S = 3600.0
_SETTINGS = Lock()
_LEVELS: Final = (
    ConfigLevel.PROGRAMDATA,
    ConfigLevel.SYSTEM,
    ConfigLevel.XDG,
    ConfigLevel.GLOBAL,
)
_LOGGER = logging.getLogger(__name__)
_HEAD = b"ref: refs/heads/"
# One of these is there once something may have been written.
_MADE = ("HEAD", "refs/blueprints", "packed-refs")


class RefDamaged(Exception):
    """A ref that holds no name of an object; `args[0]` is its name."""


class Repository:
    """A repository at *path*, made when it is first written to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_path = path.parent / "blueprints.lock"
        self.packs = Packs(path / "objects/pack")
        self._opened: pygit2.Repository | None = None

    @property
    def exists(self) -> bool:
        """Whether it was made.

        Its HEAD comes last: a folder without one that has no refs either is just being made by
        another process, or its making was cut short; nobody was told of anything in it.
        """
        return any(os.path.lexists(self.path / name) for name in _MADE)

    @property
    def git(self) -> pygit2.Repository:
        """The repository for libgit2.

        Raises: SwarmError (version.damaged); Refused (version.foreign).
        """
        if self._opened is None:
            self._check_ours()
            self._check_objects()
            self.packs.check()
            try:
                with _unconfigured():
                    self._opened = pygit2.Repository(str(self.path))
                    _ = self._opened.config
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
        for name, why in _ELSEWHERE.items():
            if (self.path / name).exists():
                raise _foreign(self.path, f"{why} ({name})")

    def _check_objects(self) -> None:
        """Refuse folders of objects that are links."""
        try:
            folders = list(os.scandir(self.path / "objects"))
        except OSError:
            return
        for folder in folders:
            if folder.is_symlink():
                raise _foreign(self.path, f"objects/{folder.name} is a link")

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the lock of all writers, in whatever process; nothing is opened for it.

        Raises: Refused (version.busy), when that took too long; SwarmError
        (version.unwritable).
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._lock_path, flags, 0o644)
        except OSError as error:
            raise unwritable(self.path, error) from error
        try:
            self._acquire(lock)
            yield
        finally:
            os.close(lock)

    def opened(self) -> pygit2.Repository:
        """Return the repository, made if there is none; for whoever holds the lock.

        Raises: Refused (version.foreign); SwarmError (version.damaged, version.unwritable).
        """
        # State of libgit2, of the whole process: a version that was acknowledged is on
        # the disk. Writing more durably than asked harms nobody else.
        pygit2.settings.enable_fsync_gitdir(True)
        self._check_ours()
        if not _is_head(self.path / "HEAD"):
            self._make()
        return self.git

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
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            # libgit2 leaves what is there as it is, but wants a HEAD to know it by.
            (self.path / "HEAD").unlink(missing_ok=True)
            with _unconfigured():
                pygit2.init_repository(str(self.path), bare=True, initial_head="main")
            self._point_head()
        except (OSError, pygit2.GitError) as error:
            raise unwritable(self.path, error) from error
        self.close()

    def _point_head(self) -> None:
        """Let HEAD name a branch that exists, so that a clone has something to show."""
        names = self.names("refs/heads/")
        if names:
            # In one step: without a HEAD nobody can read anything.
            fresh = self.path / "HEAD.fresh"
            fresh.write_bytes(_HEAD + names[0].encode() + b"\n")
            fresh.replace(self.path / "HEAD")

    def sweep(self) -> None:
        """Remove what killed writers left: git's own locks, and temporary objects."""
        young = time.time() - _STALE_S
        for pattern in ("tmp_*", "pack/tmp_*", "pack/pack_git2_*", "??/tmp_*"):
            for left, status in present((self.path / "objects").glob(pattern)):
                if status.st_mtime < young:
                    left.unlink(missing_ok=True)
        for left in (*self.path.glob("*.lock"), *(self.path / "refs").rglob("*.lock")):
            _free(left)

    def free(self, *names: str) -> None:
        """Remove git's own locks of refs, where a killed writer left them."""
        for name in names:
            _free(self.path / f"{name}.lock")

    # -- refs --------------------------------------------------------------------------

    def ref(self, name: str) -> str | None:
        """Return the object that a ref names, as hex, if there is such a ref.

        Raises: RefDamaged.
        """
        if (self.path / name).is_symlink():
            raise RefDamaged(name)
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
        found = self._packed(prefix)
        folder = self.path / prefix
        for place in folder.rglob("*"):
            if not place.name.endswith(".lock") and (place.is_symlink() or not place.is_dir()):
                found.add(place.relative_to(folder).as_posix())
        return sorted(found)

    def _packed(self, prefix: str) -> set[str]:
        """Return those that a plain git put into one file; libgit2 would list all refs."""
        try:
            text = (self.path / "packed-refs").read_text("utf-8", "replace")
        except OSError:
            return set()
        refs = (line.partition(" ")[2] for line in text.splitlines() if line[:1] not in "#^")
        return {ref[len(prefix) :] for ref in refs if ref.startswith(prefix)}

    def set_ref(self, name: str, commit: str) -> None:
        """Let a ref name a commit, whatever it named before. For whoever holds the lock."""
        path = self.path / name
        self.free(name)
        if path.parent.is_symlink():
            raise _foreign(self.path, f"{path.parent.relative_to(self.path)} is a link")
        if self._is_broken(name) and (path.is_symlink() or self._is_unreadable(name)):
            path.unlink(missing_ok=True)
        self.git.references.create(name, commit, force=True)

    def delete_ref(self, name: str) -> None:
        """Remove a ref. For whoever holds the lock."""
        self.free(name, "packed-refs")
        self.git.references.delete(name)

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


@contextmanager
def _unconfigured() -> Generator[None]:
    """Keep libgit2 from the settings of the user and the machine, which may even be shut.

    What it is told belongs to the whole process, so it is told the old again.
    """
    paths = pygit2.settings.search_path
    with _SETTINGS:
        before = {level: paths[level] for level in _LEVELS}
        try:
            for level in _LEVELS:
                paths[level] = ""
            yield
        finally:
            for level, path in before.items():
                paths[level] = path


def _is_head(path: Path) -> bool:
    try:
        return not path.is_symlink() and path.read_bytes().startswith(_HEAD)
    except OSError:
        return False


def _free(lock: Path) -> None:
    """Remove a lock of git's that stays; wait for one that is young."""
    give_up = time.monotonic() + _LOCK_S
    while True:
        try:
            age = time.time() - lock.lstat().st_mtime
        except FileNotFoundError:
            return
        if age >= _LOCK_S or time.monotonic() >= give_up:
            lock.unlink(missing_ok=True)
            _LOGGER.warning("removed %s, which a killed process left", lock)
            return
        time.sleep(0.01)


def unwritable(path: Path, error: Exception) -> SwarmError:
    """Say that something cannot be written (version.unwritable)."""
    why = (isinstance(error, OSError) and error.strerror) or str(error)
    return SwarmError(
        "version.unwritable",
        f"{path}: expected to write, got: {why.lower()}",
        path=str(path),
    )


def _foreign(path: Path, why: str) -> Refused:
    return Refused(
        "version.foreign",
        f"{path}: expected a repository that keeps everything in its own folder: {why}",
        path=str(path),
    )
