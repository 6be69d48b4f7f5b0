"""A look at a repository, and what can be mended of it: each sort of damage by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pygit2
import pytest

from swarm.errors import Refused, SwarmError
from swarm.ports.versions import Entry, Fault
from swarm.stores.git import GitVersions
from tests.contract.test_versions import contents, filled, note

pytestmark = pytest.mark.anyio

REF = "refs/blueprints/review"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[GitVersions]:
    made = GitVersions(tmp_path)
    yield made
    made.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "blueprints.git"


def spoil(path: Path, oid: str) -> None:
    place = path / "objects" / oid[:2] / oid[2:]
    body = place.read_bytes()
    place.chmod(0o644)
    place.write_bytes(body[:-1])


def there(place: Path) -> bool:
    return os.path.lexists(place)


def led_elsewhere(path: Path, other: Path) -> None:
    path.rename(other)
    path.symlink_to(other)


def tree_of(path: Path, entry: Entry) -> str:
    return str(pygit2.Repository(str(path))[entry.commit].peel(pygit2.Tree).id)


def pushed(path: Path, *parents: str, name: str | None = None) -> str:
    """Make a commit that is whole and no entry, as somebody else would; let a ref name it."""
    git = pygit2.Repository(str(path))
    builder = git.TreeBuilder()
    builder.insert("file", git.create_blob(b"x"), pygit2.enums.FileMode.BLOB)
    who = pygit2.Signature("eve", "e@x", 1000, 0)
    above = [pygit2.Oid(hex=one) for one in parents]
    return str(git.create_commit(name, who, who, "x", builder.write(), above))


async def test_what_is_whole_has_no_fault(store: GitVersions) -> None:
    entries = await filled(store, "a", "b")
    await store.tag("review", "prod", entries[0])
    assert list(await store.verify()) == []
    assert list(await store.verify(repair=True)) == []
    assert await store.head("review") == entries[1]
    assert await store.tags("review") == {"prod": entries[0]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "its ref names no commit"),
        ("", "its ref names no commit"),
        (None, "its ref is gone"),
        ("1" * 40, "its ref names nothing"),
    ],
)
async def test_a_ref_comes_back_from_the_index(
    store: GitVersions, path: Path, text: str | None, said: str
) -> None:
    entries = await filled(store, "a", "b")
    place = path / REF
    place.unlink()
    if text is not None:
        place.write_text(text)
    fault = Fault("review", said, {"ref": REF})
    assert list(await store.verify()) == [fault]
    assert list(await store.verify()) == [fault], "to look mends nothing"
    assert list(await store.verify(repair=True)) == []
    assert await store.head("review") == entries[1]
    assert list(await store.verify()) == []


async def test_without_an_index_a_ref_that_is_lost_is_not_found_again(
    store: GitVersions, path: Path, tmp_path: Path
) -> None:
    await filled(store, "a")
    (path / REF).write_text("x")
    (tmp_path / "blueprints.index").unlink()
    (fault,) = await store.verify(repair=True)
    assert fault.message == "its ref names no commit"


@pytest.mark.parametrize("which", ["commit", "tree"])
async def test_objects_of_the_newest_entry_come_back_from_its_spare(
    store: GitVersions, path: Path, which: str
) -> None:
    entries = await filled(store, "a", "b")
    spoil(path, entries[1].commit if which == "commit" else tree_of(path, entries[1]))
    found = await store.verify()
    assert [(fault.blueprint, fault.values) for fault in found] == [
        ("review", {"commit": entries[1].commit})
    ]
    with pytest.raises(SwarmError):
        await store.read(entries[1])
    assert list(await store.verify(repair=True)) == []
    assert await store.read(entries[1]) == contents("b")
    assert await store.head("review") == entries[1]


async def test_both_the_ref_and_the_objects_come_back(store: GitVersions, path: Path) -> None:
    entries = await filled(store, "a", "b")
    spoil(path, entries[1].commit)
    (path / REF).write_text("x")
    assert list(await store.verify(repair=True)) == []
    assert await store.head("review") == entries[1]
    assert await store.read(entries[1]) == contents("b")


async def test_what_is_older_stays_as_it_is_and_is_told(store: GitVersions, path: Path) -> None:
    entries = await filled(store, "a", "b", "c")
    spoil(path, tree_of(path, entries[0]))
    spoil(path, tree_of(path, entries[1]))
    for repair in (False, True):
        found = await store.verify(repair=repair)
        commits = [fault.values["commit"] for fault in found]
        assert commits == [entries[1].commit, entries[0].commit]
    assert await store.read(entries[2]) == contents("c")


async def test_behind_a_commit_that_cannot_be_read_nothing_is_seen(
    store: GitVersions, path: Path
) -> None:
    entries = await filled(store, "a", "b", "c")
    spoil(path, tree_of(path, entries[0]))
    spoil(path, entries[1].commit)
    found = await store.verify()
    assert [fault.values["commit"] for fault in found] == [entries[1].commit]


async def test_each_blueprint_is_looked_at(store: GitVersions, path: Path) -> None:
    for name in ("b", "a"):
        await store.add(contents(id=name), note(), label="1.0.0", expected=None)
        (path / "refs/blueprints" / name).write_text("x")
    assert [fault.blueprint for fault in await store.verify()] == ["a", "b"]
    (path / "refs/blueprints/a").unlink()
    assert [fault.message for fault in await store.verify()] == [
        "its ref is gone", "its ref names no commit",
    ]  # fmt: skip


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", ["broken", "elsewhere"])
async def test_a_tag_that_names_no_entry_goes(
    store: GitVersions, path: Path, kind: str, packed: bool
) -> None:
    (entry,) = await filled(store, "a")
    await store.tag("review", "good", entry)
    await store.tag("review", "bad", entry)
    other = pushed(path)
    place = path / "refs/tags/review/bad"
    if packed and kind == "elsewhere":
        place.unlink()
        (path / "packed-refs").write_text(f"{other} refs/tags/review/bad\n")
    else:
        place.write_text("x" if kind == "broken" else f"{other}\n")
    fault = Fault("review", "tag 'bad' names no entry", {"ref": "refs/tags/review/bad"})
    assert list(await store.verify()) == [fault]
    assert list(await store.verify(repair=True)) == []
    assert await store.tags("review") == {"good": entry}
    assert not there(place)


async def test_a_tag_that_is_a_link_goes_and_what_it_leads_to_stays(
    store: GitVersions, path: Path
) -> None:
    (entry,) = await filled(store, "a")
    (path / "refs/tags/review").mkdir()
    (path / "refs/tags/review/bad").symlink_to(path / REF)
    (fault,) = await store.verify()
    assert fault.message == "tag 'bad' names no entry"
    assert list(await store.verify(repair=True)) == []
    assert not there(path / "refs/tags/review/bad")
    assert await store.head("review") == entry


async def test_a_damaged_pack_is_told_alone_and_set_aside(store: GitVersions, path: Path) -> None:
    entries = await filled(store, "a", "b")
    await store.collect()
    (index,) = (path / "objects/pack").glob("*.idx")
    index.chmod(0o644)
    index.write_bytes(b"x" * 100)
    (fault,) = await store.verify()
    assert (fault.blueprint, index.stem in fault.message) == ("*", True)
    aside, *left = await store.verify(repair=True)
    assert aside == Fault("*", f"{index.stem}.pack: its index is not what was written")
    # The newest comes back from its spare; what was older is gone with the pack.
    assert [one.values["commit"] for one in left] == [entries[0].commit]
    assert await store.read(entries[1]) == contents("b")


async def test_a_repository_that_leads_elsewhere_is_refused(
    store: GitVersions, path: Path, tmp_path: Path
) -> None:
    await filled(store, "a")
    store.close()
    led_elsewhere(path, tmp_path / "other")
    with pytest.raises(Refused) as refused:
        await store.verify()
    assert refused.value.code == "version.foreign"


# -- what somebody else pushed -------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2])
async def test_what_is_no_entry_is_put_aside_and_the_history_ends_with_the_newest(
    store: GitVersions, path: Path, number: int
) -> None:
    entries = await filled(store, "a", "b")
    tip = entries[1].commit
    for _ in range(number):
        tip = pushed(path, tip)
    store.close()
    (path / REF).write_text(f"{tip}\n")
    (path / "refs/heads/review").write_text(f"{tip}\n")
    with pytest.raises(SwarmError):
        await store.head("review")
    assert len(await store.verify()) == number
    kept = f"refs/aside/review/{tip[:12]}"
    said = f"{tip[:12]} is no entry of this history: put aside as {kept}"
    assert list(await store.verify(repair=True)) == [Fault("review", said, {"commit": tip})]
    assert await store.head("review") == entries[1]
    git = pygit2.Repository(str(path))
    assert str(git.references[kept].target) == tip
    assert str(git.references["refs/heads/review"].target) == entries[1].commit
    assert list(await store.verify(repair=True)) == []
    assert list(await store.log("review")) == entries[::-1]


async def test_a_history_that_has_no_entry_at_all_is_put_aside_whole(
    store: GitVersions, path: Path
) -> None:
    await filled(store, "a")
    tip = pushed(path, name="refs/blueprints/other")
    (fault,) = await store.verify(repair=True)
    assert (fault.blueprint, fault.values) == ("other", {"commit": tip})
    assert await store.head("other") is None
    assert [entry.blueprint for entry in await store.blueprints()] == ["review"]


async def test_an_entry_that_lost_something_is_not_put_aside(
    store: GitVersions, path: Path, tmp_path: Path
) -> None:
    entries = await filled(store, "a", "b")
    spoil(path, entries[1].commit)
    (tmp_path / "blueprints.index").unlink()
    (fault,) = await store.verify(repair=True)
    assert fault.values == {"commit": entries[1].commit}
    assert not (path / "refs/aside").exists()
    assert (path / REF).read_text() == f"{entries[1].commit}\n"
