"""How much an object may be, and how many of them a version: at the edge, and one beyond."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import pygit2
import pytest

from swarm.stores.git.objects import Damaged, Objects, Strange

MANY = 10_000  # ten times as many as a version has files
LARGE = 32 * 1024 * 1024


@pytest.fixture
def git(tmp_path: Path) -> pygit2.Repository:
    return pygit2.init_repository(tmp_path / "r.git", bare=True)


def _tree(git: pygit2.Repository, number: int) -> str:
    blob, builder = git.create_blob(b"1"), git.TreeBuilder()
    for name in range(number):
        builder.insert(f"{name:06}", blob, pygit2.enums.FileMode.BLOB)
    return str(builder.write())


def test_a_version_has_ten_thousand_files_and_folders_and_not_one_more(
    git: pygit2.Repository,
) -> None:
    assert len(Objects(git).files(_tree(git, MANY))) == MANY
    with pytest.raises(Damaged, match="expected at most 10000 files and folders"):
        Objects(git).files(_tree(git, MANY + 1))


def test_a_file_has_thirty_two_mebibytes_and_not_one_byte_more(git: pygit2.Repository) -> None:
    objects = Objects(git)
    # What is counted is the object: its kind and its length stand before its bytes.
    head = len(f"blob {LARGE}") + 1
    assert len(objects.body(str(git.create_blob(bytes(LARGE - head))))) == LARGE - head
    with pytest.raises(Damaged, match="cut short, or too large"):
        objects.body(str(git.create_blob(bytes(LARGE - head + 1))))


def test_a_folder_is_no_file(git: pygit2.Repository) -> None:
    tree = _tree(git, 1)
    with pytest.raises(Damaged, match="expected a blob"):
        Objects(git).body(tree)


def test_a_file_is_no_folder(git: pygit2.Repository) -> None:
    blob = str(git.create_blob(b"1"))
    with pytest.raises(Damaged, match="expected a tree"):
        Objects(git).files(blob)


def test_bytes_that_nothing_unpacks_are_damaged(git: pygit2.Repository) -> None:
    blob = str(git.create_blob(b"1"))
    place = Path(git.path, "objects", blob[:2], blob[2:])
    place.chmod(0o644)
    place.write_bytes(b"no zlib")
    with pytest.raises(Damaged, match="incorrect header check"):
        Objects(git).body(blob)


@pytest.mark.parametrize("lies", [b"", b"garbage", b"x\x9c"])
def test_what_is_written_where_damage_lies_takes_its_place(
    git: pygit2.Repository, lies: bytes
) -> None:
    objects = Objects(git)
    files = {"a/b.txt": (b"one", False)}
    tree = objects.add(files)
    blob = str(git.create_blob(b"one"))
    place = Path(git.path, "objects", blob[:2], blob[2:])
    place.chmod(0o644)
    place.write_bytes(lies)
    assert Objects(git).add(files) == tree
    assert Objects(git).body(blob) == b"one"


def _place(git: pygit2.Repository, oid: str) -> Path:
    place = Path(git.path, "objects", oid[:2], oid[2:])
    if place.exists():
        place.chmod(0o644)
    return place


def _packed(git: pygit2.Repository, *bodies: bytes) -> list[str]:
    """Put blobs into a pack alone, and return their names."""
    oids = [str(git.create_blob(body)) for body in bodies]
    git.pack()
    for oid in oids:
        _place(git, oid).unlink()
    return oids


def _damage_pack(git: pygit2.Repository) -> None:
    (pack,) = Path(git.path, "objects", "pack").glob("*.pack")
    pack.chmod(0o644)
    body = bytearray(pack.read_bytes())
    # Behind the head of the pack and of its first object, before the sum at its end.
    for at in range(16, len(body) - 20):
        body[at] ^= 0x5A
    pack.write_bytes(body)


def _opened(git: pygit2.Repository) -> Objects:
    """Return the objects as a process sees them that has read none of them yet."""
    return Objects(pygit2.Repository(git.path))


def test_other_bytes_than_the_name_says_are_damage(git: pygit2.Repository) -> None:
    blob = str(git.create_blob(b"one"))
    place = _place(git, blob)
    assert Objects(git).has(blob)
    place.write_bytes(zlib.compress(b"blob 3\0two"))
    said = rf"object {blob}: its bytes are not what its name says"
    for read in (_opened(git).body, _opened(git).check, _opened(git).stored):
        with pytest.raises(Damaged, match=said) as caught:
            read(blob)
        assert (caught.value.code, caught.value.values["oid"]) == ("version.damaged", blob)
    assert not Objects(git).has(blob)


def test_what_is_nowhere_is_said_to_be_nowhere(git: pygit2.Repository) -> None:
    nowhere = "0123456789" * 4
    for read in (Objects(git).body, Objects(git).commit, Objects(git).check):
        with pytest.raises(Damaged, match="expected an object, got none that can be read"):
            read(nowhere)
    assert not Objects(git).has(nowhere)


def test_a_file_is_no_commit(git: pygit2.Repository) -> None:
    with pytest.raises(Damaged, match="expected a commit"):
        Objects(git).commit(str(git.create_blob(b"1")))


@pytest.mark.parametrize("mode", [pygit2.enums.FileMode.LINK, pygit2.enums.FileMode.COMMIT])
def test_a_version_has_no_links_and_no_repositories(
    git: pygit2.Repository, mode: pygit2.enums.FileMode
) -> None:
    blob, builder = git.create_blob(b"../../etc/passwd"), git.TreeBuilder()
    builder.insert("way", blob, mode)
    said = f"expected plain files, got 'way' of mode {mode:o}"
    with pytest.raises(Strange, match=said):
        Objects(git).files(str(builder.write()))


def test_files_are_told_with_their_folders_and_whether_they_are_programs(
    git: pygit2.Repository,
) -> None:
    objects = Objects(git)
    files = {"a.txt": (b"1", False), "bin/run": (b"2", True), "bin/deep/b": (b"3", False)}
    found = objects.files(objects.add(files))
    told = {path: (objects.body(blob.oid), blob.executable) for path, blob in found.items()}
    assert told == files


def test_a_packed_file_is_read_and_a_large_one_is_refused_by_its_head(
    git: pygit2.Repository,
) -> None:
    small, large = _packed(git, b"small", bytes(LARGE + 1))
    objects = _opened(git)
    assert objects.body(small) == b"small"
    with pytest.raises(Damaged, match=f"expected at most {LARGE} bytes, got {LARGE + 1}"):
        objects.body(large)


def test_a_packed_file_of_just_thirty_two_mebibytes_is_read(git: pygit2.Repository) -> None:
    (large,) = _packed(git, bytes(LARGE))
    assert len(_opened(git).body(large)) == LARGE


def test_what_lies_damaged_in_a_pack_is_told_and_cannot_be_written_again(
    git: pygit2.Repository,
) -> None:
    body = bytes(range(256)) * 4
    (blob,) = _packed(git, body)
    assert _opened(git).body(blob) == body
    _damage_pack(git)
    for read in (_opened(git).body, _opened(git).stored):
        with pytest.raises(Damaged, match=rf"object {blob}: "):
            read(blob)
    with pytest.raises(Damaged):
        _opened(git).add({"a": (body, False)})


def test_a_folder_in_the_place_of_an_object_is_told_as_the_system_says_it(
    git: pygit2.Repository,
) -> None:
    blob = str(git.create_blob(b"1"))
    place = _place(git, blob)
    place.unlink()
    place.mkdir()
    with pytest.raises(Damaged, match=f"^object {blob}: is a directory$"):
        Objects(git).body(blob)


def test_a_spare_is_written_where_nothing_and_where_damage_lies(git: pygit2.Repository) -> None:
    objects = Objects(git)
    tree = objects.add({"a/b.txt": (b"one", False)})
    spares = [objects.stored(oid) for oid in objects.below(tree)]
    assert [spare.raw.split(b" ")[0] for spare in spares] == [b"tree", b"tree", b"blob"]

    def lie(place: Path) -> None:
        place.write_bytes(b"lies")

    def lose_its_folder(place: Path) -> None:
        shutil.rmtree(place.parent)

    damages: list[Callable[[Path], None]] = [Path.unlink, lie, lose_its_folder]
    for damage in damages:
        for spare in spares:
            damage(_place(git, spare.oid))
        assert not any(_opened(git).has(spare.oid) for spare in spares)
        for spare in spares:
            _opened(git).restore(spare)
        assert [_opened(git).stored(spare.oid) for spare in spares] == spares


def test_objects_of_a_commit_are_told_once_each_without_its_parents(
    git: pygit2.Repository,
) -> None:
    objects, by = Objects(git), pygit2.Signature("a", "a@b.c")
    first = objects.add({"a": (b"same", False), "b/c": (b"same", False)})
    parent = git.create_commit("refs/heads/x", by, by, "1", pygit2.Oid(hex=first), [])
    tree = objects.add({"a": (b"same", False), "b/c": (b"same", False), "d": (b"new", False)})
    commit = str(git.create_commit("refs/heads/x", by, by, "2", pygit2.Oid(hex=tree), [parent]))
    names = objects.of(commit)
    assert names[:2] == [commit, tree]
    assert len(names) == len(set(names)) == 5
    assert str(parent) not in names
