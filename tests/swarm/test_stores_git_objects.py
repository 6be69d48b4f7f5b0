"""How much an object may be, and how many of them a version: at the edge, and one beyond."""

from __future__ import annotations

from pathlib import Path

import pygit2
import pytest

from swarm.stores.git.objects import Damaged, Objects

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
