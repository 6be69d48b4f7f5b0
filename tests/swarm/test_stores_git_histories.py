"""Histories in git, as plain git has them: what stands in a commit, and what is no draft."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pygit2
import pytest

from swarm.blueprint.selector import parse_selector
from swarm.errors import Refused, SwarmError
from swarm.ports.versions import Draft, Entry, File
from swarm.stores.git import GitVersions, histories
from swarm.stores.git.objects import Objects
from tests.contract.test_versions import contents, filled, note

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[GitVersions]:
    made = GitVersions(tmp_path)
    yield made
    made.close()


def plain(folder: Path) -> pygit2.Repository:
    return pygit2.Repository(str(folder / "blueprints.git"))


async def test_a_commit_is_by_its_author_at_its_moment_in_utc(
    store: GitVersions, tmp_path: Path
) -> None:
    await store.add(contents(), note(1_790_000_000.0), label="1.0.0", expected=None)
    git = plain(tmp_path)
    commit = git[git.references["refs/blueprints/review"].target]
    assert isinstance(commit, pygit2.Commit)
    for who in (commit.author, commit.committer):
        assert (who.name, who.time, who.offset) == ("ada", 1_790_000_000, 0)


async def test_a_draft_that_somebody_else_has_broken_is_told(
    store: GitVersions, tmp_path: Path
) -> None:
    draft = Draft("review", {"r.lua": File(b"x")}, "r.lua", note(), ("r.lua:1: x",))
    await store.put_draft(draft)
    assert await store.draft("review") == draft
    git = plain(tmp_path)
    (name,) = [one for one in git.references if one.endswith("/review")]
    blob, builder = git.create_blob(b"{"), git.TreeBuilder()
    builder.insert("meta.json", blob, pygit2.enums.FileMode.BLOB)
    who = pygit2.Signature("eve", "e@x")
    git.create_commit(name, who, who, "x", builder.write(), [git.references[name].target])
    store.close()
    with pytest.raises(SwarmError, match="draft") as caught:
        await store.draft("review")
    assert caught.value.code == "version.damaged"


async def test_what_was_let_go_of_is_opened_again(store: GitVersions) -> None:
    entry = await store.add(contents(), note(), label="1.0.0", expected=None)
    store.close()
    store.close()
    assert await store.head("review") == entry


@pytest.mark.parametrize(("code", "times"), [("version.damaged", 2), ("version.conflict", 1)])
def test_what_looks_damaged_is_looked_at_once_more_and_nothing_else_is(
    store: GitVersions, code: str, times: int
) -> None:
    """Another process may have packed what was loose a moment ago."""
    tried: list[int] = []

    def act() -> str:
        tried.append(1)
        if len(tried) < 2:
            raise SwarmError(code, "no")
        return "found"

    if times == 2:
        assert store._in_turn(act) == "found"  # pyright: ignore[reportPrivateUsage]
    else:
        with pytest.raises(SwarmError, match="no"):
            store._in_turn(act)  # pyright: ignore[reportPrivateUsage]
    assert len(tried) == times


@pytest.mark.parametrize("error", [OSError("full"), pygit2.GitError("no"), apsw.BusyError("busy")])
def test_what_the_system_refuses_is_told_as_such(store: GitVersions, error: Exception) -> None:
    def act() -> None:
        raise error

    with pytest.raises(SwarmError) as failed:
        store._in_turn(act)  # pyright: ignore[reportPrivateUsage]
    assert failed.value.code == "version.unwritable"
    assert failed.value.__cause__ is error


def open_below(folder: Path) -> list[str]:
    found: list[str] = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
    return [name for name in found if name.startswith(str(folder))]


async def test_a_store_that_is_closed_holds_no_file_open(
    store: GitVersions, tmp_path: Path
) -> None:
    await store.add(contents(), note(), label="1.0.0", expected=None)
    assert await store.head("review") is not None
    assert open_below(tmp_path) != []
    store.close()
    assert open_below(tmp_path) == []
    inner: Any = store
    assert (inner._repository._opened, inner._index._opened) == (None, None)


# -- what is written -----------------------------------------------------------------------

REF = "refs/blueprints/review"


async def refused(code: str, act: Any) -> str:
    with pytest.raises(SwarmError) as caught:
        await act
    assert caught.value.code == code
    return caught.value.message


def meta(folder: Path, entry: Entry) -> dict[str, Any]:
    git = plain(folder)
    tree = git[entry.commit].peel(pygit2.Tree)
    return json.loads(git[tree["meta.json"].id].peel(pygit2.Blob).data)


async def test_an_entry_stands_behind_the_one_before(store: GitVersions, tmp_path: Path) -> None:
    first = await store.add(contents("a"), note(1.0), label="1.0.0", expected=None)
    second = await store.add(
        contents("b"), note(2.0), label="1.1.0", expected=first.commit, back_to="1.0.0"
    )
    assert (first.number, first.label, first.back_to) == (1, "1.0.0", None)
    assert (second.number, second.label, second.back_to) == (2, "1.1.0", "1.0.0")
    assert [str(one) for one in plain(tmp_path)[second.commit].peel(pygit2.Commit).parent_ids] == [
        first.commit
    ]
    assert (meta(tmp_path, first)["parent"], meta(tmp_path, second)["parent"]) == (
        None, first.digest,
    )  # fmt: skip
    git = plain(tmp_path)
    for ref in (REF, "refs/heads/review"):
        assert str(git.references[ref].target) == second.commit
    inner: Any = store
    assert inner._index.spared("review") == set(Objects(git).of(second.commit))


async def test_who_does_not_stand_on_the_newest_is_told_which(store: GitVersions) -> None:
    first, second = await filled(store, "a", "b")
    act = store.add(contents("c"), note(), label="2.0.0", expected=first.commit)
    said = await refused("version.conflict", act)
    assert said.startswith("review: expected 1.0.0 to be the newest entry, got 1.1.0 by ada ")
    act = store.add(contents("c"), note(), label="2.0.0", expected="9" * 40)
    said = await refused("version.conflict", act)
    assert said.startswith(f"review: expected entry {'9' * 12} to be the newest entry, got 1.1.0 ")
    act = store.add(contents("c"), note(), label="2.0.0", expected=None)
    said = await refused("version.conflict", act)
    assert said.startswith("review: expected no history, got 1.1.0 by ada ")
    await refused(
        "version.label", store.add(contents("c"), note(), label="1.1.0", expected=second.commit)
    )
    assert await store.head("review") == second


async def test_nothing_is_put_behind_what_cannot_be_read(
    store: GitVersions, tmp_path: Path
) -> None:
    (entry,) = await filled(store, "a")
    tree = plain(tmp_path)[entry.commit].peel(pygit2.Tree)
    oid = str(tree["meta.json"].id)
    spoil(tmp_path / "blueprints.git/objects" / oid[:2] / oid[2:])
    act = store.add(contents("b"), note(), label="2.0.0", expected=entry.commit)
    await refused("version.damaged", act)
    assert str(plain(tmp_path).references[REF].target) == entry.commit
    await refused("version.damaged", store.tag("review", "prod", entry))


def spoil(place: Path) -> None:
    body = place.read_bytes()
    place.chmod(0o644)
    place.write_bytes(body[:-1])


@pytest.mark.parametrize(
    ("author", "shown"), [("<a>", "a"), ("<>", "unknown"), ("", "unknown"), ("ada", "ada")]
)
async def test_git_is_told_a_name_that_it_takes(
    store: GitVersions, tmp_path: Path, author: str, shown: str
) -> None:
    entry = await store.add(contents(), note(5.0, author=author), label="1.0.0", expected=None)
    commit = plain(tmp_path)[entry.commit].peel(pygit2.Commit)
    assert (commit.author.name, commit.author.email) == (shown, "swarm@localhost")
    assert commit.message == "review 1.0.0\n\nbecause\n"


@pytest.mark.parametrize("error", [OSError("x"), pygit2.GitError("x"), apsw.BusyError("x")])
async def test_what_may_be_lost_behind_an_entry_loses_no_entry(
    store: GitVersions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:  # fmt: skip
    def fails(*_given: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(store._repository, "show_as_branch", fails)  # pyright: ignore[reportPrivateUsage]
        entry = await store.add(contents(), note(), label="1.0.0", expected=None)
    assert caplog.messages == [f"behind entry {entry.commit}: {error}"]
    assert await store.head("review") == entry


async def test_a_commit_that_did_not_become_is_told(
    store: GitVersions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk libgit2 returns a name, and nothing was written."""
    for name, value in (("has", False), ("ref", "1" * 40)):
        where: Any = Objects if name == "has" else histories.Repository
        real = getattr(where, name)
        inner: Any = store
        ref = inner._repository.ref
        with monkeypatch.context() as patched:

            def told(self: Any, asked: str, value: Any = value, real: Any = real) -> Any:
                found = real(self, asked)
                return value if found not in (None, False) else found

            patched.setattr(where, name, told)
            said = await refused(
                "version.unwritable", inner.add(contents(), note(), label="1.0.0", expected=None)
            )
        assert said.endswith("expected to write, got: refs/blueprints/review did not move")
        if ref(REF) is not None:
            inner._repository.delete_ref(REF)


# -- what is read --------------------------------------------------------------------------


async def test_an_index_that_is_lost_is_made_again_from_the_history(
    store: GitVersions, tmp_path: Path
) -> None:
    entries = await filled(store, "a", "b", "c")
    store.close()
    (tmp_path / "blueprints.index").unlink()
    again = GitVersions(tmp_path)
    assert list(await again.log("review")) == entries[::-1]
    more = await again.add(contents("d"), note(), label="2.0.0", expected=entries[2].commit)
    assert more.number == 4
    # Another that has it open sees what is new, and only that.
    assert await store.head("review") == more
    assert list(await store.log("review", limit=2)) == [more, entries[2]]
    assert list(await store.log("review", before=2)) == [entries[0]]
    inner: Any = store
    assert inner._index.spared("review") == set(Objects(plain(tmp_path)).of(more.commit))
    again.close()


async def test_a_history_that_was_written_anew_is_told(store: GitVersions, tmp_path: Path) -> None:
    entries = await filled(store, "a", "b")
    git = plain(tmp_path)
    git.references.create(REF, entries[0].commit, force=True)
    old, new = entries[1].commit[:12], entries[0].commit[:12]
    assert await refused("version.rewritten", store.head("review")) == (
        f"review: expected a history that goes on from 1.1.0 ({old}), got another one at {new} "
        "\u2014 put the ref back, or remove blueprints.index to accept it"
    )


async def test_an_entry_of_another_blueprint_is_none_of_this_one(
    store: GitVersions, tmp_path: Path
) -> None:
    (entry,) = await filled(store, "a")
    git = plain(tmp_path)
    git.references.create("refs/blueprints/other", entry.commit)
    said = await refused("version.damaged", store.head("other"))
    assert "meta.json: expected the id 'other', got 'review'" in said
    who = pygit2.Signature("eve", "e@x")
    git.create_commit("refs/blueprints/bare", who, who, "x", git.TreeBuilder().write(), [])
    said = await refused("version.damaged", store.head("bare"))
    assert "expected meta.json, got none" in said
    # Of those that are damaged what is known is listed.
    assert list(await store.blueprints()) == [entry]


async def test_of_a_damaged_blueprint_the_newest_that_is_known_is_listed(
    store: GitVersions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (entry,) = await filled(store, "a")
    (tmp_path / "blueprints.git" / REF).write_text("x")
    said = await refused("version.damaged", store.head("review"))
    assert "its ref names no commit" in said
    assert list(await store.blueprints()) == [entry]
    assert caplog.messages == [said]


async def test_where_there_is_nothing_nothing_is_found(store: GitVersions, tmp_path: Path) -> None:
    assert await store.head("review") is None
    assert await store.draft("review") is None
    assert (await store.verify(), await store.collect(), list(await store.blueprints())) == (
        (), 0, [],
    )  # fmt: skip
    for act in (store.log("review"), store.tags("review"), store.find(parse_selector("review"))):
        assert await refused("version.unknown", act) == (
            "review: expected a blueprint of this store, got none of that id"
        )
    entry = Entry("review", 1, "0" * 64, "1.0.0", "1" * 40, note())
    await refused("version.unknown", store.read(entry))
    assert os.listdir(tmp_path) == [], "to look makes nothing"
    await refused("version.unknown", store.tag("review", "prod", entry))


async def test_tags_are_of_entries_that_there_are(store: GitVersions, tmp_path: Path) -> None:
    first, second = await filled(store, "a", "b")
    await store.tag("review", "prod", first)
    await store.tag("review", "test", second)
    await store.tag("review", "prod", second)
    assert await store.tags("review") == {"prod": second, "test": second}
    assert await store.find(parse_selector("review@prod")) == second
    strange = Entry("review", 1, "0" * 64, "3.0.0", "1" * 40, note())
    assert await refused("version.unknown", store.tag("review", "prod", strange)) == (
        "review: expected a version, got none for '3.0.0'"
    )
    assert await refused("version.unknown", store.tag("review", "none", None)) == (
        "review: expected a version, got none for 'none'"
    )
    await store.tag("review", "test", None)
    assert await store.tags("review") == {"prod": second}
    (tmp_path / "blueprints.git/refs/tags/review/prod").write_text("x")
    for act in (store.tags("review"), store.find(parse_selector("review@prod"))):
        assert "tag 'prod' names no commit" in await refused("version.damaged", act)


async def test_a_hash_that_begins_two_versions_names_none(store: GitVersions) -> None:
    entries = await filled(store, "a", "b")
    for entry in entries:
        assert await store.find(parse_selector(f"review@{entry.digest[:16]}")) == entry
    with pytest.raises(Refused):
        await store.find(parse_selector("review@" + "0" * 16))


async def test_what_is_read_is_compared_with_what_it_says(
    store: GitVersions, tmp_path: Path
) -> None:
    (entry,) = await filled(store, "a")
    assert await store.read(entry) == contents("a")
    git = plain(tmp_path)
    tree = git[entry.commit].peel(pygit2.Tree)
    builder = git.TreeBuilder(tree)
    builder.insert("blueprint.lua", git.create_blob(b"other"), pygit2.enums.FileMode.BLOB)
    who = pygit2.Signature("eve", "e@x")
    forged = str(git.create_commit(None, who, who, "x", builder.write(), []))
    other = Entry("review", 1, entry.digest, "1.0.0", forged, note())
    assert "blueprint.lua: expected the file that meta.json speaks of" in await refused(
        "version.damaged", store.read(other)
    )


async def test_to_look_once_more_begins_with_what_is_on_the_disk(store: GitVersions) -> None:
    closed: list[int] = []
    inner: Any = store
    real = inner._repository.close
    inner._repository.close = lambda: (closed.append(1), real())

    def act() -> str:
        if not closed:
            raise SwarmError("version.damaged", "no")
        return "found"

    assert inner._in_turn(act) == "found"
    assert closed == [1]


async def test_of_what_has_no_history_no_version_is_found(store: GitVersions) -> None:
    await filled(store, "a")
    for selector in ("other", "other@1.0.0", "other@prod", "other@^1"):
        assert await refused("version.unknown", store.find(parse_selector(selector))) == (
            "other: expected a blueprint of this store, got none of that id"
        )
    assert await refused("version.unknown", store.find(parse_selector("review@9.0.0"))) == (
        "review: expected a version, got none for '9.0.0'"
    )


async def test_behind_each_entry_it_is_looked_whether_to_pack(
    store: GitVersions, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    def look(_packing: object) -> None:
        looked.append(1)

    monkeypatch.setattr(histories.Packing, "pack_if_due", look)
    await filled(store, "a", "b")
    assert looked == [1, 1]


async def test_a_draft_is_a_commit_of_nobody(store: GitVersions, tmp_path: Path) -> None:
    draft = Draft("review", {"r.lua": File(b"x")}, "r.lua", note(5.9))
    await store.put_draft(draft)
    await store.put_draft(draft)
    git = plain(tmp_path)
    commit = git.references["refs/drafts/review"].peel(pygit2.Commit)
    assert (commit.message, commit.parent_ids) == ("draft of review\n", [])
    for who in (commit.author, commit.committer):
        assert (who.name, who.email, who.time, who.offset) == ("draft", "swarm@localhost", 5, 0)
    for wrong in (
        Draft("../x", draft.files, "r.lua", note()),
        Draft("review", {"../x": File(b"x")}, "../x", note()),
    ):
        with pytest.raises(Refused):
            await store.put_draft(wrong)
    assert await store.draft("review") == draft


@pytest.mark.parametrize("blueprint", ["..", "a/b", "UPPER CASE", ""])
async def test_a_draft_is_of_something_that_may_be_a_blueprint(
    store: GitVersions, tmp_path: Path, blueprint: str
) -> None:
    draft = Draft(blueprint, {"r.lua": File(b"x")}, "r.lua", note(), ("r.lua:1: x",))
    said = await refused("version.id", store.put_draft(draft))
    assert said == await refused("version.id", store.draft(blueprint))
    assert os.listdir(tmp_path) == [], "nothing was written"


async def test_where_others_are_a_tag_needs_a_blueprint_of_its_own(store: GitVersions) -> None:
    (entry,) = await filled(store, "a")
    said = await refused("version.unknown", store.tag("other", "prod", entry))
    assert said == "other: expected a blueprint of this store, got none of that id"
    assert await store.tags("review") == {}


async def test_what_is_collected_is_told_in_bytes(store: GitVersions, tmp_path: Path) -> None:
    for size in (50_000, 60_000):
        draft = Draft("review", {"r.lua": File(os.urandom(size))}, "r.lua", note(), ("x",))
        await store.put_draft(draft)
    for place in (tmp_path / "blueprints.git/objects").rglob("*"):
        if place.is_file():
            os.utime(place, (1_000_000, 1_000_000))
    # The draft before, which nothing names any more.
    would = await store.collect(dry_run=True)
    assert 50_000 < would < 60_000
    # A new pack takes a little of it.
    assert would - 5_000 < await store.collect() <= would
    assert await store.draft("review") == draft
