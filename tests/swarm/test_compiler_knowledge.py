"""What is known of a context: joined, read and written, against worlds that it may be."""

from __future__ import annotations

import copy
import random
from itertools import product
from typing import Any

import pytest

from swarm.compiler.knowledge import (
    ABSENT,
    Absent,
    Answer,
    Each,
    Fields,
    Known,
    State,
    Words,
    join,
    member,
)


def words(text: str, *agents: str) -> Words:
    return Words(frozenset(("str", word) for word in text), frozenset(agents))


A, B, AB = words("a", "one"), words("b", "two"), words("ab", "one", "two")


def fields(**members: Known) -> Fields:
    return Fields(tuple(members.items()))


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (A, B, AB),
        (A, A, A),
        (Answer(A), Answer(B), Answer(AB)),
        (Answer(A), B, AB),
        (Each(A), Each(B), Each(AB)),
        (Each(A), Each(None), Each(None)),
        (Each(A), Each(ABSENT), Each(A)),
        (fields(x=A, y=A), fields(y=B, z=B), fields(y=AB)),
        (fields(x=A), fields(z=B), fields()),
        (fields(x=A), fields(x=Each(A)), fields(x=None)),
        (ABSENT, A, A),
        (ABSENT, None, None),
        (ABSENT, ABSENT, ABSENT),
        (None, None, None),
        *((None, known, None) for known in (A, Answer(A), Each(A), fields(x=A))),
        *((A, known, None) for known in (Each(A), fields(x=A))),
        *((Answer(A), known, None) for known in (Each(A), fields(x=A))),
        (Each(A), fields(x=A), None),
    ],
)
def test_of_one_of_two_is_known_what_holds_of_both(one: Known, other: Known, both: Known) -> None:
    assert join(one, other) == both
    assert join(other, one) == both


@pytest.mark.parametrize(
    ("known", "segment", "found"),
    [
        (Answer(A), "verdict", A),
        (Answer(A), "said", None),
        (Answer(A), 0, None),
        (Each(A), 0, A),
        (Each(A), "0", None),
        (fields(x=A, y=B), "y", B),
        (fields(x=A), "z", None),
        (fields(x=A), 0, None),
        (A, "x", None),
        (None, "x", None),
        (ABSENT, "x", ABSENT),
        (ABSENT, 0, ABSENT),
    ],
)
def test_what_is_known_of_a_member(known: Known, segment: str | int, found: Known) -> None:
    assert member(known, segment) == found


Written = list[tuple[tuple[str | int, ...], Known]]
X, XY = ("x",), ("x", "y")


@pytest.mark.parametrize(
    ("written", "reads"),
    [
        ([], {(): ABSENT, X: ABSENT, XY: ABSENT}),
        ([(X, A)], {(): fields(x=A), X: A, XY: None, ("z",): ABSENT}),
        ([(X, A), (X, B)], {X: B}),
        ([(XY, A)], {X: fields(y=A), XY: A, ("x", "z"): ABSENT, ("x", "y", "z"): None}),
        ([(XY, A), (X, B)], {X: B, XY: None}),
        ([(XY, A), (X, ABSENT)], {(): ABSENT, X: ABSENT}),
        ([(X, Answer(A))], {X: Answer(A), ("x", "verdict"): A, XY: None}),
        ([(X, Answer(A)), (XY, B)], {X: None, XY: B, ("x", "verdict"): None}),
        ([(X, A), (XY, B)], {X: None, XY: B}),
        ([(X, Each(A))], {("x", 0): A, ("x", 7): A, XY: None}),
        ([(X, Each(A)), (XY, B)], {X: None, XY: B, ("x", 0): None}),
        ([(X, None), (XY, B)], {X: None, XY: B, ("x", "z"): None}),
        ([(X, Each(A)), (("x", 0), B)], {X: None, ("x", 0): None}),
        ([(X, A), (("x", 0, "y"), B)], {X: None, XY: None}),
        ([(X, fields(y=A, z=B))], {X: fields(y=A, z=B), XY: A, ("x", "z"): B}),
        ([(X, fields(z=B, y=A))], {X: fields(y=A, z=B)}),
        ([(X, fields(y=A, z=B)), (XY, B)], {X: fields(y=B, z=B)}),
        ([(X, fields(y=fields(z=A)))], {("x", "y", "z"): A, XY: fields(z=A)}),
        ([(X, fields(y=ABSENT))], {X: ABSENT, XY: ABSENT}),
        ([((), None), (X, A)], {(): None, X: A, ("z",): None}),
    ],
)
def test_what_was_written_is_known_and_nothing_that_it_undid(
    written: Written, reads: dict[Any, Known]
) -> None:
    state = State()
    for way, known in written:
        state.write(way, known)
    assert {way: state.read(way) for way in reads} == reads


@pytest.mark.parametrize(
    ("one", "other", "reads"),
    [
        ([(X, A)], [(X, B)], {X: AB}),
        ([(X, A)], [], {X: A}),
        ([(X, A)], [(X, None)], {X: None}),
        ([(XY, A)], [(X, None)], {X: None, XY: None}),
        ([(XY, A)], [(XY, B)], {X: fields(y=AB)}),
        ([(XY, A), (("x", "z"), A)], [(XY, B)], {XY: AB, ("x", "z"): A}),
        ([(X, Answer(A))], [(("x", "verdict"), B)], {("x", "verdict"): AB}),
        ([(X, A), (("z",), B)], [(X, A)], {X: A, ("z",): B}),
    ],
)
def test_where_two_ways_come_together(
    one: Written, other: Written, reads: dict[Any, Known]
) -> None:
    left, right = State(), State()
    for state, written in ((left, one), (right, other)):
        for way, known in written:
            state.write(way, known)
    for met in (left.merged(right), right.merged(left)):
        assert {way: met.read(way) for way in reads} == reads


def test_a_copy_goes_its_own_way_and_may_become_another() -> None:
    state = State({X: A})
    other = state.copy()
    assert (other == state, len(other)) == (True, 1)
    other.write(("z",), B)
    assert (other == state, len(state), len(other)) == (False, 1, 2)
    state.become(other)
    assert state == other
    state.write(X, B)
    assert other.read(X) == A
    assert state != {X: A}
    assert State.__hash__ is None


def test_members_but_one_come_in_their_order() -> None:
    state = State({("z",): A, ("x", "y"): B, ("w",): None, (0,): A})
    assert list(state.without("z")) == [("w", None), ("x", fields(y=B))]
    assert [name for name, _ in state.without("none")] == ["w", "x", "z"]


# -- worlds ------------------------------------------------------------------------------

ONLY = object()  # nothing stands there


def covers(known: Known, value: Any) -> bool:
    """Tell whether a value may be what is known."""
    if known is None or value is ONLY:
        return True
    if isinstance(known, Absent):
        return False
    if isinstance(known, Words):
        # Of an answer and a word is known what the words are: the answer may be an object.
        word = value.get("verdict") if type(value) is dict else value
        return type(word) is str and ("str", word) in known.words
    if isinstance(known, Answer):
        given = value.get("verdict") if type(value) is dict else value
        return covers(known.verdict, given)
    if isinstance(known, Each):
        return type(value) is list and all(covers(known.item, item) for item in value)
    return type(value) is dict and all(
        covers(inner, value.get(name, ONLY)) for name, inner in known.members
    )


def put(world: dict[str, Any], way: tuple[str, ...], value: Any) -> None:
    """Write as a flow does: what is no object on the way gives way to one."""
    here = world
    for name in way[:-1]:
        if type(here.get(name)) is not dict:
            here[name] = {}
        here = here[name]
    here[way[-1]] = value


def at(world: Any, way: tuple[str, ...]) -> Any:
    for name in way:
        world = world.get(name, ONLY) if type(world) is dict else ONLY
    return world


VALUES: list[tuple[Known, list[Any]]] = [
    (A, ["a"]),
    (AB, ["a", "b"]),
    (Answer(AB), ["a", {"verdict": "b", "x": 1}]),
    (Each(A), [[], ["a", "a"]]),
    (fields(x=A, y=B), [{"x": "a", "y": "b"}]),
    (None, [5, {"x": ["a"]}, "z"]),
]
WAYS = [way for size in (1, 2, 3) for way in product("xyz", repeat=size)]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_known_holds_in_every_world(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a repeatable one
    states: list[tuple[State, list[dict[str, Any]]]] = [(State(), [{}])]
    for _ in range(60):
        state, worlds = chance.choice(states)
        if chance.random() < 0.25:
            other, others = chance.choice(states)
            states.append((state.merged(other), copy.deepcopy([*worlds, *others])[-24:]))
        else:
            way, (known, values) = chance.choice(WAYS), chance.choice(VALUES)
            state, made = state.copy(), copy.deepcopy(worlds)
            state.write(way, known)
            for world in made:
                put(world, way, copy.deepcopy(chance.choice(values)))
            states.append((state, made))
        state, worlds = states[-1]
        for way, world in product(WAYS, worlds):
            assert covers(state.read(way), at(world, way)), (way, world)
