"""What comes before it is asked for, and what is over: kept, and bounded."""

from __future__ import annotations

from swarm.operators.frames import Part
from swarm.operators.shelf import Shelf
from swarm.ports.operators import Reply


def part(key: str, name: str = "p", value: object = 1) -> Part:
    return Part(key=key, name=name, value=value)


def test_an_early_answer_and_its_parts_are_taken_once() -> None:
    shelf = Shelf(10)
    shelf.lay_ending("k", Reply(1), "ada")
    assert shelf.lay_part(part("k", value="first"))
    assert shelf.lay_part(part("k", value="last"))
    assert [one.value for one in shelf.take_parts("k")] == ["last"]
    assert shelf.take_parts("k") == []
    assert shelf.take_ending("k") == (Reply(1), "ada")
    assert shelf.take_ending("k") is None


def test_what_lies_longest_goes_first() -> None:
    shelf = Shelf(3)
    for n in range(5):
        shelf.lay_ending(f"k{n}", Reply(n), "ada")
        shelf.lay_part(part(f"k{n}"))
        shelf.note_over(f"o{n}", "ada")
    assert [shelf.take_ending(f"k{n}") is not None for n in range(5)] == [False] * 2 + [True] * 3
    assert [bool(shelf.take_parts(f"k{n}")) for n in range(5)] == [False] * 2 + [True] * 3
    assert [shelf.is_over(f"o{n}") for n in range(5)] == [False] * 2 + [True] * 3


def test_of_one_order_so_many_parts_are_kept_and_no_more() -> None:
    shelf = Shelf(3)
    assert all(shelf.lay_part(part("k", f"p{n}")) for n in range(256))
    assert not shelf.lay_part(part("k", "one more"))
    assert shelf.lay_part(part("k", "p0", "again"))


def test_what_was_taken_back_is_over_and_nobodys() -> None:
    shelf = Shelf(3)
    shelf.note_over("k")
    assert shelf.is_over("k")
    assert not shelf.answered("k", "ada")
