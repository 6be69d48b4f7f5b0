"""Looks at everything that a repository holds, and mends what can be mended.

A ref comes back from the index, which knows the newest commit; the objects of that commit
from its spare. What is older and damaged stays so, and is told. What somebody else pushed
onto a history, and is no entry though nothing of it is missing, is put aside: its ref is
moved to `refs/aside`, and the history ends with the newest entry again.
"""

from __future__ import annotations

from collections.abc import Callable

from swarm.errors import SwarmError
from swarm.ports.versions import Contents, Fault
from swarm.stores.git.index import Index
from swarm.stores.git.objects import Damaged, Objects, Strange
from swarm.stores.git.repository import ASIDE, HEADS, TAGS, RefDamaged, Repository

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
        return [*self._of_histories(), *self._of_tags()]

    def _of_histories(self) -> list[Fault]:
        names = {*self._repository.names(HEADS), *self._index.blueprints()}
        return [fault for name in sorted(names) for fault in self._of(name)]

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
        """Mend what can be mended; return what is left or was put aside.

        For whoever holds the lock.
        """
        aside = [Fault("*", why) for why in self._repository.packs.set_aside()]
        self._repository.opened()
        for fault in self.faults():
            self._mend(fault)
        self._repository.close()
        self._repository.opened()
        for name in self._repository.names(HEADS):
            aside += self._put_aside(name)
        for fault in self._of_tags():
            self._unname(fault.values["ref"])
        self._repository.close()
        return [*aside, *self.faults()]

    def _mend(self, fault: Fault) -> None:
        newest = self._index.newest(fault.blueprint)
        ref = fault.values.get("ref", "")
        if newest is None or ref.startswith(TAGS):
            return
        objects = Objects(self._repository.git)
        for stored in self._index.spare(fault.blueprint):
            if not objects.has(stored.oid):
                objects.restore(stored)
        if ref and objects.has(newest.commit):
            self._repository.set_ref(ref, newest.commit)

    def _unname(self, ref: str) -> None:
        """Remove a tag that names nothing: where it pointed is not known, so it misleads."""
        place = self._repository.path / ref
        if place.is_file() or place.is_symlink():
            place.unlink()
        else:
            self._repository.delete_ref(ref)

    def _put_aside(self, blueprint: str) -> list[Fault]:
        """Take from the end of a history what is whole and no entry: nothing here wrote it."""
        objects = Objects(self._repository.git)
        try:
            tip = at = self._repository.ref(f"{HEADS}{blueprint}")
            while at is not None and self._is_strange(objects, blueprint, at):
                parents = objects.commit(at).parent_ids
                at = str(parents[0]) if parents else None
        except (Damaged, RefDamaged):
            return []
        if tip is None or at == tip:
            return []
        kept = f"{ASIDE}{blueprint}/{tip[:12]}"
        self._repository.set_ref(kept, tip)
        # An index that knows more than the ref says is another history: so it forgets
        # first, for a kill in between, and again, for who reads in between.
        self._index.forget(blueprint, at)
        if at is None:
            self._repository.delete_ref(f"{HEADS}{blueprint}")
        else:
            self._repository.set_ref(f"{HEADS}{blueprint}", at)
            self._repository.show_as_branch(blueprint, at)
        self._index.forget(blueprint, at)
        said = f"{tip[:12]} is no entry of this history: put aside as {kept}"
        return [Fault(blueprint, said, {"commit": tip})]

    def _is_strange(self, objects: Objects, blueprint: str, commit: str) -> bool:
        """Tell what is no entry from one that lost something.

        Raises: Damaged, where an object of it is not what its name says.
        """
        try:
            self._read(blueprint, commit)
        except SwarmError:
            try:
                files = objects.files(str(objects.commit(commit).tree_id))
            except Strange:
                return True
            for blob in files.values():
                objects.check(blob.oid)
            return True
        return False


def _is_commit(objects: Objects, oid: str) -> bool:
    try:
        objects.commit(oid)
    except Damaged:
        return False
    return True
