"""Versions in memory: the twin of those in git, for tests and for hosts of a moment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from anyio.lowlevel import checkpoint

from flowir.records import dataclass
from flowir.values import private_copy
from swarm.blueprint.canonical import digest_of
from swarm.blueprint.ranges import parse_label, parse_range
from swarm.blueprint.selector import Selector, moment_of, parse_blueprint_id, parse_tag
from swarm.ports.versions import Contents, Draft, Entry, Fault, Note
from swarm.stores.version_rules import (
    ambiguous,
    check_expected,
    check_files,
    check_label,
    plain_note,
    unknown,
)

__all__ = ("MemoryVersions",)


@dataclass(slots=True)
class _History:
    entries: list[Entry] = field(default_factory=list[Entry])
    contents: dict[str, Contents] = field(default_factory=dict[str, Contents])
    tags: dict[str, Entry] = field(default_factory=dict[str, Entry])


class MemoryVersions:
    """Keeps versions as long as it lives."""

    def __init__(self) -> None:
        self._histories: dict[str, _History] = {}
        self._drafts: dict[str, Draft] = {}

    def close(self) -> None:
        """Do nothing: there is nothing open."""

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
        await checkpoint()
        check_files(contents)
        blueprint = parse_blueprint_id(contents.document["id"])
        head = self._newest(blueprint)
        entries = self._histories[blueprint].entries if head else []
        begun = next((one for one in entries if one.commit == expected), None)
        check_expected(blueprint, expected, head, begun)
        check_label(label, head)
        digest = digest_of(contents.document)
        number = 1 if head is None else head.number + 1
        # Named like a commit is: by what it says and what it stands behind.
        said = f"{expected}\0{number}\0{digest}\0{label}".encode()
        commit = hashlib.sha1(said, usedforsecurity=False).hexdigest()
        entry = Entry(blueprint, number, digest, label, commit, plain_note(note), back_to)
        history = self._histories.setdefault(blueprint, _History())
        history.entries.append(entry)
        document = private_copy(dict(contents.document))
        history.contents[commit] = replace(contents, document=document, files=dict(contents.files))
        return entry

    def _newest(self, blueprint: str) -> Entry | None:
        history = self._histories.get(parse_blueprint_id(blueprint))
        return None if history is None else history.entries[-1]

    async def head(self, blueprint: str) -> Entry | None:
        """Return the newest entry, if there is a history."""
        await checkpoint()
        return self._newest(blueprint)

    async def find(self, selector: Selector) -> Entry:
        """Return the entry that is meant."""
        await checkpoint()
        history = self._histories.get(selector.blueprint)
        if history is None:
            raise unknown(Selector(selector.blueprint))
        for kind in selector.kinds:
            found = _found(history, kind, selector)
            if found is not None:
                return found
        raise unknown(selector)

    async def read(self, entry: Entry) -> Contents:
        """Return what an entry holds."""
        await checkpoint()
        history = self._histories.get(entry.blueprint)
        if history is None or entry.commit not in history.contents:
            raise unknown(Selector(entry.blueprint))
        return history.contents[entry.commit]

    async def log(
        self, blueprint: str, *, limit: int = 50, before: int | None = None
    ) -> Sequence[Entry]:
        """Return entries, the newest first."""
        await checkpoint()
        if self._newest(blueprint) is None:
            raise unknown(Selector(blueprint))
        entries = self._histories[blueprint].entries[: None if before is None else before - 1]
        return entries[::-1][:limit]

    async def blueprints(self) -> Sequence[Entry]:
        """Return the newest entry of each blueprint, by id."""
        await checkpoint()
        return [self._histories[name].entries[-1] for name in sorted(self._histories)]

    async def tags(self, blueprint: str) -> Mapping[str, Entry]:
        """Return what each tag of a blueprint points at."""
        await checkpoint()
        if self._newest(blueprint) is None:
            raise unknown(Selector(blueprint))
        return dict(sorted(self._histories[blueprint].tags.items()))

    async def tag(self, blueprint: str, tag: str, entry: Entry | None) -> None:
        """Move a tag to an entry, or remove it."""
        await checkpoint()
        parse_tag(tag)
        if self._newest(blueprint) is None:
            raise unknown(Selector(blueprint))
        history = self._histories[blueprint]
        if entry is None:
            if history.tags.pop(tag, None) is None:
                raise unknown(Selector(blueprint, tag, ("tag",)))
        elif entry.commit not in history.contents:
            raise unknown(Selector(blueprint, entry.label, ("label",)))
        else:
            history.tags[tag] = entry

    async def put_draft(self, draft: Draft) -> None:
        """Keep a draft in the place of the one before."""
        await checkpoint()
        parse_blueprint_id(draft.blueprint)
        check_files(Contents({}, draft.files, draft.source))
        self._drafts[draft.blueprint] = draft

    async def draft(self, blueprint: str) -> Draft | None:
        """Return the draft of a blueprint, if there is one."""
        await checkpoint()
        return self._drafts.get(parse_blueprint_id(blueprint))

    async def verify(self, *, repair: bool = False) -> Sequence[Fault]:
        """Return nothing: memory is as it was written."""
        await checkpoint()
        return ()

    async def collect(self, *, dry_run: bool = False) -> int:
        """Remove nothing: whatever is here has a name."""
        await checkpoint()
        return 0


def _found(history: _History, kind: str, selector: Selector) -> Entry | None:
    entries, text = history.entries, selector.text
    match kind:
        case "latest":
            return entries[-1]
        case "tag":
            return history.tags.get(text)
        case "label":
            return next((one for one in entries if one.label == text), None)
        case "moment":
            return _at_moment(entries, moment_of(text) or 0.0)
        case "range":
            return _in_range(entries, text)
        case _:
            found = {one.digest: one for one in entries if one.digest.startswith(text)}
            if len(found) > 1:
                raise ambiguous(selector, list(found))
            return next(iter(found.values()), None)


def _at_moment(entries: Sequence[Entry], moment_s: float) -> Entry | None:
    found = None
    for entry in entries:
        if entry.note.written_s > moment_s:
            break
        found = entry
    return found


def _in_range(entries: Sequence[Entry], text: str) -> Entry | None:
    intervals = parse_range(text) or ()
    met = [
        one
        for one in entries
        if any(
            low <= parse_label(one.label) and (high is None or parse_label(one.label) < high)
            for low, high in intervals
        )
    ]
    return max(met, key=lambda one: parse_label(one.label), default=None)
