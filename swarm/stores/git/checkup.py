"""Looks at everything that a repository holds, and mends what can be mended.

A ref comes back from the index, which knows the newest commit; the objects of that commit
from its spare. What is older and damaged stays so, and is told.
"""

from __future__ import annotations

from collections.abc import Callable

from swarm.errors import SwarmError
from swarm.ports.versions import Contents, Fault
from swarm.stores.git.index import Index
from swarm.stores.git.objects import Damaged, Objects
from swarm.stores.git.repository import HEADS, TAGS, RefDamaged, Repository

__all__ = ("Checkup",)


class Checkup:
    """A look at one repository; *read* reads an entry strictly, by blueprint and commit."""

    def __init__(
        self, repository: Repository, index: Index, read: Callable[[str, str], Contents]
    ) -> None:
        self._repository = repository
        self._index = index
        self._read = read

    def faults(self) -> list[Fault]:
        """Return all that is damaged; what keeps a repository from being opened comes alone."""
        self._repository.close()
        try:
            _ = self._repository.git
        except SwarmError as error:
            if error.code != "version.damaged":
                raise
            return [Fault("*", error.message)]
        names = {*self._repository.names(HEADS), *self._index.blueprints()}
        found = [fault for name in sorted(names) for fault in self._of(name)]
        return [*found, *self._of_tags()]

    def _of(self, blueprint: str) -> list[Fault]:
        """Walk a history; behind a damaged commit nothing can be seen."""
        try:
            at = self._repository.ref(f"{HEADS}{blueprint}")
        except RefDamaged:
            return [Fault(blueprint, "its ref names no commit", {"ref": f"{HEADS}{blueprint}"})]
        if at is None:
            return [Fault(blueprint, "its ref is gone", {"ref": f"{HEADS}{blueprint}"})]
        found: list[Fault] = []
        objects = Objects(self._repository.git)
        newest = self._index.newest(blueprint)
        if newest is not None and newest.commit != at and not _is_commit(objects, at):
            return [Fault(blueprint, "its ref names nothing", {"ref": f"{HEADS}{blueprint}"})]
        while at is not None:
            try:
                self._read(blueprint, at)
            except SwarmError as error:
                found.append(Fault(blueprint, error.message, {"commit": at}))
            try:
                parents = objects.commit(at).parent_ids
            except Damaged:
                break
            at = str(parents[0]) if parents else None
        return found

    def _of_tags(self) -> list[Fault]:
        found: list[Fault] = []
        for name in self._repository.names(TAGS):
            blueprint, _, tag = name.partition("/")
            try:
                commit = self._repository.ref(f"{TAGS}{name}")
            except RefDamaged:
                commit = None
            if commit is None or self._index.by_commit(blueprint, commit) is None:
                said = f"tag {tag!r} names no entry"
                found.append(Fault(blueprint, said, {"ref": f"{TAGS}{name}"}))
        return found

    def repaired(self) -> list[Fault]:
        """Mend what can be mended; return what is left. For whoever holds the lock."""
        aside = [Fault("*", why) for why in self._repository.packs.set_aside()]
        self._repository.opened()
        for fault in self.faults():
            self._mend(fault)
        self._repository.close()
        return [*aside, *self.faults()]

    def _mend(self, fault: Fault) -> None:
        newest = self._index.newest(fault.blueprint)
        ref = fault.values.get("ref", "")
        if ref.startswith(TAGS):
            # Where it pointed is not known: a tag that names nothing misleads.
            place = self._repository.path / ref
            if place.is_file() or place.is_symlink():
                place.unlink()
            else:
                self._repository.delete_ref(ref)
            return
        if newest is None:
            return
        objects = Objects(self._repository.git)
        for stored in self._index.spare(fault.blueprint):
            if not objects.has(stored.oid):
                objects.restore(stored)
        if ref and objects.has(newest.commit):
            self._repository.set_ref(ref, newest.commit)


def _is_commit(objects: Objects, oid: str) -> bool:
    try:
        objects.commit(oid)
    except Damaged:
        return False
    return True
