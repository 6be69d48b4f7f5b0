"""What a version can hold: just so much is welcome, and one more is refused."""

from __future__ import annotations

import pytest

from swarm.errors import Refused
from swarm.ports.versions import Contents, File, Note
from swarm.stores.version_rules import check_files, plain_note

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
