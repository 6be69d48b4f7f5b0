"""What is remembered of tokens, against a plain list of all that was ever said."""

from __future__ import annotations

import random
from typing import Any

import pytest

from swarm.ports.capability import Revoked
from swarm.stores.ledger import MemoryLedger, Remembered


class Kept(MemoryLedger):
    """A ledger that notes what is to be kept beside."""

    def __init__(self, past: Remembered | None = None) -> None:
        self.told: list[tuple[Any, ...]] = []
        super().__init__(past)

    def _keep_void(self, kind: Revoked, name: str, epoch: int, until_s: int) -> None:
        self.told.append(("void", kind, name, epoch, until_s))

    def _keep_use(self, counter: str, count: int, until_s: int) -> None:
        self.told.append(("use", counter, count, until_s))

    def _keep_time(self, now_s: int) -> None:
        self.told.append(("time", now_s))


def test_a_ledger_begins_with_nothing_or_with_what_was() -> None:
    fresh = MemoryLedger()
    assert (fresh.epoch, fresh.high_s, len(fresh)) == (0, 0, 0)
    assert (fresh.revoked("token", "a"), fresh.used("a")) == (0, 0)
    past = Remembered(5, 100, [("token", "a", 4, 200)], [("c", 3, 150)])
    again = MemoryLedger(past)
    assert (again.epoch, again.high_s, len(again)) == (5, 100, 2)
    assert (again.revoked("token", "a"), again.used("c")) == (4, 3)


def test_what_changes_is_kept_beside() -> None:
    ledger = Kept()
    ledger.revoke("token", "a", 3, 100)
    ledger.use("c", 50)
    ledger.use("c", 60)
    ledger.note_time(10)
    ledger.note_time(10)
    ledger.note_time(9)
    assert ledger.told == [
        ("void", "token", "a", 3, 100), ("use", "c", 1, 50), ("use", "c", 2, 60), ("time", 10),
    ]  # fmt: skip
    assert (ledger.epoch, ledger.high_s) == (3, 10)


def test_an_epoch_does_not_go_back() -> None:
    ledger = MemoryLedger()
    ledger.revoke("token", "a", 3, 100)
    ledger.revoke("token", "b", 2, 100)
    assert ledger.epoch == 3
    assert (ledger.revoked("token", "a"), ledger.revoked("token", "b")) == (3, 2)


@pytest.mark.parametrize(("now_s", "there"), [(99, True), (100, True), (101, False)])
def test_what_has_expired_is_forgotten(now_s: int, there: bool) -> None:
    for past in (None, Remembered(1, 0, [("token", "a", 1, 100)], [("c", 1, 100)])):
        ledger = MemoryLedger(past)
        if past is None:
            ledger.revoke("token", "a", 1, 100)
            ledger.use("c", 100)
        ledger.note_time(now_s)
        assert (ledger.revoked("token", "a"), ledger.used("c")) == ((1, 1) if there else (0, 0))
        assert len(ledger) == (2 if there else 0)


def test_what_is_revoked_again_lasts_as_long_as_the_last() -> None:
    ledger = MemoryLedger()
    ledger.revoke("token", "a", 1, 100)
    ledger.revoke("token", "a", 2, 200)
    ledger.note_time(150)
    assert ledger.revoked("token", "a") == 2
    ledger.note_time(201)
    assert ledger.revoked("token", "a") == 0
    ledger.revoke("token", "a", 3, 300)
    ledger.revoke("token", "a", 4, 300)
    ledger.note_time(301)
    assert len(ledger) == 0


def test_it_remembers_what_a_plain_list_does() -> None:
    chance = random.Random(7)  # noqa: S311 - no secret
    for _ in range(200):
        ledger, voids, uses, now_s = MemoryLedger(), dict[str, Any](), dict[str, Any](), 0
        for _ in range(30):
            name, until_s = chance.choice("abc"), now_s + chance.randrange(1, 20)
            match chance.randrange(3):
                case 0:
                    ledger.revoke("token", name, now_s + 1, until_s)
                    voids[name] = (now_s + 1, until_s)
                case 1:
                    # A counter is of one token, which has one end.
                    until_s = uses[name][1] if name in uses else until_s
                    ledger.use(name, until_s)
                    uses[name] = (uses.get(name, (0,))[0] + 1, until_s)
                case _:
                    now_s += chance.randrange(0, 8)
                    ledger.note_time(now_s)
                    voids = {name: one for name, one in voids.items() if one[1] >= now_s}
                    uses = {name: one for name, one in uses.items() if one[1] >= now_s}
            for name in "abc":
                assert ledger.revoked("token", name) == voids.get(name, (0,))[0]
                assert ledger.used(name) == uses.get(name, (0,))[0]
            assert len(ledger) == len(voids) + len(uses)
