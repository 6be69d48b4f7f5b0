"""Who mints and revokes the tokens of a host: what they say, what is noted, and in which order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swarm.blueprint.agent import AgentSpec
from swarm.core.acts import Act, acting
from swarm.core.capability import chain
from swarm.core.capability.keys import Keyring
from swarm.core.capability.mint import Order, read
from swarm.core.capability.verbs import TABLE
from swarm.errors import Refused
from swarm.host.authority import Authority
from swarm.ports.worker import Call
from swarm.stores.keyfile import MemoryKeys
from swarm.stores.ledger import MemoryLedger

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000
# The longest life of any token, and what clocks may differ by.
LONGEST_S = 86_400 + 5


class CountedKeys(MemoryKeys):
    """Keys that are written anew with each change."""

    changes = 0

    def change(self, act: Callable[[Keyring], Keyring]) -> Keyring:
        self.changes += 1
        return super().change(act)


class Office:
    """An authority with its keys, its ledger and what it has noted, in the order of it."""

    def __init__(self, *, ledger_epoch: int = 0, keys_epoch: int = 0) -> None:
        self.keys, self.ledger = CountedKeys(lambda: NOW), MemoryLedger()
        self.keys.change(lambda ring: replace(ring, epoch=keys_epoch))
        self.keys.changes = 0
        self.ledger.epoch = ledger_epoch
        self.done: list[Any] = []
        clock = SimpleNamespace(wall=lambda: NOW + 0.75)
        journal = SimpleNamespace(commit=self._commit)
        recorder = SimpleNamespace(note=self._note, doing=self._doing)
        parts = SimpleNamespace(ledger=self.ledger, journal=journal, clock=clock)
        self.tokens = Authority(cast("Any", parts), self.keys, cast("Any", recorder), TABLE)

    async def _commit(self) -> None:
        # Who commits has written the ledger, and not yet the keys.
        self.done.append(("commit", self.ledger.epoch, self.keys.keyring().epoch))

    def _note(self, actor: str, verb: str, decision: str, **more: Any) -> None:
        self.done.append((actor, verb, decision, more))

    @asynccontextmanager
    async def _doing(self, actor: str, verb: str, *, always: bool) -> AsyncGenerator[None]:
        self.done.append((actor, verb, always))
        yield
        self.done.append("done")

    def void(self, kind: Any, name: str) -> tuple[int, int]:
        """Return before which epoch such tokens are void, and until when that is remembered."""
        return self.ledger._voids[kind, name]  # pyright: ignore[reportPrivateUsage]


def claims(token: str) -> Any:
    return read(token)[1]


# -- a store and its keys ------------------------------------------------------------------


@pytest.mark.parametrize(("in_store", "in_keys"), [(0, 0), (3, 3)])
def test_where_store_and_keys_agree_nothing_is_void(in_store: int, in_keys: int) -> None:
    office = Office(ledger_epoch=in_store, keys_epoch=in_keys)
    assert (office.ledger.epoch, office.keys.keyring().epoch) == (in_store, in_keys)
    assert office.ledger.revoked("all", "") == 0
    assert office.keys.changes == 0


def test_a_store_that_is_behind_its_keys_voids_every_token_before() -> None:
    office = Office(ledger_epoch=2, keys_epoch=5)
    assert office.void("all", "") == (6, NOW + LONGEST_S)
    assert (office.ledger.epoch, office.keys.keyring().epoch) == (6, 6)


def test_keys_that_are_behind_their_store_are_told() -> None:
    office = Office(ledger_epoch=5, keys_epoch=2)
    assert (office.ledger.epoch, office.keys.keyring().epoch) == (5, 5)
    assert office.ledger.revoked("all", "") == 0


# -- minting -------------------------------------------------------------------------------


def test_a_token_says_what_was_asked_for_and_is_noted_without_its_secret() -> None:
    office = Office()
    token = office.tokens.mint(
        "ada", "operator", ["run.read"], run="r_1", step="$", attempt=2, ttl_s=60, uses=3, depth=1
    )
    said = claims(token)
    assert (said.sub, said.role, said.verbs, said.run, said.step, said.att) == (
        "ada", "operator", ("run.read",), "r_1", "$", 2,
    )  # fmt: skip
    assert (said.iat, said.exp, said.uses, said.depth) == (NOW, NOW + 60, 3, 1)
    told = {"subject": "ada", "role": "operator", "token": chain.fingerprint(said.jti)}
    assert office.done == [("owner", "token.mint", "allowed", {"detail": told})]
    plain = claims(office.tokens.mint("bob", "worker"))
    assert (plain.run, plain.step, plain.att, plain.uses) == (None, None, None, None)
    assert plain.exp == NOW + 1_800


def test_what_is_done_within_an_act_is_noted_by_that() -> None:
    office = Office()
    with acting(Act(lambda run: None)):
        office.tokens.mint("ada", "operator")
        office.tokens.rotate()
    assert office.done == []
    kid = office.tokens.rotate()
    assert office.done == [("owner", "token.rotate", "allowed", {"detail": {"kid": kid}})]
    assert kid == office.keys.keyring().current.kid
    assert len(office.keys.keyring().keys) == 3


@pytest.mark.parametrize(
    ("timeout_s", "ttl_s"),
    [(None, 1_800), (10.9, 70), (0.5, 60), (1_739.9, 1_799), (1_740.0, 1_800), (9e9, 1_800)],
)
def test_a_workers_token_ends_a_minute_after_its_attempt_must(
    timeout_s: float | None, ttl_s: int
) -> None:
    office = Office()
    call = Call("r_1", "$/2", "writer", None, 3, timeout_s=timeout_s, spec=AgentSpec("w", "lua"))
    said = claims(office.tokens.for_step(call))
    assert (said.sub, said.role, said.run, said.step, said.att) == (
        "agent:writer", "worker", "r_1", "$/2", 3,
    )  # fmt: skip
    assert said.exp - said.iat == ttl_s
    assert office.done == []


def test_a_child_has_less_than_its_parent_or_is_not() -> None:
    office = Office()
    wide = office.tokens.mint("ada", "operator", ["run.read", "run.list"], depth=1)
    parent = office.tokens.guard.admit(wide).unwrap()
    token, decision = office.tokens.child(parent, Order("ada", "operator", ["run.read"]))
    assert token is not None
    assert claims(token).verbs == ("run.read",)
    assert (decision.allowed, decision.reason, decision.verb, decision.grant) == (
        True, "ok", "token.delegate", parent,
    )  # fmt: skip
    token, decision = office.tokens.child(parent, Order("ada", "operator", ["run.start"]))
    assert token is None
    assert (decision.allowed, decision.verb, decision.grant) == (False, "token.delegate", parent)
    assert decision.reason != "ok"


# -- revoking ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["subject", "run"])
@pytest.mark.parametrize(("in_store", "in_keys"), [(0, 0), (4, 4)])
async def test_a_revocation_is_committed_before_the_keys_know_of_it(
    kind: str, in_store: int, in_keys: int
) -> None:
    office = Office(ledger_epoch=in_store, keys_epoch=in_keys)
    await office.tokens.revoke(**{kind: "name"})
    epoch = in_store + 1
    assert office.void(kind, "name") == (epoch, NOW + LONGEST_S)
    assert office.done == [
        ("owner", "token.revoke", True), ("commit", epoch, in_keys), "done",
    ]  # fmt: skip
    assert (office.keys.keyring().epoch, office.keys.keyring().high_s) == (epoch, NOW)
    await office.tokens.revoke(**{kind: "other"})
    assert office.void(kind, "other")[0] == epoch + 1


async def test_a_token_is_revoked_by_itself_or_by_its_fingerprint() -> None:
    office = Office()
    token, other = office.tokens.mint("ada", "operator"), office.tokens.mint("ada", "operator")
    await office.tokens.revoke(token=token)
    assert not office.tokens.guard.admit(token)
    assert office.tokens.guard.admit(other)
    await office.tokens.revoke(token=chain.fingerprint(claims(other).jti))
    assert not office.tokens.guard.admit(other)
    assert office.void("token", chain.fingerprint(claims(token).jti))[0] == 1


async def test_a_key_is_taken_away_with_all_that_it_signed() -> None:
    office = Office()
    token = office.tokens.mint("ada", "operator")
    await office.tokens.revoke(kid=token.split(".")[1])
    assert not office.tokens.guard.admit(token)
    assert office.ledger.epoch == 0
    assert office.done[1:] == [("owner", "token.revoke", True), "done"]


@pytest.mark.parametrize(
    ("what", "many"), [({}, 0), ({"subject": "a", "run": "b"}, 2), ({"token": "x", "kid": "y"}, 2)]
)
async def test_one_thing_is_revoked_at_a_time(what: dict[str, str], many: int) -> None:
    office = Office()
    with pytest.raises(Refused) as caught:
        await office.tokens.revoke(**what)
    said = f"revoke: expected one of token, subject, run and kid, got {many}"
    assert (caught.value.code, str(caught.value)) == ("capability.revoke", said)
    assert office.done == []
