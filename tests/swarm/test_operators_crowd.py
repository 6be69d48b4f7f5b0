"""Who is chosen in a seat, held against a look at everybody."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from swarm.operators.cases import Member
from swarm.operators.crowd import Crowd


def somebody(number: int, capacity: int, chance: Random) -> Member:
    tags = frozenset(tag for tag in "ab" if chance.random() < 0.5)
    return Member(
        id=f"m{number}", subject="s", name="n", seats=["x"], tags=tags, capacity=capacity,
        offers=False, may=lambda _: True, may_sit=lambda _: True,
    )  # fmt: skip


def fit_for(tags: frozenset[str]) -> Callable[[Member], bool]:
    return lambda member: member.tags >= tags


@pytest.mark.parametrize("seed", range(40))
def test_it_chooses_as_one_would_who_looks_at_everybody(seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - the same changes each time
    crowd = Crowd()
    seated: dict[str, Member] = {}
    turn = found = 0
    for number in range(400):
        act = chance.choice(("sit", "go", "line", "give", "give", "give", "take", "drain"))
        member = chance.choice(list(seated.values())) if seated else None
        if act == "sit" or member is None:
            member = somebody(number, chance.randint(1, 3), chance)
            seated[member.id] = member
            crowd.seat(member)
            crowd.seat(member)
        elif act == "go":
            del seated[member.id]
            crowd.unseat(member)
        elif act == "line":
            member.here = not member.here
            crowd.note(member)
        elif act == "drain":
            member.draining = member.draining or chance.random() < 0.1
        elif act == "take" and member.orders:
            member.orders.popitem()
            crowd.note(member)
        if chance.random() < 0.1:
            # What is noted often makes the heaps anew.
            for one in [*seated.values()] * 3:
                crowd.note(one)
        wanted = chance.choice((frozenset(), frozenset("a"), frozenset("ab")))
        able = [m for m in seated.values() if m.is_free and m.tags >= wanted]
        freest = min(able, key=lambda m: (len(m.orders), m.turn), default=None)
        following = min(able, key=lambda m: m.turn, default=None)
        assert crowd.freest(fit_for(wanted)) is freest
        assert crowd.next(fit_for(wanted)) is following
        assert list(crowd.members) == list(seated.values())
        if act == "give" and freest is not None:
            turn += 1
            found += 1
            freest.turn = turn
            freest.orders[str(turn)] = None
            crowd.note(freest)
    assert found > 40


def test_one_of_a_thousand_is_found_without_a_look_at_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crowd, asked = Crowd(), list[str]()
    looks, free = [0], Member.is_free.fget
    assert free is not None

    def looked(member: Member) -> bool:
        looks[0] += 1
        return free(member)

    monkeypatch.setattr(Member, "is_free", property(looked))
    for number in range(1_000):
        crowd.seat(somebody(number, 1, Random(number)))  # noqa: S311 - anybody
    for turn in range(1, 1_001):
        member = crowd.freest(lambda m: asked.append(m.id) or True)
        assert member is not None
        member.turn = turn
        member.orders["k"] = None
        crowd.note(member)
    assert len(asked) == 1_000
    assert crowd.freest(lambda m: asked.append(m.id) or True) is None
    assert len(asked) == 1_000
    for member in crowd.members:
        member.orders.clear()
        for _ in range(3):
            crowd.note(member)
    assert looks[0] < 20_000, looks


def test_who_does_not_sit_here_is_not_heard_of() -> None:
    crowd = Crowd()
    crowd.note(somebody(0, 1, Random(0)))  # noqa: S311 - anybody
    assert crowd.freest(lambda _: True) is None


def test_what_changes_often_is_not_remembered_often() -> None:
    crowd = Crowd()
    member = somebody(0, 2, Random(0))  # noqa: S311 - anybody
    crowd.seat(member)
    for _ in range(10_000):
        crowd.note(member)
    assert max(map(len, crowd._heaps.values())) < 50  # pyright: ignore[reportPrivateUsage]
