"""Histories in git, as plain git has them: what stands in a commit, and what is no draft."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pygit2
import pytest

from swarm.errors import SwarmError
from swarm.ports.versions import Draft, File
from swarm.stores.git import GitVersions
from tests.contract.test_versions import contents, note

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
