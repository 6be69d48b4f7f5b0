"""Packs by themselves: what is looked at before libgit2 may, and what packing makes of it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pygit2
import pytest

from swarm.errors import SwarmError
from swarm.stores.git import packing
from swarm.stores.git.objects import Objects
from swarm.stores.git.packing import Packing
from swarm.stores.git.packs import Packs
from swarm.stores.git.repository import Repository

Spoil = Callable[[Path], object]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Repository]:
    repository = Repository(tmp_path / "blueprints.git")
    repository.opened()
    yield repository
    repository.close()


def commit(repository: Repository, said: str, *parents: str) -> str:
    git = repository.git
    tree = Objects(git).add({"file": (said.encode(), False)})
    who = pygit2.Signature("ada", "a@x", 1000, 0)
    above = [pygit2.Oid(hex=one) for one in parents]
    return str(git.create_commit(None, who, who, said, pygit2.Oid(hex=tree), above))


def history(repository: Repository, *said: str) -> list[str]:
    """Make commits, one behind the other, and let a ref name the last."""
    found: list[str] = []
    for one in said:
        found.append(commit(repository, one, *found[-1:]))
    repository.set_ref("refs/blueprints/review", found[-1])
    return found


def loose(repository: Repository) -> set[str]:
    found = repository.path.glob("objects/[0-9a-f][0-9a-f]/*")
    return {place.parent.name + place.name for place in found}


def packs(repository: Repository) -> list[Path]:
    return sorted((repository.path / "objects/pack").iterdir())


def aged(repository: Repository, age_s: float) -> None:
    then_s = time.time() - age_s
    for place in (repository.path / "objects").rglob("*"):
        if place.is_file():
            os.utime(place, (then_s, then_s))


@pytest.fixture
def packed(made: Repository) -> Repository:
    history(made, "a", "b")
    Packing(made).collect(dry_run=False)
    return made


def _flip(place: Path, at: int) -> None:
    body = bytearray(place.read_bytes())
    body[at] ^= 1
    place.chmod(0o644)
    place.write_bytes(body)


def _cut(place: Path, size: int) -> None:
    place.chmod(0o644)
    place.write_bytes(place.read_bytes()[:size])


INDEX = "its index is not what was written"
PACK = "it is cut short, or not the pack of its index"


@pytest.mark.parametrize(
    ("suffix", "spoil", "why"),
    [
        (".idx", partial(_flip, at=50), INDEX),
        (".idx", partial(_flip, at=-1), INDEX),
        (".idx", partial(_cut, size=0), INDEX),
        (".idx", partial(_cut, size=39), INDEX),
        (".pack", partial(_flip, at=-1), PACK),
        (".pack", partial(_cut, size=10), PACK),
        (".pack", partial(_cut, size=0), PACK),
    ],
)
def test_a_pack_that_is_damaged_is_refused_and_set_aside(
    packed: Repository, suffix: str, spoil: Spoil, why: str
) -> None:
    folder = packed.path / "objects/pack"
    (index,) = folder.glob("*.idx")
    found = Packs(folder)
    found.check()
    spoil(index.with_suffix(suffix))
    for one in (found, Packs(folder)):
        with pytest.raises(SwarmError) as refused:
            one.check()
        assert refused.value.code == "version.damaged"
        assert refused.value.values == {"pack": index.stem}
        assert refused.value.message == (
            f"{index.with_suffix('.pack')}: {why} \u2014 swarm blueprint verify --repair, or "
            "fetch the blueprints again from a copy"
        )
    assert found.set_aside() == [f"{index.stem}.pack: {why}"]
    assert sorted(place.suffix for place in folder.iterdir()) == [".damaged", ".pack"]
    found.check()
    assert found.set_aside() == []


def test_the_shortest_index_that_can_be_whole_is_looked_at(tmp_path: Path) -> None:
    """Two sums: its pack's, and its own."""
    for size, sound in ((20, True), (19, False)):
        head = bytes(size)
        own = hashlib.sha1(head, usedforsecurity=False).digest()
        (tmp_path / "p.idx").write_bytes(head + own)
        (tmp_path / "p.pack").write_bytes(b"x" * 5 + bytes(20))
        assert (Packs(tmp_path).set_aside() == []) is sound


@pytest.mark.parametrize("suffix", [".idx", ".pack"])
def test_of_a_pack_that_is_half_there_nothing_is_said(packed: Repository, suffix: str) -> None:
    folder = packed.path / "objects/pack"
    (index,) = folder.glob("*.idx")
    index.with_suffix(suffix).unlink()
    Packs(folder).check()
    assert Packs(folder).set_aside() == []


def test_a_pack_is_read_once_as_long_as_it_stays(
    packed: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = packed.path / "objects/pack"
    (index,) = folder.glob("*.idx")
    found, read = Packs(folder), list[Path]()
    real = Path.read_bytes

    def read_bytes(self: Path) -> bytes:
        read.append(self)
        return real(self)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    found.check()
    found.check()
    assert read == [index]
    for place in (index, index.with_suffix(".pack")):
        os.utime(place, (5, 5))
        found.check()
        found.check()
    assert read == [index] * 3


# -- packing -------------------------------------------------------------------------------


def test_what_refs_name_becomes_one_pack_and_stays(made: Repository) -> None:
    commits = history(made, "a", "b", "c")
    named = loose(made)
    assert len(named) == 9
    assert Packing(made).collect(dry_run=True) == 0
    assert loose(made) == named
    freed = Packing(made).collect(dry_run=False)
    assert freed >= 0
    assert (loose(made), [place.suffix for place in packs(made)]) == (set(), [".idx", ".pack"])
    assert all(Objects(made.git).has(one) for one in named)
    assert [path.name for path in (made.path / "objects").glob("tmp_*")] == []
    before = packs(made)
    aged(made, 700)
    assert Packing(made).collect(dry_run=False) == 0
    assert packs(made) == before, "what is one pack already is that pack"
    history(made, "d")
    made.set_ref("refs/tags/review/x", commits[-1])
    aged(made, 700)
    Packing(made).collect(dry_run=False)
    assert len(packs(made)) == 2
    assert packs(made) != before
    assert loose(made) == set()
    assert all(Objects(made.git).has(one) for one in named)


def test_a_pack_that_is_young_stays_beside_the_newer_one(packed: Repository) -> None:
    before = packs(packed)
    history(packed, "c", "d")
    Packing(packed).collect(dry_run=False)
    assert len(packs(packed)) == 4
    assert set(before) < set(packs(packed))


@pytest.mark.parametrize(("age_s", "goes"), [(590.0, False), (610.0, True)])
def test_what_nothing_names_goes_after_ten_minutes(
    made: Repository, age_s: float, goes: bool
) -> None:
    history(made, "a")
    named = loose(made)
    commit(made, "unnamed")
    unnamed = loose(made) - named
    assert len(unnamed) == 3
    size = sum((made.path / "objects" / o[:2] / o[2:]).stat().st_size for o in unnamed)
    aged(made, age_s)
    whole = sum(place.stat().st_size for place in made.path.glob("objects/??/*"))
    assert Packing(made).collect(dry_run=True) == (size if goes else 0)
    assert loose(made) == named | unnamed, "a dry run removes nothing"
    freed = Packing(made).collect(dry_run=False)
    assert loose(made) == (set() if goes else unnamed)
    left = sum(place.stat().st_size for place in made.path.glob("objects/*/*") if place.is_file())
    assert freed == max(whole - left, 0)


@pytest.mark.parametrize(("more_s", "goes"), [(0, False), (1, True)])
def test_ten_minutes_are_over_when_there_is_more(
    made: Repository, monkeypatch: pytest.MonkeyPatch, more_s: int, goes: bool
) -> None:
    history(made, "a")
    named = loose(made)
    commit(made, "unnamed")
    for oid in loose(made):
        os.utime(made.path / "objects" / oid[:2] / oid[2:], (1_000_000, 1_000_000))
    monkeypatch.setattr(packing.time, "time", lambda: 1_000_600.0 + more_s)
    assert bool(Packing(made).collect(dry_run=True)) == goes
    Packing(made).collect(dry_run=False)
    assert bool(loose(made) - named) != goes


@pytest.mark.parametrize("ref", ["refs/blueprints/review", "refs/tags/review/x", "refs/drafts/r"])
def test_while_a_ref_or_an_object_is_damaged_nothing_goes(made: Repository, ref: str) -> None:
    first, second = history(made, "a", "b")
    made.set_ref(ref, second)
    commit(made, "unnamed")
    aged(made, 700)
    before = loose(made)
    (made.path / ref).write_text("x")
    assert Packing(made).collect(dry_run=False) == 0
    made.set_ref(ref, second)
    place = made.path / "objects" / first[:2] / first[2:]
    body = place.read_bytes()
    place.chmod(0o644)
    place.write_bytes(body[:-1])
    assert Packing(made).collect(dry_run=False) == 0
    assert loose(made) == before
    place.write_bytes(body)
    Packing(made).collect(dry_run=False)
    assert loose(made) == set()


def test_what_was_put_aside_is_kept_until_the_next_collection(made: Repository) -> None:
    history(made, "a")
    kept = loose(made)
    aside, branch = commit(made, "aside"), commit(made, "branch")
    made.set_ref("refs/aside/review/x", aside)
    made.set_ref("refs/heads/other", branch)
    aged(made, 700)
    Packing(made).collect(dry_run=True)
    assert made.ref("refs/aside/review/x") == aside
    Packing(made).collect(dry_run=False)
    assert made.ref("refs/aside/review/x") is None
    objects = Objects(made.git)
    assert not objects.has(aside)
    assert not objects.has(branch), "a branch is no more than a copy of a history"
    assert all(map(objects.has, kept))


def test_loose_objects_become_a_pack_when_there_are_about_a_thousand(made: Repository) -> None:
    history(made, "a")
    before = loose(made)
    folder = made.path / "objects/17"
    folder.mkdir(exist_ok=True)
    there = len(list(folder.iterdir()))
    for n in range(3 - there):
        (folder / f"other{n}").write_text("")
    Packing(made).pack_if_due()
    assert loose(made) >= before
    assert packs(made) == []
    (folder / "other9").write_text("")
    Packing(made).pack_if_due()
    assert len(packs(made)) == 2
    assert all(len(name) != 40 for name in loose(made)), "what is no object stays as it is"
    assert all(map(Objects(made.git).has, before))


def test_where_nothing_is_there_nothing_is_packed(made: Repository) -> None:
    assert Packing(made).collect(dry_run=False) == 0
    Packing(made).pack_if_due()
    assert packs(made) == []


def test_a_damaged_object_stays_loose(made: Repository) -> None:
    history(made, "a")
    before = loose(made)
    bad = commit(made, "bad")
    place = made.path / "objects" / bad[:2] / bad[2:]
    place.chmod(0o644)
    place.write_bytes(b"x")
    folder = made.path / "objects/17"
    folder.mkdir(exist_ok=True)
    for n in range(4):
        (folder / f"other{n}").write_text("")
    Packing(made).pack_if_due()
    assert {name for name in loose(made) if len(name) == 40} == {bad}
    assert all(map(Objects(made.git).has, before))
