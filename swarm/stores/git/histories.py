"""The histories of blueprints in git: an implementation of `ports.versions.VersionStore`.

    refs/blueprints/<id>    the history; each commit's tree is a version with its sources
    refs/heads/<id>         the same, written after it, so that a plain clone brings it
    refs/tags/<id>/<tag>    tags
    refs/drafts/<id>        what was put aside with problems

Everything that reads or writes files happens in a worker thread, one at a time: an object
of libgit2 belongs to one thread at a time, and a commit waits for the disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Any, Final, TypeVar

import apsw
import pygit2
from anyio import to_thread

from swarm.blueprint.ranges import parse_label, parse_range
from swarm.blueprint.selector import Selector, moment_of, parse_blueprint_id, parse_tag
from swarm.errors import SwarmError
from swarm.ports.versions import Contents, Draft, Entry, Fault, File, Note
from swarm.stores.git.checkup import Checkup
from swarm.stores.git.drafts import draft_files, draft_of
from swarm.stores.git.facts import Facts, damaged, message_of
from swarm.stores.git.index import Index
from swarm.stores.git.objects import Damaged, Objects
from swarm.stores.git.packing import Packing
from swarm.stores.git.repository import (
    DRAFTS,
    HEADS,
    TAGS,
    RefDamaged,
    Repository,
    unwritable,
)
from swarm.stores.version_rules import (
    META,
    ambiguous,
    check_expected,
    check_files,
    check_label,
    plain_note,
    unknown,
)

__all__ = ("GitVersions",)

_LOGGER = logging.getLogger(__name__)
_T = TypeVar("_T")
# Nobody's address: who wrote an entry stands in meta.json.
_EMAIL: Final = "swarm@localhost"


class GitVersions:
    """Keeps versions in *folder*: the repository `blueprints.git`, and beside it an index."""

    def __init__(self, folder: Path) -> None:
        self._repository = Repository(folder / "blueprints.git")
        self._index = Index(folder / "blueprints.index")
        self._turn = RLock()

    def close(self) -> None:
        """Let go of what is open; may be called again."""
        with self._turn:
            self._repository.close()
            self._index.close()

    async def _done(self, act: Callable[[], _T]) -> _T:
        """Read something, in a thread."""
        return await to_thread.run_sync(self._in_turn, act)

    async def _written(self, act: Callable[[pygit2.Repository], _T]) -> _T:
        """Write something, in a thread; who only reads does not wait for the others' lock."""

        def locked() -> _T:
            with self._repository.locked():
                return self._in_turn(lambda: act(self._repository.opened()))

        return await to_thread.run_sync(locked)

    def _in_turn(self, act: Callable[[], _T]) -> _T:
        with self._turn:
            try:
                try:
                    return act()
                except SwarmError as error:
                    if error.code != "version.damaged":
                        raise
                # Another process may have packed what was loose a moment ago.
                self._repository.close()
                return act()
            except (OSError, pygit2.GitError, apsw.Error) as error:
                raise unwritable(self._repository.path, error) from error

    # -- writing -----------------------------------------------------------------------

    async def add(
        self,
        contents: Contents,
        note: Note,
        *,
        label: str,
        expected: str | None,
        back_to: str | None = None,
    ) -> Entry:
        """Put an entry behind the one whose commit is *expected*."""
        check_files(contents)

        def put(git: pygit2.Repository) -> Entry:
            return self._add(git, contents, note, label, expected, back_to)

        return await self._written(put)

    def _add(
        self,
        git: pygit2.Repository,
        contents: Contents,
        note: Note,
        label: str,
        expected: str | None,
        back_to: str | None,
    ) -> Entry:
        blueprint = parse_blueprint_id(contents.document["id"])
        head = self._head(blueprint)
        begun = None if expected is None else self._index.by_commit(blueprint, expected)
        check_expected(blueprint, expected, head, begun)
        check_label(label, head)
        parent = None if head is None else head.digest
        note = plain_note(note)
        facts = Facts.of(contents, note, label=label, parent=parent, back_to=back_to)
        objects = Objects(git)
        if head is not None:
            # Nothing is put behind what cannot be read, and libgit2 would look at it.
            self._facts(objects, blueprint, head.commit)
        tree = objects.add(facts.tree(contents))
        above = [] if head is None else [head.commit]
        ref = f"{HEADS}{blueprint}"
        self._repository.free(ref)
        commit = self._commit(git, ref, facts, tree, above)
        entry = _entry(facts, 1 if head is None else head.number + 1, commit)
        self._after(objects, entry)
        return entry

    def _after(self, objects: Objects, entry: Entry) -> None:
        """Do what may be lost: the entry is there, whatever becomes of this.

        The index catches up with git, the branch follows with the next entry, and another
        writer packs.
        """
        try:
            self._repository.show_as_branch(entry.blueprint, entry.commit)
            self._extend(objects, entry.blueprint, [entry])
            Packing(self._repository).pack_if_due()
        except (OSError, pygit2.GitError, apsw.Error, SwarmError) as error:
            _LOGGER.warning("behind entry %s: %s", entry.commit, error)

    def _extend(self, objects: Objects, blueprint: str, entries: Sequence[Entry]) -> None:
        """Put entries into the index, with the objects of the newest as a spare."""
        oids = objects.of(entries[-1].commit)
        there = self._index.spared(blueprint)
        fresh = [objects.stored(oid) for oid in oids if oid not in there]
        self._index.extend(blueprint, entries, oids, fresh)

    def _commit(
        self, git: pygit2.Repository, ref: str, facts: Facts, tree: str, above: list[str]
    ) -> str:
        """Make a commit, and move the ref to it; libgit2 compares it with the parent again."""
        signature = pygit2.Signature(
            facts.note.author.translate(_UNSIGNED).strip() or "unknown",
            _EMAIL,
            int(facts.note.written_s),
            0,
        )
        parents: list[Any] = [pygit2.Oid(hex=one) for one in above]
        message = message_of(facts)
        oid = pygit2.Oid(hex=tree)
        commit = str(git.create_commit(ref, signature, signature, message, oid, parents))
        # On a full disk that returns a name as well, and nothing was written.
        if not Objects(git).has(commit) or self._repository.ref(ref) != commit:
            raise unwritable(self._repository.path, OSError(f"{ref} did not move"))
        return commit

    # -- reading -----------------------------------------------------------------------

    async def head(self, blueprint: str) -> Entry | None:
        """Return the newest entry, if there is a history."""
        parse_blueprint_id(blueprint)
        return await self._done(lambda: self._head(blueprint))

    def _head(self, blueprint: str) -> Entry | None:
        """Return the newest entry, with the index brought up to it."""
        if not self._repository.exists:
            return None
        # In this order: writers move the ref first, so that what it names now is never
        # older than what the index knew a moment ago.
        known = self._index.newest(blueprint)
        try:
            tip = self._repository.ref(f"{HEADS}{blueprint}")
        except RefDamaged:
            raise damaged(blueprint, "?", "its ref names no commit") from None
        if tip is None:
            return None
        if known is None or known.commit != tip:
            known = self._take_over(blueprint, tip, known)
        return known

    def _take_over(self, blueprint: str, tip: str, known: Entry | None) -> Entry:
        """Read what is new in a history into the index."""
        objects = Objects(self._repository.git)
        new: list[Entry] = []
        at: str | None = tip
        while at is not None and (known is None or at != known.commit):
            new.append(_entry(self._facts(objects, blueprint, at), 0, at))
            parents = objects.commit(at).parent_ids
            at = str(parents[0]) if parents else None
        if at is None and known is not None:
            raise SwarmError(
                "version.rewritten",
                f"{blueprint}: expected a history that goes on from {known.label} "
                f"({known.commit[:12]}), got another one at {tip[:12]} — put the ref back, or "
                "remove blueprints.index to accept it",
                blueprint=blueprint,
            )
        number = 0 if known is None else known.number
        entries = [replace(one, number=number + n) for n, one in enumerate(reversed(new), 1)]
        self._extend(objects, blueprint, entries)
        return entries[-1]

    def _facts(self, objects: Objects, blueprint: str, commit: str) -> Facts:
        """Read what an entry says of itself.

        Raises: SwarmError (version.damaged).
        """
        try:
            files = objects.files(str(objects.commit(commit).tree_id))
            facts = Facts.from_text(objects.body(files[META].oid))
            if facts.blueprint != blueprint:
                raise ValueError(f"{META}: expected the id {blueprint!r}, got {facts.blueprint!r}")
        except KeyError:
            raise damaged(blueprint, commit, f"expected {META}, got none") from None
        except ValueError as error:
            raise damaged(blueprint, commit, str(error)) from None
        except Damaged as error:
            raise damaged(blueprint, commit, str(error)) from error
        return facts

    async def find(self, selector: Selector) -> Entry:
        """Return the entry that is meant."""
        return await self._done(lambda: self._find(selector))

    def _find(self, selector: Selector) -> Entry:
        head = self._head(selector.blueprint)
        if head is None:
            raise unknown(Selector(selector.blueprint))
        for kind in selector.kinds:
            found = head if kind == "latest" else self._found(kind, selector)
            if found is not None:
                return found
        raise unknown(selector)

    def _found(self, kind: str, selector: Selector) -> Entry | None:
        blueprint, text = selector.blueprint, selector.text
        match kind:
            case "moment":
                return self._index.by_moment(blueprint, moment_of(text) or 0.0)
            case "label":
                return self._index.by_label(blueprint, parse_label(text))
            case "range":
                return self._index.by_range(blueprint, parse_range(text) or ())
            case "tag":
                return self._tagged(blueprint, text)
            case _:
                found = self._index.by_hash(blueprint, text)
                if len(found) > 1:
                    raise ambiguous(selector, [entry.digest for entry in found])
                return found[0] if found else None

    async def read(self, entry: Entry) -> Contents:
        """Return what an entry holds, compared with what it says of itself."""
        return await self._done(lambda: self._read(entry.blueprint, entry.commit))

    def _read(self, blueprint: str, commit: str) -> Contents:
        if not self._repository.exists:
            raise unknown(Selector(blueprint))
        objects = Objects(self._repository.git)
        facts = self._facts(objects, blueprint, commit)
        try:
            blobs = objects.files(str(objects.commit(commit).tree_id))
            tree = {p: (objects.body(blob.oid), blob.executable) for p, blob in blobs.items()}
            return facts.contents(tree)
        except (ValueError, KeyError, Damaged) as error:
            raise damaged(blueprint, commit, str(error)) from error

    async def log(
        self, blueprint: str, *, limit: int = 50, before: int | None = None
    ) -> Sequence[Entry]:
        """Return entries, the newest first."""
        selector = Selector(parse_blueprint_id(blueprint))

        def page() -> Sequence[Entry]:
            if self._head(blueprint) is None:
                raise unknown(selector)
            return self._index.page(blueprint, limit, before)

        return await self._done(page)

    async def blueprints(self) -> Sequence[Entry]:
        """Return the newest entry of each blueprint, by id; of a damaged one what is known."""

        def heads() -> list[Entry]:
            found = (self._known_head(name) for name in self._repository.names(HEADS))
            return [entry for entry in found if entry is not None]

        return await self._done(heads)

    def _known_head(self, blueprint: str) -> Entry | None:
        try:
            return self._head(parse_blueprint_id(blueprint))
        except SwarmError as error:
            _LOGGER.warning("%s", error)
            return self._index.newest(blueprint)

    # -- tags --------------------------------------------------------------------------

    async def tags(self, blueprint: str) -> Mapping[str, Entry]:
        """Return what each tag of a blueprint points at."""
        parse_blueprint_id(blueprint)

        def found() -> Mapping[str, Entry]:
            if self._head(blueprint) is None:
                raise unknown(Selector(blueprint))
            names = self._repository.names(f"{TAGS}{blueprint}/")
            entries = {name: self._tagged(blueprint, name) for name in names}
            return {name: entry for name, entry in entries.items() if entry is not None}

        return await self._done(found)

    def _tagged(self, blueprint: str, tag: str) -> Entry | None:
        ref = f"{TAGS}{blueprint}/{tag}"
        try:
            commit = self._repository.ref(ref)
        except RefDamaged:
            raise damaged(blueprint, "?", f"tag {tag!r} names no commit") from None
        return None if commit is None else self._index.by_commit(blueprint, commit)

    async def tag(self, blueprint: str, tag: str, entry: Entry | None) -> None:
        """Move a tag to an entry, or remove it."""
        parse_blueprint_id(blueprint)
        parse_tag(tag)

        def move(git: pygit2.Repository) -> None:
            ref = f"{TAGS}{blueprint}/{tag}"
            if self._head(blueprint) is None:
                raise unknown(Selector(blueprint))
            if entry is not None:
                if self._index.by_commit(blueprint, entry.commit) is None:
                    raise unknown(Selector(blueprint, entry.label, ("label",)))
                self._facts(Objects(git), blueprint, entry.commit)
                self._repository.set_ref(ref, entry.commit)
            elif self._tagged(blueprint, tag) is None:
                raise unknown(Selector(blueprint, tag, ("tag",)))
            else:
                self._repository.delete_ref(ref)

        await self._written(move)

    # -- drafts ------------------------------------------------------------------------

    async def put_draft(self, draft: Draft) -> None:
        """Keep a draft in the place of the one before."""
        parse_blueprint_id(draft.blueprint)
        check_files(Contents({}, draft.files, draft.source))

        def put(git: pygit2.Repository) -> None:
            tree = Objects(git).add(draft_files(draft))
            signature = pygit2.Signature("draft", _EMAIL, int(draft.note.written_s), 0)
            oid = pygit2.Oid(hex=tree)
            message = f"draft of {draft.blueprint}\n"
            commit = str(git.create_commit(None, signature, signature, message, oid, []))
            Objects(git).check(commit)
            self._repository.set_ref(f"{DRAFTS}{draft.blueprint}", commit)

        await self._written(put)

    async def draft(self, blueprint: str) -> Draft | None:
        """Return the draft of a blueprint, if there is one."""
        parse_blueprint_id(blueprint)

        def found() -> Draft | None:
            if not self._repository.exists:
                return None
            try:
                commit = self._repository.ref(f"{DRAFTS}{blueprint}")
                if commit is None:
                    return None
                objects = Objects(self._repository.git)
                blobs = objects.files(str(objects.commit(commit).tree_id))
                files = {p: File(objects.body(b.oid), b.executable) for p, b in blobs.items()}
                return draft_of(blueprint, files)
            except (ValueError, KeyError, Damaged, RefDamaged) as error:
                raise damaged(blueprint, "draft", str(error)) from error

        return await self._done(found)

    # -- keeping -----------------------------------------------------------------------

    async def verify(self, *, repair: bool = False) -> Sequence[Fault]:
        """Return all that is damaged; with *repair* mend what can be, and return the rest."""
        if not self._repository.exists:
            return ()
        checkup = Checkup(self._repository, self._index, self._read)
        if not repair:
            return await self._done(checkup.faults)

        def mend() -> Sequence[Fault]:
            with self._repository.locked(), self._turn:
                return checkup.repaired()

        return await to_thread.run_sync(mend)

    async def collect(self, *, dry_run: bool = False) -> int:
        """Remove what nothing points at and pack the rest; return how many bytes that frees."""
        if not self._repository.exists:
            return 0
        return await self._written(lambda _: Packing(self._repository).collect(dry_run=dry_run))


# Git ends a name at these.
_UNSIGNED: Final = str.maketrans("", "", "<>\n\0")


def _entry(facts: Facts, number: int, commit: str) -> Entry:
    return Entry(
        facts.blueprint, number, facts.digest, facts.label, commit, facts.note, facts.back_to
    )
