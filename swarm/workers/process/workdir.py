"""A directory for each attempt: its own, gone with it, and never a way out of it.

What a program left there is opened step by step and without following a link; it is taken
down without recursion, however deep it is.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from anyio import to_thread

__all__ = ("FileRefused", "Workdirs", "read_below")

_PREFIX = "step-"
_KEPT = "kept"


class FileRefused(Exception):
    """A file that cannot be taken; the text says why."""


class Workdirs:
    """Makes the directories, in one folder of the host."""

    def __init__(self) -> None:
        self._root: Path | None = None
        self._borrowed = True

    def settle(self, root: Path) -> bool:
        """Make them in *root* from now on; return whether an earlier host left some there."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root, self._borrowed = root.resolve(), False
        left = list(root.glob(_PREFIX + "*"))
        for folder in left:
            remove_tree(folder)
        return bool(left)

    @property
    def root(self) -> Path:
        """Where they are made."""
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="swarm-")).resolve()
        return self._root

    def make(self) -> Path:
        """Make a new one, that nobody else may look into."""
        return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self.root))

    async def remove(self, workdir: Path) -> None:
        """Take one down, with all that is in it."""
        try:
            os.rmdir(workdir)  # Most are empty, and a thread costs more.
        except FileNotFoundError:
            pass
        except OSError:
            await to_thread.run_sync(remove_tree, workdir)

    def keep(self, workdir: Path) -> Path:
        """Put one where no later host takes it down."""
        kept = workdir.parent / _KEPT
        kept.mkdir(mode=0o700, exist_ok=True)
        return workdir.rename(kept / workdir.name)

    def close(self) -> None:
        """Take the folder down, if it was made for this host and nothing is kept there."""
        if self._root is not None and self._borrowed:
            with suppress(OSError):
                self._root.rmdir()
            self._root = None


def remove_tree(top: Path) -> None:
    """Take a tree down: directories within it are emptied into its top until none is left.

    No depth and no permission of what is in it stops this, and no link is followed.
    """
    if top.is_symlink():
        top.unlink()  # Its program put it there; what it leads to is none of ours.
    if not top.is_dir():
        return
    os.chmod(top, 0o700)
    while folders := [entry.path for entry in os.scandir(top) if _drop(entry)]:
        for folder in folders:
            os.chmod(folder, 0o700)
            for entry in list(os.scandir(folder)):
                if _drop(entry):
                    os.chmod(entry.path, 0o700)  # A directory is moved by who may write it.
                    os.rename(entry.path, top / token_hex(12))
            os.rmdir(folder)
    shutil.rmtree(top, ignore_errors=True)


def _drop(entry: os.DirEntry[str]) -> bool:
    """Unlink what is no directory; return whether it is one."""
    if entry.is_dir(follow_symlinks=False):
        return True
    with suppress(FileNotFoundError):
        os.unlink(entry.path)
    return False


def read_below(top: Path, name: str, most: int) -> bytes:
    """Read a plain file below *top*, following no link on the way.

    Units: *most* bytes.
    Raises: FileRefused.
    """
    with _opened_below(top, name) as fd:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise FileRefused("is no plain file")
        if found.st_size > most:
            raise FileRefused(f"has {found.st_size} bytes, and may have {most}")
        with open(fd, "rb", closefd=False) as file:
            data = file.read(most + 1)
    if len(data) > most:
        raise FileRefused(f"has more than {most} bytes")
    return data


@contextmanager
def _opened_below(top: Path, name: str) -> Generator[int]:
    *folders, last = Path(name).parts
    try:
        fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        raise FileRefused("is not there: neither is its directory") from None
    try:
        for folder in folders:
            fd = _stepped(fd, folder, os.O_DIRECTORY)
        fd = _stepped(fd, last, os.O_NONBLOCK)  # A FIFO must not keep us waiting.
        yield fd
    finally:
        os.close(fd)


def _stepped(fd: int, name: str, flags: int) -> int:
    """Open a name in a directory, and let go of that."""
    try:
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=fd)
    except FileNotFoundError:
        raise FileRefused("is not there") from None
    except OSError as error:
        said = "leads through a link" if _is_link(fd, name) else (error.strerror or "").lower()
        raise FileRefused(said) from None
    os.close(fd)
    return opened


def _is_link(fd: int, name: str) -> bool:
    with suppress(OSError):
        return stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
    return False
