"""The index of histories by itself: what it finds is what one would find by looking at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from swarm.blueprint.ranges import parse_label, parse_range
from swarm.ports.versions import Entry, Note
from swarm.stores.git import index as indexes
from swarm.stores.git.index import Index
from swarm.stores.git.objects import Stored


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    made = Index(tmp_path / "i.index")
    yield made
    made.close()


def entry(number: int, label: str, digest: str, written_s: float, **more: Any) -> Entry:
    note = Note(f"ada{number}", f"because {number}", written_s)
    return Entry(more.pop("id", "review"), number, digest, label, f"c{number}", note, **more)


FIRST = [
    entry(1, "1.0.0", "aa11", 100.0),
    entry(2, "1.1.0", "ab22", 300.0),
    # Written by a clock that went back: it was the newest from then on all the same.
    entry(3, "1.10.0", "aa11", 200.0),
]
LATER = [
    entry(4, "2.0.0", "ab33", 400.0, back_to="1.0.0"),
    entry(5, "2.0.1", "ff44", 400.0),
]
OTHER = [entry(1, "9.0.0", "aa99", 50.0, id="other")]


def filled(index: Index) -> Index:
    index.extend("review", FIRST, ["o1", "o2"], [Stored("o1", b"1"), Stored("o2", b"2")])
    index.extend("other", OTHER, ["o1"], [Stored("o1", b"1")])
    index.extend("review", LATER, ["o2", "o3"], [Stored("o3", b"3")])
    return index


def test_an_index_of_nothing_knows_nothing(index: Index) -> None:
    assert index.newest("review") is None
    assert index.by_commit("review", "c1") is None
    assert index.by_range("review", [((0, 0, 0), None)]) is None
    assert (index.by_hash("review", ""), index.page("review", 9, None)) == ([], [])
    assert (index.spare("review"), index.spared("review"), index.blueprints()) == ([], set(), [])


def test_what_is_put_in_is_found_again_by_each_of_its_names(index: Index) -> None:
    filled(index)
    every = [*FIRST, *LATER]
    assert index.newest("review") == LATER[-1]
    assert index.newest("other") == OTHER[0]
    assert [index.by_commit("review", one.commit) for one in every] == every
    assert [index.by_label("review", parse_label(one.label)) for one in every] == every
    assert index.by_commit("other", "c2") is None
    assert index.by_label("other", (1, 0, 0)) is None
    assert index.blueprints() == ["other", "review"]


@pytest.mark.parametrize(
    ("moment_s", "number"),
    [(99.9, None), (100.0, 1), (299.9, 1), (300.0, 3), (399.9, 3), (400.0, 5), (1e12, 5)],
)
def test_at_a_moment_the_entry_was_the_newest_that_had_been_reached(
    index: Index, moment_s: float, number: int | None
) -> None:
    found = filled(index).by_moment("review", moment_s)
    assert (found and found.number) == number
    assert index.by_moment("other", 49.0) is None


@pytest.mark.parametrize(
    "words", ["^1", "~1.1", "<1.1.0", "<=1.1.0", ">2.0.0", ">=1.10.0", "^3", ">=1.0.0 <1.10.0", "*"]
)
def test_of_a_range_the_highest_label_is_found(index: Index, words: str) -> None:
    intervals = parse_range(words)
    assert intervals is not None
    within = [
        one
        for one in (*FIRST, *LATER)
        if any(low <= parse_label(one.label) < (high or (1 << 62, 0, 0)) for low, high in intervals)
    ]
    best = max(within, key=lambda one: parse_label(one.label), default=None)
    assert filled(index).by_range("review", intervals) == best


def test_of_several_intervals_the_highest_label_of_all_is_found(index: Index) -> None:
    intervals = [((1, 0, 0), (1, 1, 0)), ((1, 1, 0), (1, 2, 0)), ((8, 0, 0), None)]
    assert filled(index).by_range("review", intervals) == FIRST[1]
    assert index.by_range("review", []) is None


def test_by_a_hash_each_version_is_found_once_by_its_newest_entry(index: Index) -> None:
    filled(index)
    for digits in ("a", "aa", "aa11", "ab", "ab3", "f", "0", "aa111"):
        newest: dict[str, Entry] = {}
        for one in (*FIRST, *LATER):
            if one.digest.startswith(digits):
                newest[one.digest] = one
        assert sorted(index.by_hash("review", digits), key=lambda one: one.number) == sorted(
            newest.values(), key=lambda one: one.number
        )
    many = [entry(n, f"3.0.{n}", f"e{n}", 500.0) for n in range(6, 12)]
    index.extend("review", many, [], [])
    assert len(index.by_hash("review", "e")) == 4


def test_a_page_is_of_the_newest_before_a_number(index: Index) -> None:
    filled(index)
    every = [*LATER[::-1], *FIRST[::-1]]
    assert index.page("review", 9, None) == every
    assert index.page("review", 2, None) == every[:2]
    assert index.page("review", 2, 5) == every[1:3]
    assert index.page("review", 9, 1) == []
    assert index.page("other", 9, None) == OTHER


def test_the_spare_is_of_the_newest_entry_alone(index: Index) -> None:
    filled(index)
    assert sorted(index.spare("review")) == [Stored("o2", b"2"), Stored("o3", b"3")]
    assert index.spared("review") == {"o2", "o3"}
    assert index.spare("other") == [Stored("o1", b"1")]
    # Another process may have put the same here, and more: what is behind changes no spare.
    index.extend("review", FIRST, ["o9"], [Stored("o9", b"9")])
    assert index.spared("review") == {"o2", "o3"}
    assert index.page("review", 9, None) == [*LATER[::-1], *FIRST[::-1]]


@pytest.mark.parametrize(
    ("commit", "left"), [("c4", 3), ("c1", 0), ("c5", 4), (None, 0), ("c9", 0)]
)
def test_what_is_forgotten_is_forgotten_from_there_on(
    index: Index, commit: str | None, left: int
) -> None:
    filled(index).forget("review", commit)
    assert index.page("review", 9, None) == [*FIRST, *LATER][:left][::-1]
    assert index.spare("review") == []
    assert index.page("other", 9, None) == OTHER
    assert index.spared("other") == {"o1"}
    index.extend("review", [*FIRST, *LATER][left:], ["o1"], [Stored("o1", b"1")])
    assert index.page("review", 9, None) == [*LATER[::-1], *FIRST[::-1]]


def test_entries_are_put_in_all_or_none(index: Index) -> None:
    filled(index)

    def broken() -> Iterator[Stored]:
        yield Stored("o7", b"7")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.extend("review", [entry(6, "3.0.0", "aa", 500.0)], ["o7"], broken())
    assert index.newest("review") == LATER[-1]
    assert index.spared("review") == {"o2", "o3"}
    index.extend("review", [entry(6, "3.0.0", "aa", 500.0)], ["o7"], [Stored("o7", b"7")])
    assert index.spared("review") == {"o7"}


def test_what_is_put_in_is_there_for_the_next_who_opens_it(index: Index, tmp_path: Path) -> None:
    filled(index)
    other = Index(tmp_path / "i.index")
    assert other.newest("review") == LATER[-1]
    index.close()
    index.close()
    assert other.newest("review") == LATER[-1]
    other.close()
    assert index.newest("review") == LATER[-1], "what was let go of is opened again"


@pytest.mark.parametrize("damage", ["garbage", "empty", "other form", "gone", "cut"])
@pytest.mark.parametrize("opened", [True, False])
def test_an_index_that_is_damaged_is_made_anew(tmp_path: Path, damage: str, opened: bool) -> None:
    path = tmp_path / "i.index"
    index = filled(Index(path))
    if damage == "other form":
        index.close()
        other = apsw.Connection(str(path))
        other.execute("pragma user_version = 7")
        other.close()
    elif damage == "gone":
        path.unlink()
    else:
        index.close()
        size = path.stat().st_size
        for beside in tmp_path.glob("i.index-*"):
            beside.unlink()
        body = {"garbage": b"x" * size, "empty": b"", "cut": path.read_bytes()[: size // 2]}
        path.write_bytes(body[damage])
    if not opened:
        index.close()
        index = Index(path)
    assert index.newest("review") is None
    filled(index)
    assert index.newest("review") == LATER[-1]
    index.close()
    assert Index(path).newest("review") == LATER[-1]


def test_damage_that_shows_later_makes_it_anew_as_well(index: Index) -> None:
    filled(index)
    acted: list[Any] = []

    def act(connection: Any) -> str:
        acted.append(connection)
        if len(acted) == 1:
            raise apsw.CorruptError("malformed")
        return "done"

    assert index._act(act) == "done"  # pyright: ignore[reportPrivateUsage]
    assert acted[0] is not acted[1]
    assert index.newest("review") is None


def test_where_nothing_may_be_written_it_is_in_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names: list[str] = []
    real = indexes.connect

    def connect(name: str) -> Any:
        names.append(name)
        if name != ":memory:":
            raise apsw.CantOpenError("no")
        return real(name)

    monkeypatch.setattr(indexes, "connect", connect)
    index = filled(Index(tmp_path / "i.index"))
    assert index.newest("review") == LATER[-1]
    assert names == [str(tmp_path / "i.index"), ":memory:"]
    assert os.listdir(tmp_path) == []
    index.close()


def test_settings_are_those_promised(index: Index) -> None:
    connection: Any = index._connection()  # pyright: ignore[reportPrivateUsage]
    assert connection is index._connection()  # pyright: ignore[reportPrivateUsage]
    found = {
        name: connection.execute(f"pragma {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "busy_timeout", "user_version")
    }
    assert found == {"journal_mode": "wal", "synchronous": 1, "busy_timeout": 10_000,
                     "user_version": 1}  # fmt: skip
    assert connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, -1) == 1


def test_a_connection_that_cannot_be_had_is_left(
    monkeypatch: pytest.MonkeyPatch, index: Index
) -> None:
    made: list[Any] = []
    real = indexes.connect

    def connect(name: str) -> Any:
        made.append(real(name))
        return made[-1]

    def fails(_connection: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(indexes, "connect", connect)
    monkeypatch.setattr(indexes, "_write_ahead", fails)
    with pytest.raises(KeyboardInterrupt):
        index.newest("review")
    with pytest.raises(apsw.ConnectionClosedError):
        made[0].execute("select 1")


def test_a_log_is_asked_for_until_the_others_have_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        tries = 0

        def execute(self, sql: str) -> None:
            assert sql == "pragma journal_mode = wal"
            self.tries += 1
            if self.tries < 4:
                raise apsw.BusyError

    now, waits = 100.0, []

    def wait(seconds: float) -> None:
        nonlocal now
        waits.append(seconds)
        now += 4.0

    monkeypatch.setattr(indexes.time, "monotonic", lambda: now)
    monkeypatch.setattr(indexes.time, "sleep", wait)
    few: Any = Busy()
    indexes._write_ahead(few)  # pyright: ignore[reportPrivateUsage]
    assert (few.tries, waits) == (4, [0.002] * 3)
    never: Any = Busy()
    never.tries = -100
    waits.clear()
    with pytest.raises(apsw.BusyError):
        indexes._write_ahead(never)  # pyright: ignore[reportPrivateUsage]
    assert len(waits) == 3, "ten seconds, and no more"
