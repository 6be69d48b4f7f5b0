"""What a blueprint may read by name, and every way to read more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarm.compiler.shelf import FileRefused, Shelf

HIDDEN = "not to be read"
MOST = 1_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A blueprint's folder, beside what it may not read."""
    (tmp_path / "secret.txt").write_text(HIDDEN)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text(HIDDEN)
    own = tmp_path / "own"
    (own / "sub" / "deep").mkdir(parents=True)
    (own / "a.txt").write_text("a")
    (own / "sub" / "b.txt").write_text("b")
    (own / ".env").write_text(HIDDEN)
    (own / ".git").mkdir()
    (own / ".git" / "config").write_text(HIDDEN)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "c.txt").write_text("c")
    return own


def shelf(folder: Path) -> Shelf:
    return Shelf(folder, {"shared": folder.parent / "shared"})


def told(folder: Path, name: object) -> FileRefused | None:
    """Return why a name is refused; None: it was read."""
    try:
        shelf(folder).read(name, MOST).text()
    except FileRefused as refused:
        return refused
    return None


def code(folder: Path, name: object) -> str | None:
    """Return the code with which a name is refused, in one sentence."""
    refused = told(folder, name)
    if refused is None:
        assert HIDDEN not in shelf(folder).read(name, MOST).text()
        return None
    assert "\n" not in refused.sentence
    assert len(refused.sentence) < 700
    return refused.code


@pytest.mark.parametrize("name", ["a.txt", "./a.txt", "sub/b.txt", "shared:c.txt"])
def test_what_is_below_is_read(folder: Path, name: str) -> None:
    assert code(folder, name) is None


def test_a_file_is_known_by_name_digest_and_text(folder: Path) -> None:
    (folder / "crlf.txt").write_bytes(b"\xef\xbb\xbfa\r\nb\rc")
    read = shelf(folder).read("crlf.txt", MOST)
    assert (read.name, read.text()) == ("crlf.txt", "a\nb\nc")
    assert len(read.digest) == 64


# Every name, and the benign one beside it that only differs in what is wrong.
HOSTILE: list[tuple[object, str]] = [
    ("../secret.txt", "a.txt"),
    ("sub/../../secret.txt", "sub/b.txt"),
    ("sub/../a.txt", "a.txt"),
    ("./../secret.txt", "./a.txt"),
    ("sub/./b.txt", "sub/b.txt"),
    ("sub//b.txt", "sub/b.txt"),
    ("..", "a.txt"),
    (".", "a.txt"),
    ("", "a.txt"),
    ("/", "a.txt"),
    ("/etc/passwd", "a.txt"),
    ("//etc/passwd", "a.txt"),
    ("~/secret.txt", "a.txt"),
    ("~root/secret.txt", "a.txt"),
    ("..\\secret.txt", "a.txt"),
    ("sub\\b.txt", "sub/b.txt"),
    ("C:\\secret.txt", "a.txt"),
    ("C:/secret.txt", "shared:c.txt"),
    ("file:///etc/passwd", "shared:c.txt"),
    ("https://example.org/a.txt", "shared:c.txt"),
    ("shared:../secret.txt", "shared:c.txt"),
    ("shared:/etc/passwd", "shared:c.txt"),
    ("shared:", "shared:c.txt"),
    ("shared:shared:c.txt", "shared:c.txt"),
    (":c.txt", "shared:c.txt"),
    ("Shared:c.txt", "shared:c.txt"),
    ("../shared:c.txt", "shared:c.txt"),
    ("a.txt\0.md", "a.txt"),
    ("a.txt\n", "a.txt"),
    ("a.txt\x7f", "a.txt"),
    ("\u202etxt.a", "a.txt"),
    ("a.txt/", "a.txt"),
    ("a.txt/b", "sub/b.txt"),
    ("\uff0e\uff0e/secret.txt", "a.txt"),
    ("..%2fsecret.txt", "a.txt"),
    ("%2e%2e/secret.txt", "a.txt"),
    ("$HOME/secret.txt", "a.txt"),
    (".env", "a.txt"),
    (".git/config", "sub/b.txt"),
    ("sub/.hidden", "sub/b.txt"),
    ("sub", "sub/b.txt"),
    ("x" * 600, "a.txt"),
    ("x" * 300, "a.txt"),
    ("/".join("x" * 250), "sub/b.txt"),
    (["a.txt"], "a.txt"),
    (None, "a.txt"),
    (5, "a.txt"),
    ({"$file": "a.txt"}, "a.txt"),
    ("\ud800", "a.txt"),
]


def test_nothing_that_a_name_can_spell_leaves_the_folder(folder: Path) -> None:
    survived = sum(code(folder, name) is not None for name, _ in HOSTILE)
    benign = sum(code(folder, twin) is None for _, twin in HOSTILE)
    print(f"names: {survived} / {len(HOSTILE)} refused, {benign} / {len(HOSTILE)} twins read")  # noqa: T201
    assert survived == benign == len(HOSTILE)


def test_with_one_rule_less_the_list_turns_red(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_rule(path: str) -> None:
        return None

    monkeypatch.setattr("swarm.compiler.shelf.path_fault", no_rule)
    assert told(folder, ".env") is told(folder, ".git/config") is None


def links(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Make links, and yield each with the code that reading it must have."""
    made: list[tuple[str, str, str | None]] = [
        ("in.txt", "sub/b.txt", None),
        ("in_dir", "sub", None),
        ("sub/up.txt", "../a.txt", None),
        ("out.txt", "../secret.txt", "file.outside"),
        ("out_absolute.txt", str(folder.parent / "secret.txt"), "file.outside"),
        ("out_gone.txt", "../nothing.txt", "file.outside"),
        ("out_dir", "../outside", "file.outside"),
        ("chain_1", "chain_2", "file.outside"),
        ("chain_2", "../secret.txt", "file.outside"),
        ("circle_1", "circle_2", "file.unreadable"),
        ("circle_2", "circle_1", "file.unreadable"),
        ("itself", "itself", "file.unreadable"),
        ("gone.txt", "nothing.txt", "file.missing"),
        ("root", "/", "file.outside"),
        ("sibling", "../own-not/secret.txt", "file.outside"),
        ("proc", "/proc/self/environ", "file.outside"),
    ]
    for name, target, expected in made:
        (folder / name).symlink_to(target)
        inner = {"in_dir": "in_dir/b.txt", "out_dir": "out_dir/secret.txt"}.get(name, name)
        yield inner, expected


def test_a_link_is_followed_as_long_as_it_stays_below(folder: Path) -> None:
    made = list(links(folder))
    assert [(name, code(folder, name)) for name, _ in made] == made


def test_a_link_that_appears_while_the_file_is_opened_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever swaps a folder for a link, after its way was judged, meets an error."""
    real_open, swapped = os.open, []

    def open_(path: object, *args: object, **named: object) -> int:
        if path == "sub" and not swapped:
            swapped.append(path)
            (folder / "sub").rename(folder / "was")
            (folder / "sub").symlink_to("../outside")
        return real_open(path, *args, **named)  # type: ignore[arg-type]

    (folder / "sub" / "secret.txt").write_text("mine")
    assert code(folder, "sub/secret.txt") is None
    monkeypatch.setattr(os, "open", open_)
    assert code(folder, "sub/secret.txt") in ("file.unreadable", "file.missing")
    assert swapped


def test_what_is_no_plain_file_is_refused_without_waiting(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert code(folder, "pipe") == "file.special"
    (folder / "locked").write_text("x")
    (folder / "locked").chmod(0)
    assert code(folder, "locked") == ("file.unreadable" if os.geteuid() else None)


def test_a_large_file_is_not_read_to_its_end(folder: Path) -> None:
    with (folder / "large").open("wb") as file:
        file.truncate(50 * 1024 * 1024 * 1024)
    assert code(folder, "large") == "file.too_large"
    (folder / "fits").write_text("x" * MOST)
    assert code(folder, "fits") is None
    again = shelf(folder)
    again.read("fits", MOST)
    with pytest.raises(FileRefused, match="at most 10 bytes"):
        again.read("fits", 10)


def test_without_a_folder_only_includes_are_read(folder: Path) -> None:
    bare = Shelf(None, {"shared": folder.parent / "shared"})
    assert bare.read("shared:c.txt", MOST).text() == "c"
    with pytest.raises(FileRefused) as caught:
        bare.read("a.txt", MOST)
    assert caught.value.code == "file.folder"


def test_descriptors_are_given_back(folder: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for name, _ in HOSTILE:
        code(folder, name)
    for name, _ in links(folder):
        code(folder, name)
    assert len(os.listdir("/proc/self/fd")) == before
