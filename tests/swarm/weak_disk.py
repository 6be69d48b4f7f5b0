"""A disk that remembers what it was told, and fails when it is told to.

`WeakDisk` is a SQLite VFS over the system's. Every write, truncation, sync and removal
goes through to real files, and into a model of what a loss of power would leave: what was
synced for certain, and of the rest any part, torn at sectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import RLock
from typing import Any, Literal, TypeAlias

import apsw

__all__ = ("FAULTS", "Fault", "Files", "Point", "WeakDisk", "cut", "kept")

Fault: TypeAlias = Literal["full", "eio", "short", "fsync"]
FAULTS: tuple[Fault, ...] = ("full", "eio", "short", "fsync")
Files: TypeAlias = dict[str, bytes]
Change: TypeAlias = tuple[Literal["write"], int, bytes] | tuple[Literal["truncate"], int, bytes]

_SECTOR = 512
_IO = {"read": apsw.SQLITE_IOERR_READ, "write": apsw.SQLITE_IOERR_WRITE,
       "sync": apsw.SQLITE_IOERR_FSYNC, "truncate": apsw.SQLITE_IOERR_TRUNCATE}  # fmt: skip


@dataclass
class _File:
    """One file as the disk has it, and what it was told since the last sync."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list[Change])
    named: bool = False


@dataclass(frozen=True)
class Point:
    """The disk after one operation: what is certain, and what may or may not be there.

    `ghosts` were removed, and no sync of their folder has made that last. `mark` is what
    the workload had reached.
    """

    durable: Files
    pending: dict[str, tuple[Change, ...]]
    ghosts: Files
    mark: Any


class WeakDisk(apsw.VFS):
    """A VFS under the name *name*.

    While `recording`, `points` has the disk after each operation. `fail_at` counts down
    operations; the one that meets 0 fails as `fault` says, and so do the `fail_for`
    next ones. `operations` counts all. While `read_only`, writes fail, and files open for
    reading.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.points: list[Point] = []
        self.recording = False
        self.mark: Callable[[], Any] = lambda: None
        self.operations = 0
        self.fail_at = -1
        self.fail_for = 1
        self.fault: Fault = "eio"
        self.read_only = False
        # A thread may fold while another commits: what each tells the model is told whole.
        self._telling = RLock()
        self._files: dict[str, _File] = {}
        self._ghosts: Files = {}
        self._images: dict[str, tuple[int, bytes]] = {}

    def adopt(self, folder: Path) -> None:
        """Take what lies in *folder* as durable."""
        for file in folder.iterdir():
            if file.name != "LOCK" and not file.name.endswith("-shm"):
                self._files[str(file)] = _File(bytearray(file.read_bytes()))

    def now(self) -> Point:
        """Return the disk as it is."""
        with self._telling:
            durable = {name: self._image(name, file) for name, file in self._files.items()}
            pending = {
                name: tuple(file.pending) for name, file in self._files.items() if file.pending
            }
            return Point(durable, pending, dict(self._ghosts), self.mark())

    # -- the VFS -----------------------------------------------------------------------

    def xOpen(  # noqa: N802 - the binding's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        return _Handle(self, path, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)
        with self._telling:
            file = self._files.pop(filename, None)
            if file is not None:
                if not syncdir:
                    self._ghosts[filename] = bytes(_applied(file.durable, file.pending))
                self._record()

    # -- what handles tell -------------------------------------------------------------

    def opened(self, path: str) -> None:
        """Hear that a file is there; one without a name is nobody's business."""
        with self._telling:
            if path and path not in self._files:
                self._files[path] = _File()
                self._ghosts.pop(path, None)
                self._record()

    def changed(self, path: str, change: Change) -> None:
        """Hear that a file is another, until power is lost."""
        with self._telling:
            if path:
                self._files[path].pending.append(change)
                self._record()

    def synced(self, path: str, *, lost: bool = False) -> None:
        """Hear that a file is on the disk; *lost*: what was to be written never will be."""
        if not path:
            return
        with self._telling:
            file = self._files[path]
            if not lost:
                file.durable = _applied(file.durable, file.pending)
                self._images.pop(path, None)
                self._name(path, file)
            file.pending = []
            self._record()

    def _name(self, path: str, file: _File) -> None:
        """The first sync of a log syncs the folder too, and with it all removals."""
        if not file.named and path.endswith(("-wal", "-journal")):
            self._ghosts.clear()
        file.named = True

    def fails(self) -> bool:
        """Count an operation, and tell whether it is one of those that fail."""
        self.operations += 1
        if self.fail_at < 0:
            return False
        self.fail_at -= 1
        if self.fail_at >= 0:
            return False
        if self.fail_for > 1:
            self.fail_for -= 1
            self.fail_at = 0
        return True

    def _record(self) -> None:
        if self.recording:
            self.points.append(self.now())

    def _image(self, name: str, file: _File) -> bytes:
        known = self._images.get(name)
        if known is None or known[0] != id(file.durable):
            known = self._images[name] = (id(file.durable), bytes(file.durable))
        return known[1]


class _Handle(apsw.VFSFile):
    def __init__(self, disk: WeakDisk, path: str | None, name: Any, flags: list[int]) -> None:
        if disk.read_only:
            # What the system does itself: it opens for reading what cannot be written.
            flags[0] &= ~(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
            flags[0] |= apsw.SQLITE_OPEN_READONLY
        super().__init__("", name, flags)
        self._disk = disk
        self._path = path or ""
        disk.opened(self._path)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        if self._disk.fails():
            raise _error(self._disk.fault, "read")
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        data = bytes(data)
        self._refuse_read_only("write")
        if self._disk.fails():
            if self._disk.fault == "short":
                half = data[: len(data) // 2]
                super().xWrite(half, offset)
                self._disk.changed(self._path, ("write", offset, half))
            raise _error(self._disk.fault, "write")
        super().xWrite(data, offset)
        self._disk.changed(self._path, ("write", offset, data))

    def _refuse_read_only(self, what: str) -> None:
        if self._disk.read_only:
            raise _error("eio", what)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._refuse_read_only("truncate")
        if self._disk.fails():
            raise _error(self._disk.fault, "truncate")
        super().xTruncate(newsize)
        self._disk.changed(self._path, ("truncate", newsize, b""))

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._disk.fails():
            # A failed sync may have thrown away what it was to write, and the next one
            # will not say so: the pages count as written.
            self._disk.synced(self._path, lost=True)
            raise _error(self._disk.fault, "sync")
        super().xSync(flags)
        self._disk.synced(self._path)


def cut(point: Point, seed: int | None) -> Files:
    """Return what a loss of power leaves.

    Shape: without a seed nothing that was not synced is there; with one each change is
    lost, kept or torn, and each removal happened or not, by a dice.
    """
    files = dict(point.durable)
    if seed is None:
        return files
    dice = Random(seed)  # noqa: S311 - drawn again from its seed
    for name, body in point.ghosts.items():
        if name not in files and dice.random() < 0.5:
            files[name] = body
    for name, changes in point.pending.items():
        kept = (torn for change in changes for torn in _torn(change, dice))
        files[name] = bytes(_applied(bytearray(files[name]), kept))
    return files


def kept(point: Point) -> Files:
    """Return what the death of the process leaves: everything."""
    pending = point.pending
    return {n: bytes(_applied(bytearray(b), pending.get(n, ()))) for n, b in point.durable.items()}


def _torn(change: Change, dice: Random) -> Iterator[Change]:
    fate = dice.random()
    if fate < 0.3:
        return
    if fate < 0.6 or change[0] == "truncate":
        yield change
        return
    _, offset, data = change
    for start in range(0, len(data), _SECTOR):
        if dice.random() < 0.5:
            yield ("write", offset + start, data[start : start + _SECTOR])


def _applied(body: bytearray, changes: Any) -> bytearray:
    image = bytearray(body)
    for kind, where, data in changes:
        if kind == "truncate":
            del image[where:]
            continue
        if len(image) < where:
            image.extend(bytes(where - len(image)))
        image[where : where + len(data)] = data
    return image


def _error(fault: Fault, what: str) -> apsw.Error:
    if fault == "full" and what == "write":
        return apsw.FullError("the disk is full")
    error = apsw.IOError(f"the disk failed at a {what}")
    error.extendedresult = _IO[what]  # pyright: ignore[reportAttributeAccessIssue] - read by it
    return error
