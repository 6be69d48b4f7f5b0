"""What a version can hold: just so much is welcome, and one more is refused."""

from __future__ import annotations

import pytest

from swarm.blueprint.selector import Selector, parse_selector
from swarm.errors import Refused
from swarm.ports.versions import Contents, Entry, File, Note
from swarm.stores.version_rules import (
    ambiguous,
    check_expected,
    check_files,
    check_label,
    plain_note,
    unknown,
)

MEBI = 1024 * 1024


def _check(files: dict[str, int]) -> None:
    check_files(Contents({}, {name: File(b"x" * size) for name, size in files.items()}, "a"))


@pytest.mark.parametrize(
    ("most", "more", "said"),
    [
        (
            {str(n): 0 for n in range(1000)},
            {str(n): 0 for n in range(1001)},
            "files: expected at most 1000 of them, got 1001",
        ),
        ({"a": 4 * MEBI}, {"a": 4 * MEBI + 1}, "a: expected at most 4194304 bytes, got 4194305"),
        (
            {str(n): 4 * MEBI for n in range(4)},
            {**{str(n): 4 * MEBI for n in range(4)}, "a": 1},
            "files: expected at most 16777216 bytes in all, got 16777217",
        ),
    ],
    ids=["files", "a file", "in all"],
)
def test_a_version_holds_just_so_much(
    most: dict[str, int], more: dict[str, int], said: str
) -> None:
    _check(most)
    with pytest.raises(Refused) as caught:
        _check(more)
    assert caught.value.code == "version.too_large"
    assert str(caught.value) == said


def test_a_path_has_just_so_many_characters() -> None:
    path = "/".join(["x" * 99] * 5)
    _check({path + "y": 0})
    with pytest.raises(Refused, match="plain path"):
        _check({path + "yy": 0})


@pytest.mark.parametrize(
    ("author", "plain"),
    [
        ("ada", "ada"),
        ("  ada\n\tlovelace\u202e ", "ada lovelace"),
        ("a" * 101, "a" * 100),
        ("\0" * 399 + "ada", "a"),
        ("\0" * 400 + "ada", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_name_is_plain_text_and_what_is_far_behind_is_not_looked_at(
    author: str, plain: str
) -> None:
    note = plain_note(Note(author, "b" * 501, 1.5))
    assert (note.author, note.reason, note.written_s) == (plain, "b" * 500, 1.5)


def an_entry(label: str, commit: str) -> Entry:
    return Entry("review", 1, "d" * 64, label, commit, Note("ada", "because", 1.0))


HEAD = an_entry("1.2.0", "c" * 40)


@pytest.mark.parametrize("label", ["1.2.1", "1.3.0", "2.0.0", "1.10.0"])
def test_a_label_above_the_newest_is_taken(label: str) -> None:
    check_label(label, HEAD)
    check_label("0.0.1", None)


@pytest.mark.parametrize("label", ["1.2.0", "1.1.9", "0.9.0"])
def test_a_label_that_is_not_above_the_newest_is_refused(label: str) -> None:
    with pytest.raises(Refused) as refused:
        check_label(label, HEAD)
    assert (refused.value.code, refused.value.message) == (
        "version.label",
        f"label: expected one above 1.2.0, the newest of review, got {label}",
    )
    assert refused.value.values == {"label": label, "newest": "1.2.0"}


BEGUN = an_entry("1.1.0", "b" * 40)
AFTER = "somebody wrote meanwhile; look at what came between, and try again on top of it"


@pytest.mark.parametrize(
    ("expected", "head", "begun", "said"),
    [
        (BEGUN.commit, HEAD, BEGUN, "expected 1.1.0 to be the newest entry, got 1.2.0 by ada"),
        (
            BEGUN.commit, HEAD, None,
            "expected entry bbbbbbbbbbbb to be the newest entry, got 1.2.0 by ada",
        ),
        (None, HEAD, None, "expected no history, got 1.2.0 by ada"),
        (BEGUN.commit, None, None, "expected entry bbbbbbbbbbbb to be the newest entry, got none"),
    ],
)  # fmt: skip
def test_who_does_not_know_the_newest_entry_is_told_what_came_between(
    expected: str | None, head: Entry | None, begun: Entry | None, said: str
) -> None:
    with pytest.raises(Refused) as refused:
        check_expected("review", expected, head, begun)
    assert (refused.value.code, refused.value.message) == (
        "version.conflict", f"review: {said} \u2014 {AFTER}",
    )  # fmt: skip
    assert refused.value.values == {"blueprint": "review", "expected": expected, "head": head}


def test_who_knows_the_newest_entry_may_write() -> None:
    check_expected("review", HEAD.commit, HEAD, HEAD)
    check_expected("review", None, None, None)


def test_what_a_selector_does_not_mean_is_told() -> None:
    assert unknown(Selector("review")).message == (
        "review: expected a blueprint of this store, got none of that id"
    )
    other = unknown(parse_selector("review@2.0.0"))
    assert (other.code, other.message, other.values) == (
        "version.unknown",
        "review: expected a version, got none for '2.0.0'",
        {"selector": "review@2.0.0"},
    )
    several = ambiguous(parse_selector("review@abcdef0"), [f"{n}" * 64 for n in range(4)])
    shown = ", ".join(f"{n}" * 16 for n in range(3))
    assert (several.code, several.message) == (
        "version.ambiguous",
        (
            f"review@abcdef0: expected the beginning of one hash, got that of {shown} \u2014 "
            "use more digits"
        ),
    )


def test_a_note_is_on_one_line_and_has_somebody() -> None:
    note = plain_note(Note(" a\x1bda\u202e \n", "be\tcause", 5.0))
    assert note == Note("a da", "be cause", 5.0)
    assert plain_note(Note("\x00", "", 5.0)) == Note("unknown", "", 5.0)
    long = plain_note(Note("x" * 101, "y" * 501, 5.0))
    assert (len(long.author), len(long.reason)) == (100, 500)


PATHS = [
    ("a", True), ("a/b/c.txt", True), ("\u00e9", True), ("...", True), (".a", True),
    ("gitx", True), (".gi", True), ("a.git", True), ("git~", True), ("git~x", True),
    ("a" * 200, True), ("a" * 201, False), ("", False), ("/a", False), ("a/", False),
    ("a//b", False), (".", False), ("..", False), ("a/../b", False), ("a/.", False),
    ("./a", False), ("a\\b", False), ("a\0b", False), ("a\nb", False), ("a\x7fb", False),
    ("a\u202eb", False), (".git", False), (".GIT", False), (".gitignore", False),
    ("a/.git/b", False), ("git~1", False), ("GIT~23", False), ("a/git~1", False),
    ("blueprint.json", False), ("meta.json", False), ("a/meta.json", True), ("Meta.json", True),
]  # fmt: skip


@pytest.mark.parametrize(("path", "good"), PATHS)
def test_a_path_is_plain_and_none_of_git_s_or_ours(path: str, good: bool) -> None:
    contents = Contents({}, {path: File(b"x")}, path)
    if good:
        check_files(contents)
        return
    with pytest.raises(Refused) as refused:
        check_files(contents)
    assert (refused.value.code, refused.value.values) == ("version.path", {"path": path})
    assert refused.value.message == (
        f"{path!r}: expected a plain path below the blueprint's folder, other than "
        "blueprint.json and meta.json"
    )


@pytest.mark.parametrize(
    ("paths", "good"),
    [
        (["a", "a/b"], False), (["a/b/c", "a"], False), (["a/b", "a/b/c"], False),
        (["a/b/c/d", "a/b/c"], False), (["a/b", "a/c", "ab"], True), (["a-b", "a/b"], True),
    ],
)  # fmt: skip
def test_no_path_is_a_file_and_a_folder(paths: list[str], good: bool) -> None:
    contents = Contents({}, {path: File(b"x") for path in paths}, paths[0])
    if good:
        check_files(contents)
    else:
        with pytest.raises(Refused) as refused:
            check_files(contents)
        assert refused.value.code == "version.path"
