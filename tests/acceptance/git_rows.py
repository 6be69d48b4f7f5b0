"""The faults of git, each with its benign twin: `python -m tests.acceptance.git_rows FOLDER`.

Runs in a process of its own, which says of every row how it went: libgit2 may loop for
ever, holding the interpreter's lock, and then only another process can notice.
With `--planted NAME` a part of the store is put out of work first: a control.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import re
import resource
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import anyio
import pygit2

from swarm.blueprint.selector import parse_selector
from swarm.errors import Refused, SwarmError
from swarm.ports.versions import Contents, Draft, Entry, File
from swarm.stores.git import GitVersions, packing, repository
from swarm.stores.git.facts import Facts
from swarm.stores.git.histories import GitVersions as Histories
from swarm.stores.git.index import Index
from swarm.stores.git.objects import Objects
from swarm.stores.git.packs import Packs
from tests.acceptance.git_world import World, contents, git, note, refused

Row = Callable[[World], Awaitable[None]]
ROWS: dict[str, tuple[Row, Row]] = {}
WAYS: Final = ("truncated", "short", "empty", "garbage", "flipped", "swapped")
SIGNATURE = pygit2.Signature("eve", "e@e", 1000, 0)


def row(name: str, twin: Row) -> Callable[[Row], Row]:
    def kept(hostile: Row) -> Row:
        ROWS[name] = (hostile, twin)
        return hostile

    return kept


async def works(world: World) -> None:
    """Everything a store is for; the twin of most faults."""
    first, second = await world.filled("a", "b")
    await world.store.tag("review", "prod", first)
    assert await world.find("review@prod") == first
    assert await world.find("review") == second
    assert await world.store.read(second) == contents("b")
    assert not await world.store.verify()
    world.check_whole()


# -- writers -----------------------------------------------------------------------------


async def behind_the_head(world: World) -> None:
    (first,) = await world.filled("a")
    other = GitVersions(world.folder)
    second = await other.add(contents("b"), note(), label="1.1.0", expected=first.commit)
    third = await world.store.add(contents("c"), note(), label="1.2.0", expected=second.commit)
    assert (await world.check_linear())[0] == third
    other.close()


@row("F1", behind_the_head)
async def two_writers_behind_one_entry(world: World) -> None:
    (first,) = await world.filled("a")
    other = GitVersions(world.folder)
    second = await other.add(contents("b"), note(), label="1.1.0", expected=first.commit)
    act = world.store.add(contents("c"), note(), label="1.1.0", expected=first.commit)
    error = await refused("version.conflict", act)
    assert error.values["head"] == second
    assert "1.0.0" in error.message
    assert "1.1.0 by ada" in error.message
    assert len(await world.check_linear()) == 2
    other.close()


@row("F3", behind_the_head)
async def a_writer_from_three_entries_ago(world: World) -> None:
    entries = await world.filled(*"abcd")
    act = world.store.add(contents("e"), note(), label="9.0.0", expected=entries[0].commit)
    assert (await refused("version.conflict", act)).values["head"] == entries[3]
    assert len(await world.check_linear()) == 4


async def two_first_entries(world: World, *ids: str) -> list[str]:
    stores = [GitVersions(world.folder) for _ in ids]
    said: list[str] = []

    async def write(store: GitVersions, id: str) -> None:
        try:
            await store.add(contents(str(id), id=id), note(), label="1.0.0", expected=None)
            said.append("there")
        except Refused as error:
            said.append(error.code)

    async with anyio.create_task_group() as tasks:
        for store, name in zip(stores, ids, strict=True):
            tasks.start_soon(write, store, name)
    for store in stores:
        store.close()
    return sorted(said)


async def first_entries_of_two(world: World) -> None:
    assert await two_first_entries(world, "a", "b") == ["there", "there"]


@row("F4", first_entries_of_two)
async def two_first_entries_of_one(world: World) -> None:
    said = await two_first_entries(world, *["review"] * 6)
    assert said == ["there", *["version.conflict"] * 5]
    assert len(await world.check_linear()) == 1


async def fetched_by_plain_git(world: World) -> None:
    await world.filled("a")
    other = world.copied(world.folder.parent / f"{world.folder.name}-other")
    newest = (await other.filled("b", "c"))[-1]
    other.close()
    ref = "refs/blueprints/review"
    git(world.path, "fetch", "-q", str(other.path), f"{ref}:{ref}")
    assert await world.find("review") == newest
    assert (await world.add("d")).number == 4
    await world.check_linear()


@row("F5", fetched_by_plain_git)
async def a_ref_set_to_another_history(world: World) -> None:
    entries = await world.filled("a", "b")
    other = World(world.folder.parent / f"{world.folder.name}-other")
    (root,) = await other.filled("z")
    other.close()
    git(world.path, "fetch", "-q", str(other.path), "refs/blueprints/review:refs/drafts/z")
    git(world.path, "update-ref", "refs/blueprints/review", root.commit)
    await refused("version.rewritten", world.find("review"))
    await refused("version.rewritten", world.add("c"))
    git(world.path, "update-ref", "refs/blueprints/review", entries[1].commit)
    assert await world.find("review") == entries[1]
    # Taken back to an entry that is known: the newest was pushed away by force.
    git(world.path, "update-ref", "refs/blueprints/review", entries[0].commit)
    await refused("version.rewritten", world.find("review"))
    # What the sentence says, beside a store that is open.
    (world.folder / "blueprints.index").unlink()
    assert await world.find("review") == entries[0]


# -- what a killed process leaves --------------------------------------------------------


def planted_locks(world: World, *, old: bool) -> list[Path]:
    names = (
        "HEAD", "config", "packed-refs", "refs/blueprints/review", "refs/heads/review",
        "refs/tags/review/prod",
    )  # fmt: skip
    places = [world.path / f"{name}.lock" for name in names]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        if old:
            os.utime(place, (1, 1))
    return places


async def another_ones_lock(world: World) -> None:
    """A lock that nobody here needs stays while somebody may hold it."""
    await world.filled("a")
    lock = world.path / "refs/blueprints/other.lock"
    lock.touch()
    await world.add("b")
    assert lock.exists()


@row("F7", another_ones_lock)
async def locks_that_were_left(world: World) -> None:
    await world.filled("a")
    for old in (True, False):
        # The store has been open, and has written, long before the other was killed.
        places = planted_locks(world, old=old)
        entry = await world.add(f"b{old}")
        await world.store.tag("review", "prod", entry)
        await world.store.tag("review", "prod", None)
        await world.anew().collect()
        assert not [place for place in places if place.exists()]
    world.check_whole()


async def a_lock_that_is_let_go(world: World) -> None:
    await world.filled("a")
    held = os.open(world.folder / "blueprints.lock", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    threading.Timer(0.1, os.close, (held,)).start()
    await world.add("b")
    assert len(await world.check_linear()) == 2


@row("F8", a_lock_that_is_let_go)
async def a_lock_that_is_held(world: World) -> None:
    (first,) = await world.filled("a")
    (lock,) = planted_locks(world, old=True)[3:4]
    held = os.open(world.folder / "blueprints.lock", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    with patched(repository, "_WAIT_S", 0.05):
        await refused("version.busy", world.add("b"))
        # Whoever only reads does not wait.
        assert await world.find("review") == first
    assert lock.exists()
    os.close(held)


@contextmanager
def patched(where: Any, name: str, value: Any) -> Any:
    before = getattr(where, name)
    setattr(where, name, value)
    try:
        yield
    finally:
        setattr(where, name, before)


def leftovers(world: World, age_s: float) -> list[Path]:
    names = ("objects/tmp_object_git2_x", "objects/17/tmp_obj_x", "objects/pack/tmp_pack_x")
    places = [world.path / name for name in names]
    for place in places:
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"x")
        then_s = time.time() - age_s
        os.utime(place, (then_s, then_s))
    return places


async def young_objects(world: World) -> None:
    await world.filled("a")
    places = leftovers(world, 60)
    await world.store.collect()
    assert all(place.exists() for place in places)


@row("F9", young_objects)
async def objects_that_were_left_half(world: World) -> None:
    entries = await world.filled("a", "b")
    places = leftovers(world, 4000)
    await world.store.collect()
    assert not any(place.exists() for place in places)
    assert [await world.store.read(entry) for entry in entries] == [contents("a"), contents("b")]


# -- damage ------------------------------------------------------------------------------


async def damaged(world: World, name: str, how: str) -> None:
    """Harm an object of the newest entry: it is told, nothing hangs, repair brings it back."""
    await world.filled("x", id="other")
    entries = await world.filled("a", "b", "c")
    world.spoil(world.oid(name), how)
    for store in (world.store, world.anew()):
        await refused("version.damaged", store.read(entries[2]))
        assert await world.find("other") == await store.head("other")
        assert await store.read(entries[0]) == contents("a")
        assert [one.blueprint for one in await store.blueprints()] == ["other", "review"]
        assert [fault.blueprint for fault in await store.verify()] == ["review"]
        await world.filled("y", id="other")
        await store.collect()
    if name.endswith((":meta.json", "review")):
        await refused("version.damaged", world.add("d"))
        await refused("version.damaged", world.store.tag("review", "prod", entries[2]))
    assert not await world.store.verify(repair=True)
    assert await world.store.read(entries[2]) == contents("c")
    await world.add("d")
    await world.check_linear()
    world.check_whole()


HEAD_NAMES: Final = {
    "F10": ["refs/blueprints/review"],
    "F11": [f"refs/blueprints/review{one}" for one in
            ("^{tree}", ":meta.json", ":blueprint.json", ":blueprint.lua")],
}  # fmt: skip


def damage(row_name: str, names: list[str]) -> None:
    async def hostile(world: World) -> None:
        for name in names:
            for how in WAYS if name.endswith(("review", "meta.json")) else WAYS[::3]:
                one = World(world.folder / f"{re.sub('[^a-z]', '-', name)}-{how}")
                await damaged(one, name, how)
                one.close()

    row(row_name, works)(hostile)


for number, of_number in HEAD_NAMES.items():
    damage(number, of_number)


async def the_same_bytes_again(world: World) -> None:
    """What was written with other settings of zlib is the same object."""
    import zlib

    (entry,) = await world.filled("a")
    place = world.place(entry.commit)
    body = zlib.decompress(place.read_bytes())
    place.chmod(0o644)
    place.write_bytes(zlib.compress(body, 9))
    assert await world.store.read(entry) == contents("a")


@row("F12", the_same_bytes_again)
async def an_object_that_is_another(world: World) -> None:
    first, second = await world.filled("a", "b")
    for before, after in ((first, second), (second, first)):
        place, other = world.place(before.commit), world.place(after.commit)
        body = place.read_bytes()
        place.unlink()
        place.write_bytes(other.read_bytes())
        await refused("version.damaged", world.store.read(before))
        place.unlink()
        place.write_bytes(body)
    # A file that is there already, damaged, is written again with the next entry.
    blob = world.oid("refs/blueprints/review:blueprint.lua")
    for how in WAYS:
        world.spoil(blob, how)
        entry = await world.add("b")
        assert await world.store.read(entry) == contents("b")
    world.check_whole()


@row("F13", works)
async def a_ref_that_names_nothing(world: World) -> None:
    await world.filled("x", id="other")
    entries = await world.filled("a", "b")
    await world.store.tag("review", "prod", entries[0])
    ref, tip = "refs/blueprints/review", entries[1].commit
    blob = world.oid(f"{ref}:blueprint.lua")
    texts = {
        "empty": "", "short": tip[:39], "missing": "0123456789" * 4, "blob": blob,
        "itself": f"ref: {ref}\n", "words": "not a name\n", "symbolic": "ref: refs/heads/review\n",
        "zeros": "0" * 40,
    }  # fmt: skip
    for text in texts.values():
        world.write_ref(ref, text)
        for store in (world.store, world.anew()):
            await refused("version.damaged", store.head("review"))
            await refused("version.damaged", world.add("c"))
            assert (await world.find("other")).label == "1.0.0"
            assert [one.label for one in await store.blueprints()] == ["1.0.0", "1.1.0"]
        assert [fault.blueprint for fault in await world.store.verify()] == ["review"]
        assert not await world.store.verify(repair=True)
        assert await world.find("review") == entries[1]
    for text in texts.values():
        world.write_ref("refs/tags/review/prod", text)
        try:
            await world.find("review@prod")
            raise AssertionError(text)
        except SwarmError as error:
            assert error.code in ("version.damaged", "version.unknown"), error  # noqa: PT017
        assert await world.store.verify()
        await world.store.tag("review", "prod", entries[1])
        assert await world.find("review@prod") == entries[1]
    (world.path / ref).unlink()
    assert not await world.store.verify(repair=True)
    assert await world.find("review") == entries[1]
    world.check_whole()


async def another_head(world: World) -> None:
    await world.filled("a")
    (world.path / "HEAD").write_text("ref: refs/heads/review\n")
    await world.add("b")
    world.check_whole()


@row("F14", another_head)
async def a_head_that_leads_nowhere(world: World) -> None:
    await world.filled("a")
    outside = world.folder / "outside"
    outside.write_text("untouched")
    head = world.path / "HEAD"
    for text in (None, "", "ref: ../../outside\n", "garbage", b"\xff\xfe".decode("latin-1")):
        head.unlink(missing_ok=True)
        if text is not None:
            head.write_text(text)
        try:
            await world.anew().head("review")
        except SwarmError as error:
            assert error.code == "version.damaged", error  # noqa: PT017
        await world.store.verify(repair=True)
        await world.add(f"b{text}")
        world.check_whole()
    head.unlink()
    head.symlink_to(outside)
    await world.anew().verify(repair=True)
    await world.add("c")
    assert not head.is_symlink()
    assert outside.read_text() == "untouched"
    await world.check_linear()


async def packed(world: World) -> tuple[list[Entry], Path]:
    entries = await world.filled("a", "b", "c")
    await world.store.collect()
    assert not list(world.loose())
    (pack,) = (world.path / "objects/pack").glob("*.pack")
    return entries, pack


async def a_pack(world: World) -> None:
    entries, _ = await packed(world)
    assert [await world.store.read(entry) for entry in entries] == [*map(contents, "abc")]
    await world.add("d")
    await world.store.collect()
    await world.check_linear()
    world.check_whole()


@row("F15", a_pack)
async def packs_that_are_damaged(world: World) -> None:
    entries, pack = await packed(world)
    index = pack.with_suffix(".idx")
    whole, names = pack.read_bytes(), index.read_bytes()
    for place in (pack, index):
        place.chmod(0o644)
    spoilt = [(pack, whole[:cut]) for cut in (0, 5, 12, 30, len(whole) // 2, len(whole) - 1)]
    for body, place in ((names, index), (whole, pack)):
        for at in range(0, len(body), len(body) // 12):
            flipped = bytearray(body)
            flipped[at] ^= 0x10
            spoilt.append((place, bytes(flipped)))
    told = 0
    for place, body in spoilt:
        place.write_bytes(body)
        for store in (world.store, world.anew()):
            for entry, word in zip(entries, "abc", strict=True):
                try:
                    assert await store.read(entry) == contents(word)
                except SwarmError as error:
                    assert error.code == "version.damaged", error  # noqa: PT017
                    told += 1
            store.close()
        pack.write_bytes(whole)
        index.write_bytes(names)
    assert told > 100
    assert [await world.anew().read(entry) for entry in entries] == [*map(contents, "abc")]
    pack.write_bytes(whole[:-30])
    assert [fault.blueprint for fault in await world.anew().verify()] == ["*"]
    await refused("version.damaged", world.store.collect())
    left = await world.store.verify(repair=True)
    assert {fault.blueprint for fault in left} == {"*", "review"}
    assert await world.store.read(entries[2]) == contents("c")
    assert pack.exists()


@row("F16", works)
async def a_head_comes_back_from_its_spare(world: World) -> None:
    entries = await world.filled("a", "b")
    await world.anew().collect()
    for pack in (world.path / "objects/pack").iterdir():
        pack.unlink()
    world.write_ref("refs/blueprints/review", "")
    await world.anew().verify(repair=True)
    assert await world.store.read(entries[1]) == contents("b")
    assert (await world.find("review")).note == note()


# -- no room, no right -------------------------------------------------------------------


@contextmanager
def no_room() -> Any:
    """No file may grow: the error of a full disk, at the first byte."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


KINDS: Final = ("blob", "tree", "commit")


@row("F17", works)
async def no_room_at_any_stage(world: World) -> None:
    """Of the objects that come first all are there already, so that the next one fails."""
    (first,) = await world.filled("a")
    twin = world.copied(world.folder.parent / f"{world.folder.name}-twin")
    await twin.filled("b")
    twin.close()
    kind_of = {
        line.split()[0]: line.split()[1]
        for line in git(twin.path, "cat-file", "--batch-all-objects", "--batch-check").splitlines()
    }
    for there in range(len(KINDS) + 1):
        for oid, kind in kind_of.items():
            target = world.place(oid)
            if kind in KINDS[:there] and not target.exists():
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(twin.place(oid).read_bytes())
        with no_room():
            await refused("version.unwritable", world.add("b"))
            assert await world.find("review") == first
            assert await world.store.read(first) == contents("a")
    await world.add("b")
    await world.check_linear()
    world.check_whole()


@row("F18", works)
async def no_right_to_write(world: World) -> None:
    (first,) = await world.filled("a")
    before = world.bytes()
    objects = world.path / "objects"
    world.close()
    with as_nobody(world, objects):
        store = world.anew()
        assert await world.find("review") == first
        await refused("version.unwritable", store.add(
            contents("b"), note(), label="2.0.0", expected=first.commit))  # fmt: skip
        assert await store.read(first) == contents("a")
        store.close()
    assert world.bytes() == before
    # A store in a folder that may only be read is read all the same.
    with as_nobody(world, world.folder):
        store = world.anew()
        assert await world.find("review@^1") == first
        assert await store.read(first) == contents("a")
        assert list(await store.log("review")) == [first]
        await refused("version.unwritable", world.add("b"))
        store.close()
    await world.anew().add(contents("b"), note(), label="2.0.0", expected=first.commit)


@contextmanager
def as_nobody(world: World, shut: Path) -> Any:
    """Give the store to somebody else, but for the folder *shut*, and act as that one."""
    if os.geteuid() == 0:
        for place in (world.folder, *world.folder.rglob("*")):
            within = place == shut or shut in place.parents
            os.chown(place, 0 if within else 65534, 0)
            place.chmod(0o755 if place.is_dir() else 0o644)
        if shut == world.folder:
            # Git reads no repository of another owner's.
            os.chown(world.path, 65534, 0)
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
            for place in (world.folder, *world.folder.rglob("*")):
                os.chown(place, 0, 0)
        return
    folders = [shut, *(place for place in shut.rglob("*") if place.is_dir())]
    for place in folders:
        place.chmod(0o555)
    try:
        yield
    finally:
        for place in folders:
            place.chmod(0o755)


# -- names -------------------------------------------------------------------------------


async def plain_ids(world: World) -> None:
    for name in ("a", "a.b", "a-b_c", "0", "x" * 63, "con1", "git"):
        entry = await world.add("a", id=name)
        assert await world.find(name) == entry


def names(row_name: str, *ids: str) -> None:
    async def hostile(world: World) -> None:
        outside = world.folder / "x"
        for name in ids:
            act = world.store.add(contents(id=name), note(), label="1.0.0", expected=None)
            await refused("version.id", act)
            for code in (f"{name}", f"{name}@latest"):
                try:
                    parse_selector(code)
                    raise AssertionError(f"{code!r} is an id")
                except Refused as error:
                    assert error.code in ("version.id", "version.selector"), error  # noqa: PT017
            await refused("version.id", world.store.log(name))
            await refused("version.id", world.store.draft(name))
            draft = Draft(name, {"a.lua": File(b"")}, "a.lua", note())
            await refused("version.id", world.store.put_draft(draft))
            await refused("version.tag", world.store.tag("review", f"a/{name}", None))
        assert not outside.exists()

    row(row_name, plain_ids)(hostile)


names("F19", "../x", "/abs", "a/../../x", "", ".", "..", "a\0b", "a\nb", "a\n", "~", "a b")
names("F20", "x" * 64, "x" * 300, "CON", "con", "nul", "a.", "x.git", "x.lock", "-a", "a..b")
names("F21", "Review", "REVIEW", "é", "e\u0301", "\u212aelvin", "ﬁ")


@row("F22", works)
async def links_in_the_repository(world: World) -> None:
    entries = await world.filled("a", "b")
    await world.store.tag("review", "prod", entries[0])
    outside = world.folder.parent / f"{world.folder.name}-outside"
    outside.mkdir()
    (outside / "review").write_text(f"{entries[0].commit}\n")
    held = {"review": (outside / "review").read_bytes()}
    links = (
        "refs/blueprints", "refs/tags", "refs/heads", "refs", "objects", "objects/pack",
        f"objects/{entries[0].commit[:2]}", "refs/tags/review",
    )  # fmt: skip
    for name in links:
        place = world.path / name
        place.rename(world.folder / "kept")
        place.symlink_to(outside, target_is_directory=True)
        for opened in (True, False):
            if not opened:
                world.anew()
            if name.startswith("objects/") and len(name) == 10:
                # Looked at when it is opened.
                await refused("version.foreign", world.anew().head("review"))
            await refused("version.foreign", world.store.tag("review", "prod", entries[1]))
            found = {one.name: one.read_bytes() for one in outside.iterdir()}
            assert found == held, name
        place.unlink()
        (world.folder / "kept").rename(place)
    world.anew()
    for ref in ("refs/blueprints/review", "refs/tags/review/prod"):
        place = world.path / ref
        body = place.read_text()
        place.unlink()
        place.symlink_to(outside / "review")
        await refused("version.damaged", world.find("review@prod"))
        assert {one.name: one.read_bytes() for one in outside.iterdir()} == held
        place.unlink()
        place.write_text(body)
    lock = world.folder / "blueprints.lock"
    lock.unlink()
    lock.symlink_to(outside / "lock")
    await refused("version.unwritable", world.add("c"))
    assert not (outside / "lock").exists()
    lock.unlink()
    await world.add("c")
    world.check_whole()


# -- what another one wrote --------------------------------------------------------------


def forged(
    world: World,
    files: dict[str, tuple[bytes, int]],
    *,
    meta: dict[str, Any] | None = None,
    document: bytes | None = None,
    tree: str | None = None,
) -> str:
    """Write an entry behind the newest one as some other program would; return its commit."""
    there = pygit2.Repository(str(world.path))
    ref = there.references["refs/blueprints/review"]
    facts = json.loads(git(world.path, "show", "refs/blueprints/review:meta.json"))
    facts.update(meta or {})
    text = git(world.path, "show", "refs/blueprints/review:blueprint.json").encode() + b"\n"
    own = {
        "meta.json": (json.dumps(facts).encode(), 0o100644),
        "blueprint.json": (document or text, 0o100644),
        "blueprint.lua": (b"-- a\n", 0o100644),
    }
    builder = there.TreeBuilder()
    for name, (body, mode) in {**own, **files}.items():
        oid = ref.target if mode == 0o160000 else there.create_blob(body)
        builder.insert(name, oid, mode)
    if tree is not None:
        builder.insert("deep", pygit2.Oid(hex=tree), 0o040000)
    oid = builder.write()
    return str(there.create_commit(ref.name, SIGNATURE, SIGNATURE, "m", oid, [ref.target]))


async def read_forged(world: World) -> Contents:
    entry = await world.anew().head("review")
    assert entry is not None
    return await world.store.read(entry)


async def an_honest_entry(world: World) -> None:
    await world.filled("a")
    forged(world, {}, meta={"label": "1.1.0"})
    assert await read_forged(world) == contents("a")
    assert await world.find("review@1.1.0")
    assert not await world.store.verify()


@row("F23", an_honest_entry)
async def trees_with_more_than_files(world: World) -> None:
    more = {
        "a link": {"evil": (b"/etc/passwd", 0o120000)},
        "the source as a link": {"blueprint.lua": (b"/etc/passwd", 0o120000)},
        "the facts as a link": {"meta.json": (b"/etc/passwd", 0o120000)},
        "another repository": {"sub": (b"", 0o160000)},
        "a file that nobody speaks of": {"extra.lua": (b"", 0o100644)},
        "a program that nobody speaks of": {"extra.sh": (b"", 0o100755)},
    }
    for n, (_, files) in enumerate(more.items()):
        one = World(world.folder / f"tree-{n}")
        await one.filled("a")
        forged(one, files)
        await refused("version.damaged", read_forged(one))
        assert await one.store.verify()
        one.close()
    # Trees that name each other: ten to the twelfth files, or folders.
    for n, (name, mode) in enumerate((("f", 0o100644), (None, 0))):
        one = World(world.folder / f"bomb-{n}")
        await one.filled("a")
        there = pygit2.Repository(str(one.path))
        builder = there.TreeBuilder()
        if name is not None:
            builder.insert(name, there.create_blob(b""), mode)
        oid = builder.write()
        for _ in range(12):
            builder = there.TreeBuilder()
            for letter in "abcdefghij":
                builder.insert(letter, oid, 0o040000)
            oid = builder.write()
        forged(one, {}, tree=str(oid))
        await refused("version.damaged", read_forged(one))
        one.close()


@row("F24", an_honest_entry)
async def what_leads_elsewhere(world: World) -> None:
    first, second = await world.filled("a", "b")
    mark = world.folder.parent / f"{world.folder.name}-ran"
    hooks = world.path / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("pre-commit", "post-commit", "reference-transaction", "post-update", "update"):
        hook = hooks / name
        hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
        hook.chmod(0o755)
    (world.folder / "evil").write_text(f"[core]\n\tfsmonitor = touch {mark}\n\tpager = {mark}\n")
    with (world.path / "config").open("a") as config:
        config.write(f"[include]\n\tpath = {world.folder / 'evil'}\n[core]\n\tworktree = /\n")
    (world.path / "refs/replace").mkdir()
    (world.path / f"refs/replace/{second.commit}").write_text(f"{first.commit}\n")
    assert await world.anew().read(second) == contents("b")
    await world.add("c")
    assert len(await world.store.log("review")) == 3
    assert not mark.exists()
    for name, text in (
        ("objects/info/alternates", "/elsewhere/objects\n"),
        ("info/grafts", f"{second.commit}\n"),
        ("shallow", f"{second.commit}\n"),
        ("commondir", "/elsewhere\n"),
    ):
        place = world.path / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
        await refused("version.foreign", world.add("d"))
        await refused("version.foreign", world.anew().read(second))
        place.unlink()
    await world.anew().add(contents("d"), note(), label="9.0.0", expected=(
        await world.find("review")).commit)  # fmt: skip


async def a_reason(world: World) -> None:
    entry = await world.store.add(
        contents(), note(author="Åsa", reason="größer, 日本"), label="1.0.0", expected=None
    )
    assert (entry.note.author, entry.note.reason) == ("Åsa", "größer, 日本")
    assert "größer, 日本" in git(world.path, "log", "-1", "refs/blueprints/review")


@row("F25", a_reason)
async def a_reason_with_facts_in_it(world: World) -> None:
    said = f"x\ndigest: {'0' * 64}\nlabel: 9.9.9\narchive: true\nback_to: 1.0.0"
    put = note(author="ada\nlabel: 9.9.9", reason=said)
    entry = await world.store.add(contents(), put, label="1.0.0", expected=None)
    (world.folder / "blueprints.index").unlink()
    found = await world.anew().head("review")
    assert found == entry
    assert found is not None
    assert (found.label, found.back_to) == ("1.0.0", None)


@row("F26", a_reason)
async def a_reason_without_end(world: World) -> None:
    for said in ("x" * 1_000_000, "a\0b\x1b[31mc\u202ed\u2066e\x9b", "\n" * 1000, "\ud800"):
        world.close()
        one = World(world.folder / str(len(list(world.folder.iterdir()))))
        put = note(author=said, reason=said)
        entry = await one.store.add(contents(), put, label="1.0.0", expected=None)
        for text, most in ((entry.note.reason, 500), (entry.note.author, 100)):
            assert len(text) <= most
            assert text.isprintable()
        assert await one.anew().head("review") == entry
        one.check_whole()
        # And where another program wrote it.
        forged(one, {}, meta={"label": "2.0.0", "author": "\x1b[2J", "reason": "a\u202eb"})
        found = await one.anew().head("review")
        assert found is not None
        assert (found.note.author, found.note.reason) == ("[2J", "a b")
        one.close()


@row("F27", an_honest_entry)
async def a_document_that_is_not_its_hash(world: World) -> None:
    text = b'{"swarm": 1, "id": "review", "agents": [], "flow": {"kind": "seq", "children": []}}'
    forgeries: list[dict[str, Any]] = [
        {"document": text},
        {"meta": {"digest": "0" * 64}},
        {"meta": {"files": {}}},
        {"meta": {"source": "other.lua"}},
        {"document": b"{}\n"},
        {"document": b"[" * 100_000},
    ]
    wrong = {
        "digest": "x", "label": "newest", "author": 5, "reason": None, "written_s": "now",
        "files": [], "lines": {"$": 1}, "id": "other", "form": 2, "back_to": {}, "parent": 1,
    }  # fmt: skip
    forgeries += [{"meta": {name: value}} for name, value in wrong.items()]
    for n, forgery in enumerate(forgeries):
        one = World(world.folder / str(n))
        (first,) = await one.filled("a")
        forged(one, {}, **forgery)
        await refused("version.damaged", read_forged(one))
        assert await one.store.verify()
        assert await one.store.read(first) == contents("a")
        await check_put_aside(one, first)
        one.close()


async def check_put_aside(world: World, newest: Entry) -> None:
    """What somebody pushed and is no entry goes out of the way, and the history goes on."""
    tip = world.oid("refs/blueprints/review")
    git(world.path, "update-ref", "refs/tags/review/canary", tip)
    (told,) = await world.store.verify(repair=True)
    assert "put aside as refs/aside/review/" in told.message
    assert world.oid(f"refs/aside/review/{tip[:12]}") == tip
    assert not await world.store.verify()
    assert await world.anew().head("review") == newest
    assert not await world.store.tags("review")
    behind = await world.add("behind")
    assert [entry.commit for entry in await world.store.log("review")] == [
        behind.commit, newest.commit,
    ]  # fmt: skip
    await world.store.collect()
    assert "refs/aside" not in git(world.path, "for-each-ref")
    world.check_whole()


async def a_file_of_the_limit(world: World) -> None:
    put = contents(big=b"x" * (4 * 1024 * 1024))
    entry = await world.store.add(put, note(), label="1.0.0", expected=None)
    assert await world.store.read(entry) == put


@row("F28", a_file_of_the_limit)
async def a_file_without_end(world: World) -> None:
    for size in (4 * 1024 * 1024 + 1, 100 * 1024 * 1024):
        put = contents(big=bytes(size))
        await refused("version.too_large", world.store.add(
            put, note(), label="1.0.0", expected=None))  # fmt: skip
    assert not world.path.exists()
    await world.filled("a")
    forged(world, {"big": (bytes(100 * 1024 * 1024), 0o100644)})
    await refused("version.damaged", read_forged(world))
    git(world.path, "repack", "-adq")
    await refused("version.damaged", read_forged(world))


# -- many --------------------------------------------------------------------------------


def entries_of(number: int) -> list[Entry]:
    return [
        Entry("review", n, f"{n * 2654435761 % 2**64:064x}", f"1.{n}.0", f"{n:040x}", note(n))
        for n in range(1, number + 1)
    ]


async def a_few_versions(world: World) -> None:
    entries = await world.filled("a", "b")
    assert (await world.find(f"review@{entries[0].digest[:9]}")) == entries[0]


@row("F29", a_few_versions)
async def twenty_thousand_versions(world: World) -> None:
    """No way to an entry reads all of them, and loose objects become packs."""
    index = Index(world.folder / "blueprints.index")
    entries = entries_of(20_000)
    index.extend("review", entries, [], [])
    asked: list[str] = []
    rows = Index._rows  # pyright: ignore[reportPrivateUsage] - to see what it asks SQLite

    def noted(self: Index, sql: str, values: Any) -> Any:
        plan = rows(self, f"explain query plan {sql}", values)
        asked.extend(str(one[3]) for one in plan)
        return rows(self, sql, values)

    with patched(Index, "_rows", noted):
        assert index.by_hash("review", entries[7].digest[:60]) == [entries[7]]
        assert index.by_label("review", (1, 19_000, 0)) == entries[18_999]
        assert index.by_range("review", [((1, 5, 0), (1, 6, 0))]) == entries[4]
        assert index.by_moment("review", 77.5) == entries[76]
        assert index.by_commit("review", entries[3].commit) == entries[3]
        assert index.page("review", 2, None) == entries[:-3:-1]
        assert index.newest("review") == entries[-1]
    assert len(asked) >= 7
    assert all(plan.startswith("SEARCH entry") for plan in asked), asked
    # All but the newest are looked for by more than the id.
    assert sum(" AND " in plan for plan in asked) == len(asked) - 1, asked
    index.close()
    (world.folder / "blueprints.index").unlink()
    with patched(packing, "_SAMPLE_FULL", 1):
        while not list((world.path / "objects/pack").glob("*.pack")):
            await world.add("a")
            await world.add("b")
    assert len(list(world.loose())) < 20
    await world.check_linear()
    world.check_whole()


@row("F30", plain_ids)
async def many_ids(world: World) -> None:
    count = int(os.environ.get("GIT_IDS", "150"))
    with patched(type(pygit2.settings), "enable_fsync_gitdir", unsynced):
        for n in range(count):
            await world.add("a", id=f"b{n:04}")
            if n == 20:
                before = len(os.listdir("/proc/self/fd"))
    assert len(await world.anew().blueprints()) == count
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # pyright: ignore[reportPossiblyUnboundVariable]


@row("F31", works)
async def reading_while_things_go(world: World) -> None:
    entries = await world.filled(*"abcdef")
    reader = GitVersions(world.folder)
    read = 0

    async def look() -> None:
        nonlocal read
        while not done.is_set():
            for entry, word in zip(entries, "abcdef", strict=True):
                assert await reader.read(entry) == contents(word)
            try:
                assert await reader.find(parse_selector("review@prod")) in entries
            except Refused as error:
                assert error.code == "version.unknown", error  # noqa: PT017
            read += 1

    done = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        with patched(packing, "_GRACE_S", -1.0):
            for n in range(12):
                await world.store.tag("review", "prod", entries[n % 6])
                await world.add(f"more {n}", id="other")
                await world.store.collect()
                await world.store.tag("review", "prod", None)
        done.set()
    assert read > 3
    reader.close()
    world.check_whole()


@row("F33", works)
async def a_clock_that_goes_back(world: World) -> None:
    behind: Entry | None = None
    for n, at_s in enumerate((2000.0, 1000.0, 1500.0, 3000.0, 0.0)):
        commit = None if behind is None else behind.commit
        put = contents(str(n))
        behind = await world.store.add(put, note(at_s), label=f"1.{n}.0", expected=commit)
    log = await world.check_linear()
    assert [entry.label for entry in log] == [f"1.{n}.0" for n in (4, 3, 2, 1, 0)]
    (world.folder / "blueprints.index").unlink()
    assert await world.anew().log("review") == log
    assert (await world.find("review@{1970-01-01T00:40:00}")).label == "1.2.0"


@row("F34", works)
async def what_is_acknowledged_is_on_the_disk(world: World) -> None:
    await world.filled("a")
    said: list[bool] = []
    option = type(pygit2.settings).enable_fsync_gitdir

    def noted(self: Any, on: bool) -> Any:
        said.append(on)
        return option(self, on)

    count = synced()
    with patched(type(pygit2.settings), "enable_fsync_gitdir", noted):
        before = None if count is None else count.value
        await world.add("b")
    assert said == [True]
    if count is not None and before is not None:
        # Two blobs at least are new, a tree, a commit, two refs; and their folders.
        assert count.value - before >= 6, count.value - before


def unsynced(self: Any, on: bool) -> None:
    """Leave libgit2 as it is."""


def synced() -> Any:
    """Return libgit2's own count of syncs, if the library still has its table of symbols."""
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    ours = [line for line in lines if "libgit2-" in line[-1] or "libgit2.so" in line[-1]]
    if not ours:
        return None
    base, body = int(ours[0][0].split("-")[0], 16), Path(ours[0][-1]).read_bytes()
    (table,) = struct.unpack_from("<Q", body, 0x28)
    size, sections = struct.unpack_from("<HH", body, 0x3A)
    heads = [struct.unpack_from("<IIQQQQIIQQ", body, table + size * n) for n in range(sections)]
    for _, kind, _, _, at, length, link, *_ in heads:
        for entry in range(at, at + length, 24) if kind == 2 else ():
            name, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", body, entry)
            start = heads[link][4] + name
            if body[start : body.index(b"\0", start)] == b"p_fsync__cnt":
                return ctypes.c_size_t.from_address(base + value)
    return None


# -- running them ------------------------------------------------------------------------


def plant(name: str) -> None:
    """Put a part of the store out of work."""

    def nothing(*arguments: Any) -> Any:
        """Do nothing."""

    match name:
        case "unlooked":
            Objects._check = cast(Any, nothing)  # pyright: ignore[reportPrivateUsage]
            Packs.check = cast(Any, nothing)
        case "overwriting":
            import swarm.stores.git.histories as module

            module.check_expected = cast(Any, nothing)
            Histories._commit = _forced  # pyright: ignore[reportPrivateUsage]
        case "unlocked":
            repository._free = nothing  # pyright: ignore[reportPrivateUsage]
        case "unsynced":
            type(pygit2.settings).enable_fsync_gitdir = cast(Any, nothing)
        case "trusting":
            Facts.contents = lambda self, tree: Contents(  # pyright: ignore[reportAttributeAccessIssue]
                json.loads(tree["blueprint.json"][0]),
                {p: File(*one) for p, one in tree.items() if not p.endswith(".json")},
                self.source,
            )
        case _:
            raise AssertionError(name)


def _forced(self: Any, git: Any, ref: str, facts: Facts, tree: str, above: list[str]) -> str:
    oids: Any = [pygit2.Oid(hex=one) for one in above]
    oid = git.create_commit(None, SIGNATURE, SIGNATURE, "m", pygit2.Oid(hex=tree), oids)
    git.references.create(ref, oid, force=True)
    return str(oid)


def went(act: Row, folder: Path) -> str | None:
    """Return what went wrong, or None."""
    folder.mkdir(parents=True)
    world = World(folder)
    try:
        anyio.run(act, world)
    except BaseException as error:  # noqa: BLE001 - all that it says is told
        place = traceback.extract_tb(error.__traceback__)
        own = [one for one in place if one.filename.endswith(("git_rows.py", "git_world.py"))]
        lines = " < ".join(f"{one.name}:{one.lineno}" for one in own[::-1])
        return f"{type(error).__name__}: {error} ({lines})"[:1000]
    finally:
        world.close()
    return None


def main() -> None:
    folder, *more = sys.argv[1:]
    chosen = [word for word in more if word in ROWS] or list(ROWS)
    if "--planted" in more:
        plant(more[more.index("--planted") + 1])
    Path(folder).chmod(0o755)
    for name in chosen:
        for side, act in zip(("hostile", "benign"), ROWS[name], strict=True):
            print(json.dumps({"row": name, "side": side, "begun": True}), flush=True)  # noqa: T201
            began_s = time.process_time()
            wrong = went(act, Path(folder) / name / side)
            took_s = round(time.process_time() - began_s, 2)
            told = {"row": name, "side": side, "wrong": wrong, "cpu_s": took_s}
            print(json.dumps(told), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
