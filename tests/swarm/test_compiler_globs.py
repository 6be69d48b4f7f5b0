"""The files that processes need: which a pattern finds, and which it never does."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from flowir.errors import Problem
from swarm.compiler import globs
from swarm.compiler.globs import Globs
from swarm.compiler.shelf import Shelf

FILES = (
    "a.py",
    "b.txt",
    "tools/check.py",
    "tools/grade.py",
    "tools/data/words.txt",
    "tools/data/deep/x.py",
    "tools/[odd].py",
    "other/check.py",
    ".env",
    ".git/config",
    "tools/.cache/c.py",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "own"
    for name in FILES:
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text(name)
    (tmp_path / "outside.py").write_text("no")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "o.py").write_text("no")
    return own


def found(folder: Path | None, files: Any) -> tuple[Any, list[str]]:
    told: list[Problem] = []
    made = Globs(Shelf(folder, {}), told).digests(files)
    return made, [f"{problem.code}: {problem}" for problem in told]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.py", ["a.py"]),
        ("./a.py", ["a.py"]),
        ("*.py", ["a.py"]),
        ("?.*", ["a.py", "b.txt"]),
        ("tools/*.py", ["tools/[odd].py", "tools/check.py", "tools/grade.py"]),
        ("tools/[!c]*.py", ["tools/[odd].py", "tools/grade.py"]),
        ("tools/[[]odd].py", ["tools/[odd].py"]),
        ("*/check.py", ["other/check.py", "tools/check.py"]),
        ("**/check.py", ["other/check.py", "tools/check.py"]),
        ("**/x.py", ["tools/data/deep/x.py"]),
        ("tools/**/x.py", ["tools/data/deep/x.py"]),
        ("tools/data/**", ["tools/data/deep/x.py", "tools/data/words.txt"]),
        ("tools/data", ["tools/data/deep/x.py", "tools/data/words.txt"]),
        ("tools/data/", ["tools/data/deep/x.py", "tools/data/words.txt"]),
        ("t*/d*", ["tools/data/deep/x.py", "tools/data/words.txt"]),
        ("**/**/**/a.py", ["a.py"]),
        ("**", sorted(name for name in FILES if "/." not in f"/{name}")),
    ],
)
def test_a_pattern_finds_its_files(folder: Path, pattern: str, names: list[str]) -> None:
    made, told = found(folder, [pattern])
    assert told == []
    assert made == {name: hashlib.sha256(name.encode()).hexdigest() for name in names}


def test_files_of_several_patterns_are_there_once_in_order(folder: Path) -> None:
    made, told = found(folder, ["tools/*.py", "**/check.py", "a.py"])
    assert told == []
    assert list(made) == sorted(made)


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("../outside.py", "file.path: $.files[0]: expected a path below the blueprint's folder"),
        ("tools/../../outside.py", "file.path: "),
        ("/etc/*", "file.path: "),
        ("~/x", "file.path: "),
        ("tools\\check.py", "file.path: "),
        (
            "shared:a.py",
            (
                "file.path: $.files[0]: expected a path below the blueprint's folder, "
                "got 'shared:a.py'"
            ),
        ),
        (
            ".env",
            (
                "file.path: $.files[0]: expected a path below the blueprint's folder, got '.env', "
                "in which '.env' is hidden"
            ),
        ),
        (".*", "file.path: "),
        (".git/**", "file.path: "),
        ("**/.cache/*", "file.path: "),
        ("nothing.py", "file.missing: $.files[0]: expected a file, got nothing of the name"),
        ("tools/*.rb", "file.missing: $.files[0]: expected a file of this pattern, got none"),
        ("**/nothing", "file.missing: "),
    ],
)
def test_a_pattern_that_cannot_be_is_one_sentence(
    folder: Path, pattern: str, sentence: str
) -> None:
    made, told = found(folder, [pattern])
    assert made == {}
    assert [one[: len(sentence)] for one in told] == [sentence]


def test_a_link_that_leads_out_is_refused_and_one_inside_is_read(folder: Path) -> None:
    (folder / "in.py").symlink_to("tools/check.py")
    made, told = found(folder, ["in.py"])
    assert (list(made), told) == (["in.py"], [])
    (folder / "out.py").symlink_to("../outside.py")
    (folder / "out").symlink_to("../outside")
    assert [one.partition(":")[0] for one in found(folder, ["out.py"])[1]] == ["file.outside"]
    assert [one.partition(":")[0] for one in found(folder, ["out/o.py"])[1]] == ["file.outside"]
    assert "out/o.py" not in found(folder, ["**/*.py"])[0]


def test_a_folder_of_links_in_a_circle_ends(folder: Path) -> None:
    (folder / "tools" / "again").symlink_to("../tools")
    assert "tools/again/check.py" not in found(folder, ["tools/**"])[0]


def test_too_much_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(globs, "_MOST", 3)
    assert "file.too_large: $.files[0]: expected at most 3 files" in found(folder, ["**"])[1][0]
    monkeypatch.setattr(globs, "_MOST", 1_000)
    monkeypatch.setattr(globs, "_SEEN", 3)
    assert "expected at most 3 files to look at" in found(folder, ["**"])[1][0]
    monkeypatch.setattr(globs, "_SEEN", 1_000)
    monkeypatch.setattr(globs, "_ALL_BYTES", 30)
    assert "expected at most 30 bytes of files" in found(folder, ["**"])[1][0]
    monkeypatch.setattr(globs, "_FILE_BYTES", 5)
    assert found(folder, ["a.py"])[1] == []
    assert "file.too_large" in found(folder, ["b.txt", "tools/check.py"])[1][0]


def test_too_much_is_said_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"n{number}" for number in range(20)]
    for name in names:
        (folder / name).write_text("1234567890")
    for limit, most in (("_MOST", 3), ("_ALL_BYTES", 25)):
        with monkeypatch.context() as patched:
            patched.setattr(globs, limit, most)
            for files in (names, ["n*"], ["n1*", "n*"]):
                assert [one.partition(":")[0] for one in found(folder, files)[1]] == [
                    "file.too_large"
                ]
    assert found(folder, names)[1] == []


def test_a_pattern_of_many_stars_is_no_work(folder: Path) -> None:
    deep = folder / "/".join("d" * 60)
    deep.mkdir(parents=True)
    (deep / "x").write_text("")
    assert list(found(folder, ["/".join(["**"] * 150) + "/x"])[0]) == ["/".join("d" * 60) + "/x"]
    assert found(folder, ["*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"])[0] == {}


def test_a_document_that_was_built_is_held_against_its_files(folder: Path) -> None:
    made, _ = found(folder, ["tools/*.py"])
    assert found(folder, made) == (made, [])
    (folder / "tools" / "check.py").write_text("changed")
    (folder / "tools" / "grade.py").unlink()
    told = found(folder, made)[1]
    assert [one.partition(":")[0] for one in told] == ["file.changed", "file.missing"]


def test_without_a_folder_there_are_no_files() -> None:
    assert found(None, ["a.py"])[1][0].startswith("file.folder: $.files: expected a blueprint that")


@pytest.mark.parametrize("files", ["a.py", 5, None, [1], [""], [["a"]]])
def test_what_is_no_list_of_paths_is_left_to_the_model(folder: Path, files: Any) -> None:
    assert found(folder, files) == (files, [])


# -- bounds, from both sides -----------------------------------------------------------------


def test_a_thousand_files_may_be_named(tmp_path: Path) -> None:
    for number in range(1_000):
        (tmp_path / f"f{number}").write_text("")
    made, told = found(tmp_path, ["*"])
    assert (len(made), told) == (1_000, [])
    (tmp_path / "one").write_text("")
    assert found(tmp_path, ["*"])[1] == [
        "file.too_large: $.files[0]: expected at most 1000 files, got more"
    ]


def test_files_may_be_of_4_mebibytes_and_of_32_together(tmp_path: Path) -> None:
    whole = b"x" * 4 * 1024 * 1024
    for number in range(8):
        (tmp_path / f"f{number}").write_bytes(whole)
    assert len(found(tmp_path, ["*"])[0]) == 8
    (tmp_path / "g").write_bytes(b"y")
    made, told = found(tmp_path, ["*"])
    assert len(made) == 8
    assert told == [
        "file.too_large: $.files[0]: expected at most 33554432 bytes of files, got more"
    ]
    assert found(tmp_path, {"f0": hashlib.sha256(whole).hexdigest()})[1] == []
    (tmp_path / "f0").write_bytes(whole + b"x")
    for files in (["f0"], {"f0": "d" * 64}):
        (one,) = found(tmp_path, files)[1]
        assert one.startswith("file.too_large: $.files")
        assert "expected at most 4194304 bytes, got more in 'f0'" in one


class _Entry:
    """A file that is not there, but listed."""

    def __init__(self, name: str) -> None:
        self.name = self.path = name

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        return False


@pytest.mark.parametrize(("many", "refused"), [(50_000, False), (50_001, True)])
def test_fifty_thousand_entries_are_looked_at(
    folder: Path, many: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [_Entry(f"n{number}") for number in range(many)]

    def scandir(here: Path) -> Any:
        return nullcontext(listed)

    monkeypatch.setattr("os.scandir", scandir)
    (told,) = found(folder, ["x*"])[1]
    said = "at most 50000 files to look at, got more for 'x*'"
    none = "a file of this pattern, got none: 'x*'"
    code, what = ("too_large", said) if refused else ("missing", none)
    assert told == f"file.{code}: $.files[0]: expected {what}"


def test_what_cannot_be_had_is_told_whole(folder: Path) -> None:
    assert found(None, ["a.py"]) == (
        {},
        [
            (
                "file.folder: $.files: expected a blueprint that has a folder, for its files to be "
                "in — load it from a file"
            )
        ],
    )
    made, _ = found(folder, ["a.py", "b.txt"])
    (folder / "a.py").write_text("changed")
    new = hashlib.sha256(b"changed").hexdigest()
    assert found(folder, made)[1] == [
        (
            f'file.changed: $.files["a.py"]: expected the file of digest \'{made["a.py"][:14]}…, '
            f"got {new[:12]} — build the document anew"
        )
    ]
    # One that is gone keeps nobody from telling of the next.
    (folder / "a.py").unlink()
    (folder / "b.txt").unlink()
    told = found(folder, made)[1]
    assert [one.split(": expected")[0] for one in told] == [
        'file.missing: $.files["a.py"]', 'file.missing: $.files["b.txt"]',
    ]  # fmt: skip
    assert found(folder, ["tools/*.rb", "x*"])[1] == [
        "file.missing: $.files[0]: expected a file of this pattern, got none: 'tools/*.rb'",
        "file.missing: $.files[1]: expected a file of this pattern, got none: 'x*'",
    ]


def test_an_empty_folder_has_no_files(folder: Path) -> None:
    (folder / "empty").mkdir()
    (told,) = found(folder, ["empty"])[1]
    assert told.startswith("file.")
    assert found(folder, ["a.py", "empty"])[0].keys() == {"a.py"}
