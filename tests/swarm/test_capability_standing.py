"""A token that is read once decides as one that is read each time, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from swarm.core.capability import chain
from swarm.core.capability.standing import Standing
from tests.swarm.desk import NOW_S, Desk

VERBS = ("run.read", "step.take", "token.mint", "operator.connect")
ENDS = NOW_S + 43_200


def nothing(desk: Desk) -> None:
    return None


def revoke_subject(desk: Desk) -> None:
    desk.ledger.revoke("subject", "ada", desk.ledger.epoch + 1, ENDS)


def revoke_all(desk: Desk) -> None:
    desk.ledger.revoke("all", "", desk.ledger.epoch + 1, ENDS)


def revoke_other(desk: Desk) -> None:
    desk.ledger.revoke("subject", "bob", desk.ledger.epoch + 1, ENDS)


def rotate(desk: Desk) -> None:
    desk.keys.change(lambda ring: ring.rotated(desk.now_s))


def take_key_away(desk: Desk) -> None:
    rotate(desk)
    desk.keys.change(lambda ring: replace(ring, keys=ring.keys[1:]))


def pass_time(desk: Desk) -> None:
    desk.now_s += 60


def pass_all_time(desk: Desk) -> None:
    desk.now_s += 601


HAPPENS: list[Callable[[Desk], None]] = [
    nothing, revoke_subject, revoke_all, revoke_other, rotate, take_key_away, pass_time,
    pass_all_time,
]  # fmt: skip


@pytest.mark.parametrize("happens", HAPPENS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("where", [(None, None, None), ("r", None, None), ("r", "s", 1)])
def test_it_decides_as_a_guard_that_reads_each_time(
    happens: Callable[[Desk], None], where: tuple[str | None, str | None, int | None]
) -> None:
    desk = Desk()
    run, step, attempt = where
    token = desk.mint(run=run, step=step, attempt=attempt, ttl_s=600)
    standing = Standing(desk.guard, token)
    before = [standing.look(verb, run, step, attempt) for verb in VERBS]
    happens(desk)
    for verb, was in zip(VERBS, before, strict=True):
        for at in (where, ("other", None, None), (None, None, None)):
            assert standing.look(verb, *at) == desk.guard.look(token, verb, *at), (verb, at)
        ends = happens in (revoke_subject, revoke_all, take_key_away, pass_all_time)
        assert standing.look(verb, run, step, attempt).allowed is (was.allowed and not ends)


def test_a_token_that_never_held_does_not_hold() -> None:
    desk = Desk()
    for token in ("", "nonsense", desk.mint() + "x", desk.forged(exp=NOW_S - 1)):
        told = Standing(desk.guard, token).look("run.read")
        assert (told.allowed, told.outsider) == (False, True)


def test_it_is_read_once_and_anew_with_each_revocation(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, read = Desk(), list[str]()
    holds = chain.holds

    def counted(pieces: chain.Pieces, key: bytes) -> tuple[bytes, ...] | None:
        read.append(pieces.kid)
        return holds(pieces, key)

    standing = Standing(desk.guard, desk.mint())
    monkeypatch.setattr(chain, "holds", counted)
    # One look tries the key of each purpose that the entry takes.
    assert standing.look("run.read")
    once = len(read)
    for _ in range(100):
        assert standing.look("run.read")
    assert len(read) == once
    revoke_other(desk)
    assert standing.look("run.read")
    assert len(read) == 2 * once
