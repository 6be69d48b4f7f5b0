"""Histories in git, as plain git has them: what stands in a commit, and what is no draft."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
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
