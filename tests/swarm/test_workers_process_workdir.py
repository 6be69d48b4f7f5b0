"""Directories of attempts by themselves: made, kept, taken down, and read without a way out."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarm.workers.process import workdir
from swarm.workers.process.workdir import FileRefused, Workdirs, read_below, remove_tree

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def open_to_all() -> Iterator[None]:
    """Let nothing but the code decide who may look."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_directories_are_made_in_a_folder_that_is_the_host_s_alone(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    dirs, root = Workdirs(), tmp_path / "link/a/b"
    assert dirs.settle(root) is False
    assert dirs.root == tmp_path / "real/a/b"
    assert mode(dirs.root) == 0o700
    one, other = dirs.make(), dirs.make()
    assert one != other
    for made in (one, other):
        assert (made.parent, made.name[:5], mode(made)) == (dirs.root, "step-", 0o700)
    dirs.close()
    assert one.is_dir(), "what was given is not taken down"
    assert dirs.root == tmp_path / "real/a/b"


def test_what_an_earlier_host_left_is_taken_down_and_nothing_else(tmp_path: Path) -> None:
    dirs = Workdirs()
    dirs.settle(tmp_path)
    full, kept = dirs.make(), dirs.make()
    (full / "file").write_text("x")
    (tmp_path / "other").mkdir()
    assert dirs.keep(kept) == tmp_path / "kept" / kept.name
    again = Workdirs()
    assert again.settle(tmp_path) is True
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "other"]
    assert (tmp_path / "kept" / kept.name).is_dir()
    assert again.settle(tmp_path) is False


async def test_without_a_folder_one_is_borrowed_and_given_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "tmp").symlink_to("real")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    dirs = Workdirs()
    dirs.close()
    root = dirs.root
    assert root == dirs.root
    assert (root.parent, root.name[:6]) == (tmp_path / "real", "swarm-")
    made = dirs.make()
    await dirs.remove(made)
    dirs.close()
    assert not root.exists()
    assert dirs.root != root
    kept = dirs.keep(dirs.make())
    dirs.close()
    assert kept.is_dir()


async def test_a_directory_is_kept_where_only_its_owner_looks(tmp_path: Path) -> None:
    dirs = Workdirs()
    dirs.settle(tmp_path)
    for _ in range(2):
        made = dirs.make()
        kept = dirs.keep(made)
        assert (kept.is_dir(), made.exists()) == (True, False)
    assert mode(tmp_path / "kept") == 0o700


async def test_an_empty_directory_goes_without_a_thread(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dirs = Workdirs()
    dirs.settle(tmp_path)
    empty, full, gone = dirs.make(), dirs.make(), tmp_path / "step-gone"
    (full / "file").write_text("x")
    sent: list[Path] = []

    def remove(top: Path) -> None:
        sent.append(top)
        remove_tree(top)

    monkeypatch.setattr(workdir, "remove_tree", remove)
    for one in (empty, full, gone):
        await dirs.remove(one)
        assert not one.exists()
    assert sent == [full]


# -- taking down ---------------------------------------------------------------------------


def test_what_a_tree_leads_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "file").write_text("x")
    top = tmp_path / "top"
    (top / "a/b").mkdir(parents=True)
    for place in (top, top / "a", top / "a/b"):
        (place / "folder").symlink_to(outside)
        (place / "file").symlink_to(outside / "file")
        (place / "nothing").symlink_to("nowhere")
        os.mkfifo(place / "fifo")
    remove_tree(top)
    assert not top.exists()
    top.symlink_to(outside)
    remove_tree(top)
    assert not os.path.lexists(top)
    assert ((outside / "file").read_text(), mode(outside)) == ("x", 0o755)
    remove_tree(top)
    remove_tree(outside / "file")
    assert (outside / "file").exists(), "what is no directory is none of ours"


def test_what_is_gone_meanwhile_is_no_reason_to_stop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "top").mkdir()
    for name in ("a", "b"):
        (tmp_path / "top" / name).write_text("x")
    real = os.unlink

    def unlink(path: str) -> None:
        real(path)
        real(path)

    monkeypatch.setattr(os, "unlink", unlink)
    remove_tree(tmp_path / "top")
    assert not (tmp_path / "top").exists()


def test_permissions_of_what_is_in_a_tree_stop_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The owner of it all may do everything; others need the modes that are set on the way."""
    top = tmp_path / "top"
    (top / "a/b").mkdir(parents=True)
    told: list[tuple[str, int]] = []
    real = os.chmod

    def chmod(path: str, mode: int) -> None:
        told.append((Path(path).name, mode))
        real(path, mode)

    monkeypatch.setattr(os, "chmod", chmod)
    remove_tree(top)
    assert told[:3] == [("top", 0o700), ("a", 0o700), ("b", 0o700)]
    assert not top.exists()


# -- reading -------------------------------------------------------------------------------


@pytest.fixture
def below(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    (top / "a/b").mkdir(parents=True)
    (top / "file").write_bytes(b"12345")
    (top / "a/b/file").write_bytes(b"deep")
    (top / "empty").write_bytes(b"")
    os.mkfifo(top / "fifo")
    (tmp_path / "secret").write_text("s")
    (top / "link").symlink_to(tmp_path / "secret")
    (top / "inside").symlink_to("file")
    (top / "folder").symlink_to(tmp_path)
    return top


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("name", "most", "data"),
    [("file", 5, b"12345"), ("a/b/file", 4, b"deep"), ("empty", 0, b""), ("./file", 9, b"12345")],
)
def test_a_plain_file_is_read_up_to_what_it_may_have(
    below: Path, name: str, most: int, data: bytes
) -> None:
    before = open_files()
    assert read_below(below, name, most) == data
    assert open_files() == before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("file", "has 5 bytes, and may have 4"),
        ("nothing", "is not there"),
        ("nothing/file", "is not there"),
        ("a/nothing/file", "is not there"),
        ("a", "is no plain file"),
        ("fifo", "is no plain file"),
        ("file/x", "not a directory"),
        ("a/b/file/x", "not a directory"),
        ("link", "leads through a link"),
        ("inside", "leads through a link"),
        ("folder/secret", "leads through a link"),
        ("x" * 300, "file name too long"),
    ],
)
def test_what_cannot_be_taken_says_why(below: Path, name: str, said: str) -> None:
    before = open_files()
    with pytest.raises(FileRefused) as refused:
        read_below(below, name, 4)
    assert str(refused.value) == said
    assert open_files() == before


@pytest.mark.parametrize("place", ["nowhere", "file", "folder"])
def test_a_directory_that_is_not_there_has_no_files(below: Path, place: str) -> None:
    with pytest.raises(FileRefused) as refused:
        read_below(below / place, "secret", 4)
    assert str(refused.value) == "is not there: neither is its directory"


def test_a_file_that_has_more_than_it_said_is_refused_all_the_same() -> None:
    # Files of the system say that they are empty.
    place = Path("/proc").joinpath(str(os.getpid()))
    size = len(read_below(place, "cmdline", 1 << 20))
    assert len(read_below(place, "cmdline", size)) == size
    with pytest.raises(FileRefused) as refused:
        read_below(place, "cmdline", size - 1)
    assert str(refused.value) == f"has more than {size - 1} bytes"
