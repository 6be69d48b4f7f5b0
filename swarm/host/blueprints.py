"""`host.blueprints`: the versions of blueprints, put there, found, compared, taken back.

Needs no open host: versions belong to whoever may write to the store's folder, and a run
that goes on meanwhile has its own, whatever happens here.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from anyio import to_thread

from flowir.records import dataclass
from flowir.syntax import one_newline
from swarm.blueprint.compiled import CompiledBlueprint, VersionName
from swarm.blueprint.difference import Difference, compare
from swarm.blueprint.patches import applied
from swarm.blueprint.ranges import format_label, parse_label
from swarm.blueprint.selector import Selector, parse_blueprint_id, parse_selector, parse_tag
from swarm.compiler.compile import compile_document
from swarm.compiler.load import Source, load_blueprint
from swarm.compiler.registry import Registry
from swarm.errors import BlueprintInvalid, Place, Refused, SwarmError
from swarm.host.contents import (
    generated_contents,
    incomplete,
    laid_out,
    with_lines,
    written_contents,
    written_out,
)
from swarm.host.lists import counted, page
from swarm.ports.clock import Clock
from swarm.ports.versions import Contents, Draft, Entry, Fault, File, Note, VersionStore
from swarm.ports.worker import Toolbox

__all__ = ("EVIDENCE", "Blueprints", "Bump", "Recording", "Registered")

# Why a version that a program made was accepted.
EVIDENCE = "evidence.json"

# Told a verb and what it is done to, before it is done.
Recording: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[None]]
Bump: TypeAlias = Literal["major", "minor", "patch"]
_FIRST = "1.0.0"
_KEPT = 32


@dataclass(frozen=True, slots=True)
class Registered:
    """What came of registering: `is_new` is false where the newest entry was the same."""

    entry: Entry
    is_new: bool


class Blueprints:
    """The versions that a host can run; *folder* is where files are laid out for processes.

    What changes them is told to *recording* before it is done.
    """

    def __init__(
        self,
        store: VersionStore,
        clock: Clock,
        folder: Callable[[], Path],
        *,
        registry: Registry,
        tools: Toolbox,
        recording: Recording,
    ) -> None:
        self._recording = recording
        self._store = store
        self._clock = clock
        self._folder = folder
        self._registry = registry
        self._tools = tools
        self._loaded: dict[str, CompiledBlueprint] = {}

    def close(self) -> None:
        """Let go of the store; may be called again."""
        self._store.close()

    # -- finding -----------------------------------------------------------------------

    async def find(self, selector: str) -> Entry:
        """Return the entry that `id` or `id@selector` means.

        Raises: Refused (version.id, version.selector, version.unknown, version.ambiguous).
        """
        return await self._store.find(parse_selector(selector))

    async def load(self, selector: str) -> CompiledBlueprint:
        """Compile the version that is meant, from its document: its script is not run.

        Raises: as `find`; BlueprintInvalid, where this host lacks what it needs.
        """
        entry = await self.find(selector)
        found = self._loaded.get(entry.commit)
        if found is None:
            found = await self._compiled(entry)
            if len(self._loaded) >= _KEPT:
                self._loaded.pop(next(iter(self._loaded)))
            self._loaded[entry.commit] = found
        elif found.folder is not None:
            await self.lay_out(entry)
        return found

    async def _compiled(self, entry: Entry) -> CompiledBlueprint:
        contents = await self._store.read(entry)
        folder = await self._laid_out(entry, contents)
        shown = f"{entry.blueprint}@{entry.label}"
        places = {at: Place(f"{shown}/{file}", line) for at, (file, line) in contents.lines.items()}
        compiled = compile_document(
            dict(contents.document),
            places,
            registry=self._registry,
            tools=replace(self._tools, folder=folder),
            sources=_texts(contents.files, shown),
            file=shown,
        )
        if compiled.digest != entry.digest:
            raise SwarmError(
                "version.damaged",
                f"{shown}: expected version {entry.digest[:12]}, got {compiled.digest[:12]} of "
                "its own document: another swarm wrote it",
            )
        return replace(compiled, version=VersionName(entry.label, entry.commit))

    async def lay_out(self, entry: Entry) -> Path:
        """Lay out the files of an entry for its processes, if they are not there; say where."""
        return await self._laid_out(entry, await self._store.read(entry))

    async def _laid_out(self, entry: Entry, contents: Contents) -> Path:
        folder = self._folder() / f"{entry.blueprint}-{entry.label}-{entry.commit[:12]}"
        return await to_thread.run_sync(laid_out, contents.files, folder)

    async def list(self) -> Sequence[Entry]:
        """Return the newest entry of each blueprint, by id."""
        return await self._store.blueprints()

    async def log(
        self, blueprint: str, *, limit: int = 50, before: int | None = None
    ) -> Sequence[Entry]:
        """Return entries, the newest first, those with a number below *before*.

        Units: *limit* from 1 to 10,000.
        Raises: Refused (version.id, version.unknown, list.limit).
        """
        if before is not None:
            before = counted("log", "before", before, 1)
        return await self._store.log(blueprint, limit=page("log", limit), before=before)

    async def read(self, selector: str) -> Contents:
        """Return the document and the files of a version."""
        return await self._store.read(await self.find(selector))

    async def tags(self, blueprint: str) -> Mapping[str, Entry]:
        """Return what each tag of a blueprint points at."""
        return await self._store.tags(blueprint)

    async def diff(self, old: str, new: str) -> Difference:
        """Compare two versions: their sources, their documents, their flows."""
        before, after = await self.read(old), await self.read(new)
        return _compared(before, after)

    # -- writing -----------------------------------------------------------------------

    async def register(
        self,
        source: Source,
        *,
        author: str,
        reason: str = "",
        bump: Bump = "patch",
        label: str | None = None,
        expected: str | None = None,
    ) -> Registered:
        """Compile a blueprint, and put it behind the newest entry of its history.

        Shape: *source* as `Host.load` takes it; what it is made of must stand below its
        folder. *label* is chosen, else the newest one raised by *bump*. What says the same as
        the newest entry adds none, unless under a label of its own. *expected* is the
        selector's text of the entry that the caller began from (`1.2.3`, a tag): where
        that is not the newest any more, nothing is written.
        Raises: BlueprintInvalid; Refused (version.conflict, version.label,
        version.incomplete, version.outside, version.path, version.too_large).
        """
        compiled = await self.compiled(source)
        if isinstance(source, Mapping):
            contents = generated_contents(compiled.document, {})
        else:
            contents = await to_thread.run_sync(written_contents, compiled, os.fspath(source))
        contents = await self._rebuilt(contents, compiled.digest)
        note = Note(author, reason, self._clock.wall())
        return await self._put(contents, note, bump=bump, label=label, expected=expected)

    async def put_aside(
        self, source: str | os.PathLike[str], *, author: str, reason: str = ""
    ) -> Draft:
        """Keep a file that has problems as the draft of the blueprint that it says it is.

        Raises: Refused (version.id), where no id can be read in it.
        """
        file = os.fspath(source)
        body = await to_thread.run_sync(Path(file).read_bytes)
        problems: tuple[str, ...] = ()
        name = Path(file).stem
        try:
            name = (await self.compiled(file)).id
        except BlueprintInvalid as error:
            problems = tuple(str(problem) for problem in error.problems)
        note = Note(author, reason, self._clock.wall())
        files = {Path(file).name: File(body)}
        draft = Draft(parse_blueprint_id(name), files, Path(file).name, note, problems)
        told = {"blueprint": draft.blueprint, "draft": True, "author": author}
        await self._recording("blueprint.register", told)
        await self._store.put_draft(draft)
        return draft

    async def draft(self, blueprint: str) -> Draft | None:
        """Return what was put aside for a blueprint, if anything was."""
        return await self._store.draft(blueprint)

    async def patch(
        self,
        selector: str,
        operations: Sequence[Mapping[str, Any]],
        *,
        author: str,
        reason: str = "",
        bump: Bump = "patch",
        evidence: bytes | None = None,
    ) -> Registered:
        """Change a version's document by RFC 6902 operations; its source is printed anew.

        The result goes behind the entry that was patched, and nowhere else. *evidence* is
        kept beside it, as the file `EVIDENCE` of that version alone.
        Raises: Refused (patch.malformed, patch.failed, patch.too_large, patch.noop,
        patch.id, version.conflict); BlueprintInvalid, for what does not compile.
        """
        entry = await self.find(selector)
        old = await self._store.read(entry)
        document = applied(dict(old.document), operations)
        if document.get("id") != entry.blueprint:
            said = f"patch: expected the id to stay {entry.blueprint!r}, got {document.get('id')!r}"
            raise Refused("patch.id", said)
        compiled = await self.compiled(document)
        mine = (old.source, EVIDENCE)
        beside = {path: file for path, file in old.files.items() if path not in mine}
        if evidence is not None:
            beside[EVIDENCE] = File(evidence)
        contents = generated_contents(compiled.document, beside)
        contents = await self._rebuilt(contents, compiled.digest)
        note = Note(author, reason, self._clock.wall())
        return await self._put(contents, note, bump=bump, expected=entry.label)

    async def rollback(self, selector: str, *, author: str, reason: str = "") -> Registered:
        """Put an older version at the head of the history again, as a new entry."""
        entry = await self.find(selector)
        contents = await self._store.read(entry)
        note = Note(author, reason, self._clock.wall())
        return await self._put(contents, note, bump="patch", back_to=entry.label)

    async def tag(self, selector: str, tag: str) -> Entry:
        """Let *tag* point at the version that is meant, wherever it pointed before."""
        entry = await self.find(selector)
        parse_tag(tag)
        told = {"blueprint": entry.blueprint, "tag": tag, "label": entry.label}
        await self._recording("blueprint.tag", told)
        await self._store.tag(entry.blueprint, tag, entry)
        return entry

    async def untag(self, blueprint: str, tag: str) -> None:
        """Remove a tag."""
        if tag in await self.tags(blueprint):
            told = {"blueprint": blueprint, "tag": tag, "label": None}
            await self._recording("blueprint.tag", told)
        await self._store.tag(blueprint, tag, None)

    async def _put(
        self,
        contents: Contents,
        note: Note,
        *,
        bump: Bump,
        label: str | None = None,
        expected: str | None = None,
        back_to: str | None = None,
    ) -> Registered:
        blueprint = contents.document["id"]
        head = await self._store.head(blueprint)
        behind = head
        if expected is not None:
            behind = await self._store.find(parse_selector(f"{blueprint}@{expected}"))
        if head is not None and behind == head:
            # Another label of the same version is an entry more, as a rollback is.
            relabels = label is not None and parse_label(label) != parse_label(head.label)
            if not relabels and await self._is_same(head, contents):
                return Registered(head, is_new=False)
        label = label or _raised(head, bump)
        told = {"blueprint": blueprint, "label": label, "author": note.author}
        if back_to is None:
            await self._recording("blueprint.register", told)
        else:
            await self._recording("blueprint.rollback", {**told, "back_to": back_to})
        entry = await self._store.add(
            contents,
            note,
            label=label,
            expected=None if behind is None else behind.commit,
            back_to=back_to,
        )
        return Registered(entry, is_new=True)

    async def _is_same(self, head: Entry, contents: Contents) -> bool:
        there = await self._store.read(head)
        return there.files == contents.files and there.document == contents.document

    async def _rebuilt(self, contents: Contents, digest: str) -> Contents:
        """Build a version from nothing but its files: what cannot be built is not kept."""
        with tempfile.TemporaryDirectory(prefix="swarm-") as scratch:
            folder = Path(scratch) / "version"
            await to_thread.run_sync(laid_out, contents.files, folder)
            try:
                built = await self.compiled(str(folder / contents.source))
            except BlueprintInvalid as error:
                why = str(error.problems[0]).removeprefix(f"{folder}/")
                raise incomplete(why) from error
            if built.digest != digest:
                raise incomplete("it gives another document when it is built again")
            return with_lines(contents, built, folder)

    async def compiled(self, source: Source) -> CompiledBlueprint:
        """Compile a file or a document, which may name versions of this store as agents.

        Raises: BlueprintInvalid.
        """
        return await load_blueprint(
            source, registry=self._registry, tools=self._tools, versions=self.load
        )

    # -- in and out --------------------------------------------------------------------

    async def export(self, selector: str, folder: str | os.PathLike[str]) -> Path:
        """Write the author's files of a version into a folder that is new or empty.

        Raises: Refused (version.folder).
        """
        contents = await self.read(selector)
        target = Path(folder)
        await to_thread.run_sync(written_out, contents.files, target)
        return target / contents.source

    async def verify(self, *, repair: bool = False) -> Sequence[Fault]:
        """Return all that is damaged; with *repair* mend what can be, and return the rest."""
        return await self._store.verify(repair=repair)

    async def collect(self, *, dry_run: bool = False) -> int:
        """Remove what nothing points at and pack the rest; return how many bytes that frees."""
        return await self._store.collect(dry_run=dry_run)

    async def since(self, blueprint: str, label: str) -> Sequence[Entry]:
        """Return the entries that came behind the one of *label*, the newest first."""
        first = await self._store.find(Selector(blueprint, label, ("label",)))
        log = await self._store.log(blueprint, limit=100)
        return [entry for entry in log if entry.number > first.number]


def _raised(head: Entry | None, bump: Bump) -> str:
    if head is None:
        return _FIRST
    major, minor, patch = parse_label(head.label)
    raised = {
        "major": (major + 1, 0, 0),
        "minor": (major, minor + 1, 0),
        "patch": (major, minor, patch + 1),
    }
    return format_label(raised[bump])


def _compared(old: Contents, new: Contents) -> Difference:
    before, after = (
        {path: file.body for path, file in contents.files.items()} for contents in (old, new)
    )
    return compare(old.document, new.document, before, after)


def _texts(files: Mapping[str, File], shown: str) -> dict[str, str]:
    return {
        f"{shown}/{path}": one_newline(file.body.decode("utf-8", "replace"))
        for path, file in files.items()
    }
