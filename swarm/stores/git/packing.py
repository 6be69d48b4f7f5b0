"""Keeps the repository small: loose objects become packs, what nothing names goes away.

A pack is made of the loose objects only, so that its cost does not grow with the history;
`collect` makes one of everything. Whoever calls holds the lock of the writers.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pygit2

from swarm.stores.git.objects import Damaged, Objects
from swarm.stores.git.repository import ASIDE, RefDamaged, Repository
from swarm.stores.present import present, size_of

__all__ = ("Packing",)

# About a thousand loose objects: they spread evenly over 256 folders, of which one is
# looked at.
_SAMPLE: Final = "17"
_SAMPLE_FULL: Final = 4
# What is younger may belong to a push of plain git that is not done yet.
_GRACE_S: Final = 600.0


class Packing:
    """Packs and prunes one repository."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._folder = repository.path / "objects"

    def pack_if_due(self) -> None:
        """Pack the loose objects, when there are about a thousand."""
        folder = self._folder / _SAMPLE
        if folder.is_dir() and sum(1 for _ in folder.iterdir()) >= _SAMPLE_FULL:
            self._pack([oid for oid, _ in self._loose()])

    def collect(self, *, dry_run: bool) -> int:
        """Remove unnamed objects and pack the rest; return how many bytes that frees.

        Nothing is removed while a ref or an object is damaged: `verify` comes first.
        """
        before = self._size()
        aside = [f"{ASIDE}{name}" for name in self._repository.names(ASIDE)]
        named = self._named()
        if named is None or not all(map(Objects(self._repository.git).has, named)):
            return 0
        old = time.time() - _GRACE_S
        loose = (place for oid, place in self._loose() if oid not in named)
        unnamed = [place for place, status in present(loose) if status.st_mtime < old]
        if dry_run:
            return size_of(unnamed)
        for ref in aside:
            self._repository.delete_ref(ref)
        for place in unnamed:
            place.unlink(missing_ok=True)
        packs = [
            pack
            for pack, status in present((self._folder / "pack").glob("*.pack"))
            if status.st_mtime < old
        ]
        kept = self._pack(sorted(named))
        self._drop(pack for pack in packs if pack.stem != kept)
        self._repository.sweep()
        return max(before - self._size(), 0)

    def _pack(self, oids: Iterable[str]) -> str | None:
        """Make a pack of these objects; then their loose files are not needed any more.

        Returns its name. A damaged object stays loose: libgit2 is never asked for it.
        """
        git = self._repository.git
        objects = Objects(git)
        sound = [oid for oid in oids if objects.has(oid)]
        if not sound:
            return None

        def delegate(builder: pygit2.PackBuilder) -> None:
            for oid in sound:
                builder.add(pygit2.Oid(hex=oid))

        # Elsewhere first: of two packs with an index one must never be half there.
        with tempfile.TemporaryDirectory(prefix="tmp_", dir=self._folder) as scratch:
            git.pack(path=scratch, pack_delegate=delegate, n_threads=1)
            (fresh,) = Path(scratch).glob("*.pack")
            for place in (fresh, fresh.with_suffix(".idx")):
                place.rename(self._folder / "pack" / place.name)
        _synced(self._folder / "pack")
        self._repository.close()
        for oid in sound:
            (self._folder / oid[:2] / oid[2:]).unlink(missing_ok=True)
        return fresh.stem

    def _drop(self, packs: Iterable[Path]) -> None:
        """Remove packs whose objects stand in a newer one."""
        for pack in packs:
            # The index first: a pack without its index is ignored, the reverse is an error.
            pack.with_suffix(".idx").unlink(missing_ok=True)
            pack.unlink(missing_ok=True)
        self._repository.close()

    def _named(self) -> set[str] | None:
        """Return every object that a ref leads to; None where something is damaged.

        What `verify --repair` put aside is kept until the next collection, and no longer.
        """
        objects = Objects(self._repository.git)
        found: set[str] = set()
        try:
            for name in self._repository.names("refs/"):
                if name.startswith(("heads/", "aside/")):
                    continue
                at = self._repository.ref(f"refs/{name}")
                while at is not None and at not in found:
                    found.update(objects.of(at))
                    parents = objects.commit(at).parent_ids
                    at = str(parents[0]) if parents else None
        except (Damaged, RefDamaged):
            return None
        return found

    def _loose(self) -> Iterator[tuple[str, Path]]:
        for folder in self._folder.iterdir():
            if len(folder.name) == 2:
                for place in folder.iterdir():
                    if len(place.name) == 38:
                        yield folder.name + place.name, place

    def _size(self) -> int:
        return size_of(place for place in self._folder.rglob("*") if place.is_file())


def _synced(folder: Path) -> None:
    """Wait until what was renamed into a folder is on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
